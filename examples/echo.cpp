#include <unistd.h>
#include <iostream>
#include <udppump/pump.hpp>

int main(int argc, char** argv) {
  auto socket = udppump::datagram_socket::bind(udppump::address::parse(argc > 1 ? argv[1] : ":5000"));
  for (int worker = 1; worker < 4 && fork() > 0; ++worker) continue;  // four processes on one port
  udppump::pump pump{socket, [](udppump::datagram& received) { received.reply(received.payload); }};
  const auto error = pump.run();
  if (error) std::cerr << "echo: " << error.message() << '\n';
  return error ? 1 : 0;
}

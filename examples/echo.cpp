#include <unistd.h>
#include <iostream>
#include <udppump/pump.hpp>

int main(int argc, char** argv) try {
  auto socket = udppump::datagram_socket::bind(udppump::address::parse(argc > 1 ? argv[1] : ":5000"));
  for (int worker = 1; worker < 4 && fork() > 0; ++worker) continue;  // four processes on one port
  const auto echo = [](udppump::datagram& received) { received.reply(received.payload); };
  udppump::pump pump{socket, echo, {.ignore_from = udppump::source_filter::against_loops()}};
  if (const auto error = pump.run()) throw std::system_error{error};
} catch (const std::exception& error) {
  std::cerr << "echo: " << error.what() << '\n';
  return 1;
}

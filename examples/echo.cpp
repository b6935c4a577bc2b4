#include <unistd.h>
#include <udppump/pump.hpp>

int main(int argc, char** argv) {
  auto socket = udppump::datagram_socket::bind(udppump::address::parse(argc > 1 ? argv[1] : ":5000"));
  for (int worker = 1; worker < 4 && fork() > 0; ++worker) continue;  // four processes on one port
  udppump::pump pump{socket, [](udppump::datagram& received) { (void)received.reply(received.payload); }};
  return pump.run().value();
}

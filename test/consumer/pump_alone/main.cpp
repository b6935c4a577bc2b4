// A program that uses pumps and nothing else of udppump: it sends itself a datagram.

#include <udppump/pump.hpp>

int main() {
  auto socket = udppump::datagram_socket::bind(udppump::address::parse("127.0.0.1:0"));
  bool delivered = false;
  udppump::pump pump{socket, [&](udppump::datagram& received) {
                       delivered = received.text() == "hello";
                       pump.request_stop();
                     }};
  if (socket.send_to("hello", socket.local())) return 2;
  if (pump.run()) return 3;
  return delivered ? 0 : 1;
}

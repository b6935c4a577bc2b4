// What a program outside this repository does first: a datagram to itself by run(), one by libevent's loop, and one to
// the first of two lanes.

#include <event2/event.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <udppump/lanes.hpp>
#include <udppump/libevent.hpp>
#include <udppump/pcap_match.hpp>
#include <udppump/pump.hpp>

namespace {

// What the pump on `socket` delivers of one datagram sent to itself; `serve` has the pump served until it is stopped.
template <class Serve>
std::string send_and_receive(std::string_view sent, Serve serve) {
  auto socket = udppump::datagram_socket::bind(udppump::address::parse("127.0.0.1:0"));
  std::string delivered;
  udppump::pump pump{socket, [&](udppump::datagram& received) {
                       delivered = received.text();
                       pump.request_stop();
                     }};
  if (const std::error_code failed = socket.send_to(sent, socket.local())) throw std::system_error{failed, "send_to"};
  serve(pump);
  std::printf("%s: delivered \"%s\" by the %s waiter\n", std::string{sent}.c_str(), delivered.c_str(),
              std::string{to_string(pump.waiter().kind)}.c_str());
  return delivered;
}

void serve_by_itself(udppump::pump& pump) {
  if (const std::error_code failed = pump.run()) throw std::system_error{failed, "run"};
}

void serve_by_libevent(udppump::pump& pump) {
  const std::unique_ptr<event_base, void (*)(event_base*)> base{event_base_new(), &event_base_free};
  const udppump::libevent_watch watch{base.get(), pump};
  while (!pump.stopped()) event_base_loop(base.get(), EVLOOP_ONCE);
}

bool comes_by_the_first_lane(std::string_view sent) {
  const udppump::lane lanes[] = {{.name = "first", .match = udppump::pcap_match("payload[0] = 0x6c")},
                                 {.name = "rest"}};
  const auto sockets = udppump::bind_lanes(udppump::address::parse("127.0.0.1:0"), lanes);
  if (const std::error_code failed = sockets[1].send_to(sent, sockets[1].local())) {
    throw std::system_error{failed, "send_to"};
  }
  std::byte buffer[16];
  return sockets[0].receive(buffer, std::chrono::seconds{20}).text() == sent;
}

}  // namespace

int main() try {
  const bool right = send_and_receive("run", &serve_by_itself) == "run" &&
                     send_and_receive("libevent", &serve_by_libevent) == "libevent" && comes_by_the_first_lane("lane");
  return right ? 0 : 1;
} catch (const std::exception& thrown) {
  std::fprintf(stderr, "%s\n", thrown.what());
  return 1;
}

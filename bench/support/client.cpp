#include "support/client.hpp"

#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <stdexcept>
#include <string>
#include <thread>

namespace bench {

udppump::datagram_socket bind_loopback(std::size_t receive_buffer) {
  return udppump::datagram_socket::bind(udppump::address::parse("127.0.0.1:0"), {.receive_buffer = receive_buffer});
}

client::client() : socket_{check_call(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")} {
  const timeval second{.tv_sec = 1, .tv_usec = 0};
  check_call(setsockopt(socket_.fd(), SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second), "setsockopt SO_RCVTIMEO");
}

void client::send(std::string_view payload, const udppump::address& to) {
  check_call(sendto(socket_.fd(), payload.data(), payload.size(), 0, to.data(), to.size()), "sendto");
}

bool client::receive() {
  std::array<char, 64> answer;
  const ssize_t size = recv(socket_.fd(), answer.data(), answer.size(), 0);
  if (size < 0 && errno != EAGAIN) throw std::system_error{errno, std::generic_category(), "recv"};
  return size >= 0;
}

std::vector<double> round_trips(const udppump::address& server, std::size_t count, std::chrono::microseconds pause) {
  const std::string payload(64, 'q');
  client client;
  std::vector<double> times;
  for (std::size_t i = 0; i < count; ++i) {
    std::this_thread::sleep_for(pause);
    const auto sent = wall_time();
    client.send(payload, server);
    if (!client.receive()) throw std::runtime_error{"no answer within a second"};
    times.push_back(static_cast<double>((wall_time() - sent).count()) / 1e3);
  }
  return times;
}

}  // namespace bench

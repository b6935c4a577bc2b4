#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <udppump/datagram_socket.hpp>
#include <vector>

#include "support/serve.hpp"

/// Seconds that a test under load lasts: 3, or UDPPUMP_TEST_SECONDS.
inline std::chrono::seconds load_time() {
  const char* const text = std::getenv("UDPPUMP_TEST_SECONDS");
  return std::chrono::seconds{text != nullptr ? std::atoi(text) : 3};
}

/// A client that sends numbered datagrams at a steady rate, whatever comes back, and counts the answers to each. One
/// thread: between sends it receives, and calls whoever wants to disturb the server.
class steady_load {
 public:
  steady_load(const udppump::address& server, std::chrono::microseconds interval)
      : socket_{udppump::datagram_socket::connect(server, {.receive_buffer = 4 << 20})}, interval_{interval} {}

  /// Sends for `time`; calls disturb() about every millisecond.
  template <class Disturb>
  void run(std::chrono::milliseconds time, Disturb disturb) {
    const auto until = std::chrono::steady_clock::now() + time;
    run_until(
        [&] {
          disturb();
          return std::chrono::steady_clock::now() >= until;
        },
        time + patience);
  }
  /// Sends until disturb() returns true.
  template <class Disturb>
  void run_until(Disturb disturb, std::chrono::milliseconds at_most) {
    const auto begin = std::chrono::steady_clock::now();
    this->begin();
    while (std::chrono::steady_clock::now() - begin < at_most) {
      go_on();
      if (disturb()) return;  // while what was just sent is at work
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
  }
  /// For several at once: from now on, go_on() sends what is due.
  void begin() { next_ = std::chrono::steady_clock::now(); }
  void go_on() {
    send();
    receive();
  }

  /// Waits until all are answered but `missing`, or nothing has come for `quiet`.
  void settle(std::uint64_t missing = 0, std::chrono::milliseconds quiet = std::chrono::seconds{4}) {
    auto last = std::chrono::steady_clock::now();
    std::uint64_t before = answered();
    while (unanswered() > missing && std::chrono::steady_clock::now() - last < quiet) {
      std::this_thread::sleep_for(std::chrono::milliseconds{5});
      receive();
      if (answered() == before) continue;
      before = answered();
      last = std::chrono::steady_clock::now();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{50});  // answers that come twice
    receive();
  }

  std::uint64_t sent() const { return answers_.size(); }
  std::uint64_t unanswered() const { return sent() - once_; }
  std::uint64_t repeated() const { return repeated_; }
  std::uint64_t refused() const { return refused_; }
  int answers_to(std::uint64_t number) const { return answers_[number]; }

 private:
  static constexpr std::uint64_t most_unanswered = 1000;

  std::uint64_t answered() const { return once_ + repeated_; }

  void send() {
    const auto now = std::chrono::steady_clock::now();
    for (; next_ <= now; next_ += interval_) {
      if (unanswered() > most_unanswered) continue;  // this process was held up: what comes now would be a burst
      const std::uint64_t number = answers_.size();
      answers_.push_back(0);
      std::byte bytes[sizeof number];
      std::memcpy(bytes, &number, sizeof number);
      if (socket_.send(udppump::bytes_view{bytes})) ++refused_;
    }
  }

  void receive() {
    std::uint64_t number = 0;
    while (socket_.receive(std::as_writable_bytes(std::span{&number, 1})).real_size == sizeof number) {
      if (number >= answers_.size()) continue;
      if (++answers_[number] == 1) {
        ++once_;
      } else {
        ++repeated_;
      }
    }
  }

  udppump::datagram_socket socket_;
  std::chrono::microseconds interval_;
  std::chrono::steady_clock::time_point next_;
  std::vector<std::uint8_t> answers_;
  std::uint64_t once_ = 0, repeated_ = 0, refused_ = 0;
};

#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "pool/listening.hpp"

namespace udppump::detail {

/// systemd, or whatever started this process and speaks its protocols; none of the calls does anything if nothing of
/// the kind did (sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3)). None waits for it: what it does not take at
/// once is said again until it does.
class service_manager {
 public:
  using clock = std::chrono::steady_clock;

  /// Sockets it passed, taken out of the environment, so that no child takes them again. Throws std::system_error.
  static std::vector<passed_socket> take_sockets();

  /// Looks up the watchdog's interval.
  service_manager();

  /// What is wrong with the environment by which it said how to tell it, and what helps; empty: nothing is.
  const std::string& complaint() const noexcept { return complaint_; }

  void ready(const std::string& status);
  void reloading(const std::string& status);
  void stopping(const std::string& status);
  void status(const std::string& text);
  /// Another process is the service from now on.
  void main_process(int pid, const std::string& status);

  /// How often feed_watchdog() is to be called; 0: never.
  std::chrono::microseconds watchdog_interval() const noexcept { return watchdog_; }
  /// Not said again: the next one comes soon.
  void feed_watchdog();

  /// Says again what was not taken.
  void say_again(clock::time_point now);
  /// Nothing more is to come: waits for a moment until it has taken all.
  void say_the_rest();
  /// When say_again() has something to do.
  clock::time_point says_again_at() const noexcept { return again_at_; }

 private:
  void say(std::string state);

  std::deque<std::string> untaken_;  // in order
  clock::time_point again_at_ = clock::time_point::max();
  std::chrono::microseconds watchdog_{0};
  std::string complaint_;
};

}  // namespace udppump::detail

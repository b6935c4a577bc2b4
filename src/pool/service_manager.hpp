#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "pool/listening.hpp"

namespace udppump::detail {

/// systemd, or whatever started this process and speaks its protocols; none of the calls does anything if nothing of
/// the kind did (sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3)).
class service_manager {
 public:
  /// Sockets it passed, taken out of the environment, so that no child takes them again. Throws std::system_error.
  static std::vector<passed_socket> take_sockets();

  /// Looks up the watchdog's interval.
  service_manager();

  void ready(const std::string& status) const;
  void reloading(const std::string& status) const;
  void stopping(const std::string& status) const;
  void status(const std::string& text) const;
  /// Another process is the service from now on.
  void main_process(int pid, const std::string& status) const;

  /// How often feed_watchdog() is to be called; 0: never.
  std::chrono::microseconds watchdog_interval() const noexcept { return watchdog_; }
  void feed_watchdog() const;

 private:
  std::chrono::microseconds watchdog_{0};
};

}  // namespace udppump::detail

#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>

#include "udppump/address.hpp"

namespace bench {

/// How dnsperf(1) is to ask.
struct dnsperf_run {
  std::string program;
  std::filesystem::path questions;
  /// How many may wait for their answers at a time; the next is asked when one is answered.
  std::size_t outstanding = 1;
  /// Sockets that it asks from.
  std::size_t clients = 1;
  std::chrono::milliseconds time{0};
  /// Questions a second at most; 0: as many as are answered.
  std::size_t rate = 0;
};

/// What it says at its end.
struct dnsperf_result {
  double completed = 0;
  double lost = 0;
  double per_second = 0;
  double average_latency_us = 0;
  /// Of dnsperf itself.
  double cpu_us = 0;
};

/// Throws std::runtime_error if dnsperf fails, or nothing was answered.
dnsperf_result run_dnsperf(const dnsperf_run& run, const udppump::address& server);

}  // namespace bench

#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <string_view>

#include "udppump/pool_options.hpp"

namespace udppump::detail {

/// The one limit of lines that a pool's log has. Of each kind of event, by its name, some lines are written at once;
/// from then on one each ten seconds, which is the last of those kept back, with its time, and says how many like it
/// there were before, in what time. So nobody fills the log, whatever he has the pool tell, and one kind does not keep
/// another out.
class log_limit {
 public:
  using clock = std::chrono::steady_clock;
  using writer = std::function<void(const pool_event&)>;
  static constexpr std::chrono::seconds pause{10};

  /// Writes it, or keeps it for later. `most` of its kind are written at once; at least 1. Its name lives as long as
  /// the program.
  void pass(pool_event event, std::size_t most, clock::time_point now, const writer& write);
  /// Writes what is due of those that were kept; all of them if nothing else is waited for.
  void write_due(clock::time_point now, const writer& write);
  void write_all(const writer& write) { write_due(clock::time_point::max(), write); }
  /// When write_due() has something.
  clock::time_point next() const noexcept;

 private:
  struct kind {
    std::size_t left;  // that may be written
    clock::time_point since = {};
    std::size_t withheld = 0;
    clock::time_point first_at = {};  // of those
    clock::time_point last_at = {};
    pool_event last = {};
  };
  std::map<std::string_view, kind> kinds_;
};

}  // namespace udppump::detail

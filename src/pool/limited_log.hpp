#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "pool/pool_log.hpp"

namespace udppump::detail {

/// Lines that others may provoke as often as they like. Of each event, some are written at once; from then on one each
/// ten seconds, which says how many there were besides.
class limited_log {
 public:
  using clock = std::chrono::steady_clock;
  static constexpr std::size_t at_once = 16;
  static constexpr std::chrono::seconds pause{10};

  /// `log` outlives it.
  explicit limited_log(const pool_log& log) : log_{log} {}

  /// `name` lives as long as the program. `most` of this event are written at once.
  void error(std::string_view name, std::string text) { write(&pool_log::error, name, std::move(text)); }
  void warning(std::string_view name, std::string text, std::size_t most = at_once) {
    write(&pool_log::warning, name, std::move(text), most);
  }
  void notice(std::string_view name, std::string text) { write(&pool_log::notice, name, std::move(text)); }

  /// Writes what is due of those that were not written.
  void write_due(clock::time_point now);
  /// When write_due() has something.
  clock::time_point next() const noexcept;

 private:
  using level = void (pool_log::*)(std::string_view, std::string, pool_log::fields) const;
  struct event {
    std::size_t left;  // that may be written
    clock::time_point since = {};
    std::size_t withheld = 0;
    level of_last = nullptr;
    std::string last = {};
  };

  void write(level how, std::string_view name, std::string text, std::size_t most = at_once);

  const pool_log& log_;
  std::map<std::string_view, event> events_;
};

}  // namespace udppump::detail

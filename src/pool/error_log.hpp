#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "pool/crew.hpp"
#include "pool/pool_log.hpp"

namespace udppump::detail {

/// Tells the log what workers met while receiving and no on_error heard, of each kind one line in ten seconds at most,
/// with how many there were; of interfaces, where each line is another state, a few may follow each other at once.
/// Looks at the workers' pages once a second at most, however many errors there are.
class error_log {
 public:
  using clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds between_lines{10}, between_looks{1};

  /// For so many pages. `log` outlives it.
  error_log(std::size_t pages, const pool_log& log) : log_{log}, seen_(pages) {}

  /// When a worker may have news, and at wakes_at().
  void look(const crew& workers, clock::time_point now);
  /// At the end of one, whose page is about to be another's; and of all, when nothing is waited for any more.
  void look_at_last(const crew::member& one, const worker_page& page, clock::time_point now);
  void say_the_rest(clock::time_point now);
  clock::time_point wakes_at() const noexcept;

 private:
  struct kind {
    std::uint64_t untold = 0;
    std::string who, last;
    std::int32_t code = 0;
    clock::time_point next_line = clock::time_point{};  // if they come no faster than so on average
  };

  void take(const crew::member& one, const worker_page& page);
  void say(clock::time_point now, bool all);
  clock::time_point may_say_at(std::size_t at) const noexcept;

  const pool_log& log_;
  std::array<kind, error_kinds> kinds_ = {};
  std::vector<std::array<std::uint64_t, error_kinds>> seen_;  // counts, by page
  clock::time_point next_look_ = clock::time_point::min();
  bool has_news_ = false;  // that wait for the next look
};

}  // namespace udppump::detail

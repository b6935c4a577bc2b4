#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "udppump/pool_status.hpp"

namespace udppump::tools {

/// What `udppump top` shows, as lines of text: pure, so that it is the same wherever it is drawn.
struct frame_line {
  enum class style : std::uint8_t { plain, title, head, alarm, help };
  std::string text = {};
  style as = style::plain;
};

enum class worker_order : std::uint8_t { number, handled, busy, cpu, memory };
std::string_view to_string(worker_order order) noexcept;
/// The one that the key "s" leads to.
worker_order after(worker_order order) noexcept;

/// What the keys have chosen.
struct top_view {
  worker_order order = worker_order::number;
  /// How many workers are scrolled over; made to fit.
  std::size_t skipped = 0;
  bool paused = false, help = false;
  std::size_t columns = 80, rows = 24;
};

/// Two looks at a pool, and the time between them. Without `before` there are no rates.
struct two_looks {
  pool_status now;
  std::optional<pool_status> before = {};
  double seconds = 0;
};

/// As many lines as there are rows, none longer than there are columns; `view.skipped` is made to fit.
std::vector<frame_line> frame_of(const two_looks& looks, top_view& view);
/// One with a sentence instead of a pool.
std::vector<frame_line> frame_of(const std::string& sentence, const top_view& view);

/// What was counted between two looks; nothing if a count went back.
time_histogram between(const time_histogram& before, const time_histogram& now);

}  // namespace udppump::tools

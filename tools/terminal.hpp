#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "top_frame.hpp"

namespace udppump::tools {

/// What was pressed, as far as anybody here cares.
enum class key : std::uint8_t { none, quit, sort, pool, help, pause, up, down, page_up, page_down, home, end, resized };

/// A terminal that is drawn over as a whole, by ncurses; one at a time. It is as it was before when this ends.
class terminal {
 public:
  /// Throws std::runtime_error if stdin or stdout is none, or nothing is known of its kind (TERM).
  terminal();
  ~terminal();
  terminal(const terminal&) = delete;
  terminal& operator=(const terminal&) = delete;

  /// How many there are now.
  std::size_t rows() const noexcept;
  std::size_t columns() const noexcept;
  void draw(const std::vector<frame_line>& lines) noexcept;
  /// The next key, but for `time` at most. Throws std::runtime_error once the terminal is gone.
  key wait(std::chrono::milliseconds time);

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace udppump::tools

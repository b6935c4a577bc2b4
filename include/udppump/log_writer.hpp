#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "udppump/export.hpp"
#include "udppump/pool_options.hpp"

namespace udppump {

/// "error", "warning", "notice" or "info".
UDPPUMP_EXPORT std::string_view to_string(pool_event::level level) noexcept;

/// Writes a pool's events as lines to a descriptor, and never waits for who reads them: a pipe that nobody empties, or
/// a terminal whose output was stopped, would else stop the pool's parent. A line that cannot be written at once is
/// lost. The next one that can comes after an event "log-lost", which says how many were; or the end of the writer
/// does. Any thread.
class UDPPUMP_EXPORT log_writer {
 public:
  /// Of an event, whose texts are printable() already, its line with the newline.
  using form = std::function<std::string(const pool_event&)>;

  /// `fd` is not closed here. A terminal is opened once more, since how others use it must not change.
  /// Nothing is thrown if that fails.
  explicit log_writer(int fd, form to_line = text_line);
  ~log_writer();
  log_writer(const log_writer&) = delete;
  log_writer& operator=(const log_writer&) = delete;

  void write(const pool_event& event) noexcept;
  /// Lines that were lost so far.
  std::uint64_t lost() const noexcept;
  /// The terminal that was opened once more, which no worker should have; -1: none.
  int own_descriptor() const noexcept;

  /// "2026-11-28T14:03:27.123+01:00 warning udppump: TEXT": local time (RFC 3339), the level.
  static std::string text_line(const pool_event& event);

 private:
  class state;
  std::unique_ptr<state> state_;
};

}  // namespace udppump

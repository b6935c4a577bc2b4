#pragma once

#include <cstddef>
#include <vector>

namespace udppump::detail {

/// A reload replaces the workers, a few at a time, each new one before its old one, which goes on until the new one has
/// proven itself. This says what is to be done next, from what is seen of the workers with a number; it does nothing
/// itself.
class reload {
 public:
  /// Of all workers, so many at a time; at least 1.
  reload(std::size_t workers, std::size_t width) noexcept : workers_{workers}, width_{width} {}
  /// Of the worker with this number alone.
  static reload of_one(std::size_t number) noexcept;

  /// Whose turn it is: as many numbers as the width allows, in order. Empty if all workers are new.
  std::vector<std::size_t> turns();

  struct seen {
    /// A worker from before the reload that was not told to stop.
    bool old_one_serves = false;
    /// A worker that was told to stop, has not ended, and may still do so in time.
    bool old_one_stops = false;
    /// The one of start_new is there, and has not proven itself yet.
    bool new_one_is_tried = false;
  };
  enum class step {
    /// Start a worker with this number. If that fails, or the new one dies before it has proven itself, the reload has
    /// failed.
    start_new,
    /// Tell all workers of this number to stop but the new one.
    stop_old,
    /// Nothing, until something has changed.
    wait,
    /// This one is done: it has no turn any more.
    go_on,
  };
  /// Of one whose turn it is.
  [[nodiscard]] step next(std::size_t number, const seen& now);

  /// From now on there are only so many workers. Those that were added since it began are new.
  void end_at(std::size_t workers) noexcept;

  /// Another reload was asked for; it follows this one.
  void ask_again() noexcept { again_ = true; }
  bool asked_again() const noexcept { return again_; }

 private:
  struct turn {
    std::size_t number;
    bool new_one_started = false;
  };
  std::size_t workers_, width_;
  std::size_t begun_ = 0;
  std::vector<turn> turns_;
  bool again_ = false;
};

}  // namespace udppump::detail

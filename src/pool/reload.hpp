#pragma once

#include <cstddef>

namespace udppump::detail {

/// A reload replaces the workers one by one, each new one before its old one. This says what is to be done next, from
/// what is seen of the workers with number(); it does nothing itself.
class reload {
 public:
  explicit reload(std::size_t workers) noexcept : workers_{workers} {}

  /// Whose turn it is.
  std::size_t number() const noexcept { return number_; }

  struct seen {
    /// There is a worker that was not told to stop.
    bool is_manned = false;
    /// Of start_new.
    bool new_one_serves = false;
    /// A worker from before that was not told to stop.
    bool old_one_serves = false;
    /// A worker from before that was told to stop, has not ended, and may still do so in time.
    bool old_one_stops = false;
  };
  enum class step {
    /// Start a worker with this number. If that fails, or the new one dies before it serves, the reload has failed.
    start_new,
    /// Tell all workers of this number to stop but the new one.
    stop_old,
    /// Nothing, until something has changed.
    wait,
    /// This one is done: ask again, for the next number.
    go_on,
    /// All are new.
    end,
  };
  [[nodiscard]] step next(const seen& now) noexcept;

  /// Another reload was asked for; it follows this one.
  void ask_again() noexcept { again_ = true; }
  bool asked_again() const noexcept { return again_; }

 private:
  std::size_t workers_;
  std::size_t number_ = 0;
  bool new_one_started_ = false;
  bool again_ = false;
};

}  // namespace udppump::detail

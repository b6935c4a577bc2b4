#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "load/plan/clock.hpp"
#include "load/plan/work_message.hpp"

namespace udppump::load {

enum class service_mode {
  /// Waits: work that is somebody else's, a database or a disk. Many workers need no more than one processor.
  sleep,
  /// Uses as much CPU time of its own as was asked for, however long that takes on a busy machine.
  spin,
};

/// Does what work requests ask for. Belongs to one worker's thread.
class work_service {
 public:
  work_service(service_mode mode, std::uint16_t worker) noexcept;

  using answer_bytes = std::array<std::byte, work_message_size>;
  /// Works, then says what it took; nothing, at once, if the payload is no work request. `waited`: how long it was in
  /// the kernel's queue, if that is known.
  std::optional<answer_bytes> serve(std::span<const std::byte> payload, std::optional<nanoseconds> waited) noexcept;

  /// Of all requests until now: the service times asked for, and those really used.
  nanoseconds asked() const noexcept { return asked_; }
  nanoseconds used() const noexcept { return used_; }

 private:
  service_mode mode_;
  std::uint16_t worker_;
  punctual_sleep sleep_;
  nanoseconds asked_{0}, used_{0};
};

}  // namespace udppump::load

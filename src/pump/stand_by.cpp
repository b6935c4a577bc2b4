#include "pump/stand_by.hpp"

namespace udppump::detail {

namespace {

/// A worker that armed within this time is the leader.
constexpr std::chrono::microseconds leading{100};

}  // namespace

bool stand_by::another_leads() noexcept {
  if (note_ == nullptr) return false;
  const auto now = leader_note::clock::now(), led = note_->last_armed();
  if (led != armed_at_ && now - led < leading) return true;
  armed_at_ = now;
  note_->arming(now);
  return false;
}

}  // namespace udppump::detail

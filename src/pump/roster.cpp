#include "pump/roster.hpp"

#include <algorithm>
#include <stdexcept>

namespace udppump::detail {

void roster::add(std::shared_ptr<member> joining) {
  if (!sockets_.insert(&joining->pump.socket()).second) {
    throw std::invalid_argument{
        "pump: the group has a pump on this socket already; use that one, or make another group"};
  }
  if (free_slots_.empty()) {
    slots_.push_back(nullptr);
    free_slots_.reserve(slots_.capacity());  // remove() must not allocate
    free_slots_.push_back(static_cast<std::uint32_t>(slots_.size() - 1));
  }
  has_lanes_ |= joining->pump.socket().lane() != 0;
  make_ready(*joining);
  if (!joining->watch) ++size_;
  joining->armed_as = {free_slots_.back(), 0};
  slots_[free_slots_.back()] = std::move(joining);
  free_slots_.pop_back();
}

std::shared_ptr<member> roster::remove(member& leaving) noexcept {
  const auto slot = leaving.armed_as.slot;
  if (at(slot) != &leaving) return nullptr;
  unlist(leaving);
  free_slots_.push_back(slot);
  sockets_.erase(&leaving.pump.socket());
  if (!leaving.watch) --size_;
  if (&leaving == in_turn_) removed_ = slots_[slot];
  return std::move(slots_[slot]);
}

void roster::make_ready(member& one) {
  if (one.listed || one.is_withheld || one.pump.over()) return;
  ready_.push_back(&one);
  one.listed = true;
}

bool roster::make_full(member& one) {
  if (one.listed) return false;
  full_.push_back(&one);
  return one.listed = true;
}

bool roster::pause(member& one, clock::time_point until) {
  if (one.listed) return false;
  paused_.push_back({&one, until});
  return one.listed = true;
}

void roster::unlist(member& one) noexcept {
  if (!std::exchange(one.listed, false)) return;
  std::erase(ready_, &one);
  std::replace(taking_turns_.begin(), taking_turns_.end(), &one, static_cast<member*>(nullptr));  // a round walks there
  std::erase(full_, &one);
  std::erase_if(paused_, [&one](const pausing& each) { return each.one == &one; });
}

bool roster::has_full_with_room() const noexcept {
  return std::ranges::any_of(full_, [](const member* one) { return one->pump.has_room(); });
}

bool roster::recall_full() {
  if (full_.empty()) return false;
  const auto recalled = std::erase_if(full_, [this](member* one) {
    if (!one->pump.has_room()) return false;
    one->listed = false;
    make_ready(*one);
    return true;
  });
  return recalled != 0;
}

void roster::recall_paused(clock::time_point now) {
  std::erase_if(paused_, [this, now](const pausing& each) {
    if (each.until > now) return false;
    each.one->listed = false;
    make_ready(*each.one);
    return true;
  });
}

roster::clock::time_point roster::first_pause_end() const noexcept {
  return std::ranges::min(paused_, {}, &pausing::until).until;
}

bool roster::has_pause_beyond(clock::time_point until) const noexcept {
  return std::ranges::any_of(paused_, [until](const pausing& each) { return each.until > until; });
}

void roster::start_again() {
  ready_.clear();
  std::fill(taking_turns_.begin(), taking_turns_.end(), nullptr);
  full_.clear();
  paused_.clear();
  for (const auto& one : slots_) {
    if (!one) continue;
    one->armed = one->leaving = one->listed = false;
    make_ready(*one);
  }
}

roster::round::round(roster& pumps) noexcept : pumps_{pumps} {
  auto& turns = pumps_.taking_turns_;
  turns.swap(pumps_.ready_);
  if (pumps_.has_lanes_)
    std::ranges::stable_sort(turns, {}, [](const member* one) { return one->pump.socket().lane(); });
}

roster::round::~round() {
  auto& left = pumps_.taking_turns_;
  auto& ready = pumps_.ready_;
  if (!is_last()) {
    left.erase(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(next_));
    std::erase(left, nullptr);
    ready.insert(ready.begin(), left.begin(), left.end());
  }
  left.clear();
  pumps_.in_turn_ = nullptr;
  const auto gone = std::move(pumps_.removed_);  // its handler may do anything at its end
}

member* roster::round::next() noexcept {
  pumps_.in_turn_ = nullptr;
  if (pumps_.removed_) {
    const auto gone = std::move(pumps_.removed_);
  }
  while (!is_last()) {
    member* const one = pumps_.taking_turns_[next_++];
    if (one == nullptr) continue;
    one->listed = false;
    pumps_.in_turn_ = one;
    return one;
  }
  return nullptr;
}

}  // namespace udppump::detail

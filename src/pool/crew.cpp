#include "pool/crew.hpp"

#include <algorithm>

namespace udppump::detail {

crew::member& crew::start(std::size_t number) {
  board& shared = context_.shared;
  auto made = std::make_unique<member>(member{.number = number, .page = shared.claim(number), .started = clock::now()});
  shared.page(made->page).served_lanes.store(context_.lanes.lanes_of(number), std::memory_order_relaxed);
  try {
    made->worker = start_.start({number, made->page});
  } catch (...) {
    shared.release(made->page);
    throw;
  }
  made->deadline = made->started + ready_after_.value_or(context_.options.start_timeout);
  members_.push_back(std::move(made));
  return *members_.back();
}

void crew::ask_to_stop(member& one) noexcept {
  one.stopping = true;
  one.hurried = false;
  one.hung = false;
  one.killed = false;  // a thread that a reload has left
  one.ends_by.reset();
  one.deadline = clock::now() + context_.options.stop_timeout;
  one.worker->ask_to_stop();
}

void crew::ask_all_to_stop() noexcept {
  for (const auto& one : members_) {
    if (!one->stopping || one->killed) ask_to_stop(*one);
  }
}

void crew::end_patience(clock::time_point now) noexcept {
  for (const auto& one : members_) one->hurried |= one->deadline > now;
  for (const auto& one : members_) one->deadline = std::min(one->deadline, now);
}

void crew::notify_all() const noexcept {
  for (const auto& one : members_) context_.shared.notify(one->page);
}

bool crew::note_serving(clock::time_point now) noexcept {
  bool more = false;
  for (const auto& one : members_) {
    if (one->serving) continue;
    auto& state = page_of(*one).state;
    if (start_.keeps_pages()) {
      const page_state told = state.load(std::memory_order_acquire);
      one->serving = told == page_state::serving || told == page_state::stopping;
    } else if (ready_after_ ? now >= one->deadline : one->said_ready) {
      one->serving = true;
      auto starting = page_state::starting;
      state.compare_exchange_strong(starting, page_state::serving);
    }
    if (one->serving) one->serving_since = now;
    more |= one->serving;
  }
  return more;
}

std::optional<crew::dead_member> crew::take_ended() {
  for (auto at = members_.begin(); at != members_.end(); ++at) {
    if (auto end = (*at)->worker->ended()) {
      dead_member dead{std::move(*at), std::move(*end)};
      members_.erase(at);
      return dead;
    }
  }
  return {};
}

/// Whether it has a deadline: to stop, or to say that it serves.
bool crew::is_bound(const member& one) const noexcept {
  return !one.killed && (one.stopping || one.hung || (!one.serving && !ready_after_));
}

crew::member* crew::late(clock::time_point now) const noexcept {
  for (const auto& one : members_) {
    if (is_bound(*one) && now >= one->deadline) return one.get();
  }
  return nullptr;
}

crew::member* crew::undead(clock::time_point now) const noexcept {
  for (const auto& one : members_) {
    if (one->ends_by && now >= *one->ends_by) return one.get();
  }
  return nullptr;
}

void crew::abandon(member& one) noexcept {
  one.worker->abandon();
  std::erase_if(members_, [&one](const auto& each) { return each.get() == &one; });
}

crew::member* crew::serving_as(std::size_t number) const noexcept {
  for (const auto& one : members_) {
    if (one->number == number && !one->stopping) return one.get();
  }
  return nullptr;
}

std::size_t crew::serving() const noexcept {
  return static_cast<std::size_t>(
      std::count_if(members_.begin(), members_.end(), [](const auto& one) { return one->serving && !one->stopping; }));
}

crew::clock::time_point crew::next_deadline() const noexcept {
  auto next = clock::time_point::max();
  for (const auto& one : members_) {
    if (!one->killed && (!one->serving || one->stopping || one->hung)) next = std::min(next, one->deadline);
    if (one->ends_by) next = std::min(next, *one->ends_by);
  }
  return next;
}

}  // namespace udppump::detail

#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "support/machine.hpp"
#include "support/options.hpp"
#include "support/system.hpp"
#include "udppump/waiter.hpp"

namespace bench {

/// Calls measure(contender) once for every contender in each repetition. Each repetition starts with the next
/// contender, so that none is always first, and so that what slows the machine for a while hits all alike.
template <class Contender, class Measure>
void interleave(std::vector<Contender>& contenders, std::size_t repetitions, Measure measure) {
  for (std::size_t repetition = 0; repetition < repetitions; ++repetition) {
    for (std::size_t turn = 0; turn < contenders.size(); ++turn) {
      measure(contenders[(repetition + turn) % contenders.size()]);
    }
  }
}

/// Leaves the contenders that --only names; with --list prints them and leaves none. Throws std::invalid_argument for a
/// name that none of them has.
template <class Contender>
void select(std::vector<Contender>& contenders, const options& chosen) {
  for (const auto& name : chosen.only) {
    if (std::ranges::find(contenders, name, &Contender::name) != contenders.end()) continue;
    throw std::invalid_argument{fmt::format("--only {}: no such contender here; --list names them", name)};
  }
  std::erase_if(contenders, [&](const Contender& each) { return !chosen.wants(each.name); });
  if (!chosen.list) return;
  for (const auto& each : contenders) fmt::print("{}\n", each.name);
  contenders.clear();
}

/// The waiters that this machine has; says which it has not, and why.
inline std::vector<udppump::waiter_kind> available_waiters() {
  std::vector<udppump::waiter_kind> available;
  for (const auto kind : {udppump::waiter_kind::epoll, udppump::waiter_kind::uring, udppump::waiter_kind::thread,
                          udppump::waiter_kind::poll}) {
    const auto reason = why_unavailable(kind);
    if (!reason) available.push_back(kind);
    if (reason) print_left_out(fmt::format("waiter {}", udppump::to_string(kind)), *reason);
  }
  return available;
}

/// Whether dispatch() waits with it, or only run().
inline bool serves_event_loops(udppump::waiter_kind kind) { return kind != udppump::waiter_kind::epoll; }

/// The exit code of body(argc, argv), which may throw.
template <class Body>
int guarded(Body body, int argc, char** argv) {
  try {
    return body(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", argv[0], error.what());
    return EXIT_FAILURE;
  }
}

}  // namespace bench

#include "wait/waiter.hpp"

#include <array>
#include <cstdlib>
#include <stdexcept>

#include "sys/failure.hpp"

namespace udppump {

std::string_view to_string(waiter_kind kind) noexcept {
  switch (kind) {
    case waiter_kind::automatic:
      return "auto";
    case waiter_kind::epoll:
      return "epoll";
    case waiter_kind::uring:
      return "uring";
    case waiter_kind::thread:
      return "thread";
    case waiter_kind::poll:
      return "poll";
  }
  return "?";
}

std::optional<waiter_kind> parse_waiter_kind(std::string_view text) noexcept {
  for (const auto kind :
       {waiter_kind::automatic, waiter_kind::epoll, waiter_kind::uring, waiter_kind::thread, waiter_kind::poll}) {
    if (text == to_string(kind)) return kind;
  }
  return {};
}

namespace detail {

waiter_kind asked_waiter(waiter_kind kind) {
  if (kind != waiter_kind::automatic) return kind;
  const char* const text = std::getenv("UDPPUMP_WAITER");
  if (text == nullptr || *text == '\0') return waiter_kind::automatic;
  if (const auto named = parse_waiter_kind(text)) return *named;
  fail(EINVAL, "UDPPUMP_WAITER is \"" + std::string{text} + "\"; set it to auto, epoll, uring, thread or poll");
}

namespace {

std::unique_ptr<waiter> make(waiter_kind kind, const std::shared_ptr<wake_signal>& signal) {
  switch (kind) {
    case waiter_kind::epoll:
      return make_epoll_waiter(signal);
    case waiter_kind::uring:
#if defined(UDPPUMP_HAS_URING)
      return make_uring_waiter(signal);
#else
      fail(ENOSYS, "io_uring: udppump was built without it; build it with liburing, or " + std::string{without_ring});
#endif
    case waiter_kind::thread:
      return make_epoll_thread_waiter(signal);
    default:
      return make_poll_waiter(signal);
  }
}

}  // namespace

chosen_waiter choose_waiter(waiter_kind kind, sleeper who, const std::shared_ptr<wake_signal>& signal) {
  if (kind == waiter_kind::epoll) {
    if (who == sleeper::wait) return {.waiter = make(kind, signal), .chosen_for = who};
    return {.waiter = make(waiter_kind::thread, signal),
            .fallback = "epoll: only run() can sleep in it, and here an event loop sleeps; using thread",
            .chosen_for = who};
  }
  if (kind != waiter_kind::automatic) return {.waiter = make(kind, signal)};

  chosen_waiter result{.may_be_replaced = true, .chosen_for = who};
  for (const auto next : {waiter_kind::epoll, waiter_kind::uring, waiter_kind::thread}) {
    if (next == waiter_kind::epoll && who != sleeper::wait) continue;
    try {
      result.waiter = make(next, signal);
    } catch (const std::system_error& refused) {
      result.fallback += std::string{refused.what()} + "; ";
      continue;
    }
    if (!result.fallback.empty()) result.fallback += "using " + std::string{to_string(next)};
    return result;
  }
  result.waiter = make(waiter_kind::poll, signal);
  result.fallback += "using poll";
  return result;
}

}  // namespace detail

waiter_report run_waiter(waiter_kind asked) {
  const auto chosen = detail::choose_waiter(detail::asked_waiter(asked), detail::sleeper::wait,
                                            std::make_shared<detail::wake_signal>());
  return {chosen.waiter->kind(), chosen.fallback};
}

}  // namespace udppump

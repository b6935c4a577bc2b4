#include "pool/error_log.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "pool/obituary.hpp"
#include "sys/printable.hpp"

namespace udppump::detail {

namespace {

/// By receive_error::kind: the event, what a line calls one such error and what several, and how many lines may follow
/// each other at once. What an interface does comes in pairs: it goes, and is made again.
struct {
  std::string_view event, name, many = "errors";
  int at_once = 1;
} constexpr names[error_kinds] = {{"receive-error", "could not receive"},
                                  {"icmp-error", "had an ICMP error"},
                                  {"control-truncated", "received a datagram whose control data did not fit"},
                                  {"interface", "has news of an interface", "reports", 4},
                                  {"pump-ended", "cannot go on serving a socket"}};

std::string text_of(const told_errors& told) {
  char text[told_errors::longest];
  char* to = text;
  for (const shared_count& piece : told.text) {
    const std::uint64_t bytes = piece.load(std::memory_order_relaxed);
    std::memcpy(to, &bytes, sizeof bytes);
    to += sizeof bytes;
  }
  return {text, ::strnlen(text, sizeof text)};
}

}  // namespace

void error_log::take(const crew::member& one, const worker_page& page) {
  for (std::size_t at = 0; at < error_kinds; ++at) {
    const std::uint64_t count = page.errors[at].count.load(std::memory_order_acquire);
    std::uint64_t& seen = seen_[one.page][at];
    if (count == seen) continue;
    kind& here = kinds_[at];
    here.untold += count - seen;
    seen = count;
    here.who = name_of(one);
    here.last = text_of(page.errors[at]);
    here.code = page.errors[at].code.load(std::memory_order_relaxed);
  }
}

void error_log::say(clock::time_point now, bool all) {
  for (std::size_t at = 0; at < error_kinds; ++at) {
    kind& here = kinds_[at];
    if (here.untold == 0 || (now < may_say_at(at) && !all)) continue;
    std::string text = here.who + ' ' + std::string{names[at].name};
    if (!here.last.empty()) text += ": " + quoted(here.last);
    if (here.untold > 1)
      text +=
          "; with this one " + std::to_string(here.untold) + " such " + std::string{names[at].many} + " of all workers";
    log_.warning(names[at].event, std::move(text),
                 {{"count", std::to_string(here.untold)}, {"code", std::to_string(here.code)}});
    here.untold = 0;
    here.next_line = std::max(here.next_line, now) + between_lines;
  }
}

void error_log::look(const crew& workers, clock::time_point now) {
  const bool early = now < next_look_;
  for (const auto& one : workers.members()) {
    worker_page& page = workers.page_of(*one);
    if (page.errors_are_new.load(std::memory_order_relaxed) == 0) continue;
    has_news_ = true;
    if (early) break;
    page.errors_are_new.store(0, std::memory_order_seq_cst);  // before the counts are read
    take(*one, page);
  }
  if (has_news_ && !early) {
    has_news_ = false;
    next_look_ = now + between_looks;
  }
  say(now, false);
}

void error_log::look_at_last(const crew::member& one, const worker_page& page, clock::time_point now) {
  take(one, page);
  seen_[one.page] = {};
  say(now, false);
}

void error_log::say_the_rest(clock::time_point now) { say(now, true); }

error_log::clock::time_point error_log::wakes_at() const noexcept {
  auto next = has_news_ ? next_look_ : clock::time_point::max();
  for (std::size_t at = 0; at < error_kinds; ++at) {
    if (kinds_[at].untold > 0) next = std::min(next, may_say_at(at));
  }
  return next;
}

error_log::clock::time_point error_log::may_say_at(std::size_t at) const noexcept {
  return kinds_[at].next_line - (names[at].at_once - 1) * between_lines;
}

}  // namespace udppump::detail

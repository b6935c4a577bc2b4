#include "clients/queue_share.hpp"

#include <algorithm>

namespace udppump {

namespace detail {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr std::uint64_t in_nanoseconds(nanoseconds time) noexcept { return static_cast<std::uint64_t>(time.count()); }
std::uint64_t in_nanoseconds(queue_share::time_point at) noexcept { return in_nanoseconds(at.time_since_epoch()); }

/// Two looks at a queue that nobody found empty in between show that it is behind.
constexpr std::uint64_t between_looks = in_nanoseconds(milliseconds{5});
/// Between two steps of the rate while it is.
constexpr std::uint64_t between_steps = in_nanoseconds(milliseconds{1});
/// An empty queue is noted so often at most: nobody wants to know it more exactly.
constexpr std::uint64_t between_notes = in_nanoseconds(microseconds{500});
/// What was learned so long ago says nothing about now.
constexpr std::uint64_t longest_step = in_nanoseconds(seconds{1});
constexpr std::uint64_t rest = in_nanoseconds(seconds{5});

/// Turns are counted in parts of a datagram, so that those of a millisecond at the lowest rate are not 0.
constexpr std::uint64_t turn = std::uint64_t{1} << 20;
constexpr std::uint64_t highest_rate = 1'000'000 * turn, lowest_rate = turn / 64;  // a second

/// Bits of the rate. The rate is searched for: it was never found to be low enough. It comes back: it was never found
/// to be too high since.
constexpr std::uint64_t searching = 1, coming_back = 2, flags = searching | coming_back;
/// A queue grows if so many bytes and an eighth more wait than before; less is chance. If it neither grows nor shrinks
/// for so many steps, that is too much as well. If half of the buffer is full there is less time, but in the search a
/// step is felt only after some datagrams.
constexpr std::uint64_t few = 4096, patience = 16, patience_of_search = 4;

/// What a client that always has the rate can have in a time of at most a second. The product has 64 bits at most.
std::uint64_t turns_in(std::uint64_t time, std::uint64_t rate) noexcept {
  return rate * (std::min(time, longest_step) >> 10) >> 20;  // a second is 2^30 ns here
}

/// Workers see a step of the clock of turns one after the other. Whoever is late by more takes a debt for one that is
/// over.
constexpr std::uint64_t lateness = 64 * turn;

/// A client may be 16 datagrams ahead of its rate.
constexpr client_rows::terms usual_terms{.cost = turn, .tolerance = 15 * turn, .lateness = lateness};
/// While the rate is searched for, fewer: a step is felt only when whoever floods is no longer ahead. But not none:
/// what a client has sent within a while is taken at once when what is between is dropped.
constexpr client_rows::terms terms_of_search{.cost = turn, .tolerance = 5 * turn, .lateness = lateness};

/// The memory is shared with other processes, which may write anything there.
bool is_past(std::uint64_t time, std::uint64_t now, std::uint64_t distance) noexcept {
  return static_cast<std::int64_t>(now - time) >= static_cast<std::int64_t>(distance);
}

constexpr auto relaxed = std::memory_order_relaxed;

}  // namespace

void queue_share::found_empty(time_point at) noexcept {
  const std::uint64_t now = in_nanoseconds(at);
  if (note_->rate.load(relaxed) == 0 && !is_past(note_->empty_at.load(relaxed), now, between_notes)) return;
  note_->empty_at.store(now, relaxed);
}

bool queue_share::is_due(time_point at) noexcept {
  now_ = in_nanoseconds(at);
  seen_look_ = note_->looked_at.load(relaxed);
  if (note_->rate.load(relaxed) != 0) return is_past(seen_look_, now_, between_steps);
  return is_past(seen_look_, now_, between_looks) && is_past(note_->empty_at.load(relaxed), now_, between_looks);
}

bool queue_share::claim_look() noexcept { return note_->looked_at.compare_exchange_strong(seen_look_, now_, relaxed); }

void queue_share::looked(const std::optional<fill>& told) noexcept {
  if (told && told->waiting == 0) note_->empty_at.store(now_, relaxed);
  const bool was_empty = is_past(seen_look_, note_->empty_at.load(relaxed), 1);
  const std::uint64_t rate = note_->rate.load(relaxed);
  if (rate == 0) {
    const bool is_behind = !was_empty && seen_look_ != 0 && is_past(note_->rests_until.load(relaxed), now_, 0);
    if (!is_behind) return;
    note_->turns.fetch_add(usual_terms.longest_debt() + 1, relaxed);  // what was owed when it was last behind is over
    note_->mark.store(0, relaxed);
    note_->steps.store(0, relaxed);
    return note_->rate.store(highest_rate | searching, relaxed);
  }
  const std::uint64_t passed = now_ - seen_look_;
  note_->turns.fetch_add(turns_in(passed, rate), relaxed);
  if (was_empty) return passed > longest_step ? note_->rate.store(0, relaxed) : raise(rate);

  const std::uint64_t mark = note_->mark.load(relaxed), steps = note_->steps.load(relaxed) + 1;
  note_->steps.store(steps, relaxed);
  if (told && told->waiting < mark) return note_->mark.store(told->waiting, relaxed);  // it shrinks
  const bool grows = !told || told->waiting >= mark + mark / 8 + few;
  const std::uint64_t enough = (rate & searching) != 0 ? patience_of_search : 1;
  if (!grows && steps < (told->waiting < told->room / 2 ? patience : enough)) return;
  note_->mark.store(told ? told->waiting : 0, relaxed);
  note_->steps.store(0, relaxed);
  lower(rate);
}

void queue_share::raise(std::uint64_t rate) noexcept {
  note_->mark.store(0, relaxed);
  note_->steps.store(0, relaxed);
  const bool comes_back = (rate & flags) != 0;
  const std::uint64_t more = rate + rate / (comes_back ? 4 : 32);
  note_->rate.store(more >= highest_rate ? 0 : (more & ~flags) | (comes_back ? coming_back : 0), relaxed);
}

void queue_share::lower(std::uint64_t rate) noexcept {
  const std::uint64_t less = (rate & searching) != 0 ? (rate / 2 & ~flags) | searching : (rate - rate / 8) & ~flags;
  if (less < lowest_rate) note_->rests_until.store(now_ + rest, relaxed);
  note_->rate.store(less < lowest_rate ? 0 : less, relaxed);
}

bool queue_share::has_turn(const address& from, std::size_t count) noexcept {
  // The note is at the same place in all workers, and at another one for each socket.
  const auto realm = reinterpret_cast<std::uintptr_t>(note_) & ((std::uint64_t{1} << 52) - 1);
  const auto hash = table_->key.hash_of(from, last_, realm);
  if (!hash) return true;
  const std::uint64_t rate = note_->rate.load(relaxed);
  const auto& terms = (rate & searching) != 0 ? terms_of_search : usual_terms;
  // Others may take the next step meanwhile: then it is a little too much or too few for once. They may have done so
  // with a clock that they have read later.
  const std::uint64_t looked_at = note_->looked_at.load(relaxed);
  const std::uint64_t since = is_past(looked_at, now_, 0) ? now_ - looked_at : 0;
  const std::uint64_t turns = note_->turns.load(relaxed) + turns_in(since, rate);
  return table_->rows.admits(*hash, turns, count, terms);
}

}  // namespace detail

client_share client_share::equal(const client_prefixes& clients) {
  client_share made;
  made.table_ = std::make_shared<detail::share_table>(clients);
  return made;
}

}  // namespace udppump

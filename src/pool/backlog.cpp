#include "pool/backlog.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "pool/counted.hpp"
#include "pool/duration_text.hpp"
#include "sys/sys.hpp"

namespace udppump::detail {

namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds longest_interval{250}, shortest_interval{2};
constexpr unsigned looks_until_quiet = 8;
/// A buffer so full at two looks in a row is no burst that is about to be served.
constexpr std::size_t part_that_is_much = 4;
/// A datagram of a few bytes, as the kernel counts it.
constexpr std::size_t small_datagram = 1024;
constexpr std::size_t kernels_least = 2304;  // SOCK_MIN_RCVBUF

/// The kernel doubles what it is asked for.
void set_limit(int fd, std::size_t limit) noexcept {
  const int wanted = static_cast<int>(std::min<std::size_t>(limit / 2, std::numeric_limits<int>::max() / 2));
  static_cast<void>(sys::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, wanted));
  const auto now = queue_memory_of(fd);
  if (now && now->limit < limit / 2 * 2) static_cast<void>(sys::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, wanted));
}

std::size_t kernels_default(const datagram_socket& like) noexcept {
  const descriptor probe{sys::socket(like.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  const auto found = probe ? queue_memory_of(probe.fd()) : std::nullopt;
  return found ? found->limit : 0;
}

}  // namespace

backlog::backlog(const board& shared, const std::vector<datagram_socket>& sockets, const rules& chosen,
                 const pool_log& log)
    : shared_{shared}, rules_{chosen}, log_{log}, interval_{longest_interval} {
  if (rules_.max_wait.count() != 0) {
    interval_ = std::clamp<nanoseconds>(rules_.max_wait / 4, shortest_interval, longest_interval);
  }
  for (const datagram_socket& socket : sockets) {
    descriptors_.push_back(socket.fd());
    watched& one = watched_.emplace_back(watched{.socket = &socket, .from = receiver{socket}});
    one.name = socket.local().to_string();
    one.max_age = rules_.max_age;
    if (socket.lane() < rules_.lanes.size()) {
      const lane& own = rules_.lanes[socket.lane()];
      one.name += " (" + own.name + ')';
      if (own.max_age.count() != 0) one.max_age = own.max_age;
    }
    const auto now = queue_memory_of(socket.fd());
    if (now) one.drops = now->drops;
    if (rules_.max_wait.count() == 0) continue;
    one.is_stamped = one.from.note_times() >= 0;
    if (!now || !one.is_stamped) {
      log_.warning("max-wait", one.name +
                                   ": max_wait does nothing, as the kernel does not tell how full the queue is "
                                   "(SO_MEMINFO, Linux 4.12), or when a datagram came");
      continue;
    }
    const std::size_t least = std::max(kernels_least, (rules_.workers + 1) * small_datagram);
    one.limit.emplace(rules_.max_wait, now->limit, least, std::max(now->limit, kernels_default(socket)));
  }
}

backlog::~backlog() {
  for (const watched& one : watched_) {
    if (one.limit) set_limit(one.socket->fd(), one.limit->most());
  }
}

std::span<const int> backlog::wants_to_know() const noexcept {
  return next_ == clock::time_point::max() ? std::span<const int>{descriptors_} : std::span<const int>{};
}

void backlog::arrived(clock::time_point now) noexcept {
  if (next_ != clock::time_point::max()) return;
  quiet_looks_ = 0;
  next_ = now + interval_;
}

void backlog::measure_queues(clock::time_point now) {
  if (counted_at_ == clock::time_point::min() || now - counted_at_ >= std::chrono::seconds{1}) {
    const std::uint64_t taken = shared_.taken();
    // A worker that dies takes its count along.
    a_second_.reset();
    if (counted_at_ != clock::time_point::min() && taken >= counted_) {
      a_second_ = static_cast<double>(taken - counted_) / std::chrono::duration<double>{now - counted_at_}.count();
    }
    counted_at_ = now;
    counted_ = taken;
  }
  bool is_quiet = true;
  for (watched& one : watched_) is_quiet &= !look_at(one, now);
  tell_of_drops(now);
  quiet_looks_ = is_quiet ? quiet_looks_ + 1 : 0;
  next_ = quiet_looks_ >= looks_until_quiet ? clock::time_point::max() : now + interval_;
  if (next_ == clock::time_point::max()) counted_at_ = clock::time_point::min();
}

/// Whether something waits there.
bool backlog::look_at(watched& one, clock::time_point now) {
  const auto found = queue_memory_of(one.socket->fd());
  if (!found) return false;
  const bool is_much = found->fill >= found->limit / part_that_is_much;
  one.full_looks = is_much ? one.full_looks + 1 : 0;
  const std::uint32_t drops = found->drops - std::exchange(one.drops, found->drops);  // modulo 2^32
  if (is_much || drops != 0) one.untold_drops += drops;

  nanoseconds waits{0};
  if (one.is_stamped) {
    if (const auto stamp = one.from.oldest()) {
      waits = one.arrivals.age(*stamp, arrival_clock::read());
    } else if (found->fill == 0) {
      one.arrivals.was_empty(now);
    } else {
      static_cast<void>(one.from.note_times());  // turned off, or a new socket in the place of a spoilt one
    }
  } else if (!rules_.programs && one.full_looks >= 2) {
    // Nothing of the workers' notices, and from now on it is known since when each datagram waits.
    one.is_stamped = one.from.note_times() >= 0;
  }
  show_age(one, waits, now);
  if (one.limit) {
    const std::size_t wanted =
        one.limit->after({.now = now, .fill = found->fill, .waits = waits, .drops = drops != 0, .limit = found->limit});
    if (wanted != found->limit) set_limit(one.socket->fd(), wanted);
  }
  log_backlog(one, waits, now);
  return found->fill != 0;
}

/// Its age when nobody looks any more is none.
void backlog::show_age(const watched& one, nanoseconds waits, clock::time_point now) const noexcept {
  const auto index = static_cast<std::size_t>(&one - watched_.data());
  if (!one.is_stamped || index >= shared_.sockets()) return;
  shown_socket& shown = shared_.socket(index);
  shown.waits.store(static_cast<std::uint64_t>(waits.count()), std::memory_order_relaxed);
  shown.looked_at.store(nanoseconds_of(now), std::memory_order_relaxed);
}

void backlog::log_backlog(watched& one, nanoseconds waits, clock::time_point now) {
  const std::uint64_t expired = shared_.total(&lane_counts::expired, one.socket->lane());
  if (expired != std::exchange(one.expired, expired)) one.expires_until = now + between_lines;
  if (one.max_age.count() != 0 || rules_.max_wait.count() != 0) return;
  if (now < one.next_line || now < one.expires_until) return;
  const std::string& where = one.name;
  pool_log::fields fields{{"socket", where}, {"dropped", std::to_string(one.untold_drops)}};
  std::string text = where + ": ";
  if (rules_.programs) {
    // How long what waits has waited is not known: the buffer is as good as full, and overflows.
    if (one.full_looks < 2 || one.untold_drops == 0) return;
    text += "more comes than " + counted(rules_.workers, "worker") + " can serve: the receive buffer is full, and " +
            counted(one.untold_drops, "datagram") +
            " did not fit; those in it may be older than clients wait: give --max-wait, or a smaller --receive-buffer";
  } else {
    if (waits < tells_from) return;
    text += "the queue holds about " + duration_text(waits) + " of work";
    if (a_second_) text += ", at " + counted(static_cast<std::uint64_t>(*a_second_), "datagram") + " a second";
    if (one.untold_drops != 0) text += ", and " + counted(one.untold_drops, "datagram") + " did not fit";
    text += "; is that longer than clients wait? Then set max_age, or a smaller receive buffer";
    fields.emplace_back("waits_ms", std::to_string(std::chrono::ceil<milliseconds>(waits).count()));
  }
  log_.warning("behind", std::move(text), std::move(fields));
  one.untold_drops = 0;
  one.next_line = now + between_lines;
}

std::uint64_t backlog::take_untold(drop_count& drops, clock::time_point now) const {
  const std::uint64_t dropped = shared_.total(drops.which);
  if (dropped == drops.told || now < drops.next_line) return 0;
  drops.next_line = now + between_lines;
  return dropped - std::exchange(drops.told, dropped);
}

void backlog::tell_of_drops(clock::time_point now) {
  const auto were_dropped = [](std::uint64_t count) { return std::string{count == 1 ? "was" : "were"} + " dropped: "; };
  if (const auto count = take_untold(expired_, now); count != 0) {
    log_.warning("expired",
                 counted(count, "datagram") + " had waited longer than max_age and " + were_dropped(count) +
                     "more comes than " + counted(rules_.workers, "worker") + " can serve",
                 {{"count", std::to_string(count)}});
  }
  if (const auto count = take_untold(limited_, now); count != 0) {
    log_.warning("limited",
                 counted(count, "datagram") + ' ' + were_dropped(count) +
                     "some clients send more than client_limit allows, or than their client_share of what is served",
                 {{"count", std::to_string(count)}});
  }
}

}  // namespace udppump::detail

#include "udppump/pool_status.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <thread>

#include "pool/board.hpp"
#include "pool/pool_memory.hpp"
#include "pool/process_usage.hpp"
#include "socket/queue_table.hpp"
#include "sys/failure.hpp"
#include "sys/process_status.hpp"
#include "sys/sys_process.hpp"
#include "udppump/printable.hpp"

namespace udppump {

using namespace detail;

namespace {

constexpr auto longest = static_cast<std::uint64_t>(std::chrono::nanoseconds::max().count());

/// Counts come from memory that others write to: what is too much for the type stays the most that it holds.
std::uint64_t sum(std::uint64_t a, std::uint64_t b) noexcept {
  return b > std::numeric_limits<std::uint64_t>::max() - a ? std::numeric_limits<std::uint64_t>::max() : a + b;
}

/// Clamped to what the type holds.
std::chrono::nanoseconds as_time(std::uint64_t nanoseconds) {
  return std::chrono::nanoseconds{static_cast<std::int64_t>(std::min(nanoseconds, longest))};
}

std::chrono::nanoseconds sum(std::chrono::nanoseconds a, std::chrono::nanoseconds b) noexcept {
  return as_time(sum(static_cast<std::uint64_t>(a.count()), static_cast<std::uint64_t>(b.count())));
}

}  // namespace

std::string_view to_string(worker_kind kind) noexcept {
  switch (kind) {
    case worker_kind::unknown:
      return "unknown";
    case worker_kind::handlers:
      return "handlers";
    case worker_kind::programs:
      return "programs";
  }
  return "?";
}

std::string_view to_string(worker_state state) noexcept {
  switch (state) {
    case worker_state::starting:
      return "starting";
    case worker_state::idle:
      return "idle";
    case worker_state::handling:
      return "handling";
    case worker_state::stopping:
      return "stopping";
    case worker_state::serving:
      return "serving";
  }
  return "?";
}

// --- times -----------------------------------------------------------------------------------------------------------

std::uint64_t time_histogram::total() const noexcept {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0},
                         [](std::uint64_t a, std::uint64_t b) { return udppump::sum(a, b); });
}

std::chrono::nanoseconds time_histogram::end_of(std::size_t bucket) noexcept {
  return std::chrono::nanoseconds{static_cast<std::int64_t>(bucket_end(std::min(bucket, time_buckets - 1)))};
}

std::optional<std::chrono::nanoseconds> time_histogram::percentile(double part) const noexcept {
  const std::uint64_t all = total();
  if (all == 0) return {};
  // In doubles, 2^64 - 1 is 2^64, which no integer holds.
  const double rank = std::ceil(std::clamp(part, 0.0, 1.0) * static_cast<double>(all));
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < counts.size(); ++bucket) {
    seen = udppump::sum(seen, counts[bucket]);
    if (seen != 0 && static_cast<double>(seen) >= rank) return end_of(bucket);
  }
  return {};
}

std::uint64_t time_histogram::below(std::chrono::nanoseconds limit) const noexcept {
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < counts.size() && end_of(bucket) <= limit; ++bucket) {
    seen = udppump::sum(seen, counts[bucket]);
  }
  return seen;
}

// --- what is in the memory -------------------------------------------------------------------------------------------

namespace {

std::chrono::nanoseconds since(std::uint64_t then, std::uint64_t now) { return as_time(then < now ? now - then : 0); }

bool is_known(page_state state) {
  return state == page_state::free || state == page_state::starting || state == page_state::serving ||
         state == page_state::stopping;
}

/// Ended by a zero or by the end of the room.
template <std::size_t Room>
std::string text_of(const char (&room)[Room]) {
  return printable(std::string_view{room, ::strnlen(room, Room)});
}

traffic_counts read(const lane_counts& counts) {
  return {.received = counts.received,
          .bytes = counts.bytes,
          .handled = counts.handled,
          .ignored = counts.ignored,
          .quarantined = counts.quarantined,
          .expired = counts.expired,
          .limited = counts.limited,
          .handler_time = as_time(counts.handler_time),
          .aged = counts.aged,
          .age_time = as_time(counts.age_time)};
}

void add(traffic_counts& to, const traffic_counts& more) {
  for (const auto which : {&traffic_counts::received, &traffic_counts::bytes, &traffic_counts::handled,
                           &traffic_counts::ignored, &traffic_counts::quarantined, &traffic_counts::expired,
                           &traffic_counts::limited, &traffic_counts::in_flight, &traffic_counts::aged}) {
    to.*which = sum(to.*which, more.*which);
  }
  to.handler_time = sum(to.handler_time, more.handler_time);
  to.age_time = sum(to.age_time, more.age_time);
}

void add(time_histogram& to, const time_histogram& more) {
  for (std::size_t at = 0; at < to.counts.size(); ++at) to.counts[at] = sum(to.counts[at], more.counts[at]);
  to.sum = sum(to.sum, more.sum);
}

time_histogram read(const shared_count (&counts)[time_buckets], std::chrono::nanoseconds all) {
  return {.counts = {std::begin(counts), std::end(counts)}, .sum = all};
}

/// `lanes` is at most most_lanes.
traffic read(const worker_counts& counts, std::size_t lanes, bool knows_ages) {
  traffic told;
  for (std::size_t lane = 0; lane < most_lanes; ++lane) {
    const traffic_counts own = read(counts.lanes[lane]);
    add(told.all, own);
    if (lane < lanes) told.lanes.push_back(own);
  }
  told.times = read(counts.times, told.all.handler_time);
  if (knows_ages) told.ages = read(counts.ages, told.all.age_time);
  return told;
}

void add(traffic& to, const traffic& more) {
  add(to.all, more.all);
  for (std::size_t lane = 0; lane < to.lanes.size(); ++lane) add(to.lanes[lane], more.lanes[lane]);
  add(to.times, more.times);
  if (!more.ages) return;
  if (!to.ages) to.ages.emplace(time_histogram{.counts = std::vector<std::uint64_t>(time_buckets)});
  add(*to.ages, *more.ages);
}

worker_status read(const worker_page& page, worker_kind kind, std::size_t lanes, std::uint64_t now) {
  worker_status told;
  const page_state state = page.state;
  told.number = page.number;
  told.pid = page.pid;
  told.uptime = since(page.started_at, now);
  const bool is_program = kind == worker_kind::programs;
  const std::uint64_t handling = is_program ? 0 : page.handling_since.load();
  told.state = state == page_state::starting   ? worker_state::starting
               : state == page_state::stopping ? worker_state::stopping
               : is_program                    ? worker_state::serving
               : handling != 0                 ? worker_state::handling
                                               : worker_state::idle;
  if (is_program) return told;
  told.kicks = page.counts.kicks;
  if (handling != 0) told.handling_for = since(handling, now);
  told.traffic = read(page.counts, lanes, page.knows_ages != 0);
  for (std::size_t lane = 0; lane < most_lanes; ++lane) {
    const auto out = static_cast<std::uint64_t>(std::max<std::int64_t>(0, page.in_flight[lane]));
    told.traffic->all.in_flight = sum(told.traffic->all.in_flight, out);
    if (lane < lanes) told.traffic->lanes[lane].in_flight = out;
  }
  const std::uint32_t waiter = page.waiter;
  if (waiter != 0 && waiter <= static_cast<std::uint32_t>(waiter_kind::poll)) {
    told.waiter = static_cast<waiter_kind>(waiter);
    told.waiter_fallback = text_of(page.waiter_fallback);
  }
  return told;
}

socket_status read(const shown_socket& shown) {
  socket_status told;
  told.address = text_of(shown.address);
  told.name = text_of(shown.name);
  told.lane = text_of(shown.lane_name);
  told.lane_index = std::min<std::size_t>(shown.lane, most_lanes - 1);
  told.inode = shown.inode;
  if (const std::uint64_t asked = shown.asked; asked != 0) told.buffer_asked = asked;
  if (shown.looked_at != 0) told.oldest_waits = as_time(shown.waits);
  return told;
}

std::optional<std::chrono::milliseconds> unless_none(std::uint32_t milliseconds) {
  return milliseconds == 0 ? std::nullopt : std::optional{std::chrono::milliseconds{milliseconds}};
}

void read(const board_header& header, const board_geometry& geometry, std::uint64_t now, pool_status& told) {
  const shown_pool& shown = header.shown;
  const auto counted = [&header](tally what) { return header.counts[static_cast<std::size_t>(what)].load(); };
  told.name = text_of(shown.name);
  told.version = text_of(shown.version);
  const shown_kind kind = shown.kind;
  told.kind = kind == shown_kind::handlers   ? worker_kind::handlers
              : kind == shown_kind::programs ? worker_kind::programs
                                             : worker_kind::unknown;
  told.model = shown.threads != 0 ? worker_model::threads : worker_model::processes;
  told.uptime = since(shown.started_at, now);
  told.workers_wanted = header.workers;
  told.max_workers = geometry.pages / 2;
  told.scale_orders = header.scale_orders;
  told.max_age = unless_none(shown.max_age_ms);
  told.max_wait = unless_none(shown.max_wait_ms);
  told.restarts = counted(tally::restarts);
  told.reloads = counted(tally::reloads);
  told.hangs = counted(tally::hangs);
  if (told.kind != worker_kind::programs) told.kicks = header.before.kicks;
  if (geometry.payload_limit != 0) {
    told.redelivery = redelivery_counts{.redelivered = counted(tally::redelivered),
                                        .poisoned = counted(tally::poisoned),
                                        .abandoned = counted(tally::abandoned),
                                        .quarantines = counted(tally::quarantines)};
  }
}

/// All that is in the memory. Whether it was read while no worker's counts were moved to those before it.
bool read_memory(const pool_memory& from, pool_status& told) {
  copy_of<board_header> header;
  if (!header.read(from.memory, 0)) fail_as_unsound(from.parent);
  const auto geometry = board_header::geometry_of(*header);
  if (!geometry) fail_as_unsound(from.parent);
  const std::uint32_t sums = header->sums;
  const std::uint64_t now = nanoseconds_of(std::chrono::steady_clock::now());
  read(*header, *geometry, now, told);
  const std::size_t lanes = std::min<std::size_t>(header->shown.lanes, most_lanes);
  told.lanes.assign(lanes, {});
  copy_of<shown_socket> socket;
  for (std::uint32_t at = 0; at < geometry->sockets; ++at) {
    if (!socket.read(from.memory, geometry->socket_at(at))) fail_as_unsound(from.parent);
    told.sockets.push_back(read(*socket));
    const socket_status& one = told.sockets.back();
    if (one.lane_index < lanes && told.lanes[one.lane_index].empty()) told.lanes[one.lane_index] = one.lane;
  }
  copy_of<worker_page> page;
  bool knows_ages = false;
  for (std::uint32_t at = 0; at < std::min<std::uint32_t>(geometry->pages, header->pages_used); ++at) {
    if (!page.read(from.memory, geometry->page_at(at))) fail_as_unsound(from.parent);
    const page_state state = page->state;
    if (!is_known(state)) fail_as_unsound(from.parent);
    if (state == page_state::free) continue;
    knows_ages |= page->knows_ages != 0;
    if (told.kicks) told.kicks = sum(*told.kicks, page->counts.kicks);
    if (page->pid != 0) told.workers.push_back(read(*page, told.kind, lanes, now));
  }
  if (told.kind != worker_kind::programs) {
    told.traffic = read(header->before, lanes, knows_ages || sum_of(header->before, &lane_counts::aged) != 0);
    for (const worker_status& each : told.workers) add(*told.traffic, *each.traffic);
  }
  std::stable_sort(told.workers.begin(), told.workers.end(),
                   [](const worker_status& a, const worker_status& b) { return a.number < b.number; });
  copy_of<std::uint32_t> again;
  return sums % 2 == 0 && again.read(from.memory, offsetof(board_header, sums)) && *again == sums;
}

// --- what the kernel says --------------------------------------------------------------------------------------------

void ask_for_sockets(pool_status& told) {
  std::vector<std::uint64_t> inodes;
  for (const socket_status& each : told.sockets) inodes.push_back(each.inode);
  const auto queues = udp_queues(std::move(inodes), told.parent);
  for (socket_status& each : told.sockets) {
    const auto found = queues.find(each.inode);
    if (found == queues.end()) continue;
    each.queued = found->second.fill;
    each.drops = found->second.drops;
    each.room = found->second.limit;
    if (each.room) each.buffer_granted = *each.room / 2;
  }
}

void ask_for_processes(pool_status& told) {
  told.user = user_of(told.parent);
  told.usage = usage_of(told.parent);
  if (told.model == worker_model::threads) {
    for (worker_status& each : told.workers) each.usage = usage_of_thread(told.parent, each.pid);
  } else if (told.kind == worker_kind::programs) {
    const auto by_session = usage_by_session();
    for (worker_status& each : told.workers) {
      if (const auto found = by_session.find(each.pid); found != by_session.end()) each.usage = found->second;
    }
  } else {
    for (worker_status& each : told.workers) each.usage = usage_of(each.pid);
  }
}

}  // namespace

// --- readers ---------------------------------------------------------------------------------------------------------

struct pool_reader::source {
  pool_memory from;
  std::optional<process_stat> process;  // to tell it from another that gets its id
};

pool_reader::pool_reader(std::shared_ptr<const source> from) : from_{std::move(from)} {}

namespace {

bool is_sound(const pool_memory& from) {
  copy_of<board_header> header;
  return header.read(from.memory, 0) && board_header::geometry_of(*header);
}

pool_memory sound(pool_memory from) {
  if (!is_sound(from)) fail_as_unsound(from.parent);
  return from;
}

std::optional<process_stat> stat_of(pid_t process) { return stat_in(folder_of_process(process)); }

}  // namespace

pool_reader::pool_reader(pid_t parent)
    : from_{std::make_shared<const source>(source{sound(memory_of(parent)), stat_of(parent)})} {}

pool_reader::pool_reader(pid_t parent, int memory)
    : from_{std::make_shared<const source>(source{sound(memory_given(parent, memory)), stat_of(parent)})} {}

std::vector<pool_reader> pool_reader::all(std::size_t* unheard) {
  std::vector<pool_reader> found;
  std::size_t not_asked = 0;
  auto memories = all_memories(not_asked);
  if (unheard != nullptr) *unheard = not_asked;
  for (pool_memory& each : memories) {
    if (!is_sound(each)) continue;
    const auto process = stat_of(each.parent);
    found.push_back(pool_reader{std::make_shared<const source>(source{std::move(each), process})});
  }
  return found;
}

pid_t pool_reader::parent() const noexcept { return from_->from.parent; }

pool_status pool_reader::read() const {
  const pid_t parent = from_->from.parent;
  const auto now = stat_of(parent);
  const bool is_another = now && from_->process && now->started_at != from_->process->started_at;
  if (is_another || (now && !now->is_alive()) || sys::kill(parent, 0) == -ESRCH) {
    fail(ESRCH, "the pool of process " + std::to_string(parent) + " has ended; look for the one that serves now");
  }
  // A worker that keeps writing there keeps nobody here.
  constexpr int most_tries = 8;
  pool_status told;
  for (int tries = 0; tries < most_tries; ++tries) {
    told = {};
    if (read_memory(from_->from, told)) break;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  told.parent = parent;
  ask_for_sockets(told);
  ask_for_processes(told);
  return told;
}

pool_status pool_status::of(pid_t parent) { return pool_reader{parent}.read(); }

std::vector<pool_status> pool_status::all() {
  std::vector<pool_status> told;
  for (const pool_reader& each : pool_reader::all()) {
    try {
      told.push_back(each.read());
    } catch (const std::system_error&) {
      // It has ended meanwhile, or is none.
    }
  }
  return told;
}

}  // namespace udppump

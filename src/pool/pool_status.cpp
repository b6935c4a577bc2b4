#include "udppump/pool_status.hpp"

#include <linux/magic.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <numeric>

#include "pool/board.hpp"
#include "sys/failure.hpp"
#include "sys/sys_file.hpp"
#include "udppump/descriptor.hpp"

namespace udppump {

using namespace detail;

namespace {

constexpr auto longest = static_cast<std::uint64_t>(std::chrono::nanoseconds::max().count());

/// Counts come from memory that others write to: what is too much for the type stays the most that it holds.
std::uint64_t sum(std::uint64_t a, std::uint64_t b) noexcept {
  return b > std::numeric_limits<std::uint64_t>::max() - a ? std::numeric_limits<std::uint64_t>::max() : a + b;
}

}  // namespace

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
  }
  return "?";
}

std::uint64_t handler_times::total() const noexcept {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}, sum);
}

std::chrono::nanoseconds handler_times::percentile(double part) const noexcept {
  const std::uint64_t all = total();
  if (all == 0) return std::chrono::nanoseconds{0};
  // In doubles, 2^64 - 1 is 2^64, which no integer holds.
  const double rank = std::ceil(std::clamp(part, 0.0, 1.0) * static_cast<double>(all));
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < counts.size(); ++bucket) {
    seen = sum(seen, counts[bucket]);
    if (seen != 0 && static_cast<double>(seen) >= rank) {
      return std::chrono::nanoseconds{static_cast<std::int64_t>(bucket_end(bucket))};
    }
  }
  return std::chrono::nanoseconds{0};
}

namespace {

/// Room for one part of a pool's memory. It is filled by pread(2) and never mapped: whose memory it is may cut it off,
/// and write to it, at any time.
template <class Part>
class copy {
 public:
  /// False if the memory ends before.
  bool read(const descriptor& memory, std::size_t from) noexcept {
    return sys::read_at(memory.fd(), &bytes_, sizeof bytes_, from) == static_cast<ssize_t>(sizeof bytes_);
  }
  const Part& operator*() const noexcept { return *reinterpret_cast<const Part*>(&bytes_); }
  const Part* operator->() const noexcept { return &**this; }

 private:
  alignas(Part) std::byte bytes_[sizeof(Part)];
};

[[noreturn]] void fail_as_unsound(pid_t parent) {
  fail(EPROTO, "the memory of process " + std::to_string(parent) +
                   " is of another version of udppump, or no pool's; use the udppump that it was started from");
}

/// Opened for reading, if it is memory and not something else that bears the name, on which opening or reading may
/// wait.
int open_memory(const std::string& path) {
  const descriptor shown{sys::open(path.c_str(), O_PATH)};
  if (!shown) return shown.fd();
  struct statfs where {};
  struct stat about {};
  if (const int told = sys::filesystem_status(shown.fd(), where); told < 0) return told;
  if (const int told = sys::status(shown.fd(), about); told < 0) return told;
  if (where.f_type != TMPFS_MAGIC || !S_ISREG(about.st_mode)) return -EPROTO;
  return sys::open(("/proc/self/fd/" + std::to_string(shown.fd())).c_str(), O_RDONLY);
}

/// The shared memory of the pool that `parent` runs; a child of it has the same one open, but not the same id.
descriptor memory_of(pid_t parent) {
  const std::string folder = "/proc/" + std::to_string(parent) + "/fd";
  std::error_code refused;
  namespace fs = std::filesystem;
  fs::directory_iterator at{folder, refused};
  if (refused) {
    fail(refused.value() == ENOENT ? ESRCH : refused.value(), "looking into process " + std::to_string(parent),
         "give the id of a pool's parent, and be its user or root");
  }
  for (const fs::directory_iterator end; !refused && at != end; at.increment(refused)) {
    std::error_code gone;
    const std::string target = fs::read_symlink(at->path(), gone).string();
    if (target.rfind(std::string{"/memfd:"} + board_name, 0) != 0) continue;
    const int opened = open_memory(at->path().string());
    if (opened == -EPROTO) fail_as_unsound(parent);
    if (opened < 0) fail(opened, at->path().string(), "be the pool's user, or root");
    return descriptor{opened};
  }
  fail(ESRCH, "process " + std::to_string(parent) + " runs no pool; give the id of a pool's parent");
}

/// Clamped to what the type holds.
std::chrono::nanoseconds as_time(std::uint64_t nanoseconds) {
  return std::chrono::nanoseconds{static_cast<std::int64_t>(std::min(nanoseconds, longest))};
}

std::chrono::nanoseconds since(std::uint64_t then, std::uint64_t now) { return as_time(then < now ? now - then : 0); }

bool is_known(page_state state) {
  return state == page_state::free || state == page_state::starting || state == page_state::serving ||
         state == page_state::stopping;
}

worker_status read(const worker_page& page, page_state state, std::uint64_t now) {
  worker_status told;
  told.number = page.number;
  told.pid = page.pid;
  told.uptime = since(page.started_at, now);
  const std::uint64_t handling = page.handling_since;
  told.state = state == page_state::starting   ? worker_state::starting
               : state == page_state::stopping ? worker_state::stopping
               : handling != 0                 ? worker_state::handling
                                               : worker_state::idle;
  if (handling != 0) told.handling_for = since(handling, now);
  told.received = page.received;
  told.bytes = page.bytes;
  told.handled = page.handled;
  told.ignored = page.ignored;
  told.quarantined = page.quarantined;
  told.expired = page.expired;
  told.limited = page.limited;
  told.handler_time = as_time(page.handler_time);
  for (const shared_count& count : page.times) told.times.counts.push_back(count);
  told.kicks = page.kicks;
  return told;
}

}  // namespace

pool_status pool_status::of(pid_t parent) {
  const descriptor memory = memory_of(parent);
  copy<board_header> header;
  if (!header.read(memory, 0)) fail_as_unsound(parent);
  const auto geometry = board_header::geometry_of(*header);
  if (!geometry) fail_as_unsound(parent);
  const std::uint64_t now = nanoseconds_of(std::chrono::steady_clock::now());
  const auto counted = [&header](tally what) { return header->counts[static_cast<std::size_t>(what)].load(); };
  pool_status told{.parent = header->parent,
                   .workers_wanted = header->workers,
                   .max_workers = geometry->pages / 2,
                   .scale_orders = header->scale_orders,
                   .restarts = counted(tally::restarts),
                   .reloads = counted(tally::reloads),
                   .redelivered = counted(tally::redelivered),
                   .poisoned = counted(tally::poisoned),
                   .abandoned = counted(tally::abandoned),
                   .quarantines = counted(tally::quarantines),
                   .expired = header->expired_before,
                   .limited = header->limited_before,
                   .workers = {}};
  copy<worker_page> page;
  for (std::uint32_t at = 0; at < std::min<std::uint32_t>(geometry->pages, header->pages_used); ++at) {
    if (!page.read(memory, geometry->page_at(at))) fail_as_unsound(parent);
    const page_state state = page->state;
    if (!is_known(state)) fail_as_unsound(parent);
    if (state != page_state::free && page->pid != 0) told.workers.push_back(read(*page, state, now));
  }
  for (const worker_status& each : told.workers) {
    told.expired = sum(told.expired, each.expired);
    told.limited = sum(told.limited, each.limited);
  }
  std::stable_sort(told.workers.begin(), told.workers.end(),
                   [](const worker_status& a, const worker_status& b) { return a.number < b.number; });
  return told;
}

}  // namespace udppump

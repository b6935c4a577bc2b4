#include "udppump/pool_status.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "pool/board.hpp"
#include "sys/failure.hpp"
#include "sys/sys_file.hpp"
#include "udppump/descriptor.hpp"

namespace udppump {

using namespace detail;

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
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

std::chrono::nanoseconds handler_times::percentile(double part) const noexcept {
  const std::uint64_t all = total();
  if (all == 0) return std::chrono::nanoseconds{0};
  const auto rank = static_cast<std::uint64_t>(std::ceil(std::clamp(part, 0.0, 1.0) * static_cast<double>(all)));
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < counts.size(); ++bucket) {
    seen += counts[bucket];
    if (seen >= std::max<std::uint64_t>(rank, 1)) {
      return std::chrono::nanoseconds{static_cast<std::int64_t>(bucket_end(bucket))};
    }
  }
  return std::chrono::nanoseconds{0};
}

namespace {

/// A pool's memory, mapped for reading.
class window {
 public:
  explicit window(const descriptor& memory) {
    struct stat about {};
    if (const int told = sys::status(memory.fd(), about); told < 0)
      fail_with_cure(told, "fstat of the pool's shared memory");
    size_ = static_cast<std::size_t>(about.st_size);
    const auto [at, error] = sys::map_file(memory.fd(), size_, PROT_READ);
    if (at == nullptr) fail(error, "mmap of the pool's shared memory: free some memory (ulimit -v)");
    header_ = static_cast<board_header*>(at);
  }
  ~window() { sys::unmap(header_, size_); }
  window(const window&) = delete;
  window& operator=(const window&) = delete;

  bool is_sound() const noexcept {
    return size_ >= sizeof(board_header) && std::memcmp(header_->magic, board_magic, sizeof board_magic) == 0 &&
           header_->version == layout_version && header_->page_distance >= sizeof(worker_page) &&
           header_->pages_at + std::uint64_t{header_->pages} * header_->page_distance <= size_;
  }
  board_header& header() const noexcept { return *header_; }

 private:
  board_header* header_;
  std::size_t size_ = 0;
};

/// The shared memory of the pool that `parent` runs; a child of it has the same one open, but not the same id.
descriptor memory_of(pid_t parent) {
  const std::string folder = "/proc/" + std::to_string(parent) + "/fd";
  std::error_code refused;
  namespace fs = std::filesystem;
  fs::directory_iterator at{folder, refused};
  if (refused) {
    fail(
        refused.value() == ENOENT ? ESRCH : refused.value(),
        "looking into process " + std::to_string(parent) + ": give the id of a pool's parent, and be its user or root");
  }
  for (const fs::directory_iterator end; !refused && at != end; at.increment(refused)) {
    std::error_code gone;
    const std::string target = fs::read_symlink(at->path(), gone).string();
    if (target.rfind(std::string{"/memfd:"} + board_name, 0) != 0) continue;
    const int opened = sys::open(at->path().c_str(), O_RDONLY);
    if (opened < 0) fail(opened, at->path().string() + ": be the pool's user, or root");
    return descriptor{opened};
  }
  fail(ESRCH, "process " + std::to_string(parent) + " runs no pool; give the id of a pool's parent");
}

std::chrono::nanoseconds since(std::uint64_t then, std::uint64_t now) {
  return std::chrono::nanoseconds{then < now ? static_cast<std::int64_t>(now - then) : 0};
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
  told.handler_time = std::chrono::nanoseconds{static_cast<std::int64_t>(page.handler_time.load())};
  for (const shared_count& count : page.times) told.times.counts.push_back(count);
  told.kicks = page.kicks;
  return told;
}

}  // namespace

pool_status pool_status::of(pid_t parent) {
  const descriptor memory = memory_of(parent);
  const window open{memory};
  if (!open.is_sound())
    fail(EPROTO, "the pool of process " + std::to_string(parent) +
                     " is of another version of udppump; use the udppump that it was started from");
  board_header& header = open.header();
  const std::uint64_t now = nanoseconds_of(std::chrono::steady_clock::now());
  pool_status told{.parent = header.parent,
                   .restarts = header.restarts,
                   .reloads = header.reloads,
                   .redelivered = header.redelivered,
                   .poisoned = header.poisoned,
                   .abandoned = header.abandoned,
                   .workers = {}};
  for (std::uint32_t at = 0; at < header.pages; ++at) {
    const worker_page& page = page_at(header, at);
    const page_state state = page.state;
    if (state != page_state::free && page.pid != 0) told.workers.push_back(read(page, state, now));
  }
  std::stable_sort(told.workers.begin(), told.workers.end(),
                   [](const worker_status& a, const worker_status& b) { return a.number < b.number; });
  return told;
}

}  // namespace udppump

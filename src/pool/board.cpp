#include "pool/board.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include "sys/failure.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_process.hpp"
#include "sys/wake_signal.hpp"

namespace udppump::detail {

namespace {

constexpr std::size_t round_up(std::size_t size, std::size_t to) { return (size + to - 1) / to * to; }
constexpr std::size_t memory_page = 4096;

/// Of memory that others write to: read once, whatever the compiler would like to do.
std::uint32_t as_claimed(const std::uint32_t& number) noexcept {
  return static_cast<const volatile std::uint32_t&>(number);
}

descriptor make_signal() {
  const int made = sys::eventfd(0);
  if (made < 0) fail_with_cure(made, "eventfd");
  return descriptor{made};
}

}  // namespace

std::size_t board_geometry::page_at(std::uint32_t index) const noexcept {
  return round_up(sizeof(board_header), memory_page) + index * round_up(sizeof(worker_page), memory_page);
}
std::size_t board_geometry::kept_at() const noexcept { return page_at(pages); }
std::size_t board_geometry::kept_distance() const noexcept {
  return round_up(sizeof(kept_datagram) + payload_limit, memory_page);
}
std::size_t board_geometry::socket_at(std::uint32_t index) const noexcept {
  return kept_at() + kept() * kept_distance() + index * sizeof(shown_socket);
}
std::size_t board_geometry::size() const noexcept { return round_up(socket_at(sockets), memory_page); }

std::optional<board_geometry> board_header::geometry_of(const board_header& told) noexcept {
  const board_geometry claimed{.pages = as_claimed(told.pages),
                               .payload_limit = as_claimed(told.payload_limit),
                               .sockets = as_claimed(told.sockets)};
  if (std::memcmp(told.magic, board_magic, sizeof board_magic) != 0 || as_claimed(told.version) != layout_version ||
      !claimed.is_sound()) {
    return {};
  }
  return claimed;
}

board::board(std::size_t pages, std::size_t payload_limit, std::size_t sockets)
    : parent_signal_{make_signal()},
      geometry_{.pages = static_cast<std::uint32_t>(pages),
                .payload_limit = static_cast<std::uint32_t>(payload_limit),
                .sockets = static_cast<std::uint32_t>(std::min<std::size_t>(sockets, board_geometry::most_sockets))} {
  memory_ = descriptor{sys::memory_file(board_name)};
  if (!memory_) fail_with_cure(memory_.fd(), "memfd_create");
  // Else whoever has it open for reading could open it anew for writing, by /proc.
  if (const int set = sys::set_mode(memory_.fd(), S_IRUSR); set < 0) {
    fail_with_cure(set, "fchmod of the memory shared with the workers");
  }
  const std::size_t size = geometry_.size();
  if (const int made = sys::truncate(memory_.fd(), size); made < 0) {
    fail(made, "shared memory of " + std::to_string(size) + " bytes for the workers",
         "ask for fewer workers, or, with redelivery, for smaller datagrams");
  }
  // A worker that cut it off would end the parent by SIGBUS.
  if (const int sealed = sys::seal_size(memory_.fd()); sealed < 0) {
    fail_with_cure(sealed, "sealing the size of the memory shared with the workers (memfd_create(2), F_ADD_SEALS)");
  }
  map(size);
  std::memcpy(header_->magic, board_magic, sizeof board_magic);
  header_->pages = geometry_.pages;
  header_->payload_limit = geometry_.payload_limit;
  header_->sockets = geometry_.sockets;
  header_->parent = sys::process_id();
  header_->version = layout_version;
  page_signals_.resize(pages);
  claimed_.resize(pages);
  most_claimed_ = pages;
  notifier_.emplace();
}

board::board(descriptor memory, descriptor parent_signal, std::size_t page, descriptor page_signal)
    : memory_{std::move(memory)}, parent_signal_{std::move(parent_signal)} {
  struct stat about {};
  if (const int known = sys::status(memory_.fd(), about); known < 0)
    fail_with_cure(known, "fstat of the pool's shared memory");
  map(static_cast<std::size_t>(about.st_size));
  const auto told = size_ < sizeof(board_header) ? std::nullopt : board_header::geometry_of(*header_);
  if (!told || page >= told->pages || told->size() > size_) {
    sys::unmap(header_, size_);  // no destructor follows
    fail(EPROTO, "the pool's shared memory is of another version of udppump than this program; restart the pool");
  }
  geometry_ = *told;
  page_signals_.resize(page + 1);
  page_signals_[page] = std::move(page_signal);
}

board::~board() {
  if (header_ != nullptr) sys::unmap(header_, size_);
}

void board::map(std::size_t size) {
  const auto [at, error] = sys::map_file(memory_.fd(), size, PROT_READ | PROT_WRITE);
  if (at == nullptr) {
    fail(error, "mmap of " + std::to_string(size) + " bytes shared with the workers",
         "ask for fewer workers, or, with redelivery, for smaller datagrams");
  }
  header_ = static_cast<board_header*>(at);
  size_ = size;
}

worker_page& board::page(std::size_t index) const noexcept {
  return *reinterpret_cast<worker_page*>(at(geometry_.page_at(static_cast<std::uint32_t>(index))));
}

shown_socket& board::socket(std::size_t index) const noexcept {
  return *reinterpret_cast<shown_socket*>(at(geometry_.socket_at(static_cast<std::uint32_t>(index))));
}

/// The workers' own come first, one for each page; then those for redelivery.
kept_row board::kept() const noexcept { return {at(geometry_.kept_at()), geometry_.kept_distance(), geometry_.kept()}; }

kept_row board::offered() const noexcept {
  if (!keeps_datagrams()) return {};
  std::byte* const first = reinterpret_cast<std::byte*>(&kept()[geometry_.pages]);
  return {first, geometry_.kept_distance(), geometry_.kept() - geometry_.pages};
}

worker_share board::share_of(std::size_t page) const noexcept {
  return {.page = this->page(page),
          .index = static_cast<std::uint32_t>(page),
          .offers = header_->offers,
          .quarantined = header_->quarantined,
          .tell_parent = parent_signal(),
          .own = keeps_datagrams() ? &own_of(page) : nullptr,
          .offered = offered(),
          .payload_limit = geometry_.payload_limit};
}

std::size_t board::claim(std::size_t number) {
  for (std::size_t at = 0; at < most_claimed_; ++at) {
    if (claimed_[at]) continue;
    claimed_[at] = true;
    pages_used_ = std::max(pages_used_, at + 1);
    header_->pages_used = static_cast<std::uint32_t>(pages_used_);
    if (keeps_datagrams()) own_of(at).header.msg_len = kept_datagram::nothing;
    worker_page& one = page(at);
    one.orders = one.looks = one.full = 0;
    one.pid = 0;
    one.number = static_cast<std::uint32_t>(number);
    one.handling_since = 0;
    one.served_lanes = ~std::uint32_t{0};
    for (shared_count& count : one.counts.all()) count.store(0, std::memory_order_relaxed);
    for (auto& each : one.in_flight) each.store(0, std::memory_order_relaxed);
    one.knows_ages = one.waiter = 0;
    one.waiter_fallback[0] = '\0';
    one.last_words[0] = '\0';
    for (told_errors& each : one.errors) each.count = 0;
    one.errors_are_new = 0;
    one.started_at = nanoseconds_of(std::chrono::steady_clock::now());
    one.state = page_state::starting;
    return at;
  }
  fail(EAGAIN,
       "no page for another worker, since workers that were told to stop have not ended; lower the stop "
       "timeout, or end what keeps them, as the log says");
}

void board::release(std::size_t at) noexcept {
  // Nobody counts a dead worker's twice, or not at all: whoever reads looks at `sums` before and after.
  sums_ += 2;
  header_->sums.store(sums_ - 1);
  page(at).state = page_state::free;
  std::size_t which = 0;
  const auto shown = header_->before.all();
  for (shared_count& count : page(at).counts.all()) {
    const std::uint64_t own = count.exchange(0, std::memory_order_relaxed);
    // What is no count, as the worker has written something else there, does not make the sum smaller.
    before_[which] += std::min(own, std::numeric_limits<std::uint64_t>::max() - before_[which]);
    shown[which].store(before_[which], std::memory_order_relaxed);
    ++which;
  }
  header_->sums.store(sums_);
  claimed_[at] = false;
}

void board::set_workers(std::size_t workers) noexcept {
  const bool is_first = workers_.exchange(workers, std::memory_order_relaxed) == 0;
  header_->workers = static_cast<std::uint32_t>(workers);
  const std::size_t most = std::min(2 * workers, claimed_.size());
  most_claimed_ = is_first ? most : std::max(most_claimed_, most);
}

std::uint64_t board::taken() const noexcept {
  std::uint64_t all = 0;
  for (std::size_t at = 0; at < pages_used_; ++at) all += taken_by(page(at));
  return all;
}

std::uint64_t board::total(shared_count lane_counts::*which) const noexcept {
  std::uint64_t all = 0;
  for (std::size_t lane = 0; lane < most_lanes; ++lane) all += total(which, lane);
  return all;
}

std::uint64_t board::total(shared_count lane_counts::*which, std::size_t lane) const noexcept {
  const auto place = static_cast<std::size_t>(&(header_->before.lanes[0].*which) - &header_->before.lanes[0].received);
  std::uint64_t all = before_[lane * sizeof(lane_counts) / sizeof(shared_count) + place];
  for (std::size_t at = 0; at < claimed_.size(); ++at) {
    if (claimed_[at]) all += (page(at).counts.lanes[lane].*which).load(std::memory_order_relaxed);
  }
  return all;
}

descriptor board::memory_to_read() const noexcept {
  return descriptor{sys::open(("/proc/self/fd/" + std::to_string(memory_.fd())).c_str(), O_RDONLY)};
}

void board::count(tally what) noexcept {
  const auto which = static_cast<std::size_t>(what);
  header_->counts[which].store(++counts_[which], std::memory_order_relaxed);
}

void board::request(std::uint32_t what) noexcept {
  header_->requests.fetch_or(what, std::memory_order_release);
  notify_by(parent_signal());
}

void board::request_scale(std::size_t workers) noexcept {
  header_->scale_to = static_cast<std::uint32_t>(std::min<std::size_t>(workers, UINT32_MAX));
  request(detail::request_scale);
}

void board::clear_parent_signal() noexcept { eventfd_notifier::clear(parent_signal()); }

int board::page_signal(std::size_t page) {
  if (!page_signals_[page]) page_signals_[page] = make_signal();
  return page_signals_[page].fd();
}

void board::leave_other_signals(std::size_t page) noexcept {
  for (std::size_t at = 0; at < page_signals_.size(); ++at) {
    if (at != page) page_signals_[at] = {};
  }
}

void board::notify(std::size_t page) const noexcept {
  if (page_signals_[page]) notify_by(page_signals_[page].fd());
}

void board::notify_by(int signal) const noexcept {
  if (notifier_) return notifier_->notify(signal);
  detail::notify(signal);
}

}  // namespace udppump::detail

#include "pool/redeliverer.hpp"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <utility>

#include "sys/failure.hpp"
#include "sys/printable.hpp"
#include "sys/sys_file.hpp"

namespace udppump::detail {

namespace {

std::string hexadecimal(const std::byte* bytes, std::size_t size) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * size);
  for (std::size_t at = 0; at < size; ++at) {
    text += digits[std::to_integer<unsigned>(bytes[at]) >> 4];
    text += digits[std::to_integer<unsigned>(bytes[at]) & 15];
  }
  return text;
}

std::string time_now() {
  const time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  tm parts{};
  char text[32];
  ::gmtime_r(&now, &parts);
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

/// Read once, as others may write there.
unsigned length_of(const kept_datagram& kept) { return static_cast<const volatile unsigned&>(kept.header.msg_len); }

}  // namespace

redeliverer::redeliverer(const redelivery& rules, board& shared, const std::vector<datagram_socket>& sockets,
                         const pool_log& log, heir who, const std::optional<sender_quarantine>& quarantine)
    : rules_{rules}, shared_{shared}, sockets_{sockets}, log_{log}, deaths_(shared.offered().size()) {
  if (quarantine) quarantine_.emplace(*quarantine, shared, log);
  if (rules_.poison_file.empty()) return;
  file_ = service_path{"poison file", rules_.poison_file, who}.open(O_WRONLY | O_APPEND, 0600).file;
}

address redeliverer::claim::sender() const noexcept {
  return address::from_sockaddr(reinterpret_cast<const sockaddr*>(&from), from_size).unmapped();
}

void redeliverer::claim::copy_of(const kept_datagram& kept, unsigned length, std::uint32_t limit) {
  size = length;
  socket = kept.socket;
  flags = kept.header.msg_hdr.msg_flags;
  from_size = kept.header.msg_hdr.msg_namelen;
  if (from_size > sizeof from) from_size = 0;
  from = kept.from;
  control_size = std::min<std::size_t>(kept.header.msg_hdr.msg_controllen, sizeof control);
  std::memcpy(control, kept.control, sizeof control);
  payload.assign(kept.payload(), kept.payload() + std::min(length, limit));
  // What was copied is from now on only what it is here.
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

bool redeliverer::rescue(std::size_t page) {
  if (!shared_.keeps_datagrams()) return false;
  bool offered = false;
  const kept_row row = shared_.offered();
  for (std::uint32_t at = 0; at < row.size(); ++at) {
    if (deaths_[at] == 0) continue;  // nothing of ours, whatever it claims to be
    if (row[at].state.load(std::memory_order_acquire) == kept_datagram::taken + page) offered |= offer_again(at);
  }
  kept_datagram& own = shared_.own_of(page);
  const unsigned length = length_of(own);
  if (length == kept_datagram::nothing) return offered;
  claim left;
  left.copy_of(own, length, shared_.payload_limit());
  own.header.msg_len = kept_datagram::nothing;
  if (left.socket >= sockets_.size()) {
    give_up("the worker held a datagram that did not come by a socket of this pool, and no other can have it", 1, left);
    return offered;
  }
  const auto place = free_one();
  if (!place) {
    give_up("too many datagrams wait for another worker", 1, left);
    return offered;
  }
  put(left, row[*place]);
  deaths_[*place] = 0;
  return offer_again(*place) || offered;
}

/// No worker's addresses go along.
void redeliverer::put(const claim& what, kept_datagram& place) const noexcept {
  place.socket = what.socket;
  place.header = {};
  place.header.msg_hdr.msg_namelen = what.from_size;
  place.header.msg_hdr.msg_controllen = what.control_size;
  place.header.msg_hdr.msg_flags = what.flags;
  place.header.msg_len = what.size;
  place.part = {};
  place.from = what.from;
  std::memcpy(place.control, what.control, sizeof place.control);
  if (!what.payload.empty()) std::memcpy(place.payload(), what.payload.data(), what.payload.size());
}

bool redeliverer::offer_again(std::uint32_t at) {
  kept_datagram& kept = shared_.offered()[at];
  const bool is_poisoned = ++deaths_[at] > rules_.most;
  claim left;
  if (is_poisoned || quarantine_) left.copy_of(kept, length_of(kept), shared_.payload_limit());
  if (quarantine_) quarantine_->note_death(left.sender(), quarantine::clock::now());
  if (is_poisoned || (quarantine_ && quarantine_->holds(left.sender(), quarantine::clock::now()))) {
    poison(deaths_[at], left);
    deaths_[at] = 0;
    kept.header.msg_len = kept_datagram::nothing;
    kept.state.store(kept_datagram::free, std::memory_order_release);
    return false;
  }
  shared_.count(tally::redelivered);
  kept.state.store(kept_datagram::offered, std::memory_order_release);
  shared_.header().offers.fetch_add(1, std::memory_order_release);
  return true;
}

void redeliverer::poison(std::uint32_t deaths, const claim& left) {
  shared_.count(tally::poisoned);
  const std::string what = describe(deaths, left);
  std::string fate = "dropped";
  if (file_) {
    const std::string line =
        time_now() + ' ' + what + " payload=" + hexadecimal(left.payload.data(), left.payload.size()) + '\n';
    const ssize_t written = sys::write(file_.fd(), line.data(), line.size());
    if (written == static_cast<ssize_t>(line.size())) {
      fate = "saved to \"" + rules_.poison_file + "\" and dropped";
    } else {
      log_.error("poison-file", "poison file \"" + rules_.poison_file +
                                    "\": " + code_of(written < 0 ? written : ENOSPC).message() +
                                    "; the datagram is dropped without being saved; make room there");
    }
  }
  log_.warning("datagram-poisoned",
               "a datagram is poisoned, workers died of it; as the last one left it: " + what + "; " + fate,
               {{"deaths", std::to_string(deaths)}});
}

void redeliverer::give_up() {
  const kept_row row = shared_.offered();
  for (std::uint32_t at = 0; at < row.size(); ++at) {
    const std::uint32_t deaths = std::exchange(deaths_[at], 0);
    if (deaths == 0 || row[at].state.exchange(kept_datagram::free) == kept_datagram::free) continue;
    claim left;
    left.copy_of(row[at], length_of(row[at]), shared_.payload_limit());
    give_up("the pool ends while a datagram waits for another worker", deaths, left);
  }
}

void redeliverer::give_up(const std::string& why, std::uint32_t deaths, const claim& left) const {
  shared_.count(tally::abandoned);
  log_.warning("datagram-abandoned", why + "; it is lost: " + describe(deaths, left));
}

std::optional<std::uint32_t> redeliverer::free_one() const noexcept {
  const kept_row row = shared_.offered();
  for (std::uint32_t at = 0; at < row.size(); ++at) {
    if (deaths_[at] == 0 || row[at].state.load(std::memory_order_acquire) == kept_datagram::free) return at;
  }
  return {};
}

std::string redeliverer::describe(std::uint32_t deaths, const claim& left) const {
  const address from = left.sender();
  const address to = left.socket < sockets_.size() ? sockets_[left.socket].local() : address{};
  return "deaths=" + std::to_string(deaths) + " from=" + printable_word(from.to_string()) +
         " to=" + printable_word(to.to_string()) + " bytes=" + std::to_string(left.size);
}

}  // namespace udppump::detail

#include "pool/redeliverer.hpp"

#include <time.h>

#include <algorithm>
#include <cstring>

#include "socket/control_message.hpp"
#include "sys/failure.hpp"
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
  const time_t now = ::time(nullptr);
  tm parts{};
  char text[32];
  ::gmtime_r(&now, &parts);
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace

redeliverer::redeliverer(const redelivery& rules, board& shared, const std::vector<datagram_socket>& sockets,
                         const pool_log& log)
    : rules_{rules}, shared_{shared}, sockets_{sockets}, log_{log} {
  if (rules_.poison_file.empty()) return;
  const int opened = sys::open(rules_.poison_file.c_str(), O_WRONLY | O_APPEND | O_CREAT, 0600);
  if (opened < 0) {
    fail(opened, "poison file \"" + rules_.poison_file + "\": its folder must exist and be writable");
  }
  file_ = descriptor{opened};
}

void redeliverer::give_file_to(uid_t user, gid_t group) const {
  // /dev/full and the like may not be given away, and need not be.
  if (file_) static_cast<void>(sys::set_owner(file_.fd(), user, group));
}

bool redeliverer::rescue(std::size_t page) {
  bool offered = false;
  board_header& header = shared_.header();
  if (!shared_.keeps_datagrams()) return false;
  const kept_row row = shared_.offered();
  for (std::uint32_t at = 0; at < row.size(); ++at) {
    kept_datagram& one = row[at];
    if (one.state.load(std::memory_order_acquire) == kept_datagram::taken + page) offered |= offer_again(one);
  }
  kept_datagram& own = shared_.own_of(page);
  if (own.header.msg_len == kept_datagram::nothing) return offered;
  if (kept_datagram* const place = free_one()) {
    place->deaths = 0;
    place->socket = own.socket;
    place->header = own.header;
    place->from = own.from;
    std::memcpy(place->control, own.control, sizeof own.control);
    std::memcpy(place->payload(), own.payload(), std::min(own.header.msg_len, header.payload_limit));
    offered |= offer_again(*place);
  } else {
    add(header.abandoned, 1);
    log_.error("datagram-abandoned", "too many datagrams wait for another worker; one is lost: " + describe(own));
  }
  own.header.msg_len = kept_datagram::nothing;
  return offered;
}

bool redeliverer::offer_again(kept_datagram& kept) {
  board_header& header = shared_.header();
  if (++kept.deaths > rules_.most) {
    poison(kept);
    kept.header.msg_len = kept_datagram::nothing;
    kept.state.store(kept_datagram::free, std::memory_order_release);
    return false;
  }
  add(header.redelivered, 1);
  kept.state.store(kept_datagram::offered, std::memory_order_release);
  header.offers.fetch_add(1, std::memory_order_release);
  return true;
}

void redeliverer::poison(const kept_datagram& kept) {
  add(shared_.header().poisoned, 1);
  const std::string what = describe(kept);
  std::string fate = "dropped";
  if (file_) {
    const std::size_t size = std::min(kept.header.msg_len, shared_.header().payload_limit);
    const std::string line = time_now() + ' ' + what + " payload=" + hexadecimal(kept.payload(), size) + '\n';
    const ssize_t written = sys::write(file_.fd(), line.data(), line.size());
    if (written == static_cast<ssize_t>(line.size())) {
      fate = "saved to \"" + rules_.poison_file + "\" and dropped";
    } else {
      log_.error("poison-file", "poison file \"" + rules_.poison_file +
                                    "\": " + code_of(written < 0 ? written : ENOSPC).message() +
                                    "; the datagram is dropped without being saved; make room there");
    }
  }
  log_.warning("datagram-poisoned", "a datagram is poisoned, workers died of it: " + what + "; " + fate,
               {{"deaths", std::to_string(kept.deaths)}});
}

void redeliverer::give_up() {
  const kept_row row = shared_.offered();
  for (std::uint32_t at = 0; at < row.size(); ++at) {
    kept_datagram& one = row[at];
    if (one.state.load(std::memory_order_acquire) == kept_datagram::free) continue;
    one.state.store(kept_datagram::free, std::memory_order_release);
    add(shared_.header().abandoned, 1);
    log_.warning("datagram-abandoned",
                 "the pool ends while a datagram waits for another worker; it is lost: " + describe(one));
  }
}

kept_datagram* redeliverer::free_one() noexcept {
  const kept_row row = shared_.offered();
  for (std::uint32_t at = 0; at < row.size(); ++at) {
    kept_datagram& one = row[at];
    if (one.state.load(std::memory_order_acquire) == kept_datagram::free) return &one;
  }
  return nullptr;
}

std::string redeliverer::describe(const kept_datagram& kept) const {
  const address from =
      address::from_sockaddr(reinterpret_cast<const sockaddr*>(&kept.from), kept.header.msg_hdr.msg_namelen).unmapped();
  const address to = kept.socket < sockets_.size() ? sockets_[kept.socket].local() : address{};
  return "deaths=" + std::to_string(kept.deaths) + " from=" + from.to_string() + " to=" + to.to_string() +
         " bytes=" + std::to_string(kept.header.msg_len);
}

}  // namespace udppump::detail

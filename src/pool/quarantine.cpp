#include "pool/quarantine.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "address/raw_address.hpp"
#include "pool/duration_text.hpp"
#include "sys/printable.hpp"

namespace udppump::detail {

namespace {

/// As it is told apart from others.
std::string text_of(const address& from) {
  const address host = from.unmapped().with_port(0);
  if (!host.is_ipv6()) {
    const std::string text = printable_word(host.to_string());
    return host.is_ipv4() ? text.substr(0, text.rfind(':')) : text;
  }
  in6_addr bits = raw_of<sockaddr_in6>(host).sin6_addr;
  const bool is_local = IN6_IS_ADDR_LINKLOCAL(&bits);
  if (!is_local) std::fill(bits.s6_addr + 8, bits.s6_addr + 16, std::uint8_t{0});
  const std::string text = address_of(raw_ipv6(bits)).to_string();  // "[HOST]:0"
  return text.substr(1, text.rfind(']') - 1) + (is_local ? "" : "/64");
}

}  // namespace

void quarantine::note_death(const address& from, clock::time_point now) {
  const std::uint64_t key = sender_key(from);
  if (key == 0) return;
  if (senders_.size() >= most_remembered && senders_.find(key) == senders_.end()) make_room(now);
  record& sender = senders_[key];
  if (now - sender.last > rule_.time) sender.deaths = 0;
  sender.last = now;
  if (++sender.deaths < rule_.deaths) return;
  shared_.header().quarantined.put(key, nanoseconds_of(now), nanoseconds_of(now + rule_.time));
  if (sender.deaths != rule_.deaths) return;  // it was in quarantine already
  shared_.count(tally::quarantines);
  log_quarantine(from, sender);
}

bool quarantine::holds(const address& from, clock::time_point now) const noexcept {
  const auto found = senders_.find(sender_key(from));
  return found != senders_.end() && found->second.deaths >= rule_.deaths && now - found->second.last <= rule_.time;
}

void quarantine::make_room(clock::time_point now) {
  std::erase_if(senders_, [&](const auto& one) { return now - one.second.last > rule_.time; });
  if (senders_.size() < most_remembered) return;
  senders_.erase(std::ranges::min_element(senders_, {}, [](const auto& one) { return one.second.last; }));
}

void quarantine::log_quarantine(const address& from, const record& what) {
  const std::string who = text_of(from);
  const std::string text = who + " is in quarantine for " + duration_text(rule_.time) + ": " +
                           std::to_string(what.deaths) + (what.deaths == 1 ? " worker" : " workers") +
                           " died with a datagram of this sender in work; "
                           "its datagrams are dropped";
  log_.warning("sender-quarantined", text, {{"sender", who}, {"deaths", std::to_string(what.deaths)}});
}

}  // namespace udppump::detail

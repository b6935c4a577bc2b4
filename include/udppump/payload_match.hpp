#pragma once

#include <linux/filter.h>

#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "udppump/export.hpp"

namespace udppump {

/// Says of a datagram, before anybody has received it, whether a lane takes it (lanes.hpp). The kernel answers, by
/// programs in classic BPF (linux/filter.h): no privilege is required. One that is made without anything takes every
/// datagram. From an expression: pcap_match() (pcap_match.hpp).
class UDPPUMP_EXPORT payload_match {
 public:
  payload_match() = default;

  /// A program of your own: offset 0 is the first byte of the payload, the length is that of the payload, and
  /// SKF_NET_OFF is where the IP header begins. It takes a datagram if it returns anything but 0. A load from beyond
  /// the payload's end ends it: the datagram is not taken. Throws std::invalid_argument, with the number of the
  /// instruction, for what the kernel would not run, for SKF_LL_OFF and BPF_MSH, which mean nothing here, and for what
  /// would end the kernel's sorting of all lanes: dividing by X, and headers beyond the 28 bytes that are always there.
  static payload_match bpf(std::vector<sock_filter> program);
  /// Datagrams whose sender is in one of these networks: "192.0.2.0/24", "2001:db8::/32", or an address alone. A source
  /// address can be forged. Throws std::invalid_argument if one is no network.
  static payload_match from(std::span<const std::string_view> networks);
  static payload_match from(std::string_view network) { return from(std::span{&network, 1}); }

  /// Takes what both take.
  payload_match and_also(const payload_match& other) const;

  /// Whether it takes every datagram, whatever is in it.
  bool takes_all() const noexcept { return programs_.empty(); }
  /// All of them must take a datagram.
  std::span<const std::vector<sock_filter>> programs() const noexcept { return programs_; }

 private:
  std::vector<std::vector<sock_filter>> programs_;
};

}  // namespace udppump

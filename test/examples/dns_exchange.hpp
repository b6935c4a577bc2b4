#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dns_answer.hpp"

// Queries made byte by byte, answers read by ldns: neither goes through the code under test.

namespace dns_exchange {

using bytes = std::vector<std::byte>;
using lines = std::vector<std::string>;

inline void put16(bytes& out, unsigned value) {
  out.push_back(static_cast<std::byte>(value >> 8));
  out.push_back(static_cast<std::byte>(value));
}

/// "a.b." in wire form, as it is: no check, no escapes.
inline bytes name(std::string_view dotted) {
  bytes out;
  while (!dotted.empty() && dotted != ".") {
    const std::string_view label = dotted.substr(0, dotted.find('.'));
    out.push_back(static_cast<std::byte>(label.size()));
    for (const char c : label) out.push_back(static_cast<std::byte>(c));
    dotted.remove_prefix(label.size() + 1);
  }
  out.push_back(std::byte{0});
  return out;
}

struct opt {
  unsigned udp_size = 1232;
  unsigned version = 0;
  bool dnssec_ok = false;
  bytes options = {};
};

struct query {
  std::string_view name;
  ldns_rr_type type = LDNS_RR_TYPE_A;
  unsigned flags = 0x0100;  // RD
  unsigned cls = LDNS_RR_CLASS_IN;
  unsigned questions = 1;
  std::optional<opt> edns = {};

  bytes packet() const {
    bytes out;
    put16(out, 0xBEEF);
    put16(out, flags);
    put16(out, questions);
    put16(out, 0);
    put16(out, 0);
    put16(out, edns ? 1 : 0);
    for (unsigned i = 0; i < questions; ++i) {
      const bytes asked = dns_exchange::name(name);
      out.insert(out.end(), asked.begin(), asked.end());
      put16(out, type);
      put16(out, cls);
    }
    if (edns) append_opt(out, *edns);
    return out;
  }

  static void append_opt(bytes& out, const opt& edns) {
    out.push_back(std::byte{0});
    put16(out, LDNS_RR_TYPE_OPT);
    put16(out, edns.udp_size);
    put16(out, edns.version);
    put16(out, edns.dnssec_ok ? 0x8000 : 0);
    put16(out, static_cast<unsigned>(edns.options.size()));
    out.insert(out.end(), edns.options.begin(), edns.options.end());
  }
};

struct reply {
  bytes packet;
  unsigned id = 0, opcode = 0, rcode = 0, udp_size = 0;
  bool qr = false, aa = false, tc = false, rd = false, ra = false, edns = false, dnssec_ok = false;
  lines question = {}, answer = {}, authority = {}, additional = {};
};

inline lines print(const ldns_rr_list* records) {
  lines out;
  for (std::size_t i = 0; i < ldns_rr_list_rr_count(records); ++i) {
    const std::unique_ptr<char, decltype(&std::free)> text{ldns_rr2str(ldns_rr_list_rr(records, i)), &std::free};
    std::string line{text.get()};
    line.pop_back();  // the line's end
    for (char& c : line) c = c == '\t' ? ' ' : c;
    while (line.ends_with(' ')) line.pop_back();
    out.push_back(line);
  }
  return out;
}

/// An answer as ldns understands it; fails the test if it does not.
inline reply read(const bytes& packet) {
  reply out{.packet = packet};
  ldns_pkt* raw = nullptr;
  EXPECT_EQ(ldns_wire2pkt(&raw, reinterpret_cast<const std::uint8_t*>(packet.data()), packet.size()), LDNS_STATUS_OK);
  if (raw == nullptr) return out;
  const std::unique_ptr<ldns_pkt, decltype(&ldns_pkt_free)> read{raw, &ldns_pkt_free};
  out.id = ldns_pkt_id(raw);
  out.opcode = ldns_pkt_get_opcode(raw);
  out.edns = ldns_pkt_edns(raw);
  out.rcode = ldns_pkt_get_rcode(raw) | (out.edns ? unsigned{ldns_pkt_edns_extended_rcode(raw)} << 4 : 0U);
  out.udp_size = ldns_pkt_edns_udp_size(raw);
  out.dnssec_ok = ldns_pkt_edns_do(raw);
  out.qr = ldns_pkt_qr(raw);
  out.aa = ldns_pkt_aa(raw);
  out.tc = ldns_pkt_tc(raw);
  out.rd = ldns_pkt_rd(raw);
  out.ra = ldns_pkt_ra(raw);
  out.question = print(ldns_pkt_question(raw));
  out.answer = print(ldns_pkt_answer(raw));
  out.authority = print(ldns_pkt_authority(raw));
  out.additional = print(ldns_pkt_additional(raw));
  return out;
}

inline dns_zone zone_of(std::string_view text) {
  std::string copy{text};
  const std::unique_ptr<std::FILE, decltype(&std::fclose)> file{fmemopen(copy.data(), copy.size(), "r"), &std::fclose};
  return dns_zone::read(file.get(), "zone");
}

inline constexpr std::string_view zone_head = R"($ORIGIN example.com.
$TTL 3600
@ IN SOA ns1 hostmaster 1 7200 3600 1209600 300
@ NS ns1
@ NS ns2.example.net.
ns1 A 192.0.2.1
ns1 AAAA 2001:db8::1
)";

}  // namespace dns_exchange

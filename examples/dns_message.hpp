#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "dns_zone.hpp"

/// What the sender of a query told about itself in an OPT record (RFC 6891).
struct dns_edns {
  /// Largest answer it can take, in bytes.
  std::uint16_t udp_size = 512;
  std::uint8_t version = 0;
  bool dnssec_ok = false;
};

/// A query, as far as it could be read.
struct dns_query {
  std::uint16_t id = 0;
  std::uint8_t opcode = LDNS_PACKET_QUERY;
  bool recursion_desired = false;
  /// Null if there is not exactly one readable question.
  rr_ptr question;
  std::optional<dns_edns> edns;
  /// Keeps to the format as far as its counts go.
  bool well_formed = false;

  std::string_view name() const noexcept { return wire(ldns_rr_owner(question.get())); }
  ldns_rr_type type() const noexcept { return ldns_rr_get_type(question.get()); }
};

/// Nothing if the packet must not be answered at all: no whole header, or itself an answer.
std::optional<dns_query> read_query(std::span<const std::byte> packet);

/// Writes the answer to one query, with compressed names, at most as long as both sides can take. ldns could write it
/// too, but its name compression alone takes longer than a whole answer does here.
///
/// The query, and every name and record added, must outlive the writer.
class dns_message_writer {
 public:
  explicit dns_message_writer(const dns_query& query);

  /// Sections only in the order of the packet. False if the records do not fit all; then none of them is in.
  [[nodiscard]] bool add(ldns_pkt_section section, std::string_view owner, const dns_rrset& set, std::uint32_t ttl);
  /// Drops all records and says so (TC), which makes the client ask again over TCP.
  void truncate() noexcept;
  /// The packet; the writer is then empty. `rcode` may have the 12 bits that EDNS gives it.
  std::vector<std::byte> finish(unsigned rcode, bool authoritative);

 private:
  struct written_name {
    std::string_view name;
    std::uint16_t offset;
  };

  void put8(unsigned value) { packet_.push_back(static_cast<std::byte>(value)); }
  void put16(unsigned value);
  void put32(std::uint32_t value);
  void put(std::string_view bytes);
  void put_name(std::string_view name);
  void put_record(std::string_view owner, const ldns_rr* record, std::uint32_t ttl);
  void set16(std::size_t offset, unsigned value) noexcept;

  const dns_query& query_;
  std::vector<std::byte> packet_;
  std::vector<written_name> names_;
  std::size_t limit_;
  std::size_t question_end_;
  unsigned counts_[4] = {};
  bool truncated_ = false;
};

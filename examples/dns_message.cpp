#include "dns_message.hpp"

#include <algorithm>
#include <utility>

namespace {

constexpr std::size_t header_size = 12;
constexpr std::size_t opt_size = 11;  // with no options
constexpr std::size_t plain_limit = 512;
/// What fits through nearly every path without fragments (dnsflagday.net/2020).
constexpr std::size_t edns_limit = 1232;
constexpr std::uint16_t dnssec_ok_bit = 0x8000;

/// Reads a packet front to back. Every step tells whether there was enough left.
class packet_reader {
 public:
  explicit packet_reader(std::span<const std::byte> packet) noexcept : packet_{packet} {}

  bool read16(std::uint16_t& value) noexcept {
    if (left() < 2) return false;
    value = ldns_read_uint16(data() + at_);
    at_ += 2;
    return true;
  }
  bool skip(std::size_t size) noexcept {
    if (left() < size) return false;
    at_ += size;
    return true;
  }
  /// Moves behind a name without following its pointer: nothing here needs to know where it leads, and what is not
  /// followed cannot loop. `compressed` tells whether there was one.
  bool skip_name(bool& compressed) noexcept {
    while (left() > 0) {
      const auto length = std::to_integer<unsigned>(packet_[at_]);
      compressed = length >= 0xC0;
      if (compressed) return skip(2);
      if (length > LDNS_MAX_LABELLEN || !skip(1 + length)) return false;
      if (length == 0) return true;
    }
    return false;
  }

  std::size_t at() const noexcept { return at_; }
  std::size_t left() const noexcept { return packet_.size() - at_; }
  const std::uint8_t* data() const noexcept { return reinterpret_cast<const std::uint8_t*>(packet_.data()); }
  std::size_t size() const noexcept { return packet_.size(); }

 private:
  std::span<const std::byte> packet_;
  std::size_t at_ = 0;
};

/// Null if there is no readable question. A pointer in it could lead only to itself, into the header, or forwards,
/// none of which is allowed (RFC 1035, 4.1.4).
rr_ptr read_question(packet_reader& in) {
  std::size_t at = in.at();
  bool compressed = false;
  if (!in.skip_name(compressed) || compressed || !in.skip(4)) return {};
  ldns_rr* question = nullptr;
  const ldns_status status = ldns_wire2rr(&question, in.data(), in.size(), &at, LDNS_SECTION_QUESTION);
  return status == LDNS_STATUS_OK && at == in.at() ? rr_ptr{question} : rr_ptr{};
}

bool read_options(packet_reader& in, std::size_t end) noexcept {
  while (in.at() < end) {
    std::uint16_t code = 0;
    std::uint16_t size = 0;
    if (end - in.at() < 4 || !in.read16(code) || !in.read16(size) || size > end - in.at() || !in.skip(size))
      return false;
  }
  return true;
}

/// A record of the additional section; only OPT is looked at.
bool read_additional(packet_reader& in, std::optional<dns_edns>& edns) noexcept {
  const std::size_t start = in.at();
  bool compressed = false;
  std::uint16_t type = 0;
  std::uint16_t cls = 0;
  std::uint16_t ttl_high = 0;
  std::uint16_t ttl_low = 0;
  std::uint16_t size = 0;
  if (!in.skip_name(compressed)) return false;
  const bool root = in.at() == start + 1;
  if (!in.read16(type) || !in.read16(cls) || !in.read16(ttl_high) || !in.read16(ttl_low) || !in.read16(size))
    return false;
  if (in.left() < size) return false;
  if (type != LDNS_RR_TYPE_OPT) return in.skip(size);
  if (!root || edns.has_value()) return false;  // RFC 6891, 6.1.1 and 6.1.2
  edns = dns_edns{cls, static_cast<std::uint8_t>(ttl_high), (ttl_low & dnssec_ok_bit) != 0};
  return read_options(in, in.at() + size);
}

}  // namespace

std::optional<dns_query> read_query(std::span<const std::byte> packet) {
  packet_reader in{packet};
  dns_query query;
  std::uint16_t flags = 0;
  std::uint16_t counts[4] = {};
  if (!in.read16(query.id) || !in.read16(flags)) return std::nullopt;
  for (std::uint16_t& count : counts) {
    if (!in.read16(count)) return std::nullopt;
  }
  if ((flags & 0x8000) != 0) return std::nullopt;  // QR
  query.opcode = static_cast<std::uint8_t>((flags >> 11) & 0xF);
  query.recursion_desired = (flags & 0x0100) != 0;

  if (counts[0] != 1) return query;  // RFC 9619
  query.question = read_question(in);
  if (!query.question || counts[1] != 0 || counts[2] != 0) return query;
  for (unsigned i = 0; i < counts[3]; ++i) {
    if (!read_additional(in, query.edns)) return query;
  }
  query.well_formed = true;  // whatever comes after is nobody's concern: BIND and NSD answer, too
  return query;
}

dns_message_writer::dns_message_writer(const dns_query& query) : query_{query}, limit_{plain_limit} {
  if (query.edns) limit_ = std::clamp<std::size_t>(query.edns->udp_size, plain_limit, edns_limit) - opt_size;
  packet_.reserve(limit_ + opt_size);
  names_.reserve(16);
  packet_.resize(header_size);
  if (query.question) {
    put_name(query.name());
    put16(query.type());
    put16(ldns_rr_get_class(query.question.get()));
    counts_[LDNS_SECTION_QUESTION] = 1;
  }
  question_end_ = packet_.size();
}

void dns_message_writer::put16(unsigned value) {
  put8(value >> 8);
  put8(value);
}

void dns_message_writer::put32(std::uint32_t value) {
  put16(value >> 16);
  put16(value & 0xFFFF);
}

void dns_message_writer::put(std::string_view bytes) {
  const auto* const first = reinterpret_cast<const std::byte*>(bytes.data());
  packet_.insert(packet_.end(), first, first + bytes.size());
}

void dns_message_writer::set16(std::size_t offset, unsigned value) noexcept {
  packet_[offset] = static_cast<std::byte>(value >> 8);
  packet_[offset + 1] = static_cast<std::byte>(value);
}

void dns_message_writer::put_name(std::string_view name) {
  while (name.size() > 1) {
    const auto same = [name](const written_name& written) { return same_name(written.name, name); };
    const auto earlier = std::ranges::find_if(names_, same);
    if (earlier != names_.end()) return put16(0xC000U | earlier->offset);
    const std::size_t label = 1 + static_cast<std::size_t>(static_cast<unsigned char>(name.front()));
    names_.push_back({name, static_cast<std::uint16_t>(packet_.size())});  // below 2^14: limit_ is 1232
    put(name.substr(0, label));
    name.remove_prefix(label);
  }
  put8(0);
}

void dns_message_writer::put_record(std::string_view owner, const ldns_rr* record, std::uint32_t ttl) {
  const ldns_rr_type type = ldns_rr_get_type(record);
  // RFC 3597, 4: names in the data of newer types stay whole.
  const bool compress = ldns_rr_descript(static_cast<std::uint16_t>(type))->_compress == LDNS_RR_COMPRESS;
  put_name(owner);
  put16(type);
  put16(ldns_rr_get_class(record));
  put32(ttl);
  const std::size_t size_at = packet_.size();
  put16(0);
  for (std::size_t i = 0; i < ldns_rr_rd_count(record); ++i) {
    const ldns_rdf* const field = ldns_rr_rdf(record, i);
    if (compress && ldns_rdf_get_type(field) == LDNS_RDF_TYPE_DNAME) {
      put_name(wire(field));
    } else {
      put(wire(field));
    }
  }
  set16(size_at, static_cast<unsigned>(packet_.size() - size_at - 2));
}

bool dns_message_writer::add(ldns_pkt_section section, std::string_view owner, const dns_rrset& set,
                             std::uint32_t ttl) {
  const std::size_t old_size = packet_.size();
  const std::size_t old_names = names_.size();
  for (const rr_ptr& record : set.records) {
    put_record(owner, record.get(), ttl);
    if (packet_.size() <= limit_) continue;
    packet_.resize(old_size);
    names_.resize(old_names);
    return false;
  }
  counts_[section] += static_cast<unsigned>(set.records.size());
  return true;
}

void dns_message_writer::truncate() noexcept {
  packet_.resize(question_end_);
  std::fill(counts_ + LDNS_SECTION_ANSWER, std::end(counts_), 0U);
  truncated_ = true;
}

std::vector<std::byte> dns_message_writer::finish(unsigned rcode, bool authoritative) {
  if (query_.edns) {
    put8(0);
    put16(LDNS_RR_TYPE_OPT);
    put16(edns_limit);
    put16((rcode >> 4) << 8);                           // the upper bits of the rcode, then our version, 0
    put16(query_.edns->dnssec_ok ? dnssec_ok_bit : 0);  // RFC 3225, 3: copied
    put16(0);
    ++counts_[LDNS_SECTION_ADDITIONAL];
  }
  set16(0, query_.id);
  set16(2, 0x8000U | static_cast<unsigned>(query_.opcode) << 11 | (authoritative ? 0x0400U : 0U) |
               (truncated_ ? 0x0200U : 0U) | (query_.recursion_desired ? 0x0100U : 0U) | (rcode & 0xFU));
  for (std::size_t i = 0; i < 4; ++i) set16(4 + 2 * i, counts_[i]);
  return std::exchange(packet_, {});
}

#include "dns_answer.hpp"

#include <algorithm>
#include <string_view>

#include "dns_message.hpp"

namespace {

constexpr unsigned badvers = 16;           // RFC 6891, 9
constexpr std::size_t longest_chain = 16;  // of CNAME records

/// The answer's records, before they are written.
struct response {
  struct entry {
    std::string_view owner;
    const dns_rrset* set;
    std::uint32_t ttl;
  };

  unsigned rcode = LDNS_RCODE_NOERROR;
  bool authoritative = true;
  bool referral = false;
  std::vector<entry> answer;
  std::vector<entry> authority;
};

/// RFC 2308, 3.
void say_negative(const dns_zone& zone, unsigned rcode, response& out) {
  out.rcode = rcode;
  out.authority.push_back({zone.apex(), &zone.soa(), zone.negative_ttl()});
}

/// The set that answers `type`; of ANY just one, which spares amplification (RFC 8482, 4.1).
const dns_rrset* choose(const dns_node& node, ldns_rr_type type) noexcept {
  if (type != LDNS_RR_TYPE_ANY) return node.find(type);
  return node.rrsets.empty() ? nullptr : &node.rrsets.front();
}

bool chain_has(const response& out, std::string_view name) noexcept {
  return std::ranges::any_of(out.answer, [name](const auto& link) { return same_name(link.owner, name); });
}

/// RFC 1034, 4.3.2. A chain of CNAMEs is followed as far as the zone goes; the rcode is that of its end (RFC 6604).
void answer_here(const dns_zone& zone, const dns_query& query, response& out) {
  const ldns_rr_type type = query.type();
  std::string_view name = query.name();
  while (out.answer.size() < longest_chain && !chain_has(out, name)) {
    const dns_match match = zone.match(name, type);
    switch (match.what) {
      case dns_match::kind::outside:
        if (out.answer.empty()) {
          out.rcode = LDNS_RCODE_REFUSED;
          out.authoritative = false;
        }
        return;
      case dns_match::kind::missing:
        return say_negative(zone, LDNS_RCODE_NXDOMAIN, out);
      case dns_match::kind::delegated: {
        const dns_rrset& servers = *match.node->find(LDNS_RR_TYPE_NS);
        out.referral = true;
        out.authoritative = !out.answer.empty();
        out.authority.push_back({servers.owner(), &servers, servers.ttl()});
        return;
      }
      case dns_match::kind::found:
        break;
    }
    if (const dns_rrset* const set = choose(*match.node, type)) {
      out.answer.push_back({name, set, set->ttl()});
      return;
    }
    const dns_rrset* const alias = match.node->find(LDNS_RR_TYPE_CNAME);
    if (alias == nullptr) return say_negative(zone, LDNS_RCODE_NOERROR, out);
    out.answer.push_back({name, alias, alias->ttl()});
    name = wire(ldns_rr_rdf(alias->records.front().get(), 0));
  }
}

/// The host that a record names, whose addresses the asker will want next; null for other types.
const ldns_rdf* host_of(const ldns_rr* record) noexcept {
  switch (ldns_rr_get_type(record)) {
    case LDNS_RR_TYPE_NS:
      return ldns_rr_rdf(record, 0);
    case LDNS_RR_TYPE_MX:
      return ldns_rr_rdf(record, 1);
    case LDNS_RR_TYPE_SRV:
      return ldns_rr_rdf(record, 3);
    default:
      return nullptr;
  }
}

/// Adds the addresses of the hosts that `sets` name. An optional one that does not fit is left out; but a referral is
/// no use without its glue, so there false is returned (RFC 9471).
bool add_addresses(const dns_zone& zone, const response& said, const std::vector<response::entry>& sets,
                   dns_message_writer& out) {
  std::vector<const dns_rrset*> added;
  for (const auto& [owner, set, ttl] : sets) {
    for (const rr_ptr& record : set->records) {
      const ldns_rdf* const host = host_of(record.get());
      if (host == nullptr) break;
      const dns_node* const node = zone.find(wire(host));
      if (node == nullptr) continue;
      for (const ldns_rr_type type : {LDNS_RR_TYPE_A, LDNS_RR_TYPE_AAAA}) {
        const dns_rrset* const addresses = node->find(type);
        if (addresses == nullptr || std::ranges::find(added, addresses) != added.end()) continue;
        added.push_back(addresses);
        if (!out.add(LDNS_SECTION_ADDITIONAL, addresses->owner(), *addresses, addresses->ttl()) && said.referral) {
          return false;
        }
      }
    }
  }
  return true;
}

bool write_records(const dns_zone& zone, const response& said, dns_message_writer& out) {
  for (const auto& [owner, set, ttl] : said.answer) {
    if (!out.add(LDNS_SECTION_ANSWER, owner, *set, ttl)) return false;
  }
  for (const auto& [owner, set, ttl] : said.authority) {
    if (!out.add(LDNS_SECTION_AUTHORITY, owner, *set, ttl)) return false;
  }
  return add_addresses(zone, said, said.answer, out) && add_addresses(zone, said, said.authority, out);
}

/// What the packet deserves before any name is looked up: NOERROR, or an error.
unsigned judge(const dns_query& query) noexcept {
  if (query.opcode != LDNS_PACKET_QUERY) return LDNS_RCODE_NOTIMPL;
  if (!query.well_formed) return LDNS_RCODE_FORMERR;
  if (query.edns && query.edns->version > 0) return badvers;
  // RFC 6895, 3.1: 128 to 254 are kinds of questions (AXFR, IXFR...), not of records; OPT and TSIG are not stored.
  const unsigned type = query.type();
  if (type == LDNS_RR_TYPE_OPT || (type >= 128 && type != LDNS_RR_TYPE_ANY && type < 256)) return LDNS_RCODE_NOTIMPL;
  if (ldns_rr_get_class(query.question.get()) != LDNS_RR_CLASS_IN) return LDNS_RCODE_REFUSED;
  return LDNS_RCODE_NOERROR;
}

}  // namespace

std::optional<std::vector<std::byte>> dns_answer(const dns_zone& zone, std::span<const std::byte> packet) {
  const std::optional<dns_query> query = read_query(packet);
  if (!query) return std::nullopt;
  dns_message_writer out{*query};
  response said;
  said.rcode = judge(*query);
  if (said.rcode != LDNS_RCODE_NOERROR) return out.finish(said.rcode, false);
  answer_here(zone, *query, said);
  if (!write_records(zone, said, out)) out.truncate();
  return out.finish(said.rcode, said.authoritative);
}

#pragma once

#include <stdbool.h>  // first: without it, ldns turns bool, true and false into macros

#include <ldns/ldns.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

// A DNS zone in memory, as the example server answers from it. Names are in wire form throughout: a length byte before
// each label, a zero byte at the end. No length byte exceeds 63, so lower-casing a whole name leaves them alone ('A' is
// 65), and every ancestor of a name is a suffix of it.

struct ldns_deleter {
  void operator()(ldns_rr* record) const noexcept { ldns_rr_free(record); }
  void operator()(ldns_rdf* field) const noexcept { ldns_rdf_deep_free(field); }
};
using rr_ptr = std::unique_ptr<ldns_rr, ldns_deleter>;
using rdf_ptr = std::unique_ptr<ldns_rdf, ldns_deleter>;

/// The bytes of a field, in wire form; valid as long as the field.
inline std::string_view wire(const ldns_rdf* field) noexcept {
  return {reinterpret_cast<const char*>(ldns_rdf_data(field)), ldns_rdf_size(field)};
}

/// The same name, whatever the case of its ASCII letters (RFC 4343).
bool same_name(std::string_view a, std::string_view b) noexcept;

/// The records of one name and type; never empty.
struct dns_rrset {
  ldns_rr_type type;
  std::vector<rr_ptr> records;

  std::string_view owner() const noexcept { return wire(ldns_rr_owner(records.front().get())); }
  std::uint32_t ttl() const noexcept { return ldns_rr_ttl(records.front().get()); }
};

/// What is at one name. No rrsets: the name exists only because others lie beneath it (RFC 4592, 2.2.2).
struct dns_node {
  std::vector<dns_rrset> rrsets;

  /// Null if there is none of this type.
  const dns_rrset* find(ldns_rr_type type) const noexcept;
};

/// Where a name leads to (RFC 1034, 4.3.2).
struct dns_match {
  enum class kind {
    /// The name is not in this zone.
    outside,
    /// It is at or beneath a delegation; `node` is that of the delegation.
    delegated,
    /// It exists, or a wildcard stands in for it; `node` is its own or the wildcard's.
    found,
    /// It does not exist.
    missing,
  };
  kind what;
  const dns_node* node = nullptr;
};

/// Reads a zone file once, then answers from any thread or process without changing. Not signed: DNSSEC records are
/// served like any other.
class dns_zone {
 public:
  /// Throws std::runtime_error with one line that names the file, the line in it, cause and cure.
  static dns_zone load(const std::string& path);
  /// The same from an open file, which stays open; `name` is for messages.
  static dns_zone read(std::FILE* file, const std::string& name);

  /// The zone's own name.
  std::string_view apex() const noexcept { return soa_->owner(); }
  const dns_rrset& soa() const noexcept { return *soa_; }
  /// How long a resolver may remember that something is not there, in seconds (RFC 2308, 5).
  std::uint32_t negative_ttl() const noexcept;
  std::size_t record_count() const noexcept { return record_count_; }

  /// `type` matters at a delegation only, whose DS records are this side's (RFC 4035, 3.1.4.1).
  dns_match match(std::string_view name, ldns_rr_type type) const;
  /// What is at exactly this name, glue beneath delegations included; null if there is nothing.
  const dns_node* find(std::string_view name) const;

 private:
  struct hash : std::hash<std::string_view> {
    using is_transparent = void;
  };

  void add(rr_ptr record);
  void check_complete(const std::string& name);

  std::unordered_map<std::string, dns_node, hash, std::equal_to<>> nodes_;
  std::string lower_apex_;
  const dns_rrset* soa_ = nullptr;
  std::size_t record_count_ = 0;
};

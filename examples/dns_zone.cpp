#include "dns_zone.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace {

constexpr std::size_t longest_name = 255;  // bytes; RFC 1035, 2.3.4

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

/// A name in lower case, without an allocation.
class folded_name {
 public:
  explicit folded_name(std::string_view name) noexcept : size_{std::min(name.size(), longest_name)} {
    std::transform(name.begin(), name.begin() + static_cast<std::ptrdiff_t>(size_), bytes_.begin(), lower);
  }
  std::string_view view() const noexcept { return {bytes_.data(), size_}; }

 private:
  std::array<char, longest_name> bytes_;
  std::size_t size_;
};

std::string_view parent(std::string_view name) noexcept {
  return name.substr(1 + static_cast<unsigned char>(name.front()));
}

bool is_wildcard(std::string_view name) noexcept { return name.starts_with("\1*"); }

bool is_at_or_beneath(std::string_view name, std::string_view ancestor) noexcept {
  while (name.size() > ancestor.size()) name = parent(name);
  return name == ancestor;
}

std::string take(char* text) {  // ldns allocates its texts with malloc
  const std::unique_ptr<char, decltype(&std::free)> owned{text, &std::free};
  return text == nullptr ? std::string{"(out of memory)"} : std::string{text};
}
std::string text(const ldns_rdf* name) { return take(ldns_rdf2str(name)); }
std::string text(ldns_rr_type type) { return take(ldns_rr_type2str(type)); }

/// What ldns carries from one record to the next.
struct reader_state {
  reader_state() = default;
  reader_state(const reader_state&) = delete;
  reader_state& operator=(const reader_state&) = delete;
  ~reader_state() {
    ldns_rdf_deep_free(origin);
    ldns_rdf_deep_free(owner);
  }

  ldns_rdf* origin = nullptr;
  ldns_rdf* owner = nullptr;  // of the record before, for lines that omit it
  std::uint32_t ttl = LDNS_DEFAULT_TTL;
  int line = 0;
};

/// The line of the record just read. ldns counts blank lines after a record as its own, and does not count a last line
/// without an end.
int line_of_record(std::FILE* file, int counted) {
  const bool all_read = std::feof(file) != 0;
  int line = 1;
  int last = 0;  // with anything on it
  std::rewind(file);
  for (int c = std::getc(file); c != EOF && (all_read || line <= counted); c = std::getc(file)) {
    if (c == '\n') {
      ++line;
    } else if (std::isspace(c) == 0) {
      last = line;
    }
  }
  return last == 0 ? counted : last;
}

/// What is wrong with one record; the reader adds file and line.
[[noreturn]] void refuse(const std::string& why) { throw std::runtime_error{why}; }

}  // namespace

bool same_name(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

const dns_rrset* dns_node::find(ldns_rr_type type) const noexcept {
  const auto found = std::ranges::find(rrsets, type, &dns_rrset::type);
  return found == rrsets.end() ? nullptr : &*found;
}

dns_zone dns_zone::load(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::fopen(path.c_str(), "re"), &std::fclose};
  if (!file) throw std::runtime_error{path + ": " + std::generic_category().message(errno)};
  return read(file.get(), path);
}

dns_zone dns_zone::read(std::FILE* file, const std::string& name) {
  reader_state state;
  dns_zone zone;
  try {
    while (std::feof(file) == 0) {
      ldns_rr* record = nullptr;
      const ldns_status status =
          ldns_rr_new_frm_fp_l(&record, file, &state.ttl, &state.origin, &state.owner, &state.line);
      rr_ptr owned{record};
      if (std::ferror(file) != 0) refuse(std::generic_category().message(errno));
      if (status == LDNS_STATUS_OK) {
        zone.add(std::move(owned));
      } else if (status != LDNS_STATUS_SYNTAX_EMPTY && status != LDNS_STATUS_SYNTAX_TTL &&
                 status != LDNS_STATUS_SYNTAX_ORIGIN) {
        refuse(ldns_get_errorstr_by_id(status));
      }
    }
  } catch (const std::runtime_error& error) {
    if (std::ferror(file) != 0) throw std::runtime_error{name + ": " + error.what()};
    throw std::runtime_error{name + ":" + std::to_string(line_of_record(file, state.line)) + ": " + error.what()};
  }
  zone.check_complete(name);
  return zone;
}

void dns_zone::add(rr_ptr record) {
  const ldns_rdf* const owner = ldns_rr_owner(record.get());
  const ldns_rr_type type = ldns_rr_get_type(record.get());
  const std::string key{folded_name{wire(owner)}.view()};

  if (ldns_rr_get_class(record.get()) != LDNS_RR_CLASS_IN) refuse("only class IN is served");
  // ldns takes any length of data in the general form of RFC 3597 ("\\# 0").
  const ldns_rr_descriptor* const shape = ldns_rr_descript(static_cast<std::uint16_t>(type));
  if (ldns_rr_rd_count(record.get()) < ldns_rr_descriptor_minimum(shape))
    refuse("too little data for type " + text(type));
  if (lower_apex_.empty()) {
    if (type != LDNS_RR_TYPE_SOA) refuse("the first record must be the zone's SOA");
    lower_apex_ = key;
  } else if (type == LDNS_RR_TYPE_SOA) {
    refuse("a second SOA record; a file holds one zone");
  }
  if (!is_at_or_beneath(key, lower_apex_))
    refuse(text(owner) + " is outside the zone; is $ORIGIN or a final dot missing?");
  if (type == LDNS_RR_TYPE_DNAME) refuse("DNAME records are not supported");
  if (type == LDNS_RR_TYPE_NS && is_wildcard(key)) refuse("a wildcard cannot be delegated (RFC 4592, 4.2)");

  dns_node& node = nodes_[key];
  for (std::string_view name = key; name != lower_apex_; name = parent(name))
    nodes_.try_emplace(std::string{parent(name)});

  if ((type == LDNS_RR_TYPE_CNAME && !node.rrsets.empty()) || node.find(LDNS_RR_TYPE_CNAME) != nullptr) {
    refuse(text(owner) + " has a CNAME, so there can be no other record (RFC 1034, 3.6.2)");
  }
  auto set = std::ranges::find(node.rrsets, type, &dns_rrset::type);
  if (set == node.rrsets.end()) {
    set = node.rrsets.insert(set, dns_rrset{type, {}});
  } else if (set->ttl() != ldns_rr_ttl(record.get())) {
    refuse("TTL differs from that of the other " + text(type) + " records of " + text(owner) + " (RFC 2181, 5.2)");
  }
  const auto same = [&](const rr_ptr& other) { return ldns_rr_compare(other.get(), record.get()) == 0; };
  if (std::ranges::any_of(set->records, same)) return;
  set->records.push_back(std::move(record));
  ++record_count_;
}

void dns_zone::check_complete(const std::string& name) {
  if (lower_apex_.empty()) refuse(name + ": no SOA record; is this a zone file?");
  const dns_node& apex = nodes_.find(lower_apex_)->second;
  soa_ = apex.find(LDNS_RR_TYPE_SOA);
  if (apex.find(LDNS_RR_TYPE_NS) == nullptr) {
    refuse(name + ": no NS record for " + text(ldns_rr_owner(soa_->records.front().get())) + ", the zone itself");
  }
}

std::uint32_t dns_zone::negative_ttl() const noexcept {
  const ldns_rr* const soa = soa_->records.front().get();
  return std::min(ldns_rr_ttl(soa), ldns_rdf2native_int32(ldns_rr_rdf(soa, 6)));  // 6: MINIMUM
}

const dns_node* dns_zone::find(std::string_view name) const {
  const auto found = nodes_.find(folded_name{name}.view());
  return found == nodes_.end() ? nullptr : &found->second;
}

dns_match dns_zone::match(std::string_view name, ldns_rr_type type) const {
  const folded_name folded{name};
  std::array<std::uint8_t, longest_name / 2 + 1> starts;  // of the name's labels above the apex, the name's own first
  std::size_t depth = 0;
  std::string_view rest = folded.view();
  for (; rest.size() > lower_apex_.size(); rest = parent(rest)) {
    starts[depth++] = static_cast<std::uint8_t>(folded.view().size() - rest.size());
  }
  if (rest != lower_apex_) return {dns_match::kind::outside};

  auto at = nodes_.find(lower_apex_);
  std::string_view encloser = lower_apex_;
  while (depth > 0) {
    const std::string_view next = folded.view().substr(starts[--depth]);
    const auto found = nodes_.find(next);
    if (found == nodes_.end()) {
      std::array<char, longest_name + 2> wildcard{'\1', '*'};  // RFC 4592, 3.3.1: right beneath the closest encloser
      std::ranges::copy(encloser, wildcard.begin() + 2);
      const auto source = nodes_.find(std::string_view{wildcard.data(), encloser.size() + 2});
      if (source == nodes_.end()) return {dns_match::kind::missing};
      return {dns_match::kind::found, &source->second};
    }
    at = found;
    encloser = next;
    const bool parents_side = depth == 0 && type == LDNS_RR_TYPE_DS;
    if (!parents_side && at->second.find(LDNS_RR_TYPE_NS) != nullptr) {
      return {dns_match::kind::delegated, &at->second};
    }
  }
  return {dns_match::kind::found, &at->second};
}

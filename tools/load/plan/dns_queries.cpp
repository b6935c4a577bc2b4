#include "load/plan/dns_queries.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <stdexcept>
#include <string>

#include "load/plan/input_file.hpp"
#include "load/plan/quantity.hpp"

namespace udppump::load {
namespace {

using bytes = std::vector<std::byte>;

void put16(bytes& to, unsigned value) {
  to.push_back(static_cast<std::byte>(value >> 8));
  to.push_back(static_cast<std::byte>(value));
}

/// From IANA's registry; any other is written TYPEn (RFC 3597).
unsigned type_number(std::string text) {
  static constexpr std::pair<std::string_view, unsigned> known[] = {
      {"A", 1},      {"NS", 2},          {"CNAME", 5},  {"SOA", 6},    {"PTR", 12},     {"HINFO", 13}, {"MX", 15},
      {"TXT", 16},   {"RP", 17},         {"AFSDB", 18}, {"AAAA", 28},  {"LOC", 29},     {"SRV", 33},   {"NAPTR", 35},
      {"CERT", 37},  {"DNAME", 39},      {"DS", 43},    {"SSHFP", 44}, {"RRSIG", 46},   {"NSEC", 47},  {"DNSKEY", 48},
      {"NSEC3", 50}, {"NSEC3PARAM", 51}, {"TLSA", 52},  {"CDS", 59},   {"CDNSKEY", 60}, {"SVCB", 64},  {"HTTPS", 65},
      {"SPF", 99},   {"ANY", 255},       {"CAA", 257}};
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  const auto* const found = std::ranges::find(known, text, &std::pair<std::string_view, unsigned>::first);
  if (found != std::end(known)) return found->second;
  std::uint16_t number = 0;
  const char* const last = text.data() + text.size();
  if (text.starts_with("TYPE")) {
    const auto [end, error] = std::from_chars(text.data() + 4, last, number);
    if (error == std::errc{} && end == last) return number;
  }
  throw std::invalid_argument{
      fmt::format("{} is no type; write a name like AAAA, or a number like TYPE65", quoted(text))};
}

/// RFC 1035: labels of 1 to 63 bytes, 255 in all; \DDD and \X as in its section 5.1.
bytes wire_name(std::string_view text) {
  bytes name;
  if (text == ".") text = "";
  while (!text.empty()) {
    const std::size_t length_at = name.size();
    name.push_back({});
    while (!text.empty() && text.front() != '.') {
      unsigned value = static_cast<unsigned char>(text.front());
      if (value > 0x7e) {
        throw std::invalid_argument{
            "a byte of the name is not ASCII; write \\DDD, or an international name in Punycode"};
      }
      std::size_t used = 1;
      if (text.front() == '\\') {
        const std::string_view rest = text.substr(1);
        const auto [end, error] =
            std::from_chars(rest.data(), rest.data() + std::min<std::size_t>(3, rest.size()), value);
        const bool number = error == std::errc{} && end == rest.data() + 3;
        if (rest.empty()) throw std::invalid_argument{"a backslash with nothing to escape; double it, or remove it"};
        if (number && value > 255) throw std::invalid_argument{"\\DDD is no byte; write 000 to 255"};
        if (!number) value = static_cast<unsigned char>(rest.front());
        used = number ? 4 : 2;
      }
      name.push_back(static_cast<std::byte>(value));
      text.remove_prefix(used);
    }
    const std::size_t length = name.size() - length_at - 1;
    if (length == 0 || length > 63)
      throw std::invalid_argument{"a label has 1 to 63 bytes; shorten it, or remove a dot"};
    name[length_at] = static_cast<std::byte>(length);
    if (!text.empty()) text.remove_prefix(1);
  }
  name.push_back({});
  if (name.size() > 255) throw std::invalid_argument{"a name has at most 255 bytes; shorten it"};
  return name;
}

bytes query(std::string_view name, const std::string& type) {
  bytes message;
  for (const unsigned word : {0x0000u, 0x0100u, 1u, 0u, 0u, 0u}) put16(message, word);  // id, RD, one question
  std::ranges::copy(wire_name(name), std::back_inserter(message));
  put16(message, type_number(type));
  put16(message, 1);
  return message;
}

}  // namespace

dns_queries::dns_queries(std::istream& from, std::string_view name, std::uint32_t tag)
    : first_id_{static_cast<std::uint16_t>(tag)} {
  input_lines lines{from, name};
  while (const auto line = lines.next()) {
    std::istringstream words{std::string{*line}};
    std::string owner;
    std::string type;
    std::string rest;
    if (!(words >> owner) || owner.front() == ';' || owner.front() == '#') continue;
    try {
      if (!(words >> type)) throw std::invalid_argument{"there is no type behind the name"};
      if (words >> rest && rest.front() != ';' && rest.front() != '#')
        throw std::invalid_argument{"more than a name and a type"};
      queries_.push_back(query(owner, type));
    } catch (const std::invalid_argument& why) {
      lines.refuse(fmt::format("{}; expected a line like \"example.com AAAA\"", why.what()));
    }
  }
  if (queries_.empty())
    throw std::invalid_argument{
        fmt::format("{}: there is no query in it; write lines like \"example.com AAAA\"", name)};
}

bytes_view dns_queries::make(const planned_request& request, std::uint64_t sequence, std::span<std::byte> space) const {
  const bytes& from = queries_[request.index % queries_.size()];
  std::ranges::copy(from, space.begin());
  const auto id = static_cast<std::uint16_t>(first_id_ + sequence);
  space[0] = static_cast<std::byte>(id >> 8);
  space[1] = static_cast<std::byte>(id);
  return space.first(from.size());
}

std::optional<request_template::answer> dns_queries::read(bytes_view head) const noexcept {
  constexpr std::size_t header_size = 12;
  constexpr std::byte is_response{0x80};
  if (head.size() < header_size || (head[2] & is_response) == std::byte{0}) return {};
  const auto id =
      static_cast<std::uint16_t>(std::to_integer<unsigned>(head[0]) << 8 | std::to_integer<unsigned>(head[1]));
  const dns_verdict verdict{.code = std::to_integer<std::uint8_t>(head[3] & std::byte{0x0f}),
                            .truncated = (head[2] & std::byte{0x02}) != std::byte{0}};
  return answer{.sequence = static_cast<std::uint16_t>(id - first_id_), .dns = verdict};
}

}  // namespace udppump::load

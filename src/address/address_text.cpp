#include <arpa/inet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netdb.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <memory>
#include <ostream>
#include <system_error>
#include <variant>

#include "address/raw_address.hpp"
#include "address/unix_name.hpp"
#include "sys/failure.hpp"
#include "sys/sys.hpp"
#include "udppump/address.hpp"

namespace udppump {

using detail::address_of;
using detail::has_scope;
using detail::raw_of;
using detail::unix_kind;
using detail::unix_name;
using detail::unix_name_of;

namespace {

static_assert(detail::unix_limit == 107, "a message below says 107");

// --- reading ---------------------------------------------------------------------------------------------------------

/// A name for the resolver.
struct named_host {
  std::string_view host;
  std::uint16_t port;
};

struct mistake {
  const char* cause;
  const char* cure;
  int code = EINVAL;
};

using reading = std::variant<address, named_host, mistake>;

bool all_digits(std::string_view text) noexcept { return text.find_first_not_of("0123456789") == text.npos; }

/// Plain decimal: no sign, no space, no leading zero.
template <typename Number>
std::optional<Number> read_decimal(std::string_view text) noexcept {
  if (text.empty() || !all_digits(text) || (text.size() > 1 && text.front() == '0')) return {};
  Number number{};
  const auto end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end) return {};
  return number;
}

/// inet_pton for a text that no zero ends.
template <typename Ip>
bool read_ip(int family, std::string_view text, Ip* ip) noexcept {
  std::array<char, INET6_ADDRSTRLEN> copy{};
  if (text.size() >= copy.size()) return false;
  text.copy(copy.data(), text.size());
  return inet_pton(family, copy.data(), ip) == 1;
}

/// Whether inet_aton, and so the resolver, would take it as IPv4: "10.1" as 10.0.0.1, "010.0.0.1" as 8.0.0.1.
bool looks_like_ipv4(std::string_view host) noexcept {
  auto last = host.substr(host.rfind('.') + 1);  // npos + 1 is 0: all of it
  const bool hex = last.starts_with("0x") || last.starts_with("0X");
  if (hex) last.remove_prefix(2);
  return !last.empty() && last.find_first_not_of(hex ? "0123456789abcdefABCDEF" : "0123456789") == last.npos;
}

/// A number is always taken as an index, though an interface may have a number for a name.
std::variant<std::uint32_t, mistake> read_scope(std::string_view text) noexcept {
  constexpr mistake unknown{"no such interface after '%'", "write a name that \"ip link\" shows, or its number"};
  if (text.empty()) return unknown;
  if (all_digits(text)) {
    if (const auto index = read_decimal<std::uint32_t>(text)) return *index;
    return unknown;
  }
  std::array<char, IF_NAMESIZE> name{};
  if (text.size() >= name.size()) return unknown;
  text.copy(name.data(), text.size());
  if (const unsigned index = sys::interface_index(name.data())) return index;
  if (errno == ENODEV) return unknown;
  // errno does not tell: if no descriptor is free, glibc leaves ENOENT (sysdeps/unix/sysv/linux/opensock.c).
  return mistake{"the interface after '%' could not be looked up", "write its number instead", EAGAIN};
}

reading read_ipv6(std::string_view host, std::uint16_t port) noexcept {
  const auto percent = host.find('%');
  sockaddr_in6 raw{};
  raw.sin6_family = AF_INET6;
  raw.sin6_port = htons(port);
  if (!read_ip(AF_INET6, host.substr(0, percent), &raw.sin6_addr)) {
    return mistake{"no IPv6 address in the brackets",
                   "write one as in [2001:db8::1]:53, and a name or IPv4 without brackets"};
  }
  if (percent != host.npos) {
    if (!has_scope(raw.sin6_addr))
      return mistake{"only a link-local address has a scope", "leave out '%' and what follows it"};
    const auto scope = read_scope(host.substr(percent + 1));
    if (const auto* wrong = std::get_if<mistake>(&scope)) return *wrong;
    raw.sin6_scope_id = *std::get_if<std::uint32_t>(&scope);
  }
  return address_of(raw);
}

/// The byte that "\xNN" at the beginning of the text stands for.
std::optional<char> read_escape(std::string_view text) noexcept {
  if (text.size() < 4 || text[1] != 'x') return {};
  unsigned byte = 0;
  const auto [stop, error] = std::from_chars(text.data() + 2, text.data() + 4, byte, 16);
  if (error != std::errc{} || stop != text.data() + 4) return {};
  return static_cast<char>(byte);
}

reading read_unix(std::string_view written) noexcept {
  if (written.empty()) return mistake{"no path or name", "write unix:PATH or unix:@NAME"};
  const bool abstract = written.front() == '@';
  if (abstract) written.remove_prefix(1);

  sockaddr_un raw{};
  raw.sun_family = AF_UNIX;
  char* const name = raw.sun_path + (abstract ? 1 : 0);
  std::size_t size = 0;
  while (!written.empty()) {
    const bool escape = written.front() == '\\';
    const auto byte = escape ? read_escape(written) : written.front();
    if (!byte)
      return mistake{"a backslash without two hexadecimal digits as in \\x0a", "write \\x5c for the backslash itself"};
    if (*byte == '\0' && !abstract)
      return mistake{"a path holds no zero byte", "write unix:@NAME for an abstract name"};
    if (size == detail::unix_limit) return mistake{"longer than 107 bytes (unix(7))", "choose a shorter one"};
    name[size++] = *byte;
    written.remove_prefix(escape ? 4 : 1);
  }
  // With the zero that ends a path or begins an abstract name.
  return detail::address_of(raw, detail::unix_path_offset + size + 1);
}

constexpr const char* any_form = "write HOST:PORT, [IPV6]:PORT, :PORT, unix:PATH or unix:@NAME";

reading read_text(std::string_view text) noexcept {
  if (text.empty()) return mistake{"empty", any_form};
  if (text.find('\0') != text.npos) return mistake{"holds a zero byte", "omit it, or write \\x00 in unix:@NAME"};
  if (text.starts_with("unix:")) return read_unix(text.substr(5));

  const bool bracketed = text.front() == '[';
  const auto end = bracketed ? text.rfind(']') : text.rfind(':');
  if (end == text.npos) {
    return bracketed ? mistake{"no ']'", "write [IPV6]:PORT"} : mistake{"no port", any_form};
  }
  const auto host = bracketed ? text.substr(1, end - 1) : text.substr(0, end);
  auto rest = text.substr(bracketed ? end + 1 : end);
  if (!bracketed && host.find(':') != host.npos) {
    in6_addr ip;
    const bool ipv6 = read_ip(AF_INET6, host.substr(0, host.find('%')), &ip) ||
                      read_ip(AF_INET6, text.substr(0, text.find('%')), &ip);
    return ipv6 ? mistake{"IPv6 without brackets", "write [IPV6]:PORT"} : mistake{"more than one ':'", any_form};
  }
  if (!rest.starts_with(':')) return mistake{"no port after ']'", "write [IPV6]:PORT"};
  rest.remove_prefix(1);
  const auto port = read_decimal<std::uint16_t>(rest);
  if (!port) {
    return mistake{"wrong port after the last ':'",
                   "write a number from 0 to 65535, without sign, space or leading zero"};
  }

  if (bracketed) return read_ipv6(host, *port);
  if (host.empty()) return read_ipv6("::", *port);
  sockaddr_in raw{};
  raw.sin_family = AF_INET;
  raw.sin_port = htons(*port);
  if (read_ip(AF_INET, host, &raw.sin_addr)) return address_of(raw);
  if (looks_like_ipv4(host)) {
    return mistake{"wrong IPv4 address", "write four numbers from 0 to 255, without leading zeros, as in 192.0.2.1:53"};
  }
  return named_host{host, *port};
}

// --- writing ---------------------------------------------------------------------------------------------------------

/// All but printable ASCII and `reserved` as \xNN: a name that another process chose does not break up a log.
std::string escaped(std::string_view bytes, std::string_view reserved = {}) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (const char byte : bytes) {
    if (byte >= ' ' && byte <= '~' && reserved.find(byte) == reserved.npos) {
      out += byte;
    } else {
      const auto value = static_cast<unsigned char>(byte);
      out.append({'\\', 'x', digits[value >> 4], digits[value & 15]});
    }
  }
  return out;
}

std::string written_unix(const unix_name& name) {
  switch (name.kind) {
    case unix_kind::unnamed:
      return "unix:";
    case unix_kind::abstract:
      return "unix:@" + escaped(name.bytes, "\\");
    case unix_kind::path:
      break;
  }
  // A path that begins with '@' would read as an abstract name.
  if (name.bytes.starts_with('@')) return "unix:\\x40" + escaped(name.bytes.substr(1), "\\");
  return "unix:" + escaped(name.bytes, "\\");
}

std::string written_scope(std::uint32_t index) {
  if (index == 0) return {};
  std::array<char, IF_NAMESIZE> name{};
  const bool known = sys::interface_name(index, name.data());
  // Not a name that would read as a number, or break up a log.
  if (known && !all_digits(name.data()) && escaped(name.data()) == name.data()) return std::string{"%"} + name.data();
  return std::string{"%"} + std::to_string(index);
}

[[noreturn]] void fail(std::string_view text, const std::string& cause, const char* cure, int code) {
  const std::string message = "address \"" + escaped(text) + "\": " + cause + "; " + cure;
  detail::fail(code, message);
}

std::vector<address> look_up(std::string_view text, const named_host& name) {
  struct free_list {
    void operator()(addrinfo* list) const noexcept { freeaddrinfo(list); }
  };
  const std::string host{name.host};
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* first = nullptr;
  if (const int error = getaddrinfo(host.c_str(), nullptr, &hints, &first); error != 0) {
    const int code = error == EAI_SYSTEM ? errno : error == EAI_AGAIN ? EAGAIN : error == EAI_MEMORY ? ENOMEM : EINVAL;
    const std::string why = error == EAI_SYSTEM ? detail::code_of(code).message() : gai_strerror(error);
    fail(text, "cannot resolve \"" + escaped(host) + "\": " + why,
         "check the name and the resolver, or write a numeric address", code);
  }
  const std::unique_ptr<addrinfo, free_list> list{first};
  std::vector<address> found;
  for (const addrinfo* entry = list.get(); entry != nullptr; entry = entry->ai_next) {
    const auto one = address::from_sockaddr(entry->ai_addr, entry->ai_addrlen).with_port(name.port);
    if (std::find(found.begin(), found.end(), one) == found.end()) found.push_back(one);
  }
  return found;
}

}  // namespace

address address::parse(std::string_view text) { return resolve(text).front(); }

std::vector<address> address::resolve(std::string_view text) {
  const auto got = read_text(text);
  if (const auto* wrong = std::get_if<mistake>(&got)) fail(text, wrong->cause, wrong->cure, wrong->code);
  if (const auto* name = std::get_if<named_host>(&got)) return look_up(text, *name);
  return {std::get<address>(got)};
}

std::optional<address> address::parse_numeric(std::string_view text) noexcept {
  const auto got = read_text(text);
  if (const auto* a = std::get_if<address>(&got)) return *a;
  return {};
}

std::string address::to_string() const {
  if (is_none()) return "none";
  std::array<char, INET6_ADDRSTRLEN> ip{};
  switch (family()) {
    case AF_INET: {
      const auto raw = raw_of<sockaddr_in>(*this);
      inet_ntop(AF_INET, &raw.sin_addr, ip.data(), ip.size());
      return std::string{ip.data()} + ":" + std::to_string(port());
    }
    case AF_INET6: {
      const auto raw = raw_of<sockaddr_in6>(*this);
      inet_ntop(AF_INET6, &raw.sin6_addr, ip.data(), ip.size());
      return std::string{"["} + ip.data() + written_scope(scope_id()) + "]:" + std::to_string(port());
    }
    case AF_UNIX:
      return written_unix(unix_name_of(*this));
    case AF_NETLINK:
      return "netlink:" + std::to_string(raw_of<sockaddr_nl>(*this).nl_pid);
    default:
      return "family " + std::to_string(family());
  }
}

std::ostream& operator<<(std::ostream& out, const address& a) { return out << a.to_string(); }

}  // namespace udppump

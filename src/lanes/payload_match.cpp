#include "udppump/payload_match.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "lanes/bpf_program.hpp"

namespace udppump {

namespace {

using detail::bpf_program;

/// Of IPv4 (one word) or IPv6 (four), in host order.
struct network {
  std::array<std::uint32_t, 4> words{}, masks{};
  std::size_t size = 0;
};

[[noreturn]] void refuse(std::string_view text, const std::string& why) {
  throw std::invalid_argument{'"' + std::string{text} + "\": " + why};
}

network parse(std::string_view text) {
  constexpr char cure[] = "no network; write one such as 192.0.2.0/24 or 2001:db8::/32";
  const auto slash = text.find('/');
  const std::string where{text.substr(0, slash)};
  network result;
  in6_addr v6{};
  in_addr v4{};
  if (::inet_pton(AF_INET, where.c_str(), &v4) == 1) {
    result.size = 1;
    result.words[0] = ntohl(v4.s_addr);
  } else if (::inet_pton(AF_INET6, where.c_str(), &v6) == 1) {
    if (IN6_IS_ADDR_V4MAPPED(&v6)) refuse(text, "IPv4 comes as IPv4, on a socket of IPv6 as well; write it so");
    result.size = 4;
    for (std::size_t word = 0; word < 4; ++word) result.words[word] = ntohl(v6.s6_addr32[word]);
  } else {
    refuse(text, cure);
  }
  const unsigned most = static_cast<unsigned>(result.size) * 32;
  unsigned length = most;
  if (slash != std::string_view::npos) {
    const auto digits = text.substr(slash + 1);
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (failed != std::errc{} || end != digits.data() + digits.size() || length > most) refuse(text, cure);
  }
  for (unsigned word = 0; word < result.size; ++word) {
    const unsigned bits = std::min(32u, length - std::min(length, 32 * word));
    result.masks[word] = bits == 0 ? 0 : ~std::uint32_t{0} << (32 - bits);
    if ((result.words[word] & ~result.masks[word]) != 0) {
      refuse(text, "the address has bits beyond the prefix; clear them, or write a longer prefix");
    }
  }
  return result;
}

constexpr std::uint32_t in_ip_header(std::uint32_t offset) noexcept {
  return static_cast<std::uint32_t>(SKF_NET_OFF) + offset;
}

void add_test(bpf_program& program, const network& one, bpf_program::label taken) {
  const bool is_ipv4 = one.size == 1;
  const std::uint32_t source = is_ipv4 ? 12 : 8;  // RFC 791, 3.1; RFC 8200, 3
  const auto next = program.new_label(), version_fits = program.new_label();
  program.add(BPF_LD | BPF_B | BPF_ABS, in_ip_header(0));
  program.add(BPF_ALU | BPF_AND | BPF_K, 0xf0);
  program.jump_if(BPF_JEQ | BPF_K, is_ipv4 ? 0x40 : 0x60, version_fits, next);
  program.place(version_fits);
  for (std::uint32_t word = 0; word < one.size && one.masks[word] != 0; ++word) {
    const auto word_fits = program.new_label();
    program.add(BPF_LD | BPF_W | BPF_ABS, in_ip_header(source + 4 * word));
    program.add(BPF_ALU | BPF_AND | BPF_K, one.masks[word]);
    program.jump_if(BPF_JEQ | BPF_K, one.words[word], word_fits, next);
    program.place(word_fits);
  }
  program.jump(taken);
  program.place(next);
}

}  // namespace

payload_match payload_match::bpf(std::vector<sock_filter> program) {
  if (const std::string why = detail::why_not_sound(program); !why.empty()) {
    throw std::invalid_argument{"the program in classic BPF: " + why};
  }
  payload_match result;
  result.programs_.push_back(std::move(program));
  return result;
}

payload_match payload_match::from(std::span<const std::string_view> networks) {
  bpf_program program;
  const auto taken = program.new_label();
  for (const std::string_view text : networks) add_test(program, parse(text), taken);
  program.add(BPF_RET | BPF_K, 0);
  program.place(taken);
  program.add(BPF_RET | BPF_K, 1);
  payload_match result;
  result.programs_.push_back(program.finish());
  return result;
}

payload_match payload_match::and_also(const payload_match& other) const {
  payload_match result = *this;
  result.programs_.insert(result.programs_.end(), other.programs_.begin(), other.programs_.end());
  return result;
}

}  // namespace udppump

#include "load/plan/payload_lines.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "load/plan/input_file.hpp"

namespace udppump::load {
namespace {

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  if (lower >= 'a' && lower <= 'f') return lower - 'a' + 10;
  return {};
}

std::optional<unsigned> base64_digit(char c) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto found = digits.find(c);
  if (found == std::string_view::npos) return {};
  return static_cast<unsigned>(found);
}

std::optional<std::vector<std::byte>> decode_hex(std::string_view text) {
  std::vector<std::byte> bytes;
  std::optional<unsigned> high;
  for (const char c : text) {
    if (c == ' ' || c == '\t') continue;
    const auto digit = hex_digit(c);
    if (!digit) return {};
    if (high) bytes.push_back(static_cast<std::byte>(*high << 4 | *digit));
    high = high ? std::nullopt : digit;
  }
  if (high) return {};
  return bytes;
}

/// RFC 4648, section 4; the padding is required.
std::optional<std::vector<std::byte>> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return {};
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::vector<std::byte> bytes;
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = i < text.size() - padding ? base64_digit(text[i]) : 0;
    if (!digit) return {};
    bits = bits << 6 | *digit;
    if (i % 4 != 3) continue;
    for (const int shift : {16, 8, 0}) bytes.push_back(static_cast<std::byte>(bits >> shift));
    bits = 0;
  }
  for (std::size_t filled = 0; filled < padding; ++filled) {
    if (bytes.back() != std::byte{0}) return {};  // bits that belong to no byte (RFC 4648, section 3.5)
    bytes.pop_back();
  }
  return bytes;
}

}  // namespace

std::optional<std::vector<std::byte>> decode(std::string_view text, payload_encoding encoding) {
  return encoding == payload_encoding::hex ? decode_hex(text) : decode_base64(text);
}

payload_lines::payload_lines(std::istream& from, std::string_view name, payload_encoding encoding) {
  input_lines lines{from, name};
  while (const auto line = lines.next()) {
    if (line->find_first_not_of(" \t") == std::string_view::npos || line->starts_with('#')) continue;
    auto payload = decode(*line, encoding);
    if (!payload) {
      lines.refuse(
          fmt::format("not {}; --encoding says how payloads are written, hex or base64",
                      encoding == payload_encoding::hex ? "hexadecimal digits in pairs" : "base64 with its padding"));
    }
    if (payload->size() > largest_payload) {
      lines.refuse(
          fmt::format("{} bytes, but a datagram has at most {}; shorten it", payload->size(), largest_payload));
    }
    payloads_.push_back(std::move(*payload));
  }
  if (payloads_.empty())
    throw std::invalid_argument{fmt::format("{}: there is no payload in it; write one a line", name)};
}

bytes_view payload_lines::make(const planned_request& request, std::uint64_t, std::span<std::byte>) const {
  return payloads_[request.index % payloads_.size()];
}

}  // namespace udppump::load

#include "sys/printable.hpp"

#include <cstddef>

namespace udppump::detail {

namespace {

unsigned byte_at(std::string_view text, std::size_t at) { return static_cast<unsigned char>(text[at]); }

struct character {
  std::size_t size;  // 0: no UTF-8
  unsigned long code;
};

/// The one that `text`, which is not empty, begins with (RFC 3629: no longer form than needed, no surrogates).
character first_of(std::string_view text) {
  const unsigned first = byte_at(text, 0);
  if (first < 0x80) return {1, first};
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return {0, 0};
  unsigned long code = first & (0x7fu >> size);
  for (std::size_t at = 1; at < size; ++at) {
    if ((byte_at(text, at) & 0xc0) != 0x80) return {0, 0};
    code = code << 6 | (byte_at(text, at) & 0x3f);
  }
  const bool is_overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
  if (is_overlong || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {0, 0};
  return {size, code};
}

bool is_command(unsigned long code) {
  return code < 0x20 || (code >= 0x7f && code <= 0x9f) ||      // C0, DEL, C1
         code == 0x61c || code == 0x200e || code == 0x200f ||  // marks of direction
         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

template <class Predicate>
std::string escaped(std::string_view text, Predicate is_bad) {
  constexpr char digits[] = "0123456789abcdef";
  std::string safe;
  safe.reserve(text.size());
  while (!text.empty()) {
    const auto [size, code] = first_of(text);
    const std::size_t taken = size == 0 ? 1 : size;
    if (size != 0 && !is_bad(code)) {
      safe += text.substr(0, taken);
    } else {
      for (std::size_t at = 0; at < taken; ++at) {
        safe.append("\\x").push_back(digits[byte_at(text, at) >> 4]);
        safe += digits[byte_at(text, at) & 15];
      }
    }
    text.remove_prefix(taken);
  }
  return safe;
}

}  // namespace

std::string printable_word(std::string_view text) {
  return escaped(text, [](unsigned long code) {
    return is_command(code) || code == ' ' || code == '"' || code == '\'' || code == '\\';
  });
}

std::string quoted(std::string_view text) {
  std::string safe = "\"";
  for (const char one : text) {
    if (one == '"' || one == '\\') safe += '\\';
    safe += one;
  }
  return safe += '"';
}

}  // namespace udppump::detail

std::string udppump::printable(std::string_view text) { return detail::escaped(text, detail::is_command); }

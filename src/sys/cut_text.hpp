#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace udppump::detail {

// Texts for people that have no room for all of them. They are cut between characters of UTF-8; what is not UTF-8 is
// cut anywhere.

constexpr bool continues_character(char byte) noexcept { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

/// The size of `text` without a character of which the end is missing there.
constexpr std::size_t whole_size(std::string_view text) noexcept {
  constexpr std::size_t longest = 4;  // RFC 3629
  for (std::size_t back = 1; back <= longest && back <= text.size(); ++back) {
    const auto first = static_cast<unsigned char>(text[text.size() - back]);
    if (continues_character(static_cast<char>(first))) continue;
    const std::size_t size = first < 0xc2 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 1;
    return size > back ? text.size() - back : text.size();
  }
  return text.size();
}

/// So many bytes at most.
constexpr std::string_view cut(std::string_view text, std::size_t most) noexcept {
  return text.size() <= most ? text : text.substr(0, whole_size(text.substr(0, most)));
}

/// The same, with "..." in place of what is missing.
inline std::string shortened(std::string_view text, std::size_t most) {
  constexpr std::string_view dots = "...";
  if (text.size() <= most) return std::string{text};
  return std::string{cut(text, most - dots.size())}.append(dots);
}

/// So many characters at most.
constexpr std::string_view first_characters(std::string_view text, std::size_t most) noexcept {
  std::size_t seen = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!continues_character(text[at]) && seen++ == most) return text.substr(0, at);
  }
  return text;
}

constexpr std::size_t characters_in(std::string_view text) noexcept {
  std::size_t count = 0;
  for (const char byte : text) count += continues_character(byte) ? 0 : 1;
  return count;
}

}  // namespace udppump::detail

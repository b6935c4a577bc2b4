#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "load/plan/request_template.hpp"

namespace udppump::load {

enum class payload_encoding { hex, base64 };

/// Payloads from a file, one a line, sent in turn. Empty lines and lines that begin with '#' do not count. Hexadecimal
/// digits may have blanks between them. Answers are matched in order.
class payload_lines : public request_template {
 public:
  /// `name` is what errors call the source. Throws std::invalid_argument with name and line.
  payload_lines(std::istream& from, std::string_view name, payload_encoding encoding);

  unsigned sequence_bits() const noexcept override { return 0; }
  bytes_view make(const planned_request& request, std::uint64_t sequence, std::span<std::byte> space) const override;
  std::optional<answer> read(bytes_view) const noexcept override { return answer{}; }

 private:
  std::vector<std::vector<std::byte>> payloads_;
};

/// The bytes that a text stands for; nothing if it is not written in that encoding.
std::optional<std::vector<std::byte>> decode(std::string_view text, payload_encoding encoding);

}  // namespace udppump::load

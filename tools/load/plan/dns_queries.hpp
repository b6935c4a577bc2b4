#pragma once

#include <iosfwd>
#include <string_view>
#include <vector>

#include "load/plan/request_template.hpp"

namespace udppump::load {

/// DNS queries from a file as dnsperf(1) reads it: "NAME TYPE" on each line, comments behind ';' or '#'; sent in turn,
/// with recursion desired, class IN, without EDNS. The message id carries 16 bits of the sequence, so an answer is
/// told from those to the 65,535 queries of its flow before and after it.
class dns_queries : public request_template {
 public:
  /// `name` is what errors call the source. Throws std::invalid_argument with name and line.
  dns_queries(std::istream& from, std::string_view name, std::uint32_t tag);

  unsigned sequence_bits() const noexcept override { return 16; }
  bytes_view make(const planned_request& request, std::uint64_t sequence, std::span<std::byte> space) const override;
  std::optional<answer> read(bytes_view head) const noexcept override;

 private:
  std::vector<std::vector<std::byte>> queries_;  // with id 0
  std::uint16_t first_id_;
};

}  // namespace udppump::load

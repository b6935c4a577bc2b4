#pragma once

#include "load/plan/request_template.hpp"

namespace udppump::load {

/// Work requests (work_message.hpp), padded with zeros. Their id is the tag of the run and 32 bits of the sequence.
class work_requests : public request_template {
 public:
  /// `tag` tells runs apart, so that an answer to an earlier one is not taken for one of this. `size` in bytes; throws
  /// std::invalid_argument if a work message does not fit.
  explicit work_requests(std::uint32_t tag, std::size_t size = work_message_size);

  unsigned sequence_bits() const noexcept override { return 32; }
  bytes_view make(const planned_request& request, std::uint64_t sequence, std::span<std::byte> space) const override;
  std::optional<answer> read(bytes_view head) const noexcept override;

 private:
  std::uint32_t tag_;
  std::size_t size_;
};

}  // namespace udppump::load

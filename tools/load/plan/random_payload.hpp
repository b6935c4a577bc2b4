#pragma once

#include <vector>

#include "load/plan/request_template.hpp"

namespace udppump::load {

/// Random bytes of one size. The first eight are the tag of the run and the sequence, scrambled, so that no two
/// requests are the same; the others are the same in all.
class random_payload : public request_template {
 public:
  enum class matching {
    /// Any answer is one; see request_template.
    in_order,
    /// The server echoes: an answer begins with the first eight bytes of its request.
    by_echo,
  };
  /// Throws std::invalid_argument if `size` is too large for UDP, or too small for by_echo.
  random_payload(std::uint32_t tag, std::uint64_t seed, std::size_t size, matching how = matching::in_order);

  unsigned sequence_bits() const noexcept override { return how_ == matching::by_echo ? 32 : 0; }
  bytes_view make(const planned_request& request, std::uint64_t sequence, std::span<std::byte> space) const override;
  std::optional<answer> read(bytes_view head) const noexcept override;

 private:
  std::uint32_t tag_;
  matching how_;
  std::vector<std::byte> bytes_;
};

}  // namespace udppump::load

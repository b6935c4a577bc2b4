#include "load/plan/random_payload.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace udppump::load {
namespace {

// Multiplying by an odd number modulo 2^64 takes each number to another; its inverse takes it back.
constexpr std::uint64_t factor = 0x9e3779b97f4a7c15;
constexpr std::uint64_t inverse_of(std::uint64_t odd) noexcept {
  std::uint64_t inverse = odd;                               // right in the lowest three bits,
  for (int i = 0; i < 5; ++i) inverse *= 2 - odd * inverse;  // and in twice as many after each of Newton's steps
  return inverse;
}
static_assert(factor * inverse_of(factor) == 1);

}  // namespace

random_payload::random_payload(std::uint32_t tag, std::uint64_t seed, std::size_t size, matching how)
    : tag_{tag}, how_{how}, bytes_(size) {
  const std::size_t least = how == matching::by_echo ? sizeof(std::uint64_t) : 0;
  if (size < least || size > largest_payload) {
    throw std::invalid_argument{fmt::format("--size {}: {} to {} bytes can be sent{}", size, least, largest_payload,
                                            least > 0 ? " if answers are matched by echo" : "")};
  }
  random_stream random{seed, 3};
  std::ranges::generate(bytes_, [&] { return static_cast<std::byte>(random.next() >> 56); });
}

bytes_view random_payload::make(const planned_request&, std::uint64_t sequence, std::span<std::byte> space) const {
  std::ranges::copy(bytes_, space.begin());
  const std::uint64_t id = (std::uint64_t{tag_} << 32 | (sequence & 0xffffffff)) * factor;
  std::memcpy(space.data(), &id, std::min(sizeof id, bytes_.size()));
  return space.first(bytes_.size());
}

std::optional<request_template::answer> random_payload::read(bytes_view head) const noexcept {
  if (how_ == matching::in_order) return answer{};
  std::uint64_t id = 0;
  if (head.size() < sizeof id) return {};
  std::memcpy(&id, head.data(), sizeof id);
  id *= inverse_of(factor);
  if (id >> 32 != tag_) return {};
  return answer{.sequence = id & 0xffffffff};
}

}  // namespace udppump::load

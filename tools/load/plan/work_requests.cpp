#include "load/plan/work_requests.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace udppump::load {

work_requests::work_requests(std::uint32_t tag, std::size_t size) : tag_{tag}, size_{size} {
  if (size < work_message_size || size > largest_payload) {
    throw std::invalid_argument{
        fmt::format("--size {}: work requests have {} to {} bytes", size, work_message_size, largest_payload)};
  }
}

bytes_view work_requests::make(const planned_request& request, std::uint64_t sequence,
                               std::span<std::byte> space) const {
  const std::uint64_t id = std::uint64_t{tag_} << 32 | (sequence & 0xffffffff);
  write(work_request{.id = id, .asked = request.asked}, space.first<work_message_size>());
  std::ranges::fill(space.subspan(work_message_size, size_ - work_message_size), std::byte{0});
  return space.first(size_);
}

std::optional<request_template::answer> work_requests::read(bytes_view head) const noexcept {
  const auto work = read_work_answer(head);
  if (!work || work->id >> 32 != tag_) return {};
  return answer{.sequence = work->id & 0xffffffff, .work = work};
}

}  // namespace udppump::load

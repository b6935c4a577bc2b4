#include "pump/batch.hpp"

#include <algorithm>

namespace udppump::detail {

batch::batch(std::size_t payload_size)
    : payload_size_{payload_size}, payloads_{std::make_unique_for_overwrite<std::byte[]>(most * payload_size)} {}

long batch::receive(const receiver& from, std::size_t count) noexcept {
  clear();
  const std::span headers = std::span{headers_}.first(std::min(count, most));
  for (std::size_t at = 0; at < headers.size(); ++at) {
    slot& one = slots_[at];
    one.part = {payloads_.get() + at * payload_size_, payload_size_};
    headers[at].msg_hdr = message_into(reinterpret_cast<sockaddr*>(&one.from), one.part,
                                       std::span{one.control}.first(from.plain() ? 0 : sizeof one.control));
  }
  const long came = from.receive_many(headers);
  if (came < 0) return came;
  count_ = static_cast<std::size_t>(came);
  return 0;
}

std::span<std::byte> batch::take(const receiver& from, address& sender, received& into) noexcept {
  const std::size_t at = next_++;
  from.read(headers_[at], sender, into);
  return {payloads_.get() + at * payload_size_, payload_size_};
}

}  // namespace udppump::detail

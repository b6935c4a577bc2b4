#include "dns_answer_cache.hpp"

#include <algorithm>
#include <functional>
#include <string_view>

#include "dns_answer.hpp"

namespace {

constexpr std::size_t id_size = 2;
constexpr std::size_t header_size = 12;

/// The question's name in a packet that has one question, in bytes; 0 if it has not, or the name is no plain one.
std::size_t name_size(std::span<const std::byte> packet) noexcept {
  if (packet.size() <= header_size || packet[4] != std::byte{0} || packet[5] != std::byte{1}) return 0;
  for (std::size_t at = header_size; at < packet.size();) {
    const auto label = std::to_integer<std::size_t>(packet[at]);
    if (label > 63) return 0;  // a pointer
    at += 1 + label;
    if (label == 0) return at - header_size;
  }
  return 0;
}

/// RFC 4343. The lengths of labels are below 64, and no letters.
std::byte lower(std::byte each) noexcept {
  return each >= std::byte{'A'} && each <= std::byte{'Z'} ? each | std::byte{0x20} : each;
}

/// Of a hash, what did not choose the set.
std::uint32_t mark_of(std::size_t hash) noexcept { return static_cast<std::uint32_t>(hash >> 32); }

}  // namespace

std::optional<std::span<const std::byte>> dns_answer_cache::answer(std::span<const std::byte> packet) {
  const std::size_t named = name_size(packet);
  const std::size_t key_size = packet.size() - std::min(id_size, packet.size());
  std::array<std::byte, sizeof(slot::bytes) / 2> key;
  const bool may_be_kept = named != 0 && key_size <= key.size();
  std::size_t hash = 0;
  if (may_be_kept) {
    std::ranges::copy(packet.subspan(id_size), key.begin());
    std::transform(packet.begin() + header_size, packet.begin() + static_cast<std::ptrdiff_t>(header_size + named),
                   key.begin() + (header_size - id_size), lower);
    hash = std::hash<std::string_view>{}({reinterpret_cast<const char*>(key.data()), key_size});
    const std::size_t at = hash % sets_.size();
    for (std::size_t way = 0; way < ways; ++way) {
      if (sets_[at].marks[way] != mark_of(hash)) continue;
      slot& kept = slots_[at * ways + way];
      if (kept.key_size != key_size || !std::equal(kept.bytes.begin(), kept.bytes.begin() + key_size, key.begin())) {
        continue;
      }
      ++hits_;
      const std::span answer{kept.bytes.data() + key_size, kept.answer_size};
      std::ranges::copy(packet.first(id_size), answer.begin());
      std::ranges::copy(packet.subspan(header_size, named), answer.begin() + header_size);
      return answer;
    }
  }

  auto answer = dns_answer(zone_, packet);
  if (!answer) return std::nullopt;
  unkept_ = std::move(*answer);
  // An answer without the question, as to a packet that cannot be read, has no name to be written over.
  if (may_be_kept && unkept_[5] == std::byte{1} && key_size + unkept_.size() <= sizeof(slot::bytes)) {
    set& among = sets_[hash % sets_.size()];
    const std::size_t way = among.next++ % ways;
    slot& kept = slots_[hash % sets_.size() * ways + way];
    among.marks[way] = mark_of(hash);
    kept.key_size = static_cast<std::uint16_t>(key_size);
    kept.answer_size = static_cast<std::uint16_t>(unkept_.size());
    std::ranges::copy(unkept_, std::copy_n(key.begin(), key_size, kept.bytes.begin()));
  }
  return unkept_;
}

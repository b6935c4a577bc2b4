#include "load/plan/work_message.hpp"

#include <algorithm>
#include <array>

namespace udppump::load {
namespace {

constexpr std::array<std::byte, 4> magic{std::byte{'u'}, std::byte{'p'}, std::byte{'w'}, std::byte{1}};
enum kind : std::uint8_t { asks = 0, answers = 1 };

template <std::size_t Size>
void put(std::span<std::byte> to, std::size_t offset, std::uint64_t value) noexcept {
  for (std::size_t i = 0; i < Size; ++i) to[offset + i] = static_cast<std::byte>(value >> (8 * (Size - 1 - i)));
}

template <std::size_t Size>
std::uint64_t take(std::span<const std::byte> from, std::size_t offset) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < Size; ++i) value = value << 8 | std::to_integer<std::uint64_t>(from[offset + i]);
  return value;
}

void put_time(std::span<std::byte> to, std::size_t offset, nanoseconds value) noexcept {
  put<8>(to, offset, static_cast<std::uint64_t>(value.count()));
}
nanoseconds take_time(std::span<const std::byte> from, std::size_t offset) noexcept {
  return nanoseconds{static_cast<std::int64_t>(take<8>(from, offset))};
}

void put_head(work_space to, kind which, std::uint16_t worker, std::uint64_t id, nanoseconds asked) noexcept {
  std::ranges::fill(to, std::byte{0});
  std::ranges::copy(magic, to.begin());
  put<1>(to, 4, which);
  put<2>(to, 6, worker);
  put<8>(to, 8, id);
  put_time(to, work_message_asked, asked);
}

bool has_head(std::span<const std::byte> from, kind which) noexcept {
  return from.size() >= work_message_size && std::ranges::equal(from.first(magic.size()), magic) &&
         take<1>(from, 4) == which && take_time(from, work_message_asked).count() >= 0;
}

}  // namespace

void write(const work_request& request, work_space to) noexcept { put_head(to, asks, 0, request.id, request.asked); }

void write(const work_answer& answer, work_space to) noexcept {
  put_head(to, answers, answer.worker, answer.id, answer.asked);
  put_time(to, 24, answer.used);
  put_time(to, 32, answer.waited.value_or(nanoseconds{-1}));
  put_time(to, 40, answer.began);
}

std::optional<work_request> read_work_request(std::span<const std::byte> from) noexcept {
  if (!has_head(from, asks)) return {};
  return work_request{.id = take<8>(from, 8), .asked = take_time(from, work_message_asked)};
}

std::optional<work_answer> read_work_answer(std::span<const std::byte> from) noexcept {
  if (!has_head(from, answers) || take_time(from, 24).count() < 0) return {};
  const nanoseconds waited = take_time(from, 32);
  return work_answer{.id = take<8>(from, 8),
                     .asked = take_time(from, work_message_asked),
                     .used = take_time(from, 24),
                     .waited = waited.count() < 0 ? std::nullopt : std::optional{waited},
                     .began = take_time(from, 40),
                     .worker = static_cast<std::uint16_t>(take<2>(from, 6))};
}

}  // namespace udppump::load

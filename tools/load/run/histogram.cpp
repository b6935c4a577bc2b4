#include "load/run/histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace udppump::load {
namespace {

constexpr unsigned exact_bits = 11;                  // a value this short has a cell of its own
constexpr std::size_t half = 1 << (exact_bits - 1);  // cells in each further power of two
constexpr unsigned largest_bits = 42;
constexpr std::size_t cell_count = 2 * half + (largest_bits - exact_bits) * half;

constexpr std::size_t index_of(std::uint64_t value) noexcept {
  const auto bits = static_cast<unsigned>(std::bit_width(value));
  if (bits <= exact_bits) return value;
  const unsigned shift = bits - exact_bits;
  return shift * half + (value >> shift);  // value >> shift has its top bit set: it is at least `half`
}

constexpr std::uint64_t first_of(std::size_t index) noexcept {
  if (index < 2 * half) return index;
  const auto shift = static_cast<unsigned>(index / half - 1);
  return std::uint64_t{index - shift * half} << shift;
}

static_assert(index_of(2047) == 2047 && index_of(2048) == 2048 && index_of(4095) == 3071 && index_of(4096) == 3072);
static_assert(first_of(2048) == 2048 && first_of(3071) == 4094 && first_of(3072) == 4096);
static_assert(index_of(static_cast<std::uint64_t>(histogram::largest.count())) == cell_count - 1);
static_assert(first_of(cell_count) == static_cast<std::uint64_t>(histogram::largest.count()) + 1);

constexpr nanoseconds duration(std::uint64_t value) noexcept { return nanoseconds{static_cast<std::int64_t>(value)}; }

}  // namespace

histogram::histogram() : counts_(cell_count) {}

void histogram::add(nanoseconds value) noexcept {
  value = std::max(value, nanoseconds{0});
  ++counts_[index_of(static_cast<std::uint64_t>(std::min(value, largest).count()))];
  ++count_;
  min_ = std::min(min_, value);
  max_ = std::max(max_, value);
  sum_ += static_cast<double>(value.count());
}

void histogram::merge(const histogram& other) noexcept {
  for (std::size_t i = 0; i < cell_count; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
}

void histogram::clear() noexcept {
  std::ranges::fill(counts_, 0);
  count_ = 0;
  min_ = nanoseconds::max();
  max_ = nanoseconds{0};
  sum_ = 0;
}

nanoseconds histogram::mean() const noexcept {
  return count_ == 0 ? nanoseconds{0} : nanoseconds{std::llround(sum_ / static_cast<double>(count_))};
}

nanoseconds histogram::percentile(double percent, std::uint64_t missing) const noexcept {
  const std::uint64_t total = count_ + missing;
  if (total == 0) return nanoseconds{0};
  // In whole millionths, because 99.9 / 100 * 1000 is not 999 in floating point.
  constexpr std::uint64_t million = 1'000'000;
  const auto millionths = static_cast<std::uint64_t>(std::llround(std::clamp(percent, 0.0, 100.0) * 10'000));
  const std::uint64_t rank =
      std::max<std::uint64_t>(1, total / million * millionths + (total % million * millionths + million - 1) / million);
  if (rank > count_) return unanswered;
  std::uint64_t seen = 0;
  std::size_t index = 0;
  while ((seen += counts_[index]) < rank) ++index;
  if (index == cell_count - 1) return max_;
  return std::min(duration(first_of(index + 1) - 1), max_);
}

std::vector<histogram::cell> histogram::cells() const {
  std::vector<cell> filled;
  for (std::size_t i = 0; i < cell_count; ++i) {
    if (counts_[i] != 0) filled.push_back({duration(first_of(i)), duration(first_of(i + 1) - 1), counts_[i]});
  }
  return filled;
}

}  // namespace udppump::load

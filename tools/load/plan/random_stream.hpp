#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace udppump::load {

/// Random numbers that are the same on every machine and with every standard library, whose distributions are not
/// (xoshiro256++, filled by splitmix64: Blackman and Vigna, https://prng.di.unimi.it). Streams of one seed with
/// different numbers are independent, so that a change of the arrivals leaves the service times as they were.
class random_stream {
 public:
  random_stream(std::uint64_t seed, std::uint64_t number) noexcept {
    std::uint64_t from = seed ^ scramble(number + 1);
    for (auto& word : state_) word = scramble(from += 0x9e3779b97f4a7c15);
  }

  std::uint64_t next() noexcept {
    const std::uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  /// In [0, 1), 53 bits.
  double uniform() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }
  /// Exponential with mean 1.
  double exponential() noexcept { return -std::log1p(-uniform()); }
  /// In [0, bound), each as likely to within bound / 2^53.
  std::uint32_t below(std::uint32_t bound) noexcept { return static_cast<std::uint32_t>(uniform() * bound); }

  /// splitmix64's output function: takes each number to another, none to the same.
  static std::uint64_t scramble(std::uint64_t value) noexcept {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
  }

 private:
  std::array<std::uint64_t, 4> state_;
};

}  // namespace udppump::load

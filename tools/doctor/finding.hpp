#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// What `udppump doctor` does: it reads facts of the machine and of a pool, twice, a second apart (machine_facts.hpp,
/// pool_facts.hpp); from these alone follow findings (machine_checks.hpp, pool_checks.hpp); and it tells of them, worst
/// first (report.hpp).
namespace udppump::doctor {

enum class severity : std::uint8_t {
  /// The service suffers now.
  wrong,
  /// Nothing is lost yet, or not now; it will be.
  warning,
  /// Worth knowing; it may be meant so.
  note,
};
std::string_view to_string(severity one) noexcept;

struct finding {
  severity how_bad = severity::note;
  /// Which check: stable, in lower case, such as "receive-buffer".
  std::string_view check = {};
  /// What is so, and what helps; one line together, with "; " between.
  std::string what = {}, cure = {};
};
using findings = std::vector<finding>;

/// What could not be looked at.
struct unseen {
  std::string what, why;
  auto operator<=>(const unseen&) const = default;
};

/// The same facts, read twice.
template <class Facts>
struct looks {
  Facts before, now;
  double seconds = 1;
};

/// How much a count has grown; 0 if it has begun anew.
constexpr std::uint64_t grown(std::uint64_t before, std::uint64_t now) noexcept {
  return now > before ? now - before : 0;
}

}  // namespace udppump::doctor

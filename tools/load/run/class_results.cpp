#include "load/run/class_results.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace udppump::load {

void slowdowns::add(nanoseconds latency, nanoseconds service) noexcept {
  if (service.count() <= 0) return;
  const double multiple = static_cast<double>(latency.count()) / static_cast<double>(service.count());
  const double counted = std::min(1000 * multiple, static_cast<double>(histogram::largest.count()));
  thousandths_.add(nanoseconds{std::llround(counted)});
}

double slowdowns::percentile(double percent, std::uint64_t missing) const noexcept {
  const nanoseconds found = thousandths_.percentile(percent, missing);
  if (found == unanswered) return std::numeric_limits<double>::infinity();
  return static_cast<double>(found.count()) / 1000;
}

void class_result::merge(const class_result& other) noexcept {
  latency.merge(other.latency);
  slowdown.merge(other.slowdown);
  missing += other.missing;
}

std::optional<class_results> class_results::of(const service_times& service) {
  if (!service.has_classes()) return {};
  return class_results{service};
}

void class_results::add(nanoseconds asked, nanoseconds latency, nanoseconds service) noexcept {
  class_result& own = class_of(asked);
  own.latency.add(latency);
  own.slowdown.add(latency, service);
}

void class_results::merge(const class_results& other) noexcept {
  short_.merge(other.short_);
  long_.merge(other.long_);
}

class_result class_results::all() const {
  class_result both = short_;
  both.merge(long_);
  return both;
}

}  // namespace udppump::load

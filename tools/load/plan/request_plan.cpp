#include "load/plan/request_plan.hpp"

namespace udppump::load {

request_plan::request_plan(const plan_options& options) noexcept
    : options_{options},
      arrivals_{options.arrivals, options.rate, options.seed},
      flow_choice_{options.seed, 1},
      service_choice_{options.seed, 2} {}

std::optional<planned_request> request_plan::next() noexcept {
  const nanoseconds intended = arrivals_.next();
  if (intended >= options_.length) return {};
  return planned_request{.index = count_++,
                         .intended = intended,
                         .flow = flow_choice_.below(options_.flows),
                         .asked = options_.service.draw(service_choice_)};
}

}  // namespace udppump::load

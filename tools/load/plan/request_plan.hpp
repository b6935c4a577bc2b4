#pragma once

#include <cstdint>
#include <optional>

#include "load/plan/arrival_schedule.hpp"
#include "load/plan/service_times.hpp"

namespace udppump::load {

/// What is to be sent when: the trace of a run, before it has begun.
struct planned_request {
  /// From 0, in the order of sending.
  std::uint64_t index;
  /// When it is to be sent, since the start of the run.
  nanoseconds intended;
  /// The client socket it is sent from, from 0.
  std::uint32_t flow;
  /// The service time it asks for, if the server under test can be asked.
  nanoseconds asked;
};

struct plan_options {
  arrival_pattern arrivals = {};
  /// Requests a second, in the mean.
  double rate = 1000;
  /// Nothing is planned from here on.
  nanoseconds length = std::chrono::seconds{10};
  /// Each request takes one of so many flows at random.
  std::uint32_t flows = 1;
  service_times service = {};
  std::uint64_t seed = 1;
};

/// Makes the plan of a run, one request after the other, in constant memory. The same options give the same plan.
class request_plan {
 public:
  explicit request_plan(const plan_options& options) noexcept;
  /// Nothing when the run is over.
  std::optional<planned_request> next() noexcept;

 private:
  plan_options options_;
  arrival_schedule arrivals_;
  random_stream flow_choice_;
  random_stream service_choice_;
  std::uint64_t count_ = 0;
};

}  // namespace udppump::load

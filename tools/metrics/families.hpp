#pragma once

#include <prometheus/metric_family.h>

#include <span>
#include <string>
#include <vector>

#include "udppump/pool_status.hpp"

namespace udppump::metrics {

/// What is known of these pools, in Prometheus's terms. What is not known is absent. `labels` has what each of them is
/// called (pool_labels), no two alike; then no two series are: of sockets with the same address and lane, all but the
/// first have their place as a label.
std::vector<prometheus::MetricFamily> families_of(std::span<const pool_status> pools,
                                                  std::span<const std::string> labels);

/// Workers have series of their own in pools of at most so many.
constexpr std::size_t most_told_workers = 64;

}  // namespace udppump::metrics

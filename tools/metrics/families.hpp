#pragma once

#include <prometheus/metric_family.h>

#include <span>
#include <vector>

#include "udppump/pool_status.hpp"

namespace udppump::metrics {

/// What is known of these pools, in Prometheus's terms. What is not known is absent. No two series are alike: of pools
/// that have the same name, the second and later ones have their parent's id behind it, and of sockets with the same
/// address and lane, their place.
std::vector<prometheus::MetricFamily> families_of(std::span<const pool_status> pools);

/// Workers have series of their own in pools of at most so many.
constexpr std::size_t most_told_workers = 64;

}  // namespace udppump::metrics

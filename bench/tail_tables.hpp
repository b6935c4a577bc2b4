#pragma once

#include <vector>

#include "support/table.hpp"
#include "tail_cells.hpp"

namespace bench {

/// Whose 99th percentile the others' are compared with.
inline constexpr const char* reference = "recvfrom-blocked";

/// The distance to the ideal over the load.
table ratios_of(const std::vector<contender>& contenders, const setting& where, const std::vector<cell>& cells);

/// All figures of one cell.
table details_of(const std::vector<contender>& contenders, const cell& where);

}  // namespace bench

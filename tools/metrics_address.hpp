#pragma once

#include <string>

namespace udppump::tools {

/// Of --metrics. Throws std::invalid_argument if nobody could listen there, or if this program has no metrics.
void check_metrics_address(const std::string& text);

}  // namespace udppump::tools

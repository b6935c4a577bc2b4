#include "support/left_out.hpp"

#include <fmt/format.h>

#include "support/machine.hpp"

namespace bench {

void counted_runs::tell(std::string_view of) const {
  for (const auto& [found, count] : left_out_) {
    print_left_out(fmt::format("{} of {} runs{}{}", count, runs_, of.empty() ? "" : " of ", of), to_string(found));
  }
  if (runs_ > 0 && left_out() == runs_) {
    fmt::print("not valid{}{}: no run could be offered as it was asked for; quiet the machine and repeat\n",
               of.empty() ? "" : ": ", of);
  }
}

}  // namespace bench

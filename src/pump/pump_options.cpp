#include "udppump/pump_options.hpp"

#include <stdexcept>
#include <string>

#include "pump/group_core.hpp"

namespace udppump::detail {

namespace {

constexpr std::chrono::seconds longest_stand_by{1};
constexpr std::size_t largest_receive_limit = std::size_t{1} << 30;

}  // namespace

void check(const pump_options& options) {
  if (options.receive_limit == 0 || options.receive_limit > largest_receive_limit) {
    throw std::invalid_argument{"receive_limit is " + std::to_string(options.receive_limit) + "; give 1 to 1 GiB"};
  }
  if (options.budget_datagrams == 0) throw std::invalid_argument{"budget_datagrams is 0; give 1 at least"};
  if (options.batch_limit == 0 || options.batch_limit > batch::most) {
    throw std::invalid_argument{"batch_limit is " + std::to_string(options.batch_limit) +
                                "; give 1, to take one datagram at a time, to " + std::to_string(batch::most)};
  }
  if (options.budget_time.count() <= 0) throw std::invalid_argument{"budget_time is not above 0; give 1 ns at least"};
  if (options.stand_by.count() < 0) throw std::invalid_argument{"stand_by is negative; give 0 to turn it off, or more"};
  if (options.stand_by > longest_stand_by) {
    throw std::invalid_argument{
        "stand_by is more than a second, for which a datagram might wait; give a second at most"};
  }
  if (options.max_age.count() < 0) throw std::invalid_argument{"max_age is negative; give 0 for no limit"};
}

}  // namespace udppump::detail

#pragma once

#include <atomic>
#include <cstdint>
#include <iosfwd>
#include <iterator>
#include <optional>
#include <span>
#include <vector>

#include "load/run/work_run.hpp"
#include "load/run/work_server.hpp"

/// A look at the machine before something is measured on it: what it can measure depends on how exactly its timers
/// wake, what a wake-up costs, and how much of its processors others take.
namespace udppump::load {

/// How late something was, some hundred times: too few for higher percentiles.
struct lateness {
  nanoseconds median{0}, p90{0};
};

/// A short run at the load asked for.
struct trial {
  /// The mean service time.
  nanoseconds service{0};
  /// As shares of the workers' time; see work_run.
  double asked_load = 0, real_load = 0;
  /// What is wrong with it, the load aside.
  flaw found = flaw::none;
};

struct machine_look {
  unsigned processors = 1;
  /// Of all processors' time during the look: taken by the hypervisor ("steal" in proc(5)), and used by other processes
  /// than this one and its children.
  double stolen = 0, others = 0;
  /// How late a sleep of a millisecond ends.
  lateness sleep = {};
  /// From writing to a pipe until the process that waits on it runs.
  lateness wake_up = {};
  /// In the order of the service times tried; the last one may be good, all before it were not.
  std::vector<trial> trials = {};
};

/// The service times that are tried, the shortest first.
inline constexpr nanoseconds service_series[] = {std::chrono::milliseconds{1}, std::chrono::milliseconds{2},
                                                 std::chrono::milliseconds{5}, std::chrono::milliseconds{10},
                                                 std::chrono::milliseconds{20}};

/// Whether the load asked for can really be offered, as far as a trial can tell: it must keep half of the limits, for
/// longer runs meet what a short one was spared.
bool can_be_offered(const trial& tried, const validity_limits& limits) noexcept;
/// The shortest of the service times tried at which the load asked for can really be offered; nothing if it was none.
std::optional<nanoseconds> choose_service(std::span<const trial> trials, const validity_limits& limits) noexcept;

/// Processors' time since the machine started, in units that do not matter.
struct processor_times {
  std::uint64_t all = 0, idle = 0, stolen = 0;
};
/// Of the first line of /proc/stat (proc(5)); all 0 if it is not one. Old kernels have fewer fields.
processor_times read_processor_times(std::istream& from);
struct taken_time {
  double stolen = 0, others = 0;
};
/// Shares of all processors' time from one reading to the next; `own_share` of it was used by this program itself.
taken_time taken_between(const processor_times& before, const processor_times& after, double own_share) noexcept;

struct look_options {
  /// The server and the load that are going to be measured; its mean service time is set by the look.
  work_options server = {};
  work_run_options work = {};
  /// Mean service times to try, in this order, until one is good; at least one.
  std::vector<nanoseconds> services = {std::begin(service_series), std::end(service_series)};
  const std::atomic<bool>* interrupted = nullptr;
};

/// Takes about a second if the first service time is good, and about as long for each further one on a machine that is
/// very busy. The process must have one thread only; see work_server.
machine_look look_at_machine(const look_options& options);

}  // namespace udppump::load

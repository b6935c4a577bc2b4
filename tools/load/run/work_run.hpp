#pragma once

#include <functional>
#include <optional>
#include <span>

#include "load/run/class_results.hpp"
#include "load/run/histogram.hpp"
#include "load/run/load_run.hpp"
#include "load/run/validity.hpp"

namespace udppump::load {

/// Work requests (work_requests.hpp) sent to workers, whoever these are, as a share of what they can do.
struct work_run_options {
  /// Its rate follows from the share; its length is what is measured, the warm-up comes before.
  load_options run = {};
  std::size_t workers = 1;
  /// How much of the workers' time the requests ask for, as a share of 1.
  double load = 0.7;
  /// Simulate lanes as well if some requests are short and some long: so many workers serve short ones only.
  std::optional<std::size_t> reserve = {};
  /// Of a valid run.
  validity_limits limits = {};
};

/// Requests a second that make up the load asked for.
double rate_of(const work_run_options& options) noexcept;

/// How many workers are kept for short requests if nobody says: an eighth, at least one, but not so many that the long
/// ones ask for more than 95% of the time of the others, and would wait for ever.
std::size_t usual_reserve(const work_run_options& options) noexcept;

/// What requests would have waited.
struct simulated {
  histogram latency = {};
  /// Nothing if there is one class of work only.
  std::optional<class_results> classes = {};
};

/// What came of it, beside the ideal queue.
struct work_run {
  load_result result = {};
  /// What the same requests would have waited in the ideal queue: the same times of arrival, the service times that
  /// were really used (of those without an answer, what they asked for), the same number of workers.
  simulated ideal = {};
  /// The same in the ideal lanes, if they were to be simulated: short requests before long ones (ideal_lanes.hpp).
  std::optional<simulated> ideal_lanes = {};
  /// Of all threads of all workers; a service that sleeps is one of them.
  double switches_per_datagram = 0;
  /// Shares of the workers' time: what the requests of this trace asked for, by the times at which they were due; and
  /// what was really offered, by the rate at which they left and the service times that answers told.
  double asked_load = 0, real_load = 0;
  /// How much longer than asked for the services of short requests took, as a multiple; 1 if there is one class only.
  double short_stretch = 1;
  /// Why the run says nothing about the server.
  flaw found = flaw::none;

  bool valid() const noexcept { return found == flaw::none; }

  /// Answers within the timeout, a second.
  double goodput() const noexcept;
  /// In seconds; infinity if so many requests have no answer that there is none.
  double latency(double percent) const noexcept;
  double ideal_latency(double percent) const noexcept;
  /// NaN if the ideal lanes were not simulated.
  double ideal_lanes_latency(double percent) const noexcept;
  double ratio_to_ideal(double percent) const noexcept { return latency(percent) / ideal_latency(percent); }
};

/// The worst flaw of a run, the load really offered and the short requests' services included.
flaw flaw_of(const work_run& run, const validity_limits& limits) noexcept;

/// A simulation of what was served.
struct simulation {
  /// In the order in which they were due.
  std::span<const request_record> records;
  /// What they asked for.
  service_times service = {};
  std::size_t workers = 1;
  /// Those due before its end are served but not counted.
  nanoseconds warmup{0};
};
/// What the requests would have waited in the ideal queue.
simulated simulate_ideal(const simulation& served);
/// The same in the ideal lanes: the short requests in the first lane, which has `reserve` workers of its own.
simulated simulate_ideal_lanes(const simulation& served, std::size_t reserve);

/// `switches`: how often the workers' threads went off their processor until now. Throws as run_load().
work_run run_work(const work_run_options& options, const std::function<std::uint64_t()>& switches,
                  const load_watch& watch = {});

}  // namespace udppump::load

#include "compare_settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "load/plan/quantity.hpp"
#include "load/report/output_file.hpp"
#include "load/report/plot.hpp"
#include "load/run/machine_look.hpp"
#include "shared_options.hpp"

namespace udppump::tools {
namespace {

using namespace std::chrono_literals;
using namespace udppump::load;

queue_kind parse_named_queue(const std::string& name) try {
  return parse_queue(name);
} catch (const std::invalid_argument& wrong) {
  throw std::invalid_argument{fmt::format("--queue: {}", wrong.what())};
}

void read_queues(compare_settings& settings) {
  if (settings.queues.empty()) return;
  auto& queues = settings.compared.queues;
  queues.clear();
  for (const auto& name : settings.queues) {
    const queue_kind queue = parse_named_queue(name);
    if (std::ranges::find(queues, queue) != queues.end()) {
      throw std::invalid_argument{fmt::format("--queue: {} is named twice; name it once", name)};
    }
    queues.push_back(queue);
  }
  if (queues.size() < 2)
    throw std::invalid_argument{"--queue: one cannot be compared; name two or more of shared, lanes, sharded and herd"};
}

/// Lanes need short and long requests, and a worker for these.
void settle_lanes(compare_settings& settings) {
  auto& options = settings.compared;
  const auto& service = options.run.plan.service;
  if (!has_queue(options, queue_kind::lanes)) {
    if (settings.reserve) throw std::invalid_argument{"--reserve is of lanes: name these in --queue, or omit it"};
    return;
  }
  if (!settings.work) {
    settings.work = service_times::parse("bimodal:500us,50ms,10%");
    options.run.plan.service = *settings.work;
  }
  if (!service.has_classes()) {
    throw std::invalid_argument{
        "--queue: lanes tell short requests from long ones, and --work has no two kinds; give it "
        "such as bimodal:500us,50ms,10%"};
  }
  options.server.reserve = settings.reserve ? *settings.reserve : usual_reserve(work_of(options));
  if (options.server.reserve < options.server.workers) return;
  throw std::invalid_argument{fmt::format("--reserve {} of {} leaves none for long requests; give less",
                                          options.server.reserve, counted(options.server.workers, "worker"))};
}

void check(const compare_settings& settings) {
  const auto& options = settings.compared;
  if (settings.work && settings.work->mean <= 0ns) {
    throw std::invalid_argument{"--work: a mean of 0 is no work; give more"};
  }
  if (settings.duration && *settings.duration <= 0ns)
    throw std::invalid_argument{"--duration: 0 measures nothing; give more"};
  if (options.run.timeout <= 0ns) throw std::invalid_argument{"--timeout: 0 waits for no answer; give more"};
  constexpr double highest_rate = 1e9;  // as of load --rate
  if (settings.work && rate_of(options) > highest_rate) {
    throw std::invalid_argument{fmt::format(
        "--load {} with these service times is {:.0f} requests a second; give a lower load, or longer --work",
        format_percent(options.load), rate_of(options))};
  }
  expect_requests(settings);
  expect_writable(settings.json);
  expect_plottable(settings.plot);
  if (!settings.json.empty() && is_same_file(settings.json, settings.plot)) {
    throw std::invalid_argument{"--json and --plot name the same file; name two"};
  }
}

}  // namespace

std::FILE* compare_settings::text() const { return !json.empty() && is_standard_output(json) ? stderr : stdout; }

double parse_load(const std::string& text) {
  const double share = parse_share(text);
  if (share < 1) return share;
  throw std::invalid_argument{load::quoted(text) +
                              " is as much as the workers can do or more, so that the queue only grows; "
                              "give less than 100%"};
}

void expect_requests(const compare_settings& settings) {
  if (!settings.duration) return;
  comparison_options options = settings.compared;
  if (options.run.plan.service.mean <= 0ns) options.run.plan.service.mean = service_series[0];
  constexpr double fewest = 5;
  const double expected = rate_of(options) * std::chrono::duration<double>{*settings.duration}.count();
  if (expected >= fewest) return;
  throw std::invalid_argument{
      fmt::format("--duration: {} at {:.0f} requests a second is {:.2g} of them, and {:.0f} are the fewest that are "
                  "measured; give more",
                  format_duration(*settings.duration), rate_of(options), expected, fewest)};
}

void settle(compare_settings& settings) {
  read_queues(settings);
  if (settings.work) settings.compared.run.plan.service = *settings.work;
  settle_lanes(settings);
  check(settings);
}

}  // namespace udppump::tools

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "command.hpp"
#include "command_line.hpp"
#include "load/plan/quantity.hpp"
#include "load/report/comparison_report.hpp"
#include "load/report/output_file.hpp"
#include "load/report/plot.hpp"
#include "load/run/comparison.hpp"
#include "shared_options.hpp"

namespace udppump::tools {
namespace {

using namespace std::chrono_literals;
using namespace udppump::load;

enum compare_exit_code : int { exit_invalid = 3 };

struct compare_settings {
  comparison_options compared{
      .server = {.bind = address::parse("127.0.0.1:0"), .workers = 8},
      .run = {.plan = {.length = 2500ms, .flows = 64, .service = service_times::parse("exponential:1ms")},
              .warmup = 500ms,
              .priority = realtime::automatic}};
  std::vector<std::string> queues;
  bool quiet = false;
  std::string json, plot;
};

/// Of at most `room` characters, where the words leave any for a bar.
std::string progress_bar(double done, const std::string& step, std::size_t room) {
  const std::string words = fmt::format("{:3.0f}%  {}", 100 * std::min(done, 1.0), step);
  constexpr int widest = 40, narrowest = 5, frame = 3;
  const int width = std::min(widest, static_cast<int>(room) - static_cast<int>(words.size()) - frame);
  if (width < narrowest) return words;
  const int filled = std::clamp(static_cast<int>(done * width), 0, width);
  return fmt::format("[{:#<{}}{:.<{}}] {}", "", filled, "", width - filled, words);
}

int run(compare_settings& settings) {
  auto& options = settings.compared;
  if (!settings.queues.empty()) {
    options.queues.clear();
    for (const auto& name : settings.queues) {
      const queue_kind queue = parse_queue(name);
      if (std::ranges::find(options.queues, queue) != options.queues.end()) {
        throw std::invalid_argument{fmt::format("--queue: {} is named twice", name)};
      }
      options.queues.push_back(queue);
    }
    if (options.queues.size() < 2) throw std::invalid_argument{"--queue: at least two can be compared"};
  }
  if (options.run.plan.service.mean <= 0ns) throw std::invalid_argument{"--work: the mean must be more than nothing"};
  if (options.run.plan.length <= 0ns) throw std::invalid_argument{"--duration: must be more than nothing"};
  if (options.run.timeout <= 0ns) throw std::invalid_argument{"--timeout: must be more than nothing"};
  options.run.keep_records = !settings.json.empty();
  expect_writable(settings.json);
  expect_plottable(settings.plot);
  fmt::print("{}", method_of(options));
  std::fflush(stdout);

  status_line status{!settings.quiet};
  const auto report = [&](queue_kind queue, unsigned repetition, double done) {
    const std::string step = fmt::format("{} of {}: {}", repetition + 1, options.repetitions, to_string(queue));
    status.show(progress_bar(done, step, status.width()), step);
  };
  const auto compared = compare(options, {.report = report, .interrupted = &interruption()});
  status.clear();
  if (!settings.json.empty()) write_file(settings.json, to_json(compared).dump() + "\n");
  const unsigned made = compared.repetitions();
  const unsigned invalid = made - compared.valid_repetitions();
  if (made == 0) throw std::runtime_error{"interrupted before the first repetition was over"};
  fmt::print("\n{}", to_table(compared));
  if (!settings.plot.empty()) {
    plot(settings.plot, compared);
    fmt::print("drawn: {}\n", settings.plot);
  }
  if (!compared.valid()) {
    std::fflush(stdout);  // in a log that takes both, the reason comes after the table
    fmt::print(stderr,
               "udppump: not valid: in {} of {} repetitions requests left late, by more than {:.0f}% of the latency; "
               "quiet the machine, lower --load, or try --realtime on\n",
               invalid, made, 100 * options.lag_limit);
    return exit_invalid;
  }
  if (invalid > 0) fmt::print("left out: {} of {} repetitions, in which requests left late\n", invalid, made);
  fmt::print("\n{}\n", to_sentence(compared));
  return exit_ok;
}

}  // namespace

void add_compare(CLI::App& app, action& chosen) {
  auto& sub = *app.add_subcommand("compare", "Measure a shared and a sharded queue, beside the ideal one.");
  auto settings = std::make_shared<compare_settings>();
  auto& options = settings->compared;
  auto& plan = options.run.plan;
  const auto* const server = "Server";
  sub.add_option("--queue", settings->queues, "shared, sharded, herd; two or all of them")
      ->type_name("NAME")
      ->default_str("shared sharded")
      ->group(server);
  add_service_options(sub, options.server, server);

  const auto* const load = "Load";
  add_parsed(sub, "--load", options.load, parse_share,
             {"SHARE", "70%", "of the workers' time that requests ask for", load});
  add_parsed(sub, "--work", plan.service, service_times::parse,
             {"TIMES", "exponential:1ms",
              "service times: constant:1ms, exponential:1ms, bimodal:1ms or bimodal:500us,100ms,0.5%", load});
  add_parsed(sub, "--arrivals", plan.arrivals, arrival_pattern::parse,
             {"PATTERN", "poisson", "poisson, constant or bursts:N", load});
  add_parsed(sub, "--flows", plan.flows, count_in(1, 1'000'000), {"N", "64", "client sockets, up to 1000000", load});
  add_parsed(sub, "--duration", plan.length, parse_duration, {"TIME", "2.5s", "how long each run measures", load});
  add_parsed(sub, "--warmup", options.run.warmup, parse_duration, {"TIME", "500ms", "send for so long before", load});
  add_parsed(sub, "--repetitions", options.repetitions, count_in(1, 10'000),
             {"N", "5", "how often each queue is measured", load});
  add_parsed(sub, "--seed", plan.seed, count_in(0, UINT64_MAX),
             {"N", "1", "of the first repetition's trace; each has the next", load});
  add_parsed(sub, "--timeout", options.run.timeout, parse_duration,
             {"TIME", "2s", "an answer after this long is late", load});
  add_realtime_option(sub, options.run.priority, load);

  const auto* const output = "Output";
  add_parsed(
      sub, "--lag-limit", options.lag_limit, parse_share,
      {"SHARE", "10%",
       "a repetition is left out when the p99 of this program's own lag is a larger share of a measured p99", output});
  add_parsed(sub, "--json", settings->json, not_empty,
             {"FILE", "", "everything, with histograms and exact traces", output});
  add_parsed(sub, "--plot", settings->plot, not_empty,
             {"FILE", "", "the latency distributions, drawn by gnuplot: .svg or .png", output});
  sub.add_flag("--quiet", settings->quiet, "no progress on stderr")->group(output);
  sub.footer(
      "Exit codes: 0 compared; 1 could not be; 2 the command line is wrong;\n"
      "3 most repetitions are not valid: requests left late.\n"
      "Ratios are to the ideal queue: first come first served, any idle worker at once, simulated on the same "
      "arrivals\n"
      "and the service times really used. A service that sleeps is one of the context switches.");
  sub.callback([&chosen, settings] { chosen = [settings] { return run(*settings); }; });
}

}  // namespace udppump::tools

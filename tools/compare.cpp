#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>

#include "command.hpp"
#include "command_line.hpp"
#include "compare_settings.hpp"
#include "load/plan/quantity.hpp"
#include "load/report/comparison_report.hpp"
#include "load/report/json_report.hpp"
#include "load/report/output_file.hpp"
#include "load/report/plot.hpp"
#include "load/run/comparison.hpp"
#include "load/run/machine_look.hpp"
#include "shared_options.hpp"
#include "udppump/printable.hpp"

namespace udppump::tools {
namespace {

using namespace std::chrono_literals;
using namespace udppump::load;

enum compare_exit_code : int { exit_invalid = 3 };

/// Of at most `room` characters, if the words leave any for a bar.
std::string progress_bar(double done, const std::string& step, std::size_t room) {
  std::string words = fmt::format("{:3.0f}%  {}", 100 * std::min(done, 1.0), step);
  constexpr int widest = 40, narrowest = 5, frame = 3;
  const int width = std::min(widest, static_cast<int>(room) - static_cast<int>(words.size()) - frame);
  if (width < narrowest) return words;
  const int filled = std::clamp(static_cast<int>(done * width), 0, width);
  return fmt::format("[{:#<{}}{:.<{}}] {}", "", filled, "", width - filled, words);
}

machine_look look(const compare_settings& settings) {
  look_options wanted{
      .server = settings.compared.server, .work = work_of(settings.compared), .interrupted = &interruption()};
  wanted.server.queue = settings.compared.queues.front();
  if (settings.work) wanted.services = {settings.work->mean};
  return look_at_machine(wanted);
}

/// Sets the service times, and says why; false if the load asked for cannot be offered with any.
bool take_service_times(compare_settings& settings, const machine_look& seen) {
  auto& options = settings.compared;
  const auto shortest = choose_service(seen.trials, options.limits);
  const std::string tried = to_text(seen.trials, options);
  if (settings.work) {
    if (!shortest) {
      fmt::print(stderr, "udppump: at {} load with these service times, this machine offered {}\n",
                 format_percent(options.load), tried);
    }
    return true;
  }
  if (shortest) {
    options.run.plan.service = {.kind = service_kind::exponential, .mean = *shortest};
    fmt::print(settings.text(),
               "service time: {} in the mean, the shortest of 1, 2, 5, 10 and 20 ms at which {} load can really be "
               "offered here ({})\n",
               format_duration(*shortest), format_percent(options.load), tried);
    return true;
  }
  std::fflush(settings.text());
  fmt::print(
      stderr,
      "udppump: not valid: with no service time of 1 to 20 ms can {} load really be offered here ({}); quiet the "
      "machine, lower --load or --workers, or choose --work yourself\n",
      format_percent(options.load), tried);
  return false;
}

void write_report(const compare_settings& settings, const comparison* compared, const machine_look& seen) {
  if (settings.json.empty()) return;
  nlohmann::json report = compared == nullptr ? nlohmann::json{{"valid", false}} : to_json(*compared);
  report["machine"] = to_json(seen);
  write_file(settings.json, to_line(report));
}

int conclude(const compare_settings& settings, const comparison& compared) {
  const unsigned made = compared.repetitions();
  const unsigned invalid = made - compared.valid_repetitions();
  if (compared.interrupted) {
    fmt::print(settings.text(), "\ninterrupted after {} of {} repetitions\n", made, compared.options.repetitions);
  }
  fmt::print(settings.text(), "\n{}", to_table(compared));
  if (const auto classes = to_class_table(compared); !classes.empty()) fmt::print(settings.text(), "\n{}", classes);
  if (!settings.plot.empty()) {
    plot(settings.plot, compared);
    fmt::print(settings.text(), "drawn: {}\n", printable(settings.plot));
  }
  if (!compared.valid()) {
    std::fflush(settings.text());  // in a log that takes both, the reason comes after the table
    fmt::print(stderr, "udppump: not valid: {}\n", invalidity(compared));
    return exit_invalid;
  }
  if (invalid > 0) {
    fmt::print(settings.text(), "left out: {} of {} repetitions: {}\n", invalid, made, left_out(compared));
  }
  fmt::print(settings.text(), "\n{}\n{}", to_sentence(compared), to_class_sentence(compared));
  return exit_ok;
}

[[noreturn]] void throw_interrupted_too_early() {
  throw std::runtime_error{"interrupted before the first repetition was over; let it run on"};
}

int run(compare_settings& settings) {
  auto& options = settings.compared;
  settle(settings);
  options.run.keep_records = !settings.json.empty();
  status_line status{!settings.quiet};
  status.show("looking at this machine", "looking at this machine");
  const machine_look seen = look(settings);
  status.clear();
  if (interruption()) throw_interrupted_too_early();
  fmt::print(settings.text(), "{}", to_text(seen));
  if (!take_service_times(settings, seen)) {
    write_report(settings, nullptr, seen);
    return exit_invalid;
  }
  expect_requests(settings);
  options.run.plan.length = settings.duration ? *settings.duration : usual_length(options);
  fmt::print(settings.text(), "{}", method_of(options));
  std::fflush(settings.text());

  const auto report = [&](queue_kind queue, unsigned repetition, double done) {
    const std::string step = repetition < options.repetitions
                                 ? fmt::format("{} of {}: {}", repetition + 1, options.repetitions, to_string(queue))
                                 : fmt::format("{}, once more: {}", repetition + 1, to_string(queue));
    status.show(progress_bar(done, step, status.width()), step);
  };
  const auto compared = compare(options, {.report = report, .interrupted = &interruption()});
  status.clear();
  write_report(settings, &compared, seen);
  if (compared.repetitions() == 0) throw_interrupted_too_early();
  return conclude(settings, compared);
}

}  // namespace

void add_compare(CLI::App& app, action& chosen) {
  auto& sub = *app.add_subcommand("compare", "Measure a shared and a sharded queue, beside the ideal one.");
  auto settings = std::make_shared<compare_settings>();
  auto& options = settings->compared;
  auto& plan = options.run.plan;
  const auto* const server = "Server";
  sub.add_option("--queue", settings->queues,
                 "two or more of: shared (one socket for all workers), lanes (two: short requests before long ones), "
                 "sharded (a socket for each, SO_REUSEPORT) and herd (one socket; each arrival wakes all)")
      ->type_name("NAME NAME...")
      ->default_str("shared sharded")
      ->group(server);
  add_parsed(sub, "--reserve", settings->reserve, count_in(0, 1023),
             {"N", "",
              "of lanes: workers that serve short requests only; default: an eighth of them, at least one, but "
              "fewer if the long ones would fill the others to more than 95%",
              server});
  add_service_options(sub, options.server, server);

  const auto* const load = "Load";
  add_parsed(sub, "--load", options.load, parse_load,
             {"SHARE", "70%", "share of the workers' time that the requests take, below 100%", load});
  add_parsed(
      sub, "--work", settings->work, service_times::parse,
      {"TIMES", "",
       "service times: constant:1ms, exponential:1ms, bimodal:1ms or bimodal:500us,100ms,0.5%; default: "
       "exponential, around the shortest of 1, 2, 5, 10 and 20 ms at which this machine can offer the load; with "
       "lanes: bimodal:500us,50ms,10%",
       load});
  add_parsed(
      sub, "--arrivals", plan.arrivals, arrival_pattern::parse,
      {"PATTERN", "poisson",
       "when requests leave: poisson (independent of each other), constant (at equal gaps) or bursts:N (N at once)",
       load});
  add_parsed(sub, "--flows", plan.flows, count_in(1, 1'000'000),
             {"N", "64", "client sockets, up to 1000000; each request takes one at random", load});
  add_parsed(
      sub, "--duration", settings->duration, parse_duration,
      {"TIME", "",
       "how long each run measures; default: 2.5s, and up to 10s if 1000 requests take longer, or as many long ones in "
       "all repetitions",
       load});
  add_parsed(sub, "--warmup", options.run.warmup, parse_duration,
             {"TIME", "500ms", "send for so long before measuring", load});
  add_parsed(sub, "--repetitions", options.repetitions, count_in(1, 10'000),
             {"N", "5", "how often each queue is measured", load});
  add_parsed(
      sub, "--seed", plan.seed, count_in(0, UINT64_MAX),
      {"N", "1", "the first repetition's times, flows and work follow from it; the next one's from the next number",
       load});
  add_parsed(sub, "--timeout", options.run.timeout, parse_duration,
             {"TIME", "2s", "an answer that takes longer counts as late", load});
  add_realtime_option(sub, options.run.priority, load);

  const auto* const output = "Output";
  add_parsed(
      sub, "--lag-limit", options.limits.lag, parse_tolerance,
      {"SHARE", "10%",
       "a repetition is left out if the 99th percentile of the lag (how late requests left) is a larger share of the "
       "latency's; none: any",
       output});
  add_parsed(
      sub, "--offered-limit", options.limits.offered, parse_tolerance,
      {"SHARE", "10%",
       "and if the load really offered differs from the one asked for by a larger share of it; none: any", output});
  add_parsed(sub, "--json", settings->json, not_empty,
             {"FILE", "", "write everything there, with histograms and the time of each request; - is standard output",
              output});
  add_parsed(sub, "--plot", settings->plot, not_empty,
             {"FILE", "", "draw the latencies there by gnuplot: .svg or .png", output});
  sub.add_flag("--quiet", settings->quiet, "show no progress")->group(output);
  sub.footer(
      "Exit codes: 0 compared; 1 could not be; 2 the command line is wrong;\n"
      "3 too few repetitions are valid: requests left late, or the load really offered was not the one asked for.\n"
      "For each repetition that is left out another one is made, until three times the planned time has passed.\n"
      "If a run has fewer requests than 1000, its 99th percentile may be chance, and the last line says so.\n"
      "Ratios are to the ideal queue, in which any idle worker starts on the next request at once. It is simulated "
      "with\n"
      "the same arrivals and the service times really used, as are the ideal lanes. With bimodal --work, short and "
      "long\n"
      "requests are told apart. With --service sleep, each request has one context switch more.");
  sub.callback([&chosen, settings] { chosen = [settings] { return run(*settings); }; });
}

}  // namespace udppump::tools

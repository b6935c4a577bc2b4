#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>
#include <system_error>

#include "command.hpp"
#include "command_line.hpp"
#include "load/plan/dns_queries.hpp"
#include "load/plan/input_file.hpp"
#include "load/plan/payload_lines.hpp"
#include "load/plan/quantity.hpp"
#include "load/plan/random_payload.hpp"
#include "load/plan/work_requests.hpp"
#include "load/report/json_report.hpp"
#include "load/report/output_file.hpp"
#include "load/report/plot.hpp"
#include "load/report/text_report.hpp"
#include "load/run/knee_search.hpp"
#include "load/run/load_run.hpp"
#include "shared_options.hpp"

namespace udppump::tools {
namespace {

using namespace std::chrono_literals;
using namespace udppump::load;

enum load_exit_code : int { exit_invalid = 3, exit_none_good = 4 };

struct load_settings {
  std::string target;
  std::vector<std::string> sources;
  load_options run{.plan = {.rate = 1000, .length = 10s}, .warmup = 1s, .timeout = 2s};
  std::string work, payloads, dns;
  payload_encoding encoding = payload_encoding::hex;
  bool echo = false;
  std::size_t size = 64;
  bool ramp = false;
  nanoseconds slo = 10ms;
  validity_limits limits;
  bool quiet = false;
  std::string json, plot;

  /// Where text goes: the report may have standard output for itself.
  std::FILE* text() const { return !json.empty() && is_standard_output(json) ? stderr : stdout; }
};

std::unique_ptr<request_template> make_template(const load_settings& settings) {
  std::random_device random;  // not of the seed: each run must know its answers from those of others
  const std::uint32_t tag = random();
  if (!settings.work.empty()) return std::make_unique<work_requests>(tag, settings.size);
  if (!settings.payloads.empty()) {
    auto from = open_input(settings.payloads);
    return std::make_unique<payload_lines>(from, settings.payloads, settings.encoding);
  }
  if (!settings.dns.empty()) {
    auto from = open_input(settings.dns);
    return std::make_unique<dns_queries>(from, settings.dns, tag);
  }
  using matching = random_payload::matching;
  return std::make_unique<random_payload>(tag, settings.run.plan.seed, settings.size,
                                          settings.echo ? matching::by_echo : matching::in_order);
}

nlohmann::json head_of_report(const load_settings& settings) {
  return {{"udppump", UDPPUMP_VERSION},
          {"target", settings.run.target.to_string()},
          {"plan", to_json(settings.run.plan)},
          {"warmup_ns", settings.run.warmup.count()},
          {"timeout_ns", settings.run.timeout.count()},
          {"lag_limit", settings.limits.lag},
          {"offered_limit", settings.limits.offered}};
}

/// The plan's times with the warm-up put before what is measured.
load_options with_warmup(load_options options) {
  options.plan.length += options.warmup;
  return options;
}

void draw(const load_settings& settings, const load_result& result) {
  if (settings.plot.empty()) return;
  const plot_curve curve{.name = "latency",
                         .latency = &result.latency,
                         .missing = result.counts.lost + result.counts.unsent,
                         .colour = "#2a9d8f"};
  plot(settings.plot,
       fmt::format("{}, {} requests a second, {}", settings.run.target.to_string(), settings.run.plan.rate,
                   settings.run.plan.arrivals.to_string()),
       {&curve, 1});
}

int run_once(const load_settings& settings, const request_template& requests) {
  status_line status{!settings.quiet};
  const auto result = run_load(
      with_warmup(settings.run), requests,
      {.report = [&](const load_progress& now) { status.show(to_text(now)); }, .interrupted = &interruption()});
  status.clear();
  if (result.counts.sent + result.counts.unsent == 0) {
    throw std::runtime_error{result.interrupted
                                 ? "interrupted before anything was measured; let it run longer than --warmup"
                                 : invalidity(result, settings.limits)};
  }
  fmt::print(settings.text(), "{}", to_text(result));
  const std::string invalid = invalidity(result, settings.limits);
  if (!settings.json.empty()) {
    auto report = head_of_report(settings);
    report["valid"] = invalid.empty();
    report["result"] = to_json(result);
    write_file(settings.json, to_line(report));
  }
  if (result.latency.count() == 0) {
    throw std::runtime_error{fmt::format("{} answered none of {} requests; does it listen, and speak this protocol?",
                                         settings.run.target.to_string(), result.counts.sent)};
  }
  draw(settings, result);
  if (result.icmp_errors > 0) {
    std::fflush(settings.text());
    throw std::runtime_error{
        fmt::format("{} was not there all the time: {}; see that the server runs, and measure again",
                    settings.run.target.to_string(), counted(result.icmp_errors, "ICMP error"))};
  }
  if (invalid.empty()) return exit_ok;
  std::fflush(settings.text());  // in a log that takes both, the reason comes last
  fmt::print(stderr, "udppump: not valid: {}\n", invalid);
  return exit_invalid;
}

/// Waits until what an overload left in the target's queue is gone: until probes are within the limit, or do not get
/// faster any more; at most half a minute.
void let_recover(const load_settings& settings) {
  load_options probe = settings.run;
  probe.plan.rate = 20;
  probe.plan.length = 200ms;
  probe.plan.arrivals = {.kind = arrival_kind::constant};
  probe.warmup = 0ns;
  probe.keep_records = false;
  nanoseconds last = unanswered;
  for (const nanoseconds end = monotonic_now() + 30s; monotonic_now() < end && !interruption();) {
    const auto tried = run_load(probe, *make_template(settings), {.interrupted = &interruption()});
    const nanoseconds slowest = tried.percentile(100);
    if (slowest <= settings.slo || (slowest != unanswered && slowest > last / 10 * 9)) return;
    last = slowest;
  }
}

class ramp {
 public:
  explicit ramp(const load_settings& settings) : settings_{settings} {}

  int run() {
    const knee found = find_knee({.first_rate = settings_.run.plan.rate}, [this](double rate) {
      try {
        return measure(rate);
      } catch (const std::system_error& gone) {  // what was seen until then is reported
        failure_ = gone.what();
        return verdict::target_gone;
      }
    });
    if (!settings_.json.empty()) write_file(settings_.json, to_line(report(found)));
    if (!failure_.empty()) throw std::runtime_error{"the ramp ended early: " + failure_};
    return conclude(found);
  }

 private:
  verdict measure(double rate) {
    const auto requests = make_template(settings_);  // anew: no answer to an earlier step counts for this
    load_options step = with_warmup(settings_.run);
    step.plan.rate = rate;
    status_line status{!settings_.quiet};
    const auto result = run_load(
        step, *requests,
        {.report = [&](const load_progress& now) { status.show(to_text(now)); }, .interrupted = &interruption()});
    status.clear();
    const verdict seen = judge(result, settings_.slo, settings_.limits);
    tell(rate, result, seen);
    if (seen == verdict::target_gone) {
      failure_ = fmt::format("{} went away: {} ICMP errors; start the server again", settings_.run.target.to_string(),
                             result.icmp_errors);
    }
    any_bad_ = any_bad_ || seen == verdict::bad;
    if (seen == verdict::good || seen == verdict::bad) fewest_ = std::min(fewest_, result.requests());
    if (seen == verdict::bad || seen == verdict::invalid) let_recover(settings_);
    // What was told to be good stays so: the next step, if there is one, is cut short at once.
    return interruption() && seen != verdict::good ? verdict::interrupted : seen;
  }

  void tell(double rate, const load_result& result, verdict seen) {
    const std::string name{to_string(seen)};
    const std::string doubtful = doubtful_answers(result.counts);
    fmt::print(settings_.text(), "{:>10.0f} a second: p50 {}, p99 {}, lost {}: {}{}{}\n", rate,
               format_duration(result.percentile(50)), format_duration(result.percentile(99)),
               result.counts.lost + result.counts.unsent, name,
               seen == verdict::invalid ? ": " + std::string{to_string(flaw_of(result, settings_.limits))} : "",
               doubtful.empty() ? "" : "; " + doubtful);
    std::fflush(settings_.text());
    steps_.push_back({{"rate", rate}, {"verdict", name}, {"result", to_json(result)}});
  }

  nlohmann::json report(const knee& found) const {
    const auto known = [](double rate) { return rate > 0 ? nlohmann::json(rate) : nlohmann::json{}; };
    auto report = head_of_report(settings_);
    report["slo_ns"] = settings_.slo.count();
    report["highest_good_rate"] = known(found.good);
    report["lowest_bad_rate"] = known(found.invalid ? 0 : found.bad);
    report["lowest_rate_not_offered"] = known(found.invalid ? found.bad : 0);
    report["limited_by_generator"] = found.invalid;
    report["interrupted"] = found.cut_short && failure_.empty();
    report["failure"] = failure_.empty() ? nlohmann::json{} : nlohmann::json(failure_);
    report["steps"] = steps_;
    return report;
  }

  int conclude(const knee& found) const {
    const int code = say(found);
    if (fewest_ < requests_for_p99 && code != exit_invalid) {
      fmt::print(settings_.text(),
                 "note: a step had only {}, and a 99th percentile needs {}, of which ten exceed it; take a "
                 "longer --duration\n",
                 counted(fewest_, "request"), requests_for_p99);
    }
    return code;
  }

  int say(const knee& found) const {
    if (found.good == 0) {
      if (found.cut_short)
        throw std::runtime_error{"interrupted before a rate was found to be good; let the ramp run to its end"};
      if (!any_bad_) {
        fmt::print(stderr, "udppump: not valid: no rate could be offered as it was asked for; quiet the machine\n");
        return exit_invalid;
      }
      fmt::print(settings_.text(), "no rate was found at which the 99th percentile stays within {}\n",
                 format_duration(settings_.slo));
      return exit_none_good;
    }
    fmt::print(settings_.text(), "the 99th percentile stays within {} up to {:.0f} requests a second{}\n",
               format_duration(settings_.slo), found.good,
               found.cut_short  ? ", as far as was tried: interrupted"
               : found.bad == 0 ? ", the highest tried"
                                : "");
    if (found.cut_short) {
      std::fflush(settings_.text());
      throw std::runtime_error{"interrupted before the highest rate was found; let the ramp run to its end"};
    }
    if (!found.invalid) return exit_ok;
    std::fflush(settings_.text());
    fmt::print(stderr,
               "udppump: not valid: {:.0f} a second is more than this program can offer here; the target's limit lies "
               "higher\n",
               found.bad);
    return exit_invalid;
  }

  const load_settings& settings_;
  /// Why it ended before it had an answer, other than by an interrupt.
  std::string failure_;
  /// Whether the target itself failed at any rate.
  bool any_bad_ = false;
  /// Of the steps that were judged good or bad.
  std::uint64_t fewest_ = UINT64_MAX;
  nlohmann::json steps_ = nlohmann::json::array();
};

void read_addresses(load_settings& settings) {
  auto& run = settings.run;
  run.target = parse_address("TARGET", settings.target);
  if (!run.target.is_unix() && run.target.port() == 0) {
    throw std::invalid_argument{fmt::format("TARGET: {}: port 0 is no port; name the server's", settings.target)};
  }
  for (const auto& text : settings.sources) {
    const auto source = parse_address("--source", text);
    if (source.family() != run.target.family()) {
      throw std::invalid_argument{fmt::format("--source: from {} to {}: source and target must be of the same family",
                                              source.to_string(), run.target.to_string())};
    }
    if (source == run.target) {
      throw std::invalid_argument{
          fmt::format("--source: {} is the target: it would answer itself; omit the port", source.to_string())};
    }
    if (std::ranges::find(run.sources, source) != run.sources.end()) {
      throw std::invalid_argument{fmt::format("--source: {} is named twice; name it once", source.to_string())};
    }
    run.sources.push_back(source);
    if (source.port() != 0 && run.plan.flows > settings.sources.size()) {
      throw std::invalid_argument{
          fmt::format("--source: {} can be the address of one flow only; omit the port, or take --flows {}",
                      source.to_string(), settings.sources.size())};
    }
  }
}

void check_number_of_sources(const load_settings& settings) {
  const auto sources = settings.run.sources.size();
  if (sources <= settings.run.plan.flows) return;
  throw std::invalid_argument{
      fmt::format("--source: {} sources, and {} to send from, each from one of them; take --flows {}", sources,
                  counted(settings.run.plan.flows, "client socket"), sources)};
}

void read_files(const load_settings& settings) {
  if (settings.ramp && !settings.plot.empty()) {
    throw std::invalid_argument{"--plot draws one run, and --ramp makes many; omit one of them"};
  }
  for (const auto* input : {&settings.dns, &settings.payloads}) {
    for (const auto* output : {&settings.json, &settings.plot}) {
      if (input->empty() || output->empty() || !is_same_file(*input, *output)) continue;
      throw std::invalid_argument{fmt::format("{} would be written over, and is read; name another file", *output)};
    }
  }
  expect_writable(settings.json);
  expect_plottable(settings.plot);
  if (!settings.json.empty() && is_same_file(settings.json, settings.plot)) {
    throw std::invalid_argument{"--json and --plot name the same file; name two"};
  }
}

int run(load_settings& settings) {
  if (settings.run.timeout <= 0ns) throw std::invalid_argument{"--timeout: 0 waits for no answer; give more"};
  if (settings.run.plan.length <= 0ns) throw std::invalid_argument{"--duration: 0 measures nothing; give more"};
  if (settings.ramp && settings.slo <= 0ns)
    throw std::invalid_argument{"--slo: no answer takes no time; give more than 0"};
  read_addresses(settings);
  check_number_of_sources(settings);
  if (!settings.work.empty()) settings.run.plan.service = service_times::parse(settings.work);
  settings.run.keep_records = !settings.json.empty();
  const auto requests = make_template(settings);
  read_files(settings);
  return settings.ramp ? ramp{settings}.run() : run_once(settings, *requests);
}

nanoseconds parse_spin(const std::string& text) {
  const nanoseconds time = parse_duration(text);
  if (time <= 1s) return time;
  throw std::invalid_argument{load::quoted(text) + " would use a whole processor; give a second at most"};
}

/// "192.0.2.1" and "2001:db8::1" are allowed as sources, without a port.
std::string with_port(std::string text) {
  if (address::parse_numeric(text)) return text;
  const auto with = text.find(':') != std::string::npos ? '[' + text + "]:0" : text + ":0";
  return address::parse_numeric(with) ? with : text;
}

}  // namespace

void add_load(CLI::App& app, action& chosen) {
  auto& sub = *app.add_subcommand(
      "load", "Send requests at set times, whether answers come or not, and measure how long these take.");
  auto settings = std::make_shared<load_settings>();
  auto& run_options = settings->run;
  sub.add_option("TARGET", settings->target, "address to ask: 192.0.2.1:53, [2001:db8::1]:53, name:53")->required();

  const auto* const when = "When";
  add_parsed(sub, "--rate", run_options.plan.rate, parse_rate,
             {"RATE", "1000", "requests a second, in the mean: 500, 10k, 1.2M", when});
  add_parsed(sub, "--duration", run_options.plan.length, parse_duration,
             {"TIME", "10s", "how long to measure: 250ms, 10s, 2min", when});
  add_parsed(sub, "--warmup", run_options.warmup, parse_duration,
             {"TIME", "1s", "send for so long before measuring", when});
  add_parsed(
      sub, "--arrivals", run_options.plan.arrivals, arrival_pattern::parse,
      {"PATTERN", "poisson",
       "when requests leave: poisson (independent of each other), constant (at equal gaps) or bursts:N (N at once)",
       when});
  add_parsed(sub, "--timeout", run_options.timeout, parse_duration,
             {"TIME", "2s", "an answer that takes longer counts as late", when});
  add_parsed(sub, "--seed", run_options.plan.seed, count_in(0, UINT64_MAX),
             {"N", "1", "the same seed gives the same times, client sockets and work", when});
  sub.add_flag("--ramp", settings->ramp,
               "find the highest rate at which 99 of 100 answers come within --slo; begins at --rate, each step takes "
               "--warmup and --duration")
      ->group(when);
  add_parsed(sub, "--slo", settings->slo, parse_duration,
             {"TIME", "10ms", "the latency that 99 of 100 answers must stay within", when})
      ->needs(sub.get_option("--ramp"));

  const auto* const what = "What (without one of the first three: random bytes)";
  auto* const work = add_parsed(sub, "--work", settings->work, not_empty,
                                {"TIMES", "",
                                 "requests for udppump work, which works so long on each: constant:1ms, "
                                 "exponential:1ms, bimodal:1ms or bimodal:500us,100ms,0.5%; constant:0 only answers",
                                 what});
  auto* const dns = add_parsed(sub, "--dns", settings->dns, not_empty,
                               {"FILE", "", "DNS queries, a line each as in dnsperf: example.com AAAA", what});
  auto* const payloads = add_parsed(sub, "--payloads", settings->payloads, not_empty,
                                    {"FILE", "", "a payload a line, sent in turn; answers are matched in order", what});
  work->excludes(dns)->excludes(payloads);
  dns->excludes(payloads);
  add_parsed(sub, "--encoding", settings->encoding,
             one_of<payload_encoding>({{"hex", payload_encoding::hex}, {"base64", payload_encoding::base64}}),
             {"NAME", "hex", "how --payloads are written: hex or base64", what})
      ->needs(payloads);
  add_parsed(sub, "--size", settings->size, count_in(0, largest_payload),
             {"BYTES", "64", "bytes of random and work requests; work takes 48 at least", what})
      ->excludes(dns)
      ->excludes(payloads);
  sub.add_flag("--echo", settings->echo, "the target echoes: match random bytes by their first eight, not in order")
      ->group(what)
      ->excludes(work)
      ->excludes(dns)
      ->excludes(payloads);

  const auto* const from = "Where from";
  add_parsed(sub, "--flows", run_options.plan.flows, count_in(1, 1'000'000),
             {"N", "1", "client sockets, up to 1000000; each request takes one at random", from});
  add_repeated(sub, "--source",
               [settings](const std::string& text) { settings->sources.push_back(with_port(not_empty(text))); },
               {"ADDRESS", "", "local address to send from; may be given again, and several are taken in turn", from});
  add_parsed(
      sub, "--spin", run_options.spin_limit, parse_spin,
      {"TIME", "60us", "wake up to this long before a request is due, and spin until then; 0 only sleeps", from});
  add_realtime_option(sub, run_options.priority, from);

  const auto* const output = "Output";
  add_parsed(sub, "--lag-limit", settings->limits.lag, parse_tolerance,
             {"SHARE", "10%",
              "a run is not valid if the 99th percentile of the lag (how late requests left) is a larger share of the "
              "latency's; none: any",
              output});
  add_parsed(
      sub, "--offered-limit", settings->limits.offered, parse_tolerance,
      {"SHARE", "10%",
       "and not if the rate really offered differs from the one asked for by a larger share of it; none: any", output});
  add_parsed(sub, "--json", settings->json, not_empty,
             {"FILE", "", "write everything there, with histogram and the time of each request; - is standard output",
              output});
  add_parsed(sub, "--plot", settings->plot, not_empty,
             {"FILE", "", "draw the latencies there by gnuplot: .svg or .png", output});
  sub.add_flag("--quiet", settings->quiet, "show no progress")->group(output);
  sub.footer(
      "Exit codes: 0 measured, or interrupted and measured until then; 1 could not be measured, or the\n"
      "target went away, or a ramp was interrupted; 2 the command line or a file it names is wrong;\n"
      "3 measured, but not valid: this program did not offer what was asked for; 4 no rate is within --slo.\n"
      "A request that was never answered waited longer than any other: with 2% lost there is no p99.");
  sub.callback([&chosen, settings] { chosen = [settings] { return run(*settings); }; });
}

}  // namespace udppump::tools

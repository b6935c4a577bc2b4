#include "load/report/comparison_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "load/plan/quantity.hpp"
#include "load/report/class_report.hpp"
#include "load/report/json_report.hpp"
#include "load/report/plot.hpp"
#include "load/report/table.hpp"
#include "load/report/text_report.hpp"

namespace udppump::load {
namespace {

std::string time(double seconds) {
  if (std::isnan(seconds)) return "-";
  return format_duration(std::isinf(seconds) ? unanswered : nanoseconds{std::llround(seconds * 1e9)});
}
std::string ratio(double value) { return std::isinf(value) ? "lost" : format_number(value); }
std::string whole(double value) { return fmt::format("{:.0f}", value); }

struct column {
  std::string head;
  std::function<double(const work_run&)> figure;
  std::function<std::string(double)> written;
  /// The same of the ideal queue, and of the ideal lanes; empty if they have none.
  std::function<double(const work_run&)> ideal = {};
  std::function<double(const work_run&)> ideal_lanes = {};
};

std::vector<column> columns() {
  const auto percentile = [](const char* head, double percent) {
    return column{head, [=](const work_run& run) { return run.latency(percent); }, time,
                  [=](const work_run& run) { return run.ideal_latency(percent); },
                  [=](const work_run& run) { return run.ideal_lanes_latency(percent); }};
  };
  const auto to_ideal = [](const char* head, double percent) {
    return column{head, [=](const work_run& run) { return run.ratio_to_ideal(percent); }, ratio};
  };
  return {percentile("p50", 50),
          percentile("p99", 99),
          percentile("p99.9", 99.9),
          to_ideal("p99/ideal", 99),
          to_ideal("p99.9/ideal", 99.9),
          {"load offered", [](const work_run& run) { return run.real_load; }, format_percent,
           [](const work_run& run) { return run.asked_load; }},
          {"switches/datagram", [](const work_run& run) { return run.switches_per_datagram; }, format_number},
          {"answers/s", [](const work_run& run) { return run.goodput(); }, whole},
          {"lost", [](const work_run& run) { return static_cast<double>(run.result.counts.lost); }, whole}};
}

std::string colour_of(queue_kind queue) {
  switch (queue) {
    case queue_kind::shared:
      return "#2a9d8f";
    case queue_kind::sharded:
      return "#e76f51";
    case queue_kind::lanes:
      return "#d4a017";
    case queue_kind::herd:
      break;
  }
  return "#9b7fd1";
}

std::string queue_names(const std::vector<queue_kind>& queues) {
  std::string names;
  for (const auto queue : queues) names += fmt::format("{}{}", names.empty() ? "" : ", ", to_string(queue));
  return names;
}

std::string method_of_lanes(const comparison_options& options) {
  if (!has_queue(options, queue_kind::lanes)) return {};
  return fmt::format("lanes: requests of {} before those of {}; {} of {} kept for the former\n",
                     format_duration(options.run.plan.service.short_time),
                     format_duration(options.run.plan.service.long_time), options.server.reserve,
                     counted(options.server.workers, "worker"));
}

/// Of the run of one queue, as that of the others has it too.
nlohmann::json ideals_of(const work_run& run) {
  nlohmann::json ideals{{"ideal", to_json(run.ideal.latency)}};
  if (run.ideal.classes) ideals["ideal_classes"] = to_json(*run.ideal.classes);
  if (!run.ideal_lanes) return ideals;
  ideals["ideal_lanes"] = to_json(run.ideal_lanes->latency);
  if (run.ideal_lanes->classes) ideals["ideal_lanes_classes"] = to_json(*run.ideal_lanes->classes);
  return ideals;
}

}  // namespace

std::string method_of(const comparison_options& options) {
  const auto& plan = options.run.plan;
  return fmt::format(
      "{} that {}{}, {}; {} load: {:.0f} requests a second from {}, {} arrivals\n"
      "{} in turn on the same requests, {} for {} each; the ideal queue is simulated on these\n{}",
      counted(options.server.workers, "worker"), options.server.service == service_mode::sleep ? "sleep" : "spin",
      options.server.workers == 1 ? "s" : "", plan.service.to_string(), format_percent(options.load), rate_of(options),
      counted(plan.flows, "flow"), plan.arrivals.to_string(), queue_names(options.queues),
      counted(options.repetitions, "time"), format_duration(plan.length), method_of_lanes(options));
}

std::string to_table(const comparison& compared) {
  const auto all = columns();
  table::row head{""};
  for (const auto& each : all) head.push_back(each.head);
  table side_by_side{head};
  table::row ideal{"ideal"};
  const queue_kind first = compared.options.queues.front();
  for (const auto& each : all) {
    ideal.push_back(each.ideal ? each.written(compared.figure(first, each.ideal).median) : "");
  }
  side_by_side.add(std::move(ideal));
  if (has_queue(compared.options, queue_kind::lanes)) {
    table::row lanes{"ideal lanes"};
    for (const auto& each : all) {
      lanes.push_back(each.ideal_lanes ? each.written(compared.figure(queue_kind::lanes, each.ideal_lanes).median)
                                       : "");
    }
    side_by_side.add(std::move(lanes));
  }
  for (const auto queue : compared.options.queues) {
    table::row median{std::string{to_string(queue)}};
    table::row lowest{"  lowest"};
    table::row highest{"  highest"};
    for (const auto& each : all) {
      const spread figure = compared.figure(queue, each.figure);
      median.push_back(each.written(figure.median));
      lowest.push_back(each.written(figure.lowest));
      highest.push_back(each.written(figure.highest));
    }
    side_by_side.add(std::move(median));
    if (compared.repetitions() < 2) continue;
    side_by_side.add(std::move(lowest));
    side_by_side.add(std::move(highest));
  }
  std::string text = side_by_side.to_string();
  const auto lag = [](const work_run& run) {
    return std::chrono::duration<double>{run.result.lag.percentile(99)}.count();
  };
  text += fmt::format(
      "load asked for: {}; offered: how much of the workers' time the requests really took; own lag, p99: {}\n",
      format_percent(compared.options.load), time(compared.figure(first, lag).median));
  const std::string few = few_requests(compared.fewest_requests(), {50, 99, 99.9});
  if (!few.empty()) text += "note: runs of " + few + '\n';
  return text;
}

std::string to_sentence(const comparison& compared) {
  if (const auto fewest = compared.fewest_requests(); fewest < requests_for_p99) {
    return fmt::format(
               "Nothing is said of 99 in 100 requests: a run had only {}, and {} are needed, of which ten exceed the "
               "99th "
               "percentile; take a longer --duration or a shorter --work",
               fewest, requests_for_p99) +
           '.';
  }
  const auto p99 = [](const work_run& run) { return run.latency(99); };
  const auto to_ideal = [](const work_run& run) { return run.ratio_to_ideal(99); };
  const auto& queues = compared.options.queues;
  const auto offered = [](const work_run& run) { return run.real_load; };
  std::string sentence =
      fmt::format("With {} at {} load ({} really offered), 99 of 100 requests were answered",
                  counted(compared.options.server.workers, "worker"), format_percent(compared.options.load),
                  format_percent(compared.figure(queues.front(), offered).median));
  const double reference = compared.figure(queues.front(), p99).median;
  for (std::size_t i = 0; i < queues.size(); ++i) {
    const double median = compared.figure(queues[i], p99).median;
    const std::string_view name = to_string(queues[i]);
    const auto* const link = i == 0 ? "" : i + 1 < queues.size() ? "," : queues.size() > 2 ? ", and" : " and";
    if (std::isinf(median)) {
      sentence +=
          fmt::format("{} not within any time by {}, which left more than one in 100 without an answer", link, name);
    } else if (i == 0) {
      sentence += fmt::format(" within {} by {} ({} times the ideal queue's)", time(median), name,
                              ratio(compared.figure(queues[i], to_ideal).median));
    } else {
      sentence += fmt::format("{} within {} by {}", link, time(median), name);
      if (!std::isinf(reference)) sentence += fmt::format(" ({} times as long)", ratio(median / reference));
    }
  }
  return sentence + ".";
}

std::string left_out(const comparison& compared) {
  std::map<flaw, unsigned> counts;
  for (unsigned repetition = 0; repetition < compared.repetitions(); ++repetition) {
    const flaw found = compared.flaw_in(repetition);
    if (found != flaw::none) ++counts[found];
  }
  std::string text;
  for (const auto& [found, count] : counts) {
    text += fmt::format("{}in {} {}", text.empty() ? "" : ", ", count, to_string(found));
  }
  return text;
}

std::string invalidity(const comparison& compared) {
  if (compared.interrupted && compared.valid_repetitions() == compared.repetitions()) {
    return fmt::format("interrupted after {} of {} repetitions, and at least half of them are needed; let it run on",
                       compared.repetitions(), compared.options.repetitions);
  }
  const auto offered = [](const work_run& run) { return run.real_load; };
  const auto lag = [](const work_run& run) { return run.result.lag_share(); };
  double lowest_load = compared.options.load, highest_load = 0, highest_lag = 0;
  for (const auto queue : compared.options.queues) {
    lowest_load = std::min(lowest_load, compared.figure(queue, offered).lowest);
    highest_load = std::max(highest_load, compared.figure(queue, offered).highest);
    highest_lag = std::max(highest_lag, compared.figure(queue, lag).highest);
  }
  return fmt::format(
      "{} of {} repetitions are valid, and {} were wanted: {}; the load really offered was {} to {} (asked for: {}), "
      "the p99 of this program's own lag up to {} of the latency's. Quiet the machine, lower --load or --workers, take "
      "a longer --work, or try --realtime on",
      compared.valid_repetitions(), compared.repetitions(), compared.options.repetitions, left_out(compared),
      format_percent(lowest_load), format_percent(highest_load), format_percent(compared.options.load),
      format_percent(highest_lag));
}

std::string to_text(const machine_look& seen) {
  return fmt::format(
      "this machine: {} processors, {} of their time stolen, {} used by others; a sleep ends {} late (p90 {}), a "
      "wake-up takes {} (p90 {})\n",
      seen.processors, format_percent(seen.stolen), format_percent(seen.others), format_duration(seen.sleep.median),
      format_duration(seen.sleep.p90), format_duration(seen.wake_up.median), format_duration(seen.wake_up.p90));
}

std::string to_text(std::span<const trial> trials, const comparison_options& options) {
  std::string series;
  for (const auto& each : trials) {
    const std::string what = each.found == flaw::none ? format_percent(each.real_load / each.asked_load * options.load)
                                                      : std::string{to_string(each.found)};
    series += fmt::format("{}{}: {}", series.empty() ? "" : ", ", format_duration(each.service), what);
  }
  return series;
}

nlohmann::json to_json(const machine_look& seen) {
  const auto late = [](const lateness& each) {
    return nlohmann::json{{"median_ns", each.median.count()}, {"p90_ns", each.p90.count()}};
  };
  nlohmann::json trials = nlohmann::json::array();
  for (const auto& each : seen.trials) {
    trials.push_back({{"service_ns", each.service.count()},
                      {"asked_load", each.asked_load},
                      {"real_load", each.real_load},
                      {"flaw", each.found == flaw::none ? nlohmann::json{} : nlohmann::json(to_string(each.found))}});
  }
  return {{"processors", seen.processors}, {"stolen", seen.stolen},         {"others", seen.others},
          {"sleep", late(seen.sleep)},     {"wake_up", late(seen.wake_up)}, {"trials", std::move(trials)}};
}

nlohmann::json to_json(const comparison& compared) {
  nlohmann::json runs = nlohmann::json::array();
  for (const auto& [queue, repetition, run] : compared.runs) {
    runs.push_back({{"queue", to_string(queue)},
                    {"repetition", repetition},
                    {"seed", compared.options.run.plan.seed + repetition},
                    {"valid", compared.flaw_in(repetition) == flaw::none},
                    {"flaw", run.valid() ? nlohmann::json{} : nlohmann::json(to_string(run.found))},
                    {"switches_per_datagram", run.switches_per_datagram},
                    {"asked_load", run.asked_load},
                    {"real_load", run.real_load},
                    {"goodput", run.goodput()},
                    {"result", to_json(run.result)}});
    runs.back().update(ideals_of(run));
  }
  auto plan = to_json(compared.options.run.plan);
  plan["rate"] = rate_of(compared.options);
  return {{"workers", compared.options.server.workers},
          {"reserve", has_queue(compared.options, queue_kind::lanes) ? nlohmann::json(compared.options.server.reserve)
                                                                     : nlohmann::json{}},
          {"load", compared.options.load},
          {"repetitions", compared.options.repetitions},
          {"valid_repetitions", compared.valid_repetitions()},
          {"valid", compared.valid()},
          {"interrupted", compared.interrupted},
          {"lag_limit", compared.options.limits.lag},
          {"offered_limit", compared.options.limits.offered},
          {"warmup_ns", compared.options.run.warmup.count()},
          {"plan", std::move(plan)},
          {"runs", std::move(runs)}};
}

void plot(const std::string& path, const comparison& compared) {
  const auto& options = compared.options;
  std::vector<histogram> latencies{compared.ideal_latencies(options.queues.front())};
  for (const auto queue : options.queues) latencies.push_back(compared.latencies(queue));
  std::vector<plot_curve> curves{
      {.name = "ideal queue", .latency = &latencies.front(), .colour = "#808080", .dashed = true}};
  class_result ideal_lanes;
  if (const auto classes = compared.ideal_lanes_classes(queue_kind::lanes)) {
    ideal_lanes = classes->all();
    curves.push_back({.name = "ideal lanes",
                      .latency = &ideal_lanes.latency,
                      .colour = colour_of(queue_kind::lanes),
                      .dashed = true});
  }
  for (std::size_t i = 0; i < options.queues.size(); ++i) {
    curves.push_back({.name = std::string{to_string(options.queues[i])},
                      .latency = &latencies[i + 1],
                      .missing = compared.missing(options.queues[i]),
                      .colour = colour_of(options.queues[i])});
  }
  plot(path,
       fmt::format("{}, {}, {} load", counted(options.server.workers, "worker"), options.run.plan.service.to_string(),
                   format_percent(options.load)),
       curves);
}

}  // namespace udppump::load

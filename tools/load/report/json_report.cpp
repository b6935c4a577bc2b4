#include "load/report/json_report.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "load/report/class_report.hpp"

namespace udppump::load {
namespace {

using nlohmann::json;

json time(nanoseconds value) { return value == unanswered ? json{} : json(value.count()); }
json told(nanoseconds value) { return value.count() < 0 ? json{} : json(value.count()); }

}  // namespace

json to_json(const histogram& values, std::uint64_t missing) {
  json cells = json::array();
  for (const auto& cell : values.cells()) cells.push_back({cell.first.count(), cell.last.count(), cell.count});
  return {{"count", values.count()},
          {"missing", missing},
          {"min_ns", values.min().count()},
          {"mean_ns", values.mean().count()},
          {"p50_ns", time(values.percentile(50, missing))},
          {"p90_ns", time(values.percentile(90, missing))},
          {"p99_ns", time(values.percentile(99, missing))},
          {"p99.9_ns", time(values.percentile(99.9, missing))},
          {"max_ns", values.max().count()},
          {"cells_ns", std::move(cells)}};
}

json to_json(const plan_options& plan) {
  return {{"arrivals", plan.arrivals.to_string()},
          {"rate", plan.rate},
          {"length_ns", plan.length.count()},
          {"flows", plan.flows},
          {"service", plan.service.to_string()},
          {"service_mean_ns", plan.service.mean.count()},
          {"seed", plan.seed}};
}

json to_json(std::span<const request_record> records) {
  json intended = json::array();
  json lag = json::array();
  json latency = json::array();
  json asked = json::array();
  json used = json::array();
  json waited = json::array();
  json flow = json::array();
  json worker = json::array();
  for (const auto& each : records) {
    intended.push_back(each.intended.count());
    lag.push_back(each.lag.count());
    latency.push_back(time(each.latency));
    asked.push_back(each.asked.count());
    used.push_back(told(each.used));
    waited.push_back(told(each.waited));
    flow.push_back(each.flow);
    worker.push_back(each.worker < 0 ? json{} : json(each.worker));
  }
  return {{"intended_ns", std::move(intended)},
          {"lag_ns", std::move(lag)},
          {"latency_ns", std::move(latency)},
          {"asked_ns", std::move(asked)},
          {"used_ns", std::move(used)},
          {"waited_ns", std::move(waited)},
          {"flow", std::move(flow)},
          {"worker", std::move(worker)}};
}

std::string to_line(const json& document) {
  return document.dump(-1, ' ', true, json::error_handler_t::replace) + '\n';
}

json to_json(const load_result& result) {
  const auto& counts = result.counts;
  json whole{{"measured_ns", result.measured.count()},
             {"planned_ns", result.planned.count()},
             {"asked_rate", result.asked_rate()},
             {"offered_rate", result.offered_rate()},
             {"interrupted", result.interrupted},
             {"gave_up", result.gave_up},
             {"sent", counts.sent},
             {"unsent", counts.unsent},
             {"answered", counts.answered},
             {"late", counts.late},
             {"lost", counts.lost},
             {"duplicates", counts.duplicates},
             {"strange", counts.strange},
             {"ids_used_again", counts.reused},
             {"receive_drops", result.receive_drops},
             {"icmp_errors", result.icmp_errors},
             {"answer_bytes", result.answer_bytes},
             {"lag_share", result.lag_share()},
             {"latency", to_json(result.latency, counts.lost + counts.unsent)},
             {"lag", to_json(result.lag)}};
  if (result.used.count() > 0) whole["used"] = to_json(result.used);
  if (std::ranges::any_of(counts.codes, [](std::uint64_t count) { return count > 0; })) {
    whole["response_codes"] = counts.codes;  // by number
    whole["truncated"] = counts.truncated;
  }
  if (result.classes) whole["classes"] = to_json(*result.classes);
  if (!result.records.empty()) whole["trace"] = to_json(result.records);
  return whole;
}

}  // namespace udppump::load

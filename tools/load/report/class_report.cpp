#include "load/report/class_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

#include "load/plan/quantity.hpp"
#include "load/report/json_report.hpp"
#include "load/report/table.hpp"
#include "load/report/text_report.hpp"

namespace udppump::load {
namespace {

struct work_class {
  const char* name;
  std::function<class_result(const class_results&)> of;
};

const std::array<work_class, 3>& work_classes() {
  static const std::array<work_class, 3> all{
      {{"short", &class_results::short_ones}, {"long", &class_results::long_ones}, {"all", &class_results::all}}};
  return all;
}

std::string multiple(double value) { return std::isinf(value) ? "lost" : format_number(value); }

double ratio(nanoseconds value, nanoseconds ideal) {
  if (value == unanswered) return std::numeric_limits<double>::infinity();
  return static_cast<double>(value.count()) / static_cast<double>(ideal.count());
}

table::row cells_of(const class_result& seen) {
  table::row cells;
  for (const double percent : {50.0, 99.0, 99.9}) cells.push_back(format_duration(seen.percentile(percent)));
  cells.push_back(multiple(seen.slowdown_percentile(99)));
  return cells;
}

table::row cells_beside(const class_result& seen, const class_result& ideal) {
  return {multiple(ratio(seen.percentile(99), ideal.percentile(99))),
          multiple(seen.slowdown_percentile(99) / ideal.slowdown_percentile(99))};
}

}  // namespace

std::string to_text(std::span<const class_row> rows) {
  const bool beside = std::ranges::any_of(rows, [](const class_row& each) { return each.ideal != nullptr; });
  table::row head{"", "p50", "p99", "p99.9", "slowdown p99"};
  if (beside) head.insert(head.end(), {"p99/ideal", "slowdown/ideal"});
  table figures{head};
  std::string notes;
  for (const auto& which : work_classes()) {
    std::uint64_t fewest = UINT64_MAX;
    for (const auto& each : rows) {
      const class_result seen = which.of(*each.classes);
      fewest = std::min(fewest, seen.requests());
      table::row line{each.name.empty() ? which.name : fmt::format("{}, {}", which.name, each.name)};
      std::ranges::move(cells_of(seen), std::back_inserter(line));
      if (each.ideal != nullptr) std::ranges::move(cells_beside(seen, which.of(*each.ideal)), std::back_inserter(line));
      line.resize(head.size());
      figures.add(std::move(line));
    }
    const std::string few = few_requests(fewest, {99, 99.9});
    if (!few.empty()) notes += fmt::format("note: {}: {}\n", which.name, few);
  }
  return figures.to_string() + notes;
}

nlohmann::json to_json(const class_results& classes) {
  nlohmann::json whole;
  for (const auto& which : work_classes()) {
    const class_result seen = which.of(classes);
    nlohmann::json slowdown;
    for (const double percent : {50.0, 99.0, 99.9}) {
      const double found = seen.slowdown_percentile(percent);
      slowdown[fmt::format("p{}", percent)] = std::isinf(found) ? nlohmann::json{} : nlohmann::json(found);
    }
    whole[which.name] = {{"latency", to_json(seen.latency, seen.missing)}, {"slowdown", std::move(slowdown)}};
  }
  return whole;
}

}  // namespace udppump::load

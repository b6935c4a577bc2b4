#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <vector>

#include "load/plan/quantity.hpp"
#include "load/report/class_report.hpp"
#include "load/report/comparison_report.hpp"

namespace udppump::load {
namespace {

/// What a table has a line for, or several.
struct measured {
  std::string name;
  std::optional<class_results> classes = {}, ideal = {};
};

std::vector<measured> all_of(const comparison& compared) {
  const auto& queues = compared.options.queues;
  std::vector<measured> all{{.name = "ideal", .classes = compared.ideal_classes(queues.front())}};
  if (auto lanes = compared.ideal_lanes_classes(queue_kind::lanes)) {
    all.push_back(
        {.name = "ideal lanes", .classes = std::move(lanes), .ideal = compared.ideal_classes(queue_kind::lanes)});
  }
  for (const auto queue : queues) {
    all.push_back({.name = std::string{to_string(queue)},
                   .classes = compared.classes(queue),
                   .ideal = compared.ideal_classes(queue)});
  }
  return all;
}

/// "1.48 ms by lanes (0.047 times the ideal queue's)".
std::string p99_by(queue_kind queue, const class_result& seen, const class_result& ideal) {
  const nanoseconds p99 = seen.percentile(99);
  if (p99 == unanswered)
    return fmt::format("no time by {}, which left more than one in 100 unanswered", to_string(queue));
  const double ratio = static_cast<double>(p99.count()) / static_cast<double>(ideal.percentile(99).count());
  return fmt::format("{} by {} ({} times the ideal queue's)", format_duration(p99), to_string(queue),
                     format_number(ratio));
}

std::string p99_of(const comparison& compared, class_result (*of)(const class_results&)) {
  std::string list;
  const auto& queues = compared.options.queues;
  for (std::size_t i = 0; i < queues.size(); ++i) {
    const class_result seen = of(*compared.classes(queues[i]));
    if (seen.requests() < requests_for_p99) return {};
    list += i == 0 ? "" : i + 1 < queues.size() ? ", " : " and ";
    list += p99_by(queues[i], seen, of(*compared.ideal_classes(queues[i])));
  }
  return list;
}

}  // namespace

std::string to_class_table(const comparison& compared) {
  const auto& service = compared.options.run.plan.service;
  if (!service.has_classes()) return {};
  const auto all = all_of(compared);
  std::vector<class_row> rows;
  for (const auto& each : all) {
    rows.push_back({.name = each.name, .classes = &*each.classes, .ideal = each.ideal ? &*each.ideal : nullptr});
  }
  return fmt::format(
      "short requests ({}) and long ones ({}), all repetitions together; slowdown: latency over own "
      "service time\n{}",
      format_duration(service.short_time), format_duration(service.long_time), to_text(rows));
}

std::string to_class_sentence(const comparison& compared) {
  if (!compared.options.run.plan.service.has_classes()) return {};
  const std::string shorts = p99_of(compared, [](const class_results& all) { return all.short_ones(); });
  const std::string longs = p99_of(compared, [](const class_results& all) { return all.long_ones(); });
  std::string text;
  if (!shorts.empty()) text += fmt::format("Of the short requests, 99 of 100 were answered within {}.\n", shorts);
  if (!longs.empty()) text += fmt::format("Of the long requests, 99 of 100 were answered within {}.\n", longs);
  return text;
}

}  // namespace udppump::load

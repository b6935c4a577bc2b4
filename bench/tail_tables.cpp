#include "tail_tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "support/summary.hpp"

namespace bench {

namespace {

using figure = double (*)(const figures&);

std::vector<double> all_of(const contender& each, const cell& where, figure of) {
  std::vector<double> values;
  const auto found = each.results.find(where);
  if (found == each.results.end()) return values;
  for (const auto& [repetition, figures] : found->second) values.push_back(of(figures));
  return values;
}

constexpr figure to_ideal = [](const figures& run) { return run.p99 / run.ideal_p99; };

/// The 99th percentile to the reference's, in those repetitions in which both are valid.
std::vector<double> to_reference(const contender& each, const contender& other, const cell& where) {
  std::vector<double> values;
  const auto mine = each.results.find(where), others = other.results.find(where);
  if (mine == each.results.end() || others == other.results.end()) return values;
  for (const auto& [repetition, figures] : mine->second) {
    const auto same = others->second.find(repetition);
    if (same != others->second.end()) values.push_back(figures.p99 / same->second.p99);
  }
  return values;
}

}  // namespace

table ratios_of(const std::vector<contender>& contenders, const setting& where, const std::vector<cell>& cells) {
  std::vector<cell> across;
  std::ranges::copy_if(cells, std::back_inserter(across), [&](const cell& each) { return each.where == where; });
  std::vector<table::column> columns;
  for (const auto& each : across) columns.push_back({fmt::format("{}%", each.load), 2});
  table result{fmt::format("tail, {}: p99 / ideal p99", where.name()), columns};
  for (const auto& each : contenders) {
    std::vector<table::cell> row;
    for (const auto& at : across) row.push_back(summary_cell(all_of(each, at, to_ideal)));
    if (each.everywhere || std::ranges::any_of(across, &cell::is_base)) result.add(each.name, row);
  }
  return result;
}

table details_of(const std::vector<contender>& contenders, const cell& where) {
  table result{fmt::format("tail, {}, {}% load", where.where.name(), where.load),
               {{"p50 ms", 2},
                {"ideal p50", 2},
                {"p99 ms", 2},
                {"ideal p99", 2},
                {"p99.9 ms", 2},
                {"ideal p99.9", 2},
                {"p99 / recvfrom's", 3},
                {"switches/datagram", 2},
                {"goodput/s", 0},
                {"runs", 0},
                {"left out", 0}}};
  const auto other = std::ranges::find(contenders, reference, &contender::name);
  for (const auto& each : contenders) {
    const auto of = [&](figure which) { return summary_cell(all_of(each, where, which)); };
    const auto runs = each.runs.find(where);
    result.add(each.name,
               {of([](const figures& run) { return run.p50; }), of([](const figures& run) { return run.ideal_p50; }),
                of([](const figures& run) { return run.p99; }), of([](const figures& run) { return run.ideal_p99; }),
                of([](const figures& run) { return run.p999; }), of([](const figures& run) { return run.ideal_p999; }),
                other == contenders.end() ? table::cell{} : summary_cell(to_reference(each, *other, where)),
                of([](const figures& run) { return run.switches; }), of([](const figures& run) { return run.goodput; }),
                static_cast<double>(all_of(each, where, to_ideal).size()),
                runs == each.runs.end() ? 0.0 : static_cast<double>(runs->second.left_out())});
  }
  return result;
}

}  // namespace bench

#include "tail_mixes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "load/run/class_results.hpp"
#include "load/run/work_run.hpp"
#include "load/run/work_server.hpp"
#include "support/contenders.hpp"
#include "support/left_out.hpp"
#include "support/system.hpp"

namespace bench {
namespace {

using namespace std::chrono_literals;
using namespace udppump::load;

struct mix {
  const char* name;
  const char* service;
};
constexpr std::array<mix, 3> mixes{{{"90/10", "bimodal:500us,50ms,10%"},
                                    {"99.5/0.5", "bimodal:500us,50ms,0.5%"},
                                    {"50/50", "bimodal:500us,50ms,50%"}}};

struct contender {
  const char* name;
  queue_kind queue;
};
constexpr std::array<contender, 3> contenders{
    {{"udppump-shared", queue_kind::shared}, {"udppump-lanes", queue_kind::lanes}, {"reuseport", queue_kind::sharded}}};

struct cell {
  mix what;
  std::size_t workers;
  unsigned load;  // percent
};

/// All valid runs of a contender in a cell together.
struct sums {
  class_results seen, ideal, ideal_lanes;
  std::size_t runs = 0;
};

work_run_options options_of(const mixes_options& chosen, const cell& where, std::size_t repetition) {
  work_run_options wanted{.run = {.plan = {.length = chosen.length,
                                           .flows = 64,
                                           .service = service_times::parse(where.what.service),
                                           .seed = 1 + repetition},
                                  .warmup = chosen.length / 4,
                                  .timeout = 2s,
                                  .priority = chosen.sender},
                          .workers = where.workers,
                          .load = where.load / 100.0};
  wanted.reserve = usual_reserve(wanted);
  return wanted;
}

work_run run_once(const mixes_options& chosen, const contender& each, const cell& where, std::size_t repetition) {
  give_up_after(60s);
  auto wanted = options_of(chosen, where, repetition);
  const work_server server{{.bind = udppump::address::parse("127.0.0.1:0"),
                            .queue = each.queue,
                            .workers = static_cast<std::uint16_t>(where.workers),
                            .short_limit = wanted.run.plan.service.short_time,
                            .reserve = *wanted.reserve}};
  wanted.run.target = server.local();
  return run_work(wanted, [&] { return server.context_switches(); });
}

void add(std::optional<sums>& to, const work_run& run) {
  if (!to) {
    to = sums{*run.result.classes, *run.ideal.classes, *run.ideal_lanes->classes, 1};
    return;
  }
  to->seen.merge(*run.result.classes);
  to->ideal.merge(*run.ideal.classes);
  to->ideal_lanes.merge(*run.ideal_lanes->classes);
  ++to->runs;
}

const std::vector<std::pair<const char*, class_result (*)(const class_results&)>>& classes() {
  static const std::vector<std::pair<const char*, class_result (*)(const class_results&)>> all{
      {"short", [](const class_results& of) { return of.short_ones(); }},
      {"long", [](const class_results& of) { return of.long_ones(); }},
      {"all", [](const class_results& of) { return of.all(); }}};
  return all;
}

/// An empty cell for what was never answered.
table::cell figure(double value) { return std::isfinite(value) ? table::cell{value} : table::cell{}; }

double milliseconds_of(nanoseconds value) {
  if (value == unanswered) return std::numeric_limits<double>::infinity();
  return std::chrono::duration<double, std::milli>{value}.count();
}

/// What a class waited, and if it is no simulation, what that is to the ideal queue's and to the ideal lanes'.
std::vector<table::cell> cells_of(const class_result& seen, const class_result* ideal, const class_result* lanes) {
  std::vector<table::cell> cells;
  for (const double percent : {50.0, 99.0, 99.9}) cells.push_back(figure(milliseconds_of(seen.percentile(percent))));
  cells.push_back(figure(seen.slowdown_percentile(99)));
  for (const auto* other : {ideal, lanes}) {
    if (other == nullptr) {
      cells.insert(cells.end(), 2, table::cell{});
      continue;
    }
    cells.push_back(figure(milliseconds_of(seen.percentile(99)) / milliseconds_of(other->percentile(99))));
    cells.push_back(figure(seen.slowdown_percentile(99) / other->slowdown_percentile(99)));
  }
  cells.push_back(static_cast<double>(seen.requests()));
  return cells;
}

using measured = std::vector<std::pair<contender, std::optional<sums>>>;

table table_of(const cell& where, const measured& all) {
  table result{fmt::format("tail, {} of 0.5 and 50 ms, k={}, {}% load", where.what.name, where.workers, where.load),
               {{"p50 ms", 2},
                {"p99 ms", 2},
                {"p99.9 ms", 2},
                {"slowdown p99", 2},
                {"p99 / ideal queue's", 3},
                {"slowdown / ideal queue's", 3},
                {"p99 / ideal lanes'", 3},
                {"slowdown / ideal lanes'", 3},
                {"requests", 0}}};
  const auto first = std::ranges::find_if(all, [](const auto& each) { return each.second.has_value(); });
  for (const auto& [name, of] : classes()) {
    if (first != all.end()) {
      const class_result ideal = of(first->second->ideal), lanes = of(first->second->ideal_lanes);
      result.add(fmt::format("ideal queue, {}", name), cells_of(ideal, nullptr, nullptr));
      result.add(fmt::format("ideal lanes, {}", name), cells_of(lanes, &ideal, nullptr));
    }
    for (const auto& [who, sum] : all) {
      if (!sum) continue;
      const class_result ideal = of(sum->ideal), lanes = of(sum->ideal_lanes);
      result.add(fmt::format("{}, {}", who.name, name), cells_of(of(sum->seen), &ideal, &lanes));
    }
  }
  return result;
}

std::vector<cell> cells_of(const mixes_options& options) {
  std::vector<cell> cells;
  for (const auto& what : mixes) {
    if (std::ranges::find(options.mixes, what.name) == options.mixes.end()) continue;
    for (const auto workers : options.workers) {
      for (const auto load : options.loads) cells.push_back({what, workers, load});
    }
  }
  return cells;
}

template <class All>
std::vector<std::string> names_of(const All& all) {
  std::vector<std::string> names;
  for (const auto& each : all) names.emplace_back(each.name);
  return names;
}

}  // namespace

const std::vector<std::string>& all_mixes() {
  static const auto names = names_of(mixes);
  return names;
}

const std::vector<std::string>& mixes_contenders() {
  static const auto names = names_of(contenders);
  return names;
}

std::vector<table> measure_mixes(const mixes_options& options) {
  std::vector<table> tables;
  counted_runs counted;
  for (const auto& where : cells_of(options)) {
    measured all;
    for (const auto& each : contenders) {
      const bool wanted = options.only.empty() || std::ranges::find(options.only, each.name) != options.only.end();
      if (wanted) all.emplace_back(each, std::nullopt);
    }
    for (std::size_t repetition = 0; repetition < options.repetitions; ++repetition) {
      for (std::size_t turn = 0; turn < all.size(); ++turn) {
        auto& [each, sum] = all[(repetition + turn) % all.size()];
        const auto run = run_once(options, each, where, repetition);
        if (counted.add(run.found)) add(sum, run);
      }
    }
    if (!all.empty()) tables.push_back(table_of(where, all));
  }
  counted.tell("short and long requests");
  return tables;
}

}  // namespace bench

#include "status_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "load/plan/quantity.hpp"
#include "load/report/table.hpp"
#include "short_text.hpp"

namespace udppump::tools {

namespace {

using load::table;
using nlohmann::ordered_json;

constexpr double a_second = 1e9;

// --- text ------------------------------------------------------------------------------------------------------------

std::string workers_in_words(const pool_status& pool) {
  const std::string_view what = pool.kind == worker_kind::programs    ? "programs"
                                : pool.model == worker_model::threads ? "threads with handlers"
                                : pool.kind == worker_kind::handlers  ? "processes with handlers"
                                                                      : "processes";
  return fmt::format("{} of {} ({})", pool.workers.size(), load::counted(pool.workers_wanted, "worker"), what);
}

std::string heading(const pool_status& pool) {
  std::string text = fmt::format("{}: up {}, {}, udppump {}\n", title_of(pool), short_time(pool.uptime),
                                 workers_in_words(pool), pool.version);
  text += fmt::format("restarts {}, reloads {}, hung {}", pool.restarts, pool.reloads, pool.hangs);
  if (pool.kicks) text += fmt::format(", kicks {}", *pool.kicks);
  if (pool.max_age) text += ", max-age " + short_time(*pool.max_age);
  if (pool.max_wait) text += ", max-wait " + short_time(*pool.max_wait);
  text += '\n';
  if (pool.redelivery) {
    text += fmt::format("redelivered {}, poisoned {}, abandoned {}, quarantines {}\n", pool.redelivery->redelivered,
                        pool.redelivery->poisoned, pool.redelivery->abandoned, pool.redelivery->quarantines);
  }
  return text;
}

std::string socket_table(const pool_status& pool) {
  table rows{{"SOCKET", "LANE", "QUEUED", "FULL", "OLDEST", "DROPS", "BUFFER", "ASKED"}};
  for (const socket_status& each : pool.sockets) {
    rows.add({each.address, each.lane.empty() ? "-" : each.lane, or_dash(each.queued, short_bytes),
              or_dash(fill_of(each), load::format_percent), or_dash(each.oldest_waits, short_time),
              or_dash(each.drops, short_count), or_dash(each.buffer_granted, short_bytes),
              or_dash(each.buffer_asked, short_bytes)});
  }
  return rows.to_string();
}

std::optional<std::chrono::nanoseconds> mean(std::chrono::nanoseconds together, std::uint64_t count) {
  if (count == 0) return {};
  return together / static_cast<std::int64_t>(std::min<std::uint64_t>(count, INT64_MAX));
}

table::row traffic_row(std::string name, const traffic_counts& of) {
  return {std::move(name),
          short_count(of.received),
          short_count(of.handled),
          short_count(of.in_flight),
          short_count(of.expired),
          short_count(of.limited),
          short_count(of.ignored + of.quarantined),
          or_dash(mean(of.handler_time, of.handled), short_time),
          or_dash(mean(of.age_time, of.aged), short_time)};
}

std::string percentiles(const char* what, const time_histogram& of) {
  const auto at = [&of](double part) { return or_dash(of.percentile(part), short_time); };
  return fmt::format("{}: p50 {}, p90 {}, p99 {}, p99.9 {}\n", what, at(0.5), at(0.9), at(0.99), at(0.999));
}

std::string traffic_table(const pool_status& pool) {
  if (!pool.traffic) return {};
  table rows{{"TRAFFIC", "RECEIVED", "HANDLED", "TICKETS", "EXPIRED", "LIMITED", "IGNORED", "HANDLER", "WAITED"}};
  rows.add(traffic_row("all", pool.traffic->all));
  for (std::size_t lane = 0; lane < pool.traffic->lanes.size(); ++lane) {
    rows.add(traffic_row(pool.lanes[lane].empty() ? fmt::format("lane {}", lane) : pool.lanes[lane],
                         pool.traffic->lanes[lane]));
  }
  std::string text = rows.to_string() + percentiles("in the handler", pool.traffic->times);
  if (pool.traffic->ages) text += percentiles("waited", *pool.traffic->ages);
  return text;
}

std::string worker_table(const pool_status& pool) {
  const bool programs = pool.kind == worker_kind::programs;
  table rows{programs
                 ? table::row{"#", "PID", "STATE", "UP", "CPU", "SWITCHES", "FORCED", "RSS", "PROCESSES"}
                 : table::row{"#", "PID", "STATE", "FOR", "UP", "HANDLED", "P50", "P99", "CPU", "SWITCHES", "RSS"}};
  for (const worker_status& each : pool.workers) {
    const auto of_process = [&each](auto shorten) { return each.usage ? shorten(*each.usage) : std::string{"-"}; };
    const std::string cpu = of_process([](const process_usage& of) { return short_time(of.cpu); });
    const std::string switches = of_process([](const process_usage& of) { return short_count(of.voluntary_switches); });
    const std::string memory = of_process([](const process_usage& of) { return or_dash(of.resident, short_bytes); });
    table::row cells{std::to_string(each.number), std::to_string(each.pid), std::string{to_string(each.state)}};
    if (programs) {
      const auto forced = of_process([](const process_usage& of) { return short_count(of.involuntary_switches); });
      const auto processes = of_process([](const process_usage& of) { return short_count(of.processes); });
      cells.insert(cells.end(), {short_time(each.uptime), cpu, switches, forced, memory, processes});
    } else {
      const auto of_times = [&each](double part) {
        return each.traffic ? or_dash(each.traffic->times.percentile(part), short_time) : std::string{"-"};
      };
      cells.insert(cells.end(), {or_dash(each.handling_for, short_time), short_time(each.uptime),
                                 each.traffic ? short_count(each.traffic->all.handled) : "-", of_times(0.5),
                                 of_times(0.99), cpu, switches, memory});
    }
    rows.add(std::move(cells));
  }
  return rows.to_string();
}

/// Waiters that are not the first choice, once each.
std::string fallbacks(const pool_status& pool) {
  std::vector<std::string> told;
  std::string text;
  for (const worker_status& each : pool.workers) {
    if (each.waiter_fallback.empty() || std::ranges::find(told, each.waiter_fallback) != told.end()) continue;
    told.push_back(each.waiter_fallback);
    text += fmt::format("worker {} waits by {}: {}\n", each.number, to_string(*each.waiter), each.waiter_fallback);
  }
  return text;
}

// --- JSON ------------------------------------------------------------------------------------------------------------

ordered_json seconds(std::chrono::nanoseconds time) { return static_cast<double>(time.count()) / a_second; }

ordered_json or_null(const auto& value) { return value ? ordered_json(*value) : ordered_json(); }
template <class Unit>
ordered_json or_null(const std::optional<std::chrono::duration<std::int64_t, Unit>>& time) {
  return time ? seconds(*time) : ordered_json();
}

ordered_json of_times(const time_histogram& of) {
  return {{"count", of.total()},
          {"sum_s", seconds(of.sum)},
          {"p50_s", or_null(of.percentile(0.5))},
          {"p90_s", or_null(of.percentile(0.9))},
          {"p99_s", or_null(of.percentile(0.99))},
          {"p999_s", or_null(of.percentile(0.999))}};
}

ordered_json of_counts(const traffic_counts& of) {
  return {{"received", of.received},
          {"bytes", of.bytes},
          {"handled", of.handled},
          {"tickets_out", of.in_flight},
          {"expired", of.expired},
          {"limited", of.limited},
          {"ignored", of.ignored},
          {"quarantined", of.quarantined},
          {"handler_s", seconds(of.handler_time)},
          {"aged", of.aged},
          {"waited_s", seconds(of.age_time)}};
}

ordered_json of_traffic(const std::optional<traffic>& of, const std::vector<std::string>& lanes) {
  if (!of) return {};
  ordered_json told = of_counts(of->all);
  told["handler"] = of_times(of->times);
  told["waited"] = of->ages ? of_times(*of->ages) : ordered_json();
  if (!of->lanes.empty()) {
    ordered_json by_lane = ordered_json::array();
    for (std::size_t lane = 0; lane < of->lanes.size(); ++lane) {
      ordered_json one = {{"lane", lanes[lane]}};
      one.update(of_counts(of->lanes[lane]));
      by_lane.push_back(std::move(one));
    }
    told["lanes"] = std::move(by_lane);
  }
  return told;
}

ordered_json of_usage(const std::optional<process_usage>& of) {
  if (!of) return {};
  return {{"cpu_s", seconds(of->cpu)},
          {"voluntary_switches", of->voluntary_switches},
          {"involuntary_switches", of->involuntary_switches},
          {"resident_bytes", or_null(of->resident)},
          {"processes", of->processes}};
}

ordered_json of_socket(const socket_status& of) {
  return {{"address", of.address},
          {"name", of.name},
          {"lane", of.lane.empty() ? ordered_json() : ordered_json(of.lane)},
          {"inode", of.inode},
          {"queued_bytes", or_null(of.queued)},
          {"room_bytes", or_null(of.room)},
          {"buffer_asked_bytes", or_null(of.buffer_asked)},
          {"buffer_granted_bytes", or_null(of.buffer_granted)},
          {"drops", or_null(of.drops)},
          {"oldest_waits_s", or_null(of.oldest_waits)}};
}

ordered_json of_worker(const worker_status& of, const std::vector<std::string>& lanes) {
  return {{"number", of.number},
          {"pid", of.pid},
          {"state", to_string(of.state)},
          {"uptime_s", seconds(of.uptime)},
          {"handling_for_s", or_null(of.handling_for)},
          {"kicks", or_null(of.kicks)},
          {"waiter", of.waiter ? ordered_json(to_string(*of.waiter)) : ordered_json()},
          {"waiter_fallback", of.waiter_fallback.empty() ? ordered_json() : ordered_json(of.waiter_fallback)},
          {"traffic", of_traffic(of.traffic, lanes)},
          {"usage", of_usage(of.usage)}};
}

}  // namespace

std::string title_of(const pool_status& pool) {
  return fmt::format("{} (pid {})", pool.name.empty() ? "unnamed" : pool.name, pool.parent);
}

std::optional<double> fill_of(const socket_status& socket) {
  if (!socket.queued || !socket.room || *socket.room == 0) return {};
  return std::min(1.0, static_cast<double>(*socket.queued) / static_cast<double>(*socket.room));
}

std::string text_of(const pool_status& pool) {
  std::string text = heading(pool);
  for (const std::string& part : {socket_table(pool), traffic_table(pool), worker_table(pool)}) {
    if (!part.empty()) text += '\n' + part;
  }
  return text + fallbacks(pool);
}

ordered_json json_of(const pool_status& pool) {
  ordered_json told = {{"pid", pool.parent},
                       {"user", pool.user == static_cast<uid_t>(-1) ? ordered_json() : ordered_json(pool.user)},
                       {"name", pool.name},
                       {"version", pool.version},
                       {"kind", to_string(pool.kind)},
                       {"model", pool.model == worker_model::threads ? "threads" : "processes"},
                       {"uptime_s", seconds(pool.uptime)},
                       {"workers_wanted", pool.workers_wanted},
                       {"max_workers", pool.max_workers},
                       {"max_age_s", or_null(pool.max_age)},
                       {"max_wait_s", or_null(pool.max_wait)},
                       {"restarts", pool.restarts},
                       {"reloads", pool.reloads},
                       {"hangs", pool.hangs},
                       {"kicks", or_null(pool.kicks)}};
  told["redelivery"] = pool.redelivery ? ordered_json{{"redelivered", pool.redelivery->redelivered},
                                                      {"poisoned", pool.redelivery->poisoned},
                                                      {"abandoned", pool.redelivery->abandoned},
                                                      {"quarantines", pool.redelivery->quarantines}}
                                       : ordered_json();
  told["sockets"] = ordered_json::array();
  for (const socket_status& each : pool.sockets) told["sockets"].push_back(of_socket(each));
  told["traffic"] = of_traffic(pool.traffic, pool.lanes);
  told["workers"] = ordered_json::array();
  for (const worker_status& each : pool.workers) told["workers"].push_back(of_worker(each, pool.lanes));
  told["usage"] = of_usage(pool.usage);
  return told;
}

}  // namespace udppump::tools

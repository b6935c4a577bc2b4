#include "top_frame.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <string_view>
#include <utility>

#include "load/plan/quantity.hpp"
#include "load/report/table.hpp"
#include "short_text.hpp"
#include "status_report.hpp"
#include "sys/cut_text.hpp"

namespace udppump::tools {

namespace {

using style = frame_line::style;
using lines = std::vector<frame_line>;

constexpr std::size_t bar_width = 10;
constexpr double much = 0.5;  // of a queue's room

/// "[####      ]".
std::string bar(double part) {
  const auto full = static_cast<std::size_t>(std::ceil(part * bar_width));
  return '[' + std::string(full, '#') + std::string(bar_width - full, ' ') + ']';
}

/// How much a count has grown in a second; nothing if it went back, as that of another worker or socket does.
std::optional<double> rate(std::uint64_t before, std::uint64_t now, double seconds) {
  if (now < before || seconds <= 0) return {};
  return static_cast<double>(now - before) / seconds;
}

/// The same of something that may be not known, in either look.
template <class Get, class Part>
std::optional<double> rate_of(const Part* before, const Part& now, double seconds, Get get) {
  if (before == nullptr) return {};
  const auto then = get(*before), is = get(now);
  return then && is ? rate(*then, *is, seconds) : std::nullopt;
}

const worker_status* same_worker(const two_looks& looks, const worker_status& one) {
  if (!looks.before) return nullptr;
  const auto& all = looks.before->workers;
  const auto found = std::ranges::find_if(
      all, [&one](const worker_status& each) { return each.number == one.number && each.pid == one.pid; });
  return found == all.end() ? nullptr : &*found;
}

const socket_status* same_socket(const two_looks& looks, const socket_status& one) {
  if (!looks.before) return nullptr;
  const auto found = std::ranges::find(looks.before->sockets, one.inode, &socket_status::inode);
  return found == looks.before->sockets.end() ? nullptr : &*found;
}

std::optional<std::uint64_t> handled(const worker_status& of) {
  return of.traffic ? std::optional{of.traffic->all.handled} : std::nullopt;
}
std::optional<std::uint64_t> cpu(const worker_status& of) {
  return of.usage ? std::optional{static_cast<std::uint64_t>(of.usage->cpu.count())} : std::nullopt;
}
std::optional<std::uint64_t> switches(const worker_status& of) {
  return of.usage ? std::optional{of.usage->voluntary_switches + of.usage->involuntary_switches} : std::nullopt;
}

std::string percent(double nanoseconds_a_second) { return fmt::format("{:.0f}%", nanoseconds_a_second / 1e7); }

void add_lines(lines& to, const std::string& text, style head) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    to.push_back({text.substr(at, end - at), at == 0 ? head : style::plain});
    at = end + 1;
  }
}

void add_counts(lines& to, const two_looks& looks) {
  const pool_status& now = looks.now;
  std::string text;
  const auto add = [&text](const char* name, const std::string& value) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, value);
  };
  if (now.traffic) {
    const traffic_counts& all = now.traffic->all;
    const traffic_counts* const before = looks.before && looks.before->traffic ? &looks.before->traffic->all : nullptr;
    const auto a_second = [&](std::uint64_t traffic_counts::*which) {
      return or_dash(
          rate_of(before, all, looks.seconds, [which](const traffic_counts& of) { return std::optional{of.*which}; }),
          short_rate);
    };
    add("received", a_second(&traffic_counts::received) + "/s");
    add("handled", a_second(&traffic_counts::handled) + "/s");
    add("expired", a_second(&traffic_counts::expired) + "/s");
    add("limited", a_second(&traffic_counts::limited) + "/s");
    add("tickets", short_count(all.in_flight));
    to.push_back({std::exchange(text, {})});
  }
  add("restarts", short_count(now.restarts));
  add("reloads", short_count(now.reloads));
  add("hung", short_count(now.hangs));
  if (now.redelivery) {
    add("redelivered", short_count(now.redelivery->redelivered));
    add("poisoned", short_count(now.redelivery->poisoned));
  }
  to.push_back({text});
}

void add_sockets(lines& to, const two_looks& looks) {
  load::table rows{{"SOCKET", "LANE", "QUEUE", "FULL", "OLDEST", "DROPS", "DROPS/s"}};
  std::vector<bool> alarms;
  for (const socket_status& each : looks.now.sockets) {
    const auto full = fill_of(each);
    const auto drops = rate_of(same_socket(looks, each), each, looks.seconds, [](const socket_status& of) {
      return of.drops ? std::optional<std::uint64_t>{*of.drops} : std::nullopt;
    });
    rows.add({each.address, each.lane.empty() ? "-" : each.lane, or_dash(full, bar),
              or_dash(full, load::format_percent), or_dash(each.oldest_waits, short_time),
              or_dash(each.drops, short_count), or_dash(drops, short_rate)});
    alarms.push_back(full.value_or(0) >= much || drops.value_or(0) > 0);
  }
  const std::size_t first = to.size() + 1;
  add_lines(to, rows.to_string(), style::head);
  for (std::size_t at = 0; at < alarms.size(); ++at) {
    if (alarms[at]) to[first + at].as = style::alarm;
  }
}

struct shown_worker {
  const worker_status* now;
  std::optional<double> handled, cpu, switches;
};

std::vector<shown_worker> sorted_workers(const two_looks& looks, worker_order order) {
  std::vector<shown_worker> all;
  for (const worker_status& each : looks.now.workers) {
    const worker_status* const before = same_worker(looks, each);
    all.push_back({&each, rate_of(before, each, looks.seconds, handled), rate_of(before, each, looks.seconds, cpu),
                   rate_of(before, each, looks.seconds, switches)});
  }
  const auto weight = [order](const shown_worker& one) {
    switch (order) {
      case worker_order::number:
        break;
      case worker_order::handled:
        return one.handled.value_or(-1);
      case worker_order::busy:
        return one.now->handling_for ? static_cast<double>(one.now->handling_for->count()) : -1;
      case worker_order::cpu:
        return one.cpu.value_or(-1);
      case worker_order::memory:
        return one.now->usage && one.now->usage->resident ? static_cast<double>(*one.now->usage->resident) : -1;
    }
    return 0.0;
  };
  std::ranges::stable_sort(all, std::greater<>{}, weight);
  return all;
}

std::string workers_text(const two_looks& looks, const std::vector<shown_worker>& shown) {
  load::table rows{{"WORKER", "PID", "STATE", "FOR", "HANDLED/s", "P50", "P99", "CPU", "SWITCH/s", "RSS", "UP"}};
  for (const shown_worker& each : shown) {
    const worker_status& one = *each.now;
    std::string p50 = "-", p99 = "-";
    if (const worker_status* const before = same_worker(looks, one); before && before->traffic && one.traffic) {
      const time_histogram times = between(before->traffic->times, one.traffic->times);
      p50 = or_dash(times.percentile(0.5), short_time);
      p99 = or_dash(times.percentile(0.99), short_time);
    }
    rows.add({std::to_string(one.number), std::to_string(one.pid), std::string{to_string(one.state)},
              or_dash(one.handling_for, short_time), or_dash(each.handled, short_rate), p50, p99,
              or_dash(each.cpu, percent), or_dash(each.switches, short_rate),
              one.usage ? or_dash(one.usage->resident, short_bytes) : "-", short_time(one.uptime)});
  }
  return rows.to_string();
}

constexpr const char* keys[] = {
    "q       quit",
    "s       sort workers by the next of number, handled, busy, cpu, memory",
    "p       the next pool that this user may look at",
    "space   pause, and go on",
    "arrows, Page Up, Page Down, Home, End   scroll the workers",
    "h, ?    this help, and back",
    "",
    "What is not known is \"-\": of programs, all that has to do with datagrams.",
    "A socket's line is marked when its queue is half full, or drops.",
    "P50, P99: time in the handler, since the last look. CPU: of one processor.",
};

lines fit(lines all, const top_view& view, const std::string& last) {
  if (all.size() + 1 > view.rows) all.resize(view.rows > 0 ? view.rows - 1 : 0);
  while (all.size() + 1 < view.rows) all.emplace_back();
  if (view.rows > 0) all.push_back({last, style::help});
  // As many columns as characters, which is right for all names but a few.
  for (frame_line& each : all) each.text.resize(detail::first_characters(each.text, view.columns).size());
  return all;
}

constexpr char key_line[] = "q quit  s sort  p pool  space pause  arrows scroll  h help";

}  // namespace

std::string_view to_string(worker_order order) noexcept {
  switch (order) {
    case worker_order::number:
      return "number";
    case worker_order::handled:
      return "handled";
    case worker_order::busy:
      return "busy";
    case worker_order::cpu:
      return "cpu";
    case worker_order::memory:
      return "memory";
  }
  return "?";
}

worker_order after(worker_order order) noexcept {
  return order == worker_order::memory ? worker_order::number
                                       : static_cast<worker_order>(static_cast<std::uint8_t>(order) + 1);
}

time_histogram between(const time_histogram& before, const time_histogram& now) {
  time_histogram grown{.counts = now.counts, .sum = now.sum - std::min(before.sum, now.sum)};
  for (std::size_t at = 0; at < std::min(before.counts.size(), now.counts.size()); ++at) {
    grown.counts[at] = now.counts[at] - std::min(before.counts[at], now.counts[at]);
  }
  return grown;
}

std::vector<frame_line> frame_of(const two_looks& looks, top_view& view) {
  const pool_status& now = looks.now;
  lines all;
  all.push_back({fmt::format("{}{}  up {}, {} of {} ({}), udppump {}", view.paused ? "PAUSED  " : "", title_of(now),
                             short_time(now.uptime), now.workers.size(), load::counted(now.workers_wanted, "worker"),
                             to_string(now.kind), now.version),
                 style::title});
  if (view.help) {
    all.emplace_back();
    for (const char* const each : keys) all.push_back({each});
    return fit(std::move(all), view, "h back  q quit");
  }
  const bool is_roomy = view.rows >= 16;
  add_counts(all, looks);
  if (is_roomy) all.emplace_back();
  add_sockets(all, looks);
  if (is_roomy) all.emplace_back();
  const auto shown = sorted_workers(looks, view.order);
  // At least one line of them, and the last line of all.
  const std::size_t room = view.rows > all.size() + 2 ? view.rows - all.size() - 2 : 1;
  view.skipped = std::min(view.skipped, shown.size() > room ? shown.size() - room : 0);
  lines workers;
  add_lines(workers, workers_text(looks, shown), style::head);
  all.push_back(workers.front());
  std::copy_n(workers.begin() + 1 + static_cast<std::ptrdiff_t>(view.skipped),
              std::min(room, shown.size() - view.skipped), std::back_inserter(all));
  std::string last = fmt::format("{}  by {}", key_line, to_string(view.order));
  if (shown.size() > room) last += fmt::format("  {}-{} of {}", view.skipped + 1, view.skipped + room, shown.size());
  return fit(std::move(all), view, last);
}

std::vector<frame_line> frame_of(const std::string& sentence, const top_view& view) {
  return fit({{"udppump top", style::title}, {}, {sentence}}, view, "p pool  q quit");
}

}  // namespace udppump::tools

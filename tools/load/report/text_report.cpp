#include "load/report/text_report.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <numeric>

#include "load/plan/quantity.hpp"
#include "load/report/class_report.hpp"
#include "load/report/table.hpp"

namespace udppump::load {
namespace {

std::string percentiles(const load_result& result) {
  table table{{"", "p50", "p90", "p99", "p99.9", "max"}};
  table::row latency{"latency"};
  table::row lag{"own lag"};
  for (const double percent : {50.0, 90.0, 99.0, 99.9}) {
    latency.push_back(format_duration(result.percentile(percent)));
    lag.push_back(format_duration(result.lag.percentile(percent)));
  }
  latency.push_back(format_duration(result.latency.max()));
  lag.push_back(format_duration(result.lag.max()));
  table.add(std::move(latency));
  table.add(std::move(lag));
  return table.to_string();
}

/// RFC 1035, section 4.1.1, and RFC 2136, section 2.2.
std::string name_of_code(std::size_t code) {
  static constexpr std::array names{"NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
                                    "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE"};
  return code < names.size() ? names[code] : fmt::format("RCODE{}", code);
}

}  // namespace

std::string to_text(const load_result& result) {
  const auto& counts = result.counts;
  std::string text = percentiles(result);
  const auto say = [out = std::back_inserter(text)](fmt::string_view format, const auto&... values) {
    fmt::format_to(out, fmt::runtime(format), values...);
  };
  const double seconds = std::chrono::duration<double>{result.measured}.count();
  if (result.interrupted) say("interrupted after {} of measuring\n", format_duration(result.measured));
  say("sent {}, answered {}, late {}, lost {}, duplicates {}", counts.sent, counts.answered, counts.late, counts.lost,
      counts.duplicates);
  if (seconds > 0) say("; {} answers a second in time", format_number(static_cast<double>(counts.answered) / seconds));
  say("\n");
  if (counts.unsent > 0) {
    say("not sent: {}, the kernel refused them: {}\n", counts.unsent, std::strerror(result.send_error));
  }
  say("offered: {} of {} requests a second\n", format_number(result.offered_rate()),
      format_number(result.asked_rate()));
  const std::string few = few_requests(result.requests(), {50, 90, 99, 99.9});
  if (!few.empty()) say("note: {}\n", few);
  const std::string codes = response_codes(counts);
  if (!codes.empty()) say("response codes: {}; truncated {}\n", codes, counts.truncated);
  const std::string doubtful = doubtful_answers(counts);
  if (!doubtful.empty()) say("note: {}\n", doubtful);
  if (counts.reused > 0) {
    say("ids used again: {} without an answer yet when the flow needed the id; counted as lost\n",
        counted(counts.reused, "request"));
  }
  if (counts.strange > 0)
    say("strange: {} that came and answer nothing that was asked\n", counted(counts.strange, "datagram"));
  if (result.icmp_errors > 0) say("ICMP errors: {}\n", result.icmp_errors);
  if (result.receive_drops > 0) {
    say("dropped here: {} that found this program's sockets full, counted as lost{}{}\n",
        counted(result.receive_drops, "answer"), result.receive_buffer_shortfall.empty() ? "" : "; ",
        result.receive_buffer_shortfall);
  }
  if (result.used.count() > 0) {
    say("service time used: mean {}, p99 {}, max {}\n", format_duration(result.used.mean()),
        format_duration(result.used.percentile(99)), format_duration(result.used.max()));
  }
  if (result.classes) {
    const class_row only{.name = "", .classes = &*result.classes};
    text += "slowdown: latency over own service time\n" + to_text({&only, 1});
  }
  return text;
}

std::string to_text(const load_progress& progress) {
  const auto time = [](nanoseconds value) { return value == unanswered ? "-" : format_duration(value); };
  return fmt::format("{:.0f} of {:.0f} s   {:.0f} answers/s   p50 {}   p99 {}   lost {}",
                     std::chrono::duration<double>{progress.since_start}.count(),
                     std::chrono::duration<double>{progress.length}.count(), progress.answers_per_second,
                     time(progress.p50), time(progress.p99), progress.lost);
}

std::string few_requests(std::uint64_t requests, std::initializer_list<double> percentiles) {
  std::string names;
  for (const double percent : percentiles) {
    // Rounded: a second less or more of random arrivals makes no difference.
    if (std::llround(static_cast<double>(requests) * (100 - percent) / 100) >= 10) continue;
    names += fmt::format("{}p{}", names.empty() ? "" : ", ", percent);
  }
  if (names.empty()) return {};
  return fmt::format("{}: fewer than ten of them exceed {}, which may be chance; measure for longer",
                     counted(requests, "request"), names);
}

std::string response_codes(const request_counts& counts) {
  std::string list;
  for (std::size_t code = 0; code < counts.codes.size(); ++code) {
    if (counts.codes[code] == 0) continue;
    list += fmt::format("{}{} {}", list.empty() ? "" : ", ", name_of_code(code), counts.codes[code]);
  }
  return list;
}

std::string doubtful_answers(const request_counts& counts) {
  constexpr std::size_t noerror = 0, nxdomain = 3;
  const auto all = std::accumulate(counts.codes.begin(), counts.codes.end(), std::uint64_t{0});
  const std::uint64_t failed = all - counts.codes[noerror] - counts.codes[nxdomain];
  std::string text;
  if (failed > 0) {
    text = fmt::format("{} of {} answers are neither NOERROR nor NXDOMAIN: look whether the server serves these names",
                       failed, all);
  }
  if (counts.truncated > 0) {
    text += fmt::format("{}{} of {} answers are truncated: clients would ask again by TCP", text.empty() ? "" : "; ",
                        counts.truncated, all);
  }
  return text;
}

std::string invalidity(const load_result& result, const validity_limits& limits) {
  switch (flaw_of(result, limits)) {
    case flaw::none:
    case flaw::other_load:  // of a work server, which is not the result of one run
    case flaw::slow_short_services:
      return {};
    case flaw::nothing_sent:
      return "no request was due in the time measured; raise --rate or --duration";
    case flaw::gave_up:
      return fmt::format("after {} this program was so late that it gave up; lower --rate",
                         counted(result.counts.sent + result.counts.unsent, "request"));
    case flaw::own_drops:
      return fmt::format(
          "{} dropped at this program's own sockets, which were full: lower --rate, raise "
          "--flows{}{}",
          counted(result.receive_drops, "answer"), result.receive_buffer_shortfall.empty() ? "" : ", or enlarge the ",
          result.receive_buffer_shortfall);
    case flaw::ids_used_up:
      return fmt::format(
          "on a flow more requests were unanswered than there are ids, and {} ids were used again; raise "
          "--flows, or lower --rate or --timeout",
          result.counts.reused);
    case flaw::other_rate:
      return fmt::format(
          "{} requests a second were really offered, of {} asked for (at most {} less is valid){}; lower "
          "--rate, or quiet the machine",
          format_number(result.offered_rate()), format_number(result.asked_rate()), format_percent(limits.offered),
          result.counts.unsent == 0 ? "" : "; the kernel refused " + std::to_string(result.counts.unsent));
    case flaw::late:
      break;
  }
  return fmt::format(
      "requests left late: the 99th percentile of this program's own lag is {}, {} of the latency's {} "
      "(at most {} is valid); lower --rate, quiet the machine, or try --realtime on",
      format_duration(result.lag.percentile(99)), format_percent(result.lag_share()),
      format_duration(result.latency.percentile(99)), format_percent(limits.lag));
}

}  // namespace udppump::load

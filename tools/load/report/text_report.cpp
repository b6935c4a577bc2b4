#include "load/report/text_report.hpp"

#include <fmt/format.h>

#include <cstring>
#include <iterator>

#include "load/plan/quantity.hpp"
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

}  // namespace

std::string to_text(const load_result& result) {
  const auto& counts = result.counts;
  std::string text = percentiles(result);
  const auto say = [out = std::back_inserter(text)](fmt::string_view format, const auto&... values) {
    fmt::format_to(out, fmt::runtime(format), values...);
  };
  const double seconds = std::chrono::duration<double>{result.measured}.count();
  say("sent {}, answered {}, late {}, lost {}, duplicates {}", counts.sent, counts.answered, counts.late, counts.lost,
      counts.duplicates);
  if (seconds > 0) say("; {} answers a second in time", format_number(static_cast<double>(counts.answered) / seconds));
  say("\n");
  if (counts.unsent > 0) {
    say("not sent: {}, the kernel refused them: {}\n", counts.unsent, std::strerror(result.send_error));
  }
  if (counts.strange > 0) say("strange: {} datagrams came that answer nothing that was asked\n", counts.strange);
  if (result.icmp_errors > 0) say("ICMP errors: {}\n", result.icmp_errors);
  if (result.receive_drops > 0) {
    say("dropped here: {} answers found this program's sockets full and count as lost{}{}\n", result.receive_drops,
        result.receive_buffer_shortfall.empty() ? "" : "; ", result.receive_buffer_shortfall);
  }
  if (result.used.count() > 0) {
    say("service time used: mean {}, p99 {}, max {}\n", format_duration(result.used.mean()),
        format_duration(result.used.percentile(99)), format_duration(result.used.max()));
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

std::string invalidity(const load_result& result, double limit) {
  if (result.gave_up) {
    return fmt::format("after {} requests this program was so late that it gave up; lower --rate",
                       result.counts.sent + result.counts.unsent);
  }
  if (result.lag_share() <= limit) return {};
  return fmt::format(
      "requests left late: the 99th percentile of this program's own lag is {}, {:.0f}% of the latency's {} "
      "(at most {:.0f}% is valid); lower --rate, quiet the machine, or try --realtime on",
      format_duration(result.lag.percentile(99)), 100 * result.lag_share(),
      format_duration(result.latency.percentile(99)), 100 * limit);
}

}  // namespace udppump::load

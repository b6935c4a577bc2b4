#include "name_servers/dnsperf.hpp"

#include <fmt/format.h>

#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "support/program.hpp"
#include "support/temporary_directory.hpp"

namespace bench {
namespace {

/// The number behind a label: "  Queries lost:         0 (0.00%)".
double figure(const std::string& report, std::string_view label) {
  const auto found = report.find(label);
  if (found == std::string::npos) {
    throw std::runtime_error{fmt::format("dnsperf does not say \"{}\" but:\n{}", label, report)};
  }
  return std::stod(report.substr(found + label.size()));
}

}  // namespace

dnsperf_result run_dnsperf(const dnsperf_run& run, const udppump::address& server) {
  const temporary_directory directory;
  const std::chrono::duration<double> seconds = run.time;
  std::vector<std::string> command{run.program, "-s", "127.0.0.1", "-p",         std::to_string(server.port()),
                                   "-t",        "2",  "-d",        run.questions};
  command.insert(command.end(), {"-q", std::to_string(run.outstanding), "-c", std::to_string(run.clients), "-l",
                                 fmt::format("{}", seconds.count())});
  if (run.rate > 0) command.insert(command.end(), {"-Q", std::to_string(run.rate)});
  program client{std::move(command), directory.path() / "report"};
  const std::chrono::duration<double, std::micro> cpu_us = client.wait();

  const std::string report = client.printed();
  const dnsperf_result result{.completed = figure(report, "Queries completed:"),
                              .lost = figure(report, "Queries lost:"),
                              .per_second = figure(report, "Queries per second:"),
                              .average_latency_us = figure(report, "Average Latency (s):") * 1e6,
                              .cpu_us = cpu_us.count()};
  if (result.completed == 0) throw std::runtime_error{fmt::format("dnsperf got no answer:\n{}", report)};
  return result;
}

}  // namespace bench

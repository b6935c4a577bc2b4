// The example DNS server beside name servers that are in use: the same zone, the same questions, the same client.

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "name_servers/answer.hpp"
#include "name_servers/dnsperf.hpp"
#include "name_servers/name_server.hpp"
#include "name_servers/sample_zone.hpp"
#include "name_servers/server_setup.hpp"
#include "support/contenders.hpp"
#include "support/left_out.hpp"
#include "support/machine.hpp"
#include "support/options.hpp"
#include "support/program.hpp"
#include "support/summary.hpp"
#include "support/system.hpp"
#include "support/table.hpp"
#include "support/temporary_directory.hpp"

namespace {

using namespace bench;

constexpr const char* method =
    "Name servers with the same zone of 1000 hosts, asked the same 10,000 questions (20% of them for names that are "
    "not\n"
    "there) by dnsperf from 16 sockets, over loopback. NAME-N has N workers. Busy: 100 questions wait for their "
    "answers\n"
    "all the time. Light: 1000 questions a second, the server waits for most of them; left out if another rate was "
    "really\n"
    "asked, by more than a tenth. Latency: the average, as "
    "dnsperf\n"
    "says. CPU time is that of all the server's processes and threads. New servers in each repetition; every one once "
    "in\n"
    "each, in rotating order. x nsd: to NSD with as many workers, within the same repetition. Median [quartiles]; lost "
    "is\n"
    "the sum.";
constexpr std::size_t sampled_questions = 200;

struct figures {
  std::vector<double> rate, latency, cpu, client_cpu, lost;

  void add(const dnsperf_result& result, nanoseconds server_cpu) {
    rate.push_back(result.per_second);
    latency.push_back(result.average_latency_us);
    cpu.push_back(static_cast<double>(server_cpu.count()) / 1e3 / result.completed);
    client_cpu.push_back(result.cpu_us / result.completed);
    lost.push_back(result.lost);
  }
};

struct contender {
  std::string name;
  server_setup setup;
  figures busy = {}, light = {};
  counted_runs light_runs = {};
};

/// Sees that all servers mean the same before it is asked how fast they say it.
void expect_same_answers(const std::vector<contender>& contenders, const sample_zone& zone) {
  std::vector<std::string> first;
  for (const auto& each : contenders) {
    give_up_after(std::chrono::seconds{60});
    const name_server server{each.setup, zone};
    for (std::size_t i = 0; i < sampled_questions; ++i) {
      const auto& question = zone.questions[i];
      const std::string said = answer_of(server.address(), question);
      if (first.size() == i) first.push_back(said);
      const bool is_answer = said.starts_with("NOERROR qr aa") || said.starts_with("NXDOMAIN qr aa");
      if (is_answer && said == first[i]) continue;
      throw std::runtime_error{fmt::format("{} {}: {} says\n{}\nand {} says\n{}", question.name, question.type,
                                           contenders.front().name, first[i], each.name, said)};
    }
  }
  const auto missing = std::ranges::count_if(first, [](const auto& said) { return said.starts_with("NXDOMAIN"); });
  fmt::print("all gave the same answers to {} questions, {} of them NXDOMAIN\n", first.size(), missing);
}

void measure(contender& each, const sample_zone& zone, const dnsperf_run& busy, const dnsperf_run& light) {
  give_up_after(std::chrono::seconds{60} + std::chrono::ceil<std::chrono::seconds>(busy.time + light.time));
  const name_server server{each.setup, zone};
  dnsperf_run warm_up = busy;
  warm_up.time = std::chrono::milliseconds{100};
  run_dnsperf(warm_up, server.address());
  for (const auto& [run, into] : {std::pair{&busy, &each.busy}, std::pair{&light, &each.light}}) {
    const auto before = server.cpu_time();
    const auto result = run_dnsperf(*run, server.address());
    const auto cpu = server.cpu_time() - before;
    const double sent = result.per_second * (result.completed + result.lost) / result.completed;
    if (run->rate > 0 && !each.light_runs.add(static_cast<double>(run->rate), sent)) continue;
    into->add(result, cpu);
  }
}

/// NSD with as many workers; empty figures if it is not measured.
figures reference_of(const contender& each, const std::vector<contender>& contenders, figures contender::*what) {
  const auto found = std::ranges::find(contenders, fmt::format("nsd-{}", each.setup.workers), &contender::name);
  return found == contenders.end() ? figures{} : (*found).*what;
}

table busy_table(const std::vector<contender>& contenders) {
  table result{"dns, busy",
               {{"questions/s", 0},
                {"x nsd", 2},
                {"latency us", 0},
                {"server CPU us/question", 2},
                {"x nsd's CPU", 2},
                {"dnsperf CPU us/question", 2},
                {"lost", 0}}};
  for (const auto& each : contenders) {
    const auto& got = each.busy;
    const auto nsd = reference_of(each, contenders, &contender::busy);
    result.add(each.name, {summary_cell(got.rate), summary_cell(ratios(got.rate, nsd.rate)), summary_cell(got.latency),
                           summary_cell(got.cpu), summary_cell(ratios(got.cpu, nsd.cpu)), summary_cell(got.client_cpu),
                           std::accumulate(got.lost.begin(), got.lost.end(), 0.0)});
  }
  return result;
}

table light_table(const std::vector<contender>& contenders) {
  table result{"dns, light",
               {{"latency us", 1}, {"x nsd", 2}, {"server CPU us/question", 2}, {"x nsd's CPU", 2}, {"lost", 0}}};
  for (const auto& each : contenders) {
    const auto& got = each.light;
    const auto nsd = reference_of(each, contenders, &contender::light);
    result.add(each.name,
               {summary_cell(got.latency), summary_cell(ratios(got.latency, nsd.latency)), summary_cell(got.cpu),
                summary_cell(ratios(got.cpu, nsd.cpu)), std::accumulate(got.lost.begin(), got.lost.end(), 0.0)});
  }
  return result;
}

int dns(int argc, char** argv) {
  CLI::App app{"The example DNS server beside NSD and Knot"};
  options chosen;
  double seconds = 1;
  add_options(app, chosen);
  add_repetitions(app, chosen, 7);
  auto* const time = app.add_option("--seconds", seconds, "How long each server is asked when busy; half of it lightly")
                         ->check(CLI::Range(0.01, 60.0))
                         ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  settle(app, chosen, 1);
  if (chosen.quick && time->count() == 0) seconds = 0.2;

  print_heading("dns: the example DNS server beside other name servers", method);
  std::vector<contender> contenders;
  for (auto& setup : available_servers()) contenders.push_back({setup.name, setup});
  select(contenders, chosen);
  if (contenders.empty()) return EXIT_SUCCESS;
  const auto dnsperf = find_program("dnsperf");
  if (!dnsperf) throw std::runtime_error{"dnsperf is not installed; Debian's package dnsperf has it"};
  const std::chrono::milliseconds busy_time{static_cast<long>(seconds * 1000)};
  print_run(fmt::format("{} repetitions, {} ms busy and {} ms lightly in each", chosen.repetitions, busy_time.count(),
                        busy_time.count() / 2));

  const temporary_directory directory;
  const auto zone = sample_zone::make(directory.path());
  const dnsperf_run busy{*dnsperf, zone.question_file, 100, 16, busy_time};
  const dnsperf_run light{*dnsperf, zone.question_file, 100, 16, busy_time / 2, 1000};
  expect_same_answers(contenders, zone);
  interleave(contenders, chosen.repetitions, [&](contender& each) { measure(each, zone, busy, light); });

  for (const auto& each : contenders) each.light_runs.tell(each.name);
  const std::vector<table> tables{busy_table(contenders), light_table(contenders)};
  for (const auto& each : tables) each.print();
  write_json(chosen.json, tables);
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(dns, argc, argv); }

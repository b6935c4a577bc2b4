// What one worker reaches that answers each datagram, and what an answer costs it at a given rate.

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/contenders.hpp"
#include "support/echo_client.hpp"
#include "support/left_out.hpp"
#include "support/machine.hpp"
#include "support/options.hpp"
#include "support/peer_workers.hpp"
#include "support/summary.hpp"
#include "support/system.hpp"
#include "support/table.hpp"

namespace {

using namespace bench;
using namespace std::chrono_literals;

constexpr const char* reference = "recvfrom";
constexpr const char* method =
    "One worker on the last processor answers 64 bytes with the same. The client is on the first one, sends many\n"
    "requests with one UDP_SEGMENT call, takes answers with recvmmsg, never sleeps, and matches every answer with its\n"
    "request. Capacity: a fixed number of requests is outstanding, so that none is lost; answers a second, and the\n"
    "server's CPU time for each. Client busy: the share of its time in which it sent or found answers; what is\n"
    "missing to 1 it waited for the server. Without loss: requests at a fixed rate, whatever the answers do; the\n"
    "highest rate, by bisection, at which every request is answered and the last answer comes within 3 ms of the last\n"
    "request, in one of two tries; a try at which the client itself was too slow is made again. Fixed rates: the "
    "server's CPU time for each request; requests leave one by one as\n"
    "long as the client keeps up; empty if one was not answered. Every contender once in each repetition, in\n"
    "rotating order; ratios within the same repetition. Median [quartiles].";

constexpr nanoseconds longest_backlog = 3ms;
constexpr std::size_t tries = 2;
/// Of capacity: where the bisection begins, which ends with a step of 1.6%.
constexpr double highest = 1.05;
constexpr int steps = 6;

struct run {
  std::size_t window = 256;
  std::chrono::milliseconds time{300}, trial{120};
  std::vector<double> rates{10'000, 50'000, 100'000};
};

struct contender {
  std::string name;
  bench::peer peer;
  std::vector<double> capacity = {}, cpu = {}, client_busy = {}, lossless = {};
  /// Server's CPU time a request in ns, by requests a second; 0 if the server did not manage.
  std::map<double, std::vector<double>> fixed = {};
  /// At a rate, those of the search included.
  counted_runs runs = {};
};

double seconds(nanoseconds time) { return std::chrono::duration<double>{time}.count(); }

/// A try at which the client itself was too slow says nothing about the server: once more, a few times.
bool holds(echo_client& client, double rate, std::chrono::milliseconds time, counted_runs& runs) {
  std::size_t judged = 0;
  for (std::size_t i = 0; i < 3 * tries && judged < tries; ++i) {
    const auto got = client.paced(rate, time);
    if (!runs.add(rate, got.offered)) continue;
    if (got.answered == got.sent && got.backlog <= longest_backlog) return true;
    ++judged;
  }
  return false;
}

double highest_without_loss(echo_client& client, double capacity, std::chrono::milliseconds time, counted_runs& runs) {
  double held = 0, failed = highest * capacity;
  for (int step = 0; step < steps; ++step) {
    const double middle = (held + failed) / 2;
    (holds(client, middle, time, runs) ? held : failed) = middle;
  }
  return held;
}

struct capacity {
  echo_run run;
  nanoseconds cpu;
};

/// Once more if others' traffic on loopback took the place of a request.
capacity measure_capacity(peer_workers& served, echo_client& client, const run& chosen) {
  for (std::size_t i = 0; i < 3; ++i) {
    const auto before = served.processes().cpu_time();
    const auto got = client.closed_loop(chosen.window, chosen.time);
    if (got.answered == got.sent) return {got, served.processes().cpu_time() - before};
  }
  throw std::runtime_error{"echo: requests are lost though the queue has room for them"};
}

void measure(contender& each, const run& chosen, const std::vector<int>& processors) {
  give_up_after(60s);
  peer_workers served{each.peer, {.workers = 1, .handler = "echo", .processor = processors.back()}};
  echo_client client{served.server()};
  client.closed_loop(chosen.window, chosen.time / 10);

  const auto [full, cpu] = measure_capacity(served, client, chosen);
  const auto answered = static_cast<double>(full.answered);
  each.capacity.push_back(answered / seconds(full.took));
  each.cpu.push_back(static_cast<double>(cpu.count()) / answered);
  each.client_busy.push_back(1 - seconds(full.idle) / seconds(full.took));

  each.lossless.push_back(highest_without_loss(client, each.capacity.back(), chosen.trial, each.runs));

  for (const double rate : chosen.rates) {
    client.paced(rate, chosen.time / 10);
    const auto before = served.processes().cpu_time();
    const auto got = client.paced(rate, chosen.time);
    const auto used = static_cast<double>((served.processes().cpu_time() - before).count());
    const bool counts = each.runs.add(rate, got.offered) && got.answered == got.sent;
    each.fixed[rate].push_back(counts ? used / static_cast<double>(got.answered) : 0);
  }
}

/// Nothing if the contender did not manage in most repetitions.
table::cell managed(const std::vector<double>& samples) {
  std::vector<double> good;
  std::ranges::copy_if(samples, std::back_inserter(good), [](double sample) { return sample > 0; });
  return good.size() * 2 > samples.size() ? summary_cell(good) : table::cell{};
}

std::vector<double> thousands(std::vector<double> samples) {
  for (auto& sample : samples) sample /= 1e3;
  return samples;
}

std::vector<table> tables_of(std::vector<contender>& contenders, const run& chosen) {
  contender none;
  const auto found = std::ranges::find(contenders, reference, &contender::name);
  auto& bare = found == contenders.end() ? none : *found;

  table capacity{"echo, capacity",
                 {{"thousands a second", 1}, {"x recvfrom", 3}, {"server CPU ns/request", 0}, {"client busy", 2}}};
  table lossless{"echo, without loss", {{"thousands a second", 1}, {"x recvfrom", 3}, {"x its capacity", 3}}};
  std::vector<table::column> nanoseconds_at, ratios_at;
  for (const double rate : chosen.rates) {
    nanoseconds_at.push_back({fmt::format("{:.0f}/s", rate), 0});
    ratios_at.push_back({fmt::format("{:.0f}/s", rate), 3});
  }
  table fixed{"echo, server CPU ns/request", nanoseconds_at};
  table fixed_ratios{"echo, server CPU x recvfrom", ratios_at};

  for (auto& each : contenders) {
    capacity.add(each.name, {summary_cell(thousands(each.capacity)), summary_cell(ratios(each.capacity, bare.capacity)),
                             summary_cell(each.cpu), summary_cell(each.client_busy)});
    lossless.add(each.name, {summary_cell(thousands(each.lossless)), summary_cell(ratios(each.lossless, bare.lossless)),
                             summary_cell(ratios(each.lossless, each.capacity))});
    std::vector<table::cell> times, times_ratios;
    for (const double rate : chosen.rates) {
      times.push_back(managed(each.fixed[rate]));
      times_ratios.push_back(managed(ratios(each.fixed[rate], bare.fixed[rate])));
    }
    fixed.add(each.name, times);
    fixed_ratios.add(each.name, times_ratios);
  }
  return {capacity, lossless, fixed, fixed_ratios};
}

int echo(int argc, char** argv) {
  CLI::App app{"Requests answered by one worker"};
  options chosen;
  run sizes;
  unsigned milliseconds = 100;
  add_options(app, chosen);
  add_repetitions(app, chosen, 15);
  app.add_option("--window", sizes.window, "Requests outstanding, for the capacity")
      ->check(CLI::Range(2, 4096))
      ->capture_default_str();
  app.add_option("--rates", sizes.rates, "Requests a second, for the CPU time")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--ms", milliseconds, "How long each measurement takes; each step of the bisection 0.4 of it")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  settle(app, chosen, 1);
  if (chosen.quick && app.count("--ms") == 0) milliseconds = 50;
  sizes.time = std::chrono::milliseconds{milliseconds};
  sizes.trial = sizes.time * 2 / 5;

  print_heading("echo: one worker that answers each datagram", method);
  std::vector<contender> contenders;
  for (const auto& peer : all_peers()) contenders.push_back({peer.name, peer});
  select(contenders, chosen);
  if (contenders.empty()) return EXIT_SUCCESS;
  const auto processors = usable_processors();
  if (processors.size() < 2) {
    print_left_out("everything", "client and server need a processor each, and this process may use one only");
    return EXIT_SUCCESS;
  }
  pin_to(processors.front());
  print_run(fmt::format("{} repetitions of {} ms, {} requests outstanding, client on processor {}, server on {}",
                        chosen.repetitions, milliseconds, sizes.window, processors.front(), processors.back()));

  interleave(contenders, chosen.repetitions, [&](contender& each) { measure(each, sizes, processors); });

  for (const auto& each : contenders) each.runs.tell(each.name);
  const auto tables = tables_of(contenders, sizes);
  for (const auto& each : tables) each.print();
  write_json(chosen.json, tables);
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(echo, argc, argv); }

// What it costs to take a datagram that already waits: a queue is filled, then one contender drains it.

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "peers/drainers.hpp"
#include "support/callgrind.hpp"
#include "support/contenders.hpp"
#include "support/machine.hpp"
#include "support/options.hpp"
#include "support/summary.hpp"
#include "support/system.hpp"
#include "support/table.hpp"

namespace {

using namespace bench;

constexpr const char* reference = "recvfrom";
constexpr const char* threaded_reference = "recvfrom-beside-thread";
constexpr std::size_t many_clients = 64;
constexpr const char* method =
    "A queue of 64-byte datagrams is filled through loopback, by one client and from 64 addresses in turn, then\n"
    "drained through a handler that only counts. CPU time of the whole process while it drains, per datagram; every "
    "contender once in each repetition, in rotating\n"
    "order, on one processor. Median [quartiles]; ratios within the same repetition, to a bare recvfrom loop in a\n"
    "process of one thread, and in a process with another, sleeping thread, as the waiters thread and poll have one.\n"
    "Instructions per datagram: those in user space, counted by valgrind's callgrind, of the thread that handles; the\n"
    "kernel's are not in it. It is the difference between two numbers of datagrams, so that what a start costs is not\n"
    "in it either.";

struct contender {
  std::string name;
  drainer peer;
  /// By number of clients.
  std::map<std::size_t, std::vector<double>> results = {};
  /// In user space, for each datagram.
  std::optional<double> instructions = {};
};

std::vector<contender> all_contenders() {
  std::vector<contender> all;
  for (auto& each : all_drainers()) all.push_back({.name = each.name, .peer = std::move(each)});
  return all;
}

/// How a benchmark calls itself under valgrind: one contender, once.
std::optional<double> instructions_for_each(const contender& each) {
  // As many again warm up. The difference makes whole batches of 20 and of 32; an unprivileged queue takes the larger.
  constexpr std::size_t fewer = 32, more = 192;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  const auto counted = [&](std::size_t datagrams) {
    return instructions_of({self, "--once", "--only", each.name, "--datagrams", std::to_string(datagrams)},
                           "*serve_filled_queue*");
  };
  const auto low = counted(fewer), high = counted(more);
  if (!low || !high) return std::nullopt;
  return static_cast<double>(*high - *low) / (2 * (more - fewer));
}

/// One thread for each processor, each with the next contender.
void count_instructions(std::vector<contender>& contenders, std::size_t most) {
  std::atomic<std::size_t> next{0};
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) {
    threads.emplace_back([&] {
      for (std::size_t at = next++; at < std::min(most, contenders.size()); at = next++) {
        contenders[at].instructions = instructions_for_each(contenders[at]);
      }
    });
  }
}

table results_of(const std::vector<contender>& contenders, std::size_t clients, bool with_instructions) {
  const auto results_by = [&](std::string_view name) {
    const auto found = std::ranges::find(contenders, name, &contender::name);
    return found == contenders.end() ? std::vector<double>{} : found->results.at(clients);
  };
  const auto bare = results_by(reference), beside_thread = results_by(threaded_reference);
  std::vector<table::column> columns{{"ns/datagram", 0}, {"x recvfrom", 3}, {"x beside a thread", 3}};
  if (with_instructions) columns.push_back({"instructions/datagram", 0});
  table result{clients == 1 ? "drain" : fmt::format("drain, {} clients", clients), columns};
  for (const auto& each : contenders) {
    const auto& results = each.results.at(clients);
    std::vector<table::cell> cells{summary_cell(results), summary_cell(ratios(results, bare)),
                                   summary_cell(ratios(results, beside_thread))};
    if (with_instructions) cells.push_back(each.instructions ? table::cell{*each.instructions} : table::cell{});
    result.add(each.name, cells);
  }
  return result;
}

int drain(int argc, char** argv) {
  CLI::App app{"Cost of draining a filled queue"};
  options chosen;
  std::size_t datagrams = 4096, payload = 64;
  bool once = false;
  add_options(app, chosen);
  add_repetitions(app, chosen, 101);
  app.add_option("--datagrams", datagrams, "How many wait at most")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--payload", payload, "Bytes in each")->check(CLI::Range(0, 65'507))->capture_default_str();
  app.add_flag("--once", once, "Drain once and say nothing: for valgrind")->group("");
  CLI11_PARSE(app, argc, argv);
  settle(app, chosen, 5);

  if (!once) print_heading("drain: cost of taking a datagram that waits", method);
  auto contenders = all_contenders();
  select(contenders, chosen);
  if (contenders.empty()) return EXIT_SUCCESS;

  if (once) {
    give_up_after(std::chrono::seconds{30});
    auto sockets = socket_to_fill();
    queue_filler filler{sockets.front(), payload, datagrams};
    for (const auto& each : contenders) each.peer.drain(sockets, filler, datagrams);
    return EXIT_SUCCESS;
  }
  const bool with_instructions = has_callgrind();
  if (with_instructions) count_instructions(contenders, chosen.quick ? 1 : contenders.size());
  if (!with_instructions) print_left_out("instructions", "valgrind is not installed");

  const int processor = pin_to_one_processor();
  auto sockets = socket_to_fill();
  queue_filler filler{sockets.front(), payload, datagrams}, of_many{sockets.front(), payload, datagrams, many_clients};
  print_run(fmt::format("{} repetitions, {} datagrams of {} bytes in each (receive buffer {} bytes), processor {}",
                        chosen.repetitions, filler.capacity(), payload, sockets.front().receive_buffer().granted,
                        processor));

  const auto measure = [&](const contender& each, queue_filler& from) {
    give_up_after(std::chrono::seconds{30});
    return each.peer.drain(sockets, from, datagrams);
  };
  for (const auto& each : contenders) measure(each, filler);  // first touch of everybody's memory
  interleave(contenders, chosen.repetitions, [&](contender& each) {
    each.results[1].push_back(measure(each, filler));
    each.results[many_clients].push_back(measure(each, of_many));
  });

  const std::vector<table> tables{results_of(contenders, 1, with_instructions),
                                  results_of(contenders, many_clients, false)};
  for (const auto& each : tables) each.print();
  write_json(chosen.json, tables);
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(drain, argc, argv); }

// What a datagram's size does to the cost of taking it: the drain, by payload.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "peers/drainers.hpp"
#include "support/contenders.hpp"
#include "support/machine.hpp"
#include "support/options.hpp"
#include "support/summary.hpp"
#include "support/system.hpp"
#include "support/table.hpp"

namespace {

using namespace bench;

constexpr const char* reference = "recvfrom";
constexpr const char* method =
    "As the benchmark drain, by the size of the payload: a queue is filled through loopback, then drained through a\n"
    "handler that only counts. CPU time of the whole process while it drains, in ns per datagram, and its ratio to a\n"
    "bare recvfrom loop within the same repetition. Every contender once in each, in rotating order, on one\n"
    "processor. Median [quartiles].";

/// Nothing; small; QUIC or DNS on Ethernet; jumbo frames; the largest that IPv4 carries.
const std::vector<std::size_t> payloads{0, 64, 512, 1472, 9000, 65'507};

struct contender {
  std::string name;
  drainer peer;
  /// ns for each datagram, by payload.
  std::map<std::size_t, std::vector<double>> results = {};
};

std::vector<contender> all_contenders() {
  std::vector<contender> all;
  for (auto& each : all_drainers()) {
    const bool asked = each.name == reference || each.name == "recvmmsg" || each.name == "libuv" ||
                       each.name == "asio" || each.name == "libevent" || each.name == "uring-multishot" ||
                       each.name == "udppump-run";
    if (asked) all.push_back({.name = each.name, .peer = std::move(each)});
  }
  return all;
}

std::vector<table> tables_of(std::vector<contender>& contenders) {
  std::vector<table::column> times, factors;
  for (const auto payload : payloads) {
    times.push_back({fmt::format("{} B", payload), 0});
    factors.push_back({fmt::format("{} B", payload), 3});
  }
  contender none;
  const auto found = std::ranges::find(contenders, reference, &contender::name);
  auto& bare = found == contenders.end() ? none : *found;
  table absolute{"payload, ns/datagram", times}, relative{"payload, x recvfrom", factors};
  for (auto& each : contenders) {
    std::vector<table::cell> taken, ratio;
    for (const auto payload : payloads) {
      taken.push_back(summary_cell(each.results[payload]));
      ratio.push_back(summary_cell(ratios(each.results[payload], bare.results[payload])));
    }
    absolute.add(each.name, taken);
    relative.add(each.name, ratio);
  }
  return {absolute, relative};
}

int payload(int argc, char** argv) {
  CLI::App app{"Cost of draining a filled queue, by payload"};
  options chosen;
  std::size_t datagrams = 4096;
  add_options(app, chosen);
  add_repetitions(app, chosen, 51);
  app.add_option("--datagrams", datagrams, "How many wait at most")->check(CLI::PositiveNumber)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  settle(app, chosen, 5);

  print_heading("payload: cost of taking a datagram that waits, by its size", method);
  auto contenders = all_contenders();
  select(contenders, chosen);
  if (contenders.empty()) return EXIT_SUCCESS;

  const int processor = pin_to_one_processor();
  auto sockets = socket_to_fill();
  std::vector<queue_filler> fillers;
  for (const auto each : payloads) fillers.emplace_back(sockets.front(), each, datagrams);
  std::vector<std::string> waiting;
  for (const auto& each : fillers) waiting.push_back(std::to_string(each.capacity()));
  print_run(fmt::format("{} repetitions, {} datagrams in each (receive buffer {} bytes), processor {}",
                        chosen.repetitions, fmt::join(waiting, "/"), sockets.front().receive_buffer().granted,
                        processor));

  const auto measure = [&](contender& each, std::size_t at) {
    give_up_after(std::chrono::seconds{30});
    return each.peer.drain(sockets, fillers[at], datagrams);
  };
  for (auto& each : contenders) measure(each, payloads.size() - 1);  // first touch of everybody's memory
  interleave(contenders, chosen.repetitions, [&](contender& each) {
    for (std::size_t at = 0; at < payloads.size(); ++at) each.results[payloads[at]].push_back(measure(each, at));
  });

  const auto tables = tables_of(contenders);
  for (const auto& each : tables) each.print();
  write_json(chosen.json, tables);
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(payload, argc, argv); }

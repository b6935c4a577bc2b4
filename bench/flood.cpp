// What many workers on one socket reach when datagrams come faster than any of them can handle.

#include <fmt/format.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "support/contenders.hpp"
#include "support/machine.hpp"
#include "support/options.hpp"
#include "support/peer_workers.hpp"
#include "support/summary.hpp"
#include "support/system.hpp"
#include "support/table.hpp"

namespace {

using namespace bench;
using namespace std::chrono_literals;

constexpr const char* method =
    "One client sends 64 bytes again and again, one system call a datagram, on the first processor; k workers share "
    "the\n"
    "last one, and with it the socket (reuseport-epoll: a socket each). The handler spins for the time given and does "
    "not\n"
    "answer. Datagrams handled a second, in thousands; then as a ratio to the same contender with one worker, within "
    "the\n"
    "same repetition: what parked workers cost the busy one. Median [quartiles].";

const std::vector<std::size_t> worker_counts{1, 2, 4, 8};

/// As the peers' --handler says "spin for that long".
std::string handler_for(const std::string& time) { return time == "0us" ? "count" : "spin:" + time; }

struct contender {
  std::string name;
  bench::peer peer;
  std::string handler;
  /// Thousands of datagrams a second, by number of workers.
  std::map<std::size_t, std::vector<double>> rates = {};
  std::map<std::size_t, std::vector<double>> switches = {};
  /// All runs, and those in which no more was sent than was handled: the flood was the limit, not the workers.
  std::size_t runs = 0, starved = 0;
};

/// Sends until told to stop, as fast as it can.
class flooder {
 public:
  flooder(const udppump::address& to, int processor)
      : thread_{[this, to, processor](const std::stop_token& stop) {
          pin_to(processor);
          const descriptor socket{check_call(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};
          check_call(connect(socket.fd(), to.data(), to.size()), "connect");
          const std::array<char, 64> payload{};
          for (std::uint64_t count = 1; !stop.stop_requested(); ++count) {
            check_call(send(socket.fd(), payload.data(), payload.size(), 0), "send");
            sent_.store(count, std::memory_order_relaxed);
          }
        }} {}
  std::uint64_t sent() const { return sent_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> sent_{0};  // before the thread, which uses it
  std::jthread thread_;
};

void measure(contender& each, std::size_t workers, const std::vector<int>& processors, std::chrono::milliseconds time) {
  give_up_after(60s);
  peer_workers served{each.peer, {.workers = workers, .handler = each.handler, .processor = processors.back()}};
  const flooder flood{served.server(), processors.front()};
  std::this_thread::sleep_for(time / 5);
  const auto start = wall_time();
  const auto before = served.processes().served();
  const auto sent_before = flood.sent();
  const auto switches = served.processes().voluntary_switches();
  std::this_thread::sleep_for(time);
  while (served.processes().served() == before) std::this_thread::sleep_for(1ms);  // on a machine with other work
  const auto count = static_cast<double>(served.processes().served() - before);
  const auto switched = static_cast<double>(served.processes().voluntary_switches() - switches);
  const std::chrono::duration<double, std::milli> took = wall_time() - start;
  ++each.runs;
  if (static_cast<double>(flood.sent() - sent_before) <= count) ++each.starved;
  each.rates[workers].push_back(count / took.count());
  each.switches[workers].push_back(switched / count);
}

std::vector<contender> all_contenders(const std::vector<std::string>& handlers) {
  std::vector<contender> all;
  for (const auto& peer : all_peers()) {
    for (const auto& handler : handlers) {
      all.push_back({peer.name, peer, handler_for(handler)});
    }
  }
  return all;
}

using figure = std::vector<double> (*)(contender&, std::size_t workers);

table table_of(std::vector<contender>& contenders, const std::string& handler, const std::string& what, int precision,
               figure of) {
  std::vector<table::column> columns;
  for (const auto workers : worker_counts) columns.push_back({fmt::format("k={}", workers), precision});
  table result{fmt::format("flood, handler {}, {}", handler, what), columns};
  for (auto& each : contenders) {
    if (each.handler != handler_for(handler)) continue;
    std::vector<table::cell> cells;
    for (const auto workers : worker_counts) cells.push_back(summary_cell(of(each, workers)));
    result.add(each.name, cells);
  }
  return result;
}

int flood(int argc, char** argv) {
  CLI::App app{"Datagrams served under a flood, by number of workers"};
  options chosen;
  std::vector<std::string> handlers{"0us", "1us", "10us"};
  unsigned milliseconds = 200;
  add_options(app, chosen);
  add_repetitions(app, chosen, 5);
  app.add_option("--handlers", handlers, "How long the handler spins")->capture_default_str();
  app.add_option("--ms", milliseconds, "How long each measurement takes")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  settle(app, chosen, 1);
  if (chosen.quick && app.count("--ms") == 0) milliseconds = 20;
  if (chosen.quick && app.count("--handlers") == 0) handlers = {"0us"};

  print_heading("flood: many workers, one queue that is never empty for long", method);
  auto contenders = all_contenders(handlers);
  select(contenders, chosen);
  if (contenders.empty()) return EXIT_SUCCESS;
  const auto processors = usable_processors();
  print_run(fmt::format("{} repetitions of {} ms, client on processor {}, workers on {}", chosen.repetitions,
                        milliseconds, processors.front(), processors.back()));

  interleave(contenders, chosen.repetitions, [&](contender& each) {
    for (const auto workers : worker_counts)
      measure(each, workers, processors, std::chrono::milliseconds{milliseconds});
  });

  for (const auto& each : contenders) {
    if (each.starved == 0) continue;
    print_run(fmt::format("{} handled all that came in {} of {} runs of {}: there the flood was the limit", each.name,
                          each.starved, each.runs, each.handler));
  }
  std::vector<table> tables;
  for (auto handler : handlers) {
    tables.push_back(table_of(contenders, handler, "thousands a second", 0,
                              [](contender& each, std::size_t k) { return each.rates[k]; }));
    tables.push_back(table_of(contenders, handler, "ratio to k=1", 3,
                              [](contender& each, std::size_t k) { return ratios(each.rates[k], each.rates[1]); }));
    tables.push_back(table_of(contenders, handler, "switches/datagram", 4,
                              [](contender& each, std::size_t k) { return each.switches[k]; }));
  }
  for (const auto& each : tables) each.print();
  write_json(chosen.json, tables);
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(flood, argc, argv); }

// What clients still get when one of them asks for more than the workers can do.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "load/plan/request_plan.hpp"
#include "load/plan/work_message.hpp"
#include "load/run/work_run.hpp"
#include "support/contenders.hpp"
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
using udppump::load::nanoseconds;

constexpr std::size_t workers = 4;
constexpr auto deadline = 50ms;
constexpr auto mean_service = 1ms;
constexpr std::size_t receive_buffer = 4 << 20;
/// Answers a second, of workers that do nothing but work.
constexpr double capacity = workers / std::chrono::duration<double>{mean_service}.count();
constexpr unsigned honest_clients = 20;
constexpr double honest_load = 0.3;
/// Three times what an honest client asks for in the mean.
constexpr int limit = static_cast<int>(3 * honest_load * capacity / honest_clients);
const std::vector<double> floods{0, 2, 10};
constexpr const char* flooder = "127.0.2.1:0";

constexpr const char* method =
    "4 workers on one socket (reuseport-epoll: a socket each) sleep for an exponential time, 1 ms in the mean, for "
    "each\n"
    "request, and answer: 4000 a second at most. 20 honest clients, each with an address of its own, together ask for\n"
    "0.3 of that at random times (Poisson). Another client, with one address and port, asks for 0, 2 and 10 times\n"
    "what the workers can do. In time: answers to the honest clients that arrive within 50 ms of the time at which "
    "the\n"
    "request was to be sent, as a share of their requests; counted after a warm-up. Served: what the workers answered\n"
    "to anybody meanwhile, as a share of those 4000 a second. The receive buffers have 4 MiB in all.\n"
    "udppump-client_limit holds each client to 180 requests a second, three times what an honest one asks for;\n"
    "udppump-client_share has no number set. A run is left out if the load that the honest clients really offered\n"
    "differs from 0.3 by more than a fifth. Median [quartiles] over the repetitions.";

struct contender {
  std::string name;
  bench::peer peer;
  std::string handler = "work";
  /// By flood; a run that does not count is not there.
  std::map<double, std::vector<double>> in_time = {}, p99 = {}, served = {};
  counted_runs runs = {};
};

std::vector<contender> all_contenders() {
  std::vector<contender> all;
  for (const auto& peer : peers_named({"recvfrom-blocked", "reuseport-epoll", "udppump-run-epoll"})) {
    all.push_back({peer.name, peer});
  }
  for (const auto& peer : peers_named({"udppump-run-epoll"})) {
    all.push_back({"udppump-client_limit", peer, fmt::format("work:client_limit:{}", limit)});
    all.push_back({"udppump-client_share", peer, "work:client_share"});
  }
  return all;
}

/// Asks at the times of a plan, late ones at once, and hears no answer.
void flood(const udppump::address& server, double times_capacity) {
  const auto socket = udppump::datagram_socket::bind(udppump::address::parse(flooder));
  udppump::load::request_plan plan{
      {.rate = times_capacity * capacity,
       .length = 10min,
       .service = {.kind = udppump::load::service_kind::exponential, .mean = mean_service}}};
  const auto start = wall_time();
  while (const auto next = plan.next()) {
    while (wall_time() - start < next->intended) std::this_thread::sleep_for(200us);
    std::array<std::byte, udppump::load::work_message_size> request;
    write(udppump::load::work_request{.id = next->index, .asked = next->asked}, udppump::load::work_space{request});
    static_cast<void>(socket.send_to(request, server));
  }
}

/// Addresses with a port that the kernel chooses.
std::vector<udppump::address> honest_sources() {
  std::vector<udppump::address> all;
  for (unsigned client = 1; client <= honest_clients; ++client) {
    all.push_back(udppump::address::parse(fmt::format("127.0.1.{}:0", client)));
  }
  return all;
}

struct run {
  /// Of the warm-up, and of what is measured after it.
  std::chrono::milliseconds length{1000};
  std::chrono::milliseconds timeout{500};
};

void measure(contender& each, double times_capacity, const run& chosen, std::size_t repetition) {
  give_up_after(60s);
  peer_workers served{each.peer, {.workers = workers, .handler = each.handler, .receive_buffer = receive_buffer}};
  std::optional<worker_processes> flooding;
  if (times_capacity > 0) flooding.emplace(1, [&](worker_note&) { flood(served.server(), times_capacity); });
  const auto began = wall_time();
  const auto before = served.processes().served();
  const auto got = udppump::load::run_work(
      {.run = {.target = served.server(),
               .sources = honest_sources(),
               .plan = {.length = chosen.length,
                        .flows = honest_clients,
                        .service = {.kind = udppump::load::service_kind::exponential, .mean = mean_service},
                        .seed = 1 + repetition},
               .warmup = chosen.length,
               .timeout = chosen.timeout,
               .priority = udppump::load::realtime::automatic,
               .keep_records = true},
       .workers = workers,
       .load = honest_load,
       .limits = {.offered = 0.2}},
      [&] { return served.processes().voluntary_switches(); });
  const std::chrono::duration<double> took = wall_time() - began;
  if (!each.runs.add(got.found)) return;
  std::size_t asked = 0, in_time = 0;
  for (const auto& request : got.result.records) {
    if (request.intended < chosen.length) continue;
    ++asked;
    if (request.latency <= deadline) ++in_time;
  }
  if (asked == 0) return;
  each.in_time[times_capacity].push_back(static_cast<double>(in_time) / static_cast<double>(asked));
  each.served[times_capacity].push_back(static_cast<double>(served.processes().served() - before) / took.count() /
                                        capacity);
  if (got.result.latency.count() > 0) {
    each.p99[times_capacity].push_back(static_cast<double>(got.result.latency.percentile(99).count()) / 1e6);
  }
}

using figure = std::map<double, std::vector<double>> contender::*;

table table_of(const std::vector<contender>& contenders, const char* what, int precision, figure of) {
  std::vector<table::column> columns;
  for (const double flood : floods) columns.push_back({fmt::format("{}x", flood), precision});
  table result{fmt::format("clients: {}", what), columns};
  for (const auto& each : contenders) {
    std::vector<table::cell> row;
    for (const double flood : floods) {
      const auto found = (each.*of).find(flood);
      row.push_back(found == (each.*of).end() ? table::cell{} : summary_cell(found->second));
    }
    result.add(each.name, row);
  }
  return result;
}

int clients(int argc, char** argv) {
  CLI::App app{"What clients get beside one that floods"};
  options chosen;
  unsigned milliseconds = 800;
  add_options(app, chosen);
  add_repetitions(app, chosen, 5);
  app.add_option("--ms", milliseconds, "How long each run is measured, and how long the warm-up before is")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  settle(app, chosen, 1);
  if (chosen.quick && app.count("--ms") == 0) milliseconds = 100;
  run sizes{.length = std::chrono::milliseconds{milliseconds}};
  if (chosen.quick) sizes.timeout = 100ms;

  print_heading("clients: one asks for more than can be done", method);
  auto contenders = all_contenders();
  select(contenders, chosen);
  if (contenders.empty()) return EXIT_SUCCESS;
  print_run(fmt::format("{} repetitions of {} ms after a warm-up as long", chosen.repetitions, milliseconds));
  std::fflush(stdout);

  for (std::size_t repetition = 0; repetition < chosen.repetitions; ++repetition) {
    for (const double flood : floods) {
      for (std::size_t turn = 0; turn < contenders.size(); ++turn) {
        measure(contenders[(repetition + turn) % contenders.size()], flood, sizes, repetition);
      }
    }
  }

  for (const auto& each : contenders) each.runs.tell(each.name);
  const std::vector<table> tables{
      table_of(contenders, "honest requests answered in time, share", 3, &contender::in_time),
      table_of(contenders, "served / capacity", 3, &contender::served),
      table_of(contenders, "p99 of honest requests that were answered, ms", 1, &contender::p99),
  };
  for (const auto& each : tables) each.print();
  write_json(chosen.json, tables);
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(clients, argc, argv); }

// How sockets cost as their number in one process grows: memory, starting and stopping, and a wake-up.

#include <fmt/format.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "peers/epoll_loop.hpp"
#include "peers/libevent_loop.hpp"
#include "peers/libuv_loop.hpp"
#include "peers/udppump_loops.hpp"
#include "support/client.hpp"
#include "support/contenders.hpp"
#include "support/in_child.hpp"
#include "support/machine.hpp"
#include "support/memory.hpp"
#include "support/options.hpp"
#include "support/summary.hpp"
#include "support/system.hpp"
#include "support/table.hpp"

namespace {

using namespace bench;

constexpr const char* method =
    "N sockets in one process, one thread, one loop; a new process for each measurement, contenders interleaved. The\n"
    "sockets are there before. make: constructing what serves them. start: make, then one datagram through each.\n"
    "wake-up: a datagram is sent to a random one of them, by the same thread, until its handler runs; CPU of the "
    "whole\n"
    "cycle, sending included. stop: destroying all. Memory per socket, with what is behind it divided by N: heap "
    "after\n"
    "making; heap after a datagram through each, which touches a page of each receive buffer (the rest of its 64 KiB\n"
    "stays untouched and costs nothing); io_uring's rings; slabs, kernel stacks and page tables, approximate, because\n"
    "they are the whole machine's. Median [quartiles].";

struct cost {
  /// Of all N, in ms.
  double make = 0, start = 0, stop = 0;
  /// In us.
  double wakeup_p50 = 0, wakeup_p99 = 0, wakeup_cpu = 0;
  /// Per socket, in bytes.
  double heap_made = 0, heap_served = 0, rings = 0, kernel = 0;
  /// Per socket; the sockets' own descriptors are not counted.
  double threads = 0, descriptors = 0;
};

struct contender {
  std::string name;
  std::size_t sockets;
  std::function<cost(std::size_t sockets, std::size_t wakeups)> measure;
  std::vector<cost> results = {};
};

struct note_arrival {
  nanoseconds* arrived;
  bool operator()(auto&) const {
    *arrived = wall_time();
    return false;
  }
};

double since(nanoseconds start, nanoseconds unit) {
  return static_cast<double>((wall_time() - start).count()) / static_cast<double>(unit.count());
}

/// Sends a datagram to a socket and serves until its handler runs; the time between, in us.
double wake(client& client, const udppump::address& to, auto& peer, const nanoseconds& arrived) {
  const auto sent = wall_time();
  client.send("wake up", to);
  peer.serve();
  return static_cast<double>((arrived - sent).count()) / 1e3;
}

template <template <class> class Peer>
cost measure(std::size_t count, std::size_t wakeups, auto... setup) {
  using std::chrono::milliseconds;
  std::vector<udppump::datagram_socket> sockets;
  std::vector<udppump::address> addresses;
  sockets.reserve(count);
  for (std::size_t i = 0; i < count; ++i) addresses.push_back(sockets.emplace_back(bind_loopback()).local());
  client client;
  std::vector<double> times;
  times.reserve(wakeups);
  memory_use::now();  // its own memory is then there already
  const auto bare = memory_use::now();
  cost result;

  nanoseconds arrived{0};
  const auto start = wall_time();
  auto peer = std::make_unique<Peer<note_arrival>>(sockets, note_arrival{&arrived}, setup...);
  result.make = since(start, milliseconds{1});
  const auto made = memory_use::now();

  const auto restart = wall_time();
  for (const auto& to : addresses) wake(client, to, *peer, arrived);
  result.start = result.make + since(restart, milliseconds{1});
  const auto served = memory_use::now();

  std::minstd_rand random{1};
  std::uniform_int_distribution<std::size_t> any{0, count - 1};
  const auto cpu = cpu_time();
  for (std::size_t i = 0; i < wakeups; ++i) times.push_back(wake(client, addresses[any(random)], *peer, arrived));
  result.wakeup_cpu = static_cast<double>((cpu_time() - cpu).count()) / 1e3 / static_cast<double>(wakeups);
  result.wakeup_p50 = percentile(times, 0.50);
  result.wakeup_p99 = percentile(times, 0.99);

  const auto stop = wall_time();
  peer.reset();
  result.stop = since(stop, milliseconds{1});

  const auto per_socket = [&](std::size_t memory_use::*field, const memory_use& after) {
    return (static_cast<double>(after.*field) - static_cast<double>(bare.*field)) / static_cast<double>(count);
  };
  result.heap_made = per_socket(&memory_use::anonymous, made);
  result.heap_served = per_socket(&memory_use::anonymous, served);
  result.rings = per_socket(&memory_use::rings, served);
  result.kernel = per_socket(&memory_use::kernel, served);
  result.threads = per_socket(&memory_use::threads, served);
  result.descriptors = per_socket(&memory_use::descriptors, served);
  return result;
}

template <template <class> class Peer>
void add(std::vector<contender>& all, const std::string& name, const std::vector<std::size_t>& sizes, auto... setup) {
  for (const std::size_t sockets : sizes) {
    all.push_back({fmt::format("{} x{}", name, sockets), sockets, [setup...](std::size_t count, std::size_t wakeups) {
                     return in_child([&] { return measure<Peer>(count, wakeups, setup...); });
                   }});
  }
}

std::vector<contender> all_contenders(std::size_t descriptor_limit) {
  std::vector<std::size_t> alone{1, 100, 1000}, shared{1, 100, 1000, 10'000};
  constexpr std::size_t each_alone = 4, others = 100;  // descriptors
  std::erase_if(alone, [&](std::size_t count) { return count * each_alone + others > descriptor_limit; });
  std::erase_if(shared, [&](std::size_t count) { return count + others > descriptor_limit; });
  std::vector<contender> all;
  add<epoll_loop>(all, "epoll", shared);
  add<libevent_loop>(all, "libevent", shared);
  add<libuv_loop>(all, "libuv", alone);  // it needs a duplicate of each descriptor here
  for (const auto waiter : available_waiters()) {
    if (!serves_event_loops(waiter)) continue;
    const auto name = udppump::to_string(waiter);
    add<udppump_on_libevent>(all, fmt::format("udppump-{}", name), alone, waiter);
    // poll(2) looks at every socket for each wake-up: 10,000 would take minutes.
    const auto& sizes = waiter == udppump::waiter_kind::poll ? alone : shared;
    add<udppump_group_on_libevent>(all, fmt::format("udppump-group-{}", name), sizes, waiter);
  }
  return all;
}

table::cell summary_of(const contender& each, double cost::*field) {
  std::vector<double> samples;
  for (const auto& result : each.results) samples.push_back(result.*field);
  return summary_cell(samples);
}

table times_of(const std::vector<contender>& contenders) {
  table times{"time",
              {{"make ms", 2}, {"start ms", 2}, {"wake-up p50 us", 1}, {"p99 us", 1}, {"CPU us", 1}, {"stop ms", 2}}};
  for (const auto& each : contenders) {
    const auto cell = [&](double cost::*field) { return summary_of(each, field); };
    times.add(each.name, {cell(&cost::make), cell(&cost::start), cell(&cost::wakeup_p50), cell(&cost::wakeup_p99),
                          cell(&cost::wakeup_cpu), cell(&cost::stop)});
  }
  return times;
}

table memory_of(const std::vector<contender>& contenders) {
  table memory{"memory per socket, bytes",
               {{"heap made", 0}, {"heap served", 0}, {"rings", 0}, {"kernel", 0}, {"threads", 3}, {"descriptors", 3}}};
  for (const auto& each : contenders) {
    const auto cell = [&](double cost::*field) { return summary_of(each, field); };
    // With few sockets, what the rest of the machine does in the meantime is larger.
    const auto kernel = each.sockets >= 1000 ? cell(&cost::kernel) : table::cell{};
    memory.add(each.name, {cell(&cost::heap_made), cell(&cost::heap_served), cell(&cost::rings), kernel,
                           each.results.front().threads, each.results.front().descriptors});
  }
  return memory;
}

int run(int argc, char** argv) {
  CLI::App app{"Cost of many sockets in one process"};
  options chosen;
  std::size_t wakeups = 1000;
  add_options(app, chosen);
  add_repetitions(app, chosen, 5);
  app.add_option("--wakeups", wakeups, "In a repetition")->check(CLI::PositiveNumber)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  settle(app, chosen, 1);

  print_heading("scale: cost of many sockets in one process", method);
  const std::size_t descriptor_limit = raise_descriptor_limit();
  auto contenders = all_contenders(descriptor_limit);
  select(contenders, chosen);
  if (contenders.empty()) return EXIT_SUCCESS;
  print_run(fmt::format("{} repetitions, {} wake-ups in each, at most {} descriptors", chosen.repetitions, wakeups,
                        descriptor_limit));
  interleave(contenders, chosen.repetitions, [&](contender& each) {
    give_up_after(std::chrono::seconds{60});
    each.results.push_back(each.measure(each.sockets, wakeups));
  });

  const std::vector<table> tables{times_of(contenders), memory_of(contenders)};
  for (const auto& each : tables) each.print();
  write_json(chosen.json, tables);
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(run, argc, argv); }

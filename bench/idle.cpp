// What a pump costs that has nothing to do: CPU time, and wake-ups that nobody asked for.

#include <fmt/format.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "peers/libevent_loop.hpp"
#include "peers/libuv_loop.hpp"
#include "peers/recvfrom_loop.hpp"
#include "peers/udppump_loops.hpp"
#include "support/client.hpp"
#include "support/contenders.hpp"
#include "support/machine.hpp"
#include "support/options.hpp"
#include "support/system.hpp"
#include "support/table.hpp"
#include "support/worker_processes.hpp"

namespace {

using namespace bench;

constexpr const char* method =
    "A process for each contender waits for a socket to which nobody sends, all at once. CPU time and voluntary\n"
    "context switches of all its threads (the CPU clock of the process; proc(5)), over the whole time.";

struct contender {
  std::string name;
  std::function<void(std::span<udppump::datagram_socket>)> serve;
};

template <template <class> class Peer>
contender with(std::string name, auto... setup) {
  return {std::move(name), [setup...](std::span<udppump::datagram_socket> sockets) {
            Peer<echo_handler>{sockets, echo_handler{}, setup...}.serve();
          }};
}

std::vector<contender> all_contenders() {
  std::vector<contender> contenders{with<recvfrom_loop>("recvfrom-blocked", waits_by::blocking),
                                    with<libevent_loop>("libevent"), with<libuv_loop>("libuv")};
  for (const auto waiter : available_waiters()) {
    const auto name = udppump::to_string(waiter);
    contenders.push_back(with<udppump_run>(fmt::format("udppump-run-{}", name), waiter));
    contenders.push_back(with<udppump_on_libevent>(fmt::format("udppump-libevent-{}", name), waiter));
    contenders.push_back(with<udppump_group_on_libevent>(fmt::format("udppump-group-{}", name), waiter));
  }
  return contenders;
}

table watch(const std::vector<contender>& contenders, std::chrono::milliseconds time) {
  table result{fmt::format("idle for {:.0f} s", std::chrono::duration<double>{time}.count()),
               {{"CPU us", 1}, {"context switches", 0}}};
  give_up_after(std::chrono::seconds{60} + std::chrono::ceil<std::chrono::seconds>(time));

  std::vector<std::vector<udppump::datagram_socket>> sockets(contenders.size());
  std::vector<std::unique_ptr<worker_processes>> processes;
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    sockets[i].push_back(bind_loopback());
    processes.push_back(
        std::make_unique<worker_processes>(1, [&, i](worker_note&) { contenders[i].serve(sockets[i]); }));
  }
  struct use {
    nanoseconds cpu;
    std::uint64_t switches;
  };
  std::vector<use> before;
  for (const auto& each : processes) each->wait_until_parked();
  for (const auto& each : processes) before.push_back({each->cpu_time(), each->voluntary_switches()});
  std::this_thread::sleep_for(time);
  for (std::size_t i = 0; i < processes.size(); ++i) {
    const std::chrono::duration<double, std::micro> cpu = processes[i]->cpu_time() - before[i].cpu;
    const auto switches = static_cast<double>(processes[i]->voluntary_switches() - before[i].switches);
    result.add(contenders[i].name, {cpu.count(), switches});
    processes[i]->finish(sockets[i].front().local());
  }
  return result;
}

int idle(int argc, char** argv) {
  CLI::App app{"CPU time of pumps that have nothing to do"};
  options chosen;
  double seconds = 5;
  add_options(app, chosen);
  auto* const time = app.add_option("--seconds", seconds, "How long to watch")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (chosen.quick && time->count() == 0) seconds = 1;

  print_heading("idle: CPU time of pumps that have nothing to do", method);
  auto contenders = all_contenders();
  select(contenders, chosen);
  if (contenders.empty()) return EXIT_SUCCESS;
  print_run(fmt::format("{} s", seconds));
  const table result = watch(contenders, std::chrono::milliseconds{static_cast<std::int64_t>(seconds * 1000)});
  result.print();
  write_json(chosen.json, {result});
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(idle, argc, argv); }

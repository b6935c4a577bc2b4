// What a worker_pool costs: a datagram in its workers, with and without redeliver, beside a bare loop and a pump alone;
// its parent while nothing comes, and under load; and what a reload and a stranded wake-up take.

#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <new>
#include <string>
#include <thread>
#include <udppump/pool_status.hpp>
#include <udppump/worker_pool.hpp>
#include <vector>

#include "peers/recvfrom_loop.hpp"
#include "support/client.hpp"
#include "support/contenders.hpp"
#include "support/machine.hpp"
#include "support/options.hpp"
#include "support/queue_filler.hpp"
#include "support/summary.hpp"
#include "support/system.hpp"
#include "support/table.hpp"

namespace {

using namespace bench;

constexpr const char* reference = "recvfrom";
constexpr const char* method =
    "Drain: as the benchmark of that name, inside a pool's worker. Parent: CPU time and voluntary context switches of\n"
    "the pool's parent process over some seconds. Reload: SIGHUP until all workers are new, nothing else to do. "
    "Medians\n"
    "[quartiles].";
constexpr std::size_t warm_up = 160;
constexpr std::size_t datagrams = 4096;
constexpr std::size_t payload = 64;

/// A double that a worker leaves for the benchmark.
class shared_result {
 public:
  shared_result()
      : value_{new (::mmap(nullptr, sizeof(double), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) double{
            0}} {}
  ~shared_result() { ::munmap(value_, sizeof(double)); }
  shared_result(const shared_result&) = delete;
  shared_result& operator=(const shared_result&) = delete;
  double& operator*() const { return *value_; }

 private:
  double* value_;
};

struct stopwatch {
  std::size_t left, start_at;
  nanoseconds started{0}, stopped{0};

  /// False with the last datagram.
  bool count() {
    if (--left == start_at) started = cpu_time();
    if (left > 0) return true;
    stopped = cpu_time();
    return false;
  }
  double per_datagram() const {
    return static_cast<double>((stopped - started).count()) / static_cast<double>(start_at);
  }
};

struct countdown {
  stopwatch* watch;
  bool operator()(auto&) const { return watch->count(); }
};

void drain_by_recvfrom(udppump::worker& self, stopwatch& watch) {
  recvfrom_loop<countdown>{self.sockets(), countdown{&watch}, waits_by::polling}.serve();
}

void drain_by_pump(udppump::worker& self, stopwatch& watch) {
  udppump::pump* only = nullptr;
  udppump::pump alone{self.sockets()[0], [&](udppump::datagram&) {
                        if (!watch.count()) only->stop();
                      }};
  only = &alone;
  static_cast<void>(alone.run());
}

void drain_by_worker(udppump::worker& self, stopwatch& watch) {
  udppump::grouped_pump* only = nullptr;
  udppump::grouped_pump member = self.pumps().add(self.sockets()[0], [&](udppump::datagram&) {
    if (!watch.count()) only->stop();
  });
  only = &member;
  static_cast<void>(self.pumps().run());
}

struct contender {
  std::string name;
  bool redeliver;
  void (*drain)(udppump::worker&, stopwatch&);
  std::vector<double> results = {};
};

udppump::pool_options quiet_pool(std::size_t workers, bool redeliver) {
  udppump::pool_options options{.bind = {"127.0.0.1:0"},
                                .socket = {.receive_buffer = 64 << 20},
                                .workers = workers,
                                .log = [](const udppump::pool_event&) {}};
  if (redeliver) options.redeliver.emplace();
  return options;
}

double drain_once(const contender& each) {
  const shared_result result;
  udppump::worker_pool pool{quiet_pool(1, each.redeliver)};
  const int ended = pool.run([&](udppump::worker& self) {
    queue_filler filler{self.sockets()[0], payload, datagrams};
    const std::size_t count = filler.fill();
    stopwatch watch{.left = count, .start_at = count - std::min(warm_up, count / 2)};
    each.drain(self, watch);
    *result = watch.per_datagram();
    pool.request_stop();
  });
  if (ended != 0) throw std::runtime_error{"the pool ended with " + std::to_string(ended)};
  return *result;
}

table drain(std::size_t repetitions) {
  std::vector<contender> contenders{{reference, false, drain_by_recvfrom},
                                    {"udppump-run", false, drain_by_pump},
                                    {"pool worker", false, drain_by_worker},
                                    {"pool worker, redeliver", true, drain_by_worker}};
  for (const auto& each : contenders) drain_once(each);
  interleave(contenders, repetitions, [](contender& each) {
    give_up_after(std::chrono::seconds{30});
    each.results.push_back(drain_once(each));
  });
  table result{"drain in a worker", {{"ns/datagram", 0}, {"x recvfrom", 3}}};
  for (const auto& each : contenders) {
    result.add(each.name, {summary_cell(each.results), summary_cell(ratios(each.results, contenders[0].results))});
  }
  return result;
}

/// A pool of 4 in a process of its own.
class pool_process {
 public:
  pool_process() {
    std::fflush(nullptr);
    pid_ = check_call(::fork(), "fork");
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      udppump::worker_pool pool{quiet_pool(4, false)};
      *port_ = pool.sockets()[0].local().port();
      ::_exit(pool.serve([](udppump::datagram& received) { received.reply(received.payload); }));
    }
    while (*port_ == 0 || udppump::pool_status::of(pid_).workers.size() < 4) pause();
    std::this_thread::sleep_for(std::chrono::seconds{1});  // for the parent to have seen it
  }
  ~pool_process() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  pool_process(const pool_process&) = delete;
  pool_process& operator=(const pool_process&) = delete;

  static void pause() { std::this_thread::sleep_for(std::chrono::microseconds{200}); }
  udppump::address server() const {
    return udppump::address::parse("127.0.0.1:0").with_port(static_cast<std::uint16_t>(*port_));
  }
  pid_t pid() const { return pid_; }
  double switches() const {
    std::ifstream status{fmt::format("/proc/{}/status", pid_)};
    std::string word;
    while (status >> word && word != "voluntary_ctxt_switches:") continue;
    double count = 0;
    status >> count;
    return count;
  }
  double reload() const {
    const auto before = udppump::pool_status::of(pid_).reloads;
    const auto began = wall_time();
    ::kill(pid_, SIGHUP);
    while (udppump::pool_status::of(pid_).reloads == before) pause();
    return std::chrono::duration<double, std::milli>{wall_time() - began}.count();
  }

 private:
  shared_result port_;
  pid_t pid_ = 0;
};

table parent(std::chrono::seconds time) {
  table result{fmt::format("the parent of 4 workers, for {} s", time.count()),
               {{"% of a core", 4}, {"context switches/s", 1}}};
  const pool_process pool;
  const auto watch = [&](const std::string& name, auto meanwhile) {
    give_up_after(std::chrono::seconds{60} + time);
    const auto cpu = cpu_time(pool.pid());
    const auto switches = pool.switches();
    const auto began = wall_time();
    while (wall_time() - began < time) meanwhile();
    const double seconds = std::chrono::duration<double>{wall_time() - began}.count();
    result.add(name, {std::chrono::duration<double>{cpu_time(pool.pid()) - cpu}.count() / seconds * 100,
                      (pool.switches() - switches) / seconds});
  };
  client asks;
  watch("idle", [&] { std::this_thread::sleep_for(time); });
  watch("10 datagrams/s", [&] {
    asks.send("x", pool.server());
    asks.receive();
    std::this_thread::sleep_for(std::chrono::milliseconds{100});
  });
  watch("as fast as one client asks", [&] {
    asks.send("x", pool.server());
    asks.receive();
  });
  return result;
}

table reloads(std::size_t repetitions) {
  const pool_process pool;
  std::vector<double> times;
  for (std::size_t at = 0; at < repetitions; ++at) {
    give_up_after(std::chrono::seconds{30});
    times.push_back(pool.reload());
  }
  table result{"reload of 4 workers", {{"ms", 2}}};
  result.add("SIGHUP", {summary_cell(times)});
  return result;
}

int pool(int argc, char** argv) {
  CLI::App app{"Cost of a worker_pool"};
  options chosen;
  double seconds = 5;
  add_options(app, chosen);
  add_repetitions(app, chosen, 51);
  auto* const time = app.add_option("--seconds", seconds, "How long to watch the parent")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  settle(app, chosen, 3);
  if (chosen.quick && time->count() == 0) seconds = 1;

  print_heading("pool: cost of a worker_pool", method);
  print_run(fmt::format("{} repetitions, the parent watched for {} s", chosen.repetitions, static_cast<int>(seconds)));
  const std::vector<table> tables{parent(std::chrono::seconds{static_cast<int>(seconds)}), reloads(chosen.repetitions),
                                  drain(chosen.repetitions)};
  for (const table& each : tables) each.print();
  write_json(chosen.json, tables);
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(pool, argc, argv); }

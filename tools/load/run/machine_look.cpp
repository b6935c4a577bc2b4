#include "load/run/machine_look.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "load/run/system.hpp"

namespace udppump::load {
namespace {

using namespace std::chrono_literals;
using seconds = std::chrono::duration<double>;

lateness of(const histogram& late) { return {late.percentile(50), late.percentile(90)}; }

/// Timers without punctual_sleep's spinning: what the machine gives.
lateness look_at_sleep(nanoseconds time) {
  histogram late;
  std::jthread{[&] {
    ask_for_exact_timers();
    punctual_sleep sleep{0ns};
    for (const nanoseconds end = monotonic_now() + time; monotonic_now() < end;) {
      const nanoseconds due = monotonic_now() + 1ms;
      sleep.until(due);
      late.add(monotonic_now() - due);
    }
  }}.join();
  return of(late);
}

/// Two threads wake each other in turn, each by a byte through a pipe. What one wake-up takes is half of a round.
class wake_up_look {
 public:
  wake_up_look() {
    for (auto& each : pipes_) check_call(::pipe2(each.data(), O_CLOEXEC), "pipe2");
  }
  wake_up_look(const wake_up_look&) = delete;
  wake_up_look& operator=(const wake_up_look&) = delete;
  ~wake_up_look() {
    for (const auto& each : pipes_) {
      for (const int end : each) ::close(end);
    }
  }

  lateness look(nanoseconds time) {
    histogram rounds;
    std::jthread other{[this] {
      while (take(0)) give(1, go_on_);
    }};
    std::jthread{[&] {
      for (const nanoseconds end = monotonic_now() + time; monotonic_now() < end;) {
        const nanoseconds began = monotonic_now();
        give(0, go_on_);
        take(1);
        rounds.add((monotonic_now() - began) / 2);
        std::this_thread::sleep_for(200us);  // both processors go idle, as between requests
      }
      give(0, stop_);
    }}.join();
    return of(rounds);
  }

 private:
  static constexpr char go_on_ = 1, stop_ = 0;

  void give(std::size_t pipe, char what) noexcept {
    repeat([&] { return ::write(pipes_[pipe][1], &what, 1); });
  }
  bool take(std::size_t pipe) noexcept {
    char what = stop_;
    repeat([&] { return ::read(pipes_[pipe][0], &what, 1); });
    return what == go_on_;
  }

  std::array<std::array<int, 2>, 2> pipes_{};
};

processor_times processor_times_now() {
  std::ifstream from{"/proc/stat"};
  return read_processor_times(from);
}

/// CPU time of this process and of its children that have ended and were waited for.
seconds own_time() {
  seconds sum{0};
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage used{};
    check_call(::getrusage(who, &used), "getrusage");
    for (const timeval& each : {used.ru_utime, used.ru_stime}) {
      sum += std::chrono::seconds{each.tv_sec} + std::chrono::microseconds{each.tv_usec};
    }
  }
  return sum;
}

trial try_service(const look_options& options, nanoseconds service) {
  work_run_options work = options.work;
  if (work.run.plan.service.mean != service) {
    work.run.plan.service = {.kind = service_kind::exponential, .mean = service};
  }
  work_options served = options.server;
  served.short_limit = work.run.plan.service.short_time;
  const work_server server{served};
  work.run.target = server.local();
  // At least some thirty requests, if that is not too long.
  const seconds thirty{30 / rate_of(work)};
  work.run.plan.length = thirty > 2s ? 2s : std::max<nanoseconds>(300ms, std::chrono::ceil<nanoseconds>(thirty));
  work.run.warmup = 50ms;
  work.run.timeout = std::min<nanoseconds>(work.run.timeout, 500ms);
  work.run.keep_records = false;
  const auto run = run_work(work, [] { return std::uint64_t{0}; }, {.interrupted = options.interrupted});
  return {.service = service,
          .asked_load = run.asked_load,
          .real_load = run.real_load,
          .found = flaw_of(run.result, work.limits)};
}

}  // namespace

bool can_be_offered(const trial& tried, const validity_limits& limits) noexcept {
  return tried.found == flaw::none && is_as_asked(tried.asked_load, tried.real_load, limits.offered / 2);
}

std::optional<nanoseconds> choose_service(std::span<const trial> trials, const validity_limits& limits) noexcept {
  std::optional<nanoseconds> shortest;
  for (const trial& each : trials) {
    if (can_be_offered(each, limits) && (!shortest || each.service < *shortest)) shortest = each.service;
  }
  return shortest;
}

processor_times read_processor_times(std::istream& from) {
  std::string line, name;
  std::getline(from, line);
  std::istringstream words{line};
  if (!(words >> name) || name != "cpu") return {};
  // user nice system idle iowait irq softirq steal; guest time, behind these, is in user's and nice's already.
  std::array<std::uint64_t, 8> ticks{};
  for (auto& each : ticks) words >> each;
  processor_times times{.idle = ticks[3] + ticks[4], .stolen = ticks[7]};
  for (const auto each : ticks) times.all += each;
  return times;
}

taken_time taken_between(const processor_times& before, const processor_times& after, double own_share) noexcept {
  if (after.all <= before.all) return {};  // less than a tick
  const auto share = [all = static_cast<double>(after.all - before.all)](std::uint64_t from, std::uint64_t to) {
    return to <= from ? 0 : static_cast<double>(to - from) / all;  // idle time has been seen to go back: proc(5)
  };
  const double stolen = share(before.stolen, after.stolen);
  return {.stolen = stolen, .others = std::max(0.0, 1 - stolen - share(before.idle, after.idle) - own_share)};
}

machine_look look_at_machine(const look_options& options) {
  constexpr nanoseconds each_look = 250ms;
  machine_look seen{.processors = std::max(1U, std::thread::hardware_concurrency())};
  const processor_times before = processor_times_now();
  const seconds own_before = own_time();
  const nanoseconds began = monotonic_now();
  seen.sleep = look_at_sleep(each_look);
  seen.wake_up = wake_up_look{}.look(each_look);
  for (const nanoseconds service : options.services) {
    if (options.interrupted != nullptr && *options.interrupted) break;
    seen.trials.push_back(try_service(options, service));
    if (can_be_offered(seen.trials.back(), options.work.limits)) break;
  }
  const double own_share =
      (own_time() - own_before) / seconds{monotonic_now() - began} / static_cast<double>(seen.processors);
  const taken_time taken = taken_between(before, processor_times_now(), own_share);
  seen.stolen = taken.stolen;
  seen.others = taken.others;
  return seen;
}

}  // namespace udppump::load

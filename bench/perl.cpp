// What a datagram costs in Perl: taken from a filled queue by an empty callback, and waking one of idle workers.

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "peers/drainers.hpp"
#include "support/client.hpp"
#include "support/contenders.hpp"
#include "support/machine.hpp"
#include "support/options.hpp"
#include "support/summary.hpp"
#include "support/system.hpp"
#include "support/table.hpp"
#include "support/worker_processes.hpp"

namespace {

using namespace bench;

// bench/perl/worker.pl writes there.
static_assert(sizeof(worker_note) == 64 && offsetof(worker_note, process) == 24);

constexpr const char* reference = "recv";
constexpr const char* of_2006 = "seed-2006";
constexpr const char* method =
    "Drain: a queue of 64-byte datagrams is filled, then a Perl process drains it, calling an empty callback with the\n"
    "hash {from, buffer, len, errno} and an argument. CPU time of that process, all its threads, per datagram; a\n"
    "process for each contender, every contender once in each repetition, in rotating order; on one processor, and on\n"
    "any. Wake-ups: k forked Perl workers wait on one socket, and a client on the same processor sends 64 bytes at a\n"
    "time, when all wait; voluntary context switches of all workers per datagram. Median [quartiles]; ratios within\n"
    "the same repetition. The design of 2006 is its thread in C, with one event of Event::Lib that Perl adds anew for\n"
    "each datagram (bench/perl).";

struct run {
  std::size_t workers = 8, datagrams = 4096, of_2006 = 512, trips = 300;
};

std::vector<std::string> command(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"-I" UDPPUMP_PERL_MODULES, UDPPUMP_PERL_WORKER});
  return arguments;
}

/// A Perl process that drains a socket when it is told to.
class perl_drainer {
 public:
  /// On `processor`, or any (-1).
  perl_drainer(const std::string& way, int socket, int processor) {
    std::array<int, 2> ends;
    check_call(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), "socketpair");
    const descriptor childs{ends[1]};
    control_ = ends[0];
    process_ = check_call(fork(), "fork");
    if (process_ != 0) return;
    if (processor >= 0) pin_to(processor);
    const int kept = fcntl(socket, F_DUPFD, 10);
    if (dup2(childs.fd(), 0) < 0 || dup2(childs.fd(), 1) < 0 || dup2(kept, 3) < 0) _exit(1);
    std::vector<std::string> words = command({"drain", way});
    words.insert(words.begin(), UDPPUMP_PERL);
    std::vector<char*> pointers;
    for (auto& each : words) pointers.push_back(each.data());
    pointers.push_back(nullptr);
    execv(pointers.front(), pointers.data());
    _exit(1);
  }
  perl_drainer(const perl_drainer&) = delete;
  perl_drainer& operator=(const perl_drainer&) = delete;
  ~perl_drainer() {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
    close(control_);
  }

  /// Drains `count` datagrams that wait; CPU time for each, in ns.
  double drain(std::size_t count) {
    const std::string order = std::to_string(count) + '\n';
    check_call(write(control_, order.data(), order.size()), "write to perl");
    std::string answer;
    for (char one = 0; one != '\n'; answer += one) {
      if (check_call(read(control_, &one, 1), "read from perl") == 0) {
        throw std::runtime_error{"perl has ended; what it said is above"};
      }
    }
    return std::stod(answer) / static_cast<double>(count);
  }

 private:
  int control_ = -1;
  pid_t process_ = -1;
};

struct contender {
  std::string name;
  bool drains = true, serves = true;
  std::vector<double> one_processor = {}, any_processor = {}, switches = {}, trips = {};
};

double drain_once(const contender& each, queue_filler& filler, int socket, int processor, const run& sizes) {
  give_up_after(std::chrono::seconds{60});
  perl_drainer perl{each.name, socket, processor};
  const std::size_t most = each.name == of_2006 ? sizes.of_2006 : sizes.datagrams;
  perl.drain(filler.fill(std::min<std::size_t>(most, 320)));  // warms it up
  return perl.drain(filler.fill(std::min(most, filler.capacity())));
}

void measure_drain(std::vector<contender>& all, std::size_t repetitions, const run& sizes, int processor,
                   std::vector<double> contender::*results) {
  auto sockets = socket_to_fill();
  queue_filler filler{sockets.front(), 64, sizes.datagrams};
  interleave(all, repetitions, [&](contender& each) {
    if (!each.drains) return;
    (each.*results).push_back(drain_once(each, filler, sockets.front().fd(), processor, sizes));
    filler.discard_all();
  });
}

void wake_once(contender& each, const run& sizes, int processor) {
  give_up_after(std::chrono::seconds{60});
  const auto socket = bind_loopback();
  const std::array descriptors{socket.fd()};
  worker_processes workers{sizes.workers, UDPPUMP_PERL, command({"serve", each.name, std::to_string(sizes.workers)}),
                           descriptors, processor};
  const std::chrono::microseconds pause{1000};
  workers.wait_until_parked();
  round_trips(socket.local(), 20, pause);
  workers.wait_until_parked();
  const auto before = workers.voluntary_switches();
  const auto times = round_trips(socket.local(), sizes.trips, pause);
  workers.wait_until_parked();
  each.switches.push_back(static_cast<double>(workers.voluntary_switches() - before) /
                          static_cast<double>(sizes.trips));
  each.trips.push_back(percentile(times, 0.5));
}

table drained(const std::vector<contender>& all, std::vector<double> contender::*results, const std::string& title) {
  const auto results_by = [&](const char* name) {
    const auto found = std::ranges::find(all, name, &contender::name);
    return found == all.end() ? std::vector<double>{} : *found.*results;
  };
  table result{title, {{"ns/datagram", 0}, {"x recv", 3}, {"seed-2006 / this", 1}}};
  for (const auto& each : all) {
    if (!each.drains) continue;
    result.add(each.name, {summary_cell(each.*results), summary_cell(ratios(each.*results, results_by(reference))),
                           summary_cell(ratios(results_by(of_2006), each.*results))});
  }
  return result;
}

int perl(int argc, char** argv) {
  CLI::App app{"What a datagram costs in Perl"};
  options chosen;
  run sizes;
  add_options(app, chosen);
  add_repetitions(app, chosen, 41);
  app.add_option("--workers", sizes.workers, "Idle processes on the socket")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  settle(app, chosen, 1);
  if (chosen.quick) sizes.trips = 20;

  print_heading("perl: what a datagram costs in Perl", method);
  std::vector<contender> all{
      {reference}, {"event-lib"}, {"udppump-event-lib"}, {.name = "udppump-dispatch", .serves = false}, {of_2006}};
  select(all, chosen);
  if (all.empty()) return EXIT_SUCCESS;
  const int processor = usable_processors().back();
  // Wake-ups are counted, and hardly vary.
  const std::size_t wakes = std::min<std::size_t>(chosen.repetitions, 5);
  print_run(fmt::format(
      "{} repetitions, {} datagrams in each ({} of {}), processor {}; {} repetitions, {} workers, {} "
      "datagrams",
      chosen.repetitions, sizes.datagrams, sizes.of_2006, of_2006, processor, wakes, sizes.workers, sizes.trips));
  measure_drain(all, chosen.repetitions, sizes, processor, &contender::one_processor);
  measure_drain(all, chosen.repetitions, sizes, -1, &contender::any_processor);
  pin_to(processor);
  interleave(all, wakes, [&](contender& each) {
    if (each.serves) wake_once(each, sizes, processor);
  });

  std::vector<table> tables{drained(all, &contender::one_processor, "drain on one processor"),
                            drained(all, &contender::any_processor, "drain on any processor")};
  table& woken = tables.emplace_back(fmt::format("wakeups, k={}", sizes.workers),
                                     std::vector<table::column>{{"p50 us", 1}, {"switches/datagram", 3}});
  for (const auto& each : all) {
    if (each.serves) woken.add(each.name, {summary_cell(each.trips), summary_cell(each.switches)});
  }
  for (const auto& each : tables) each.print();
  write_json(chosen.json, tables);
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(perl, argc, argv); }

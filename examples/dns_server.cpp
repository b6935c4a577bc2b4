// An authoritative DNS server: many processes answer on the same sockets, each taking a query only when it is idle.

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <udppump/pump.hpp>
#include <vector>

#include "dns_answer.hpp"

namespace {

enum exit_code { ended = 0, failed = 1, bad_start = 2 };

const std::map<std::string, udppump::waiter_kind> kinds{{"auto", udppump::waiter_kind::automatic},
                                                        {"uring", udppump::waiter_kind::uring},
                                                        {"thread", udppump::waiter_kind::thread},
                                                        {"poll", udppump::waiter_kind::poll}};

struct settings {
  std::string zone;
  std::vector<std::string> bind;
  unsigned workers = 4;
  std::string waiter = "auto";
};

/// What a worker tells its parent, in memory that both see: it is still there when the worker was killed.
struct shared_count {
  // Each in a cache line of its own, so that the workers do not slow each other.
  alignas(64) std::atomic<std::uint64_t> answered{0};
  static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
};

struct unmap {
  std::size_t size;
  void operator()(shared_count* counts) const noexcept { munmap(counts, size); }
};
using shared_counts = std::unique_ptr<shared_count[], unmap>;

shared_counts share_counts(std::size_t workers) {
  const std::size_t size = workers * sizeof(shared_count);
  void* const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::system_error{errno, std::generic_category(), "mmap"};
  return shared_counts{new (memory) shared_count[workers], unmap{size}};
}

// --- a worker --------------------------------------------------------------------------------------------------------

std::atomic<udppump::pump_group*> to_stop = nullptr;  // a signal handler gets at nothing else

void on_stop_signal(int) {
  if (udppump::pump_group* const group = to_stop) group->request_stop();
}

/// Answers queries until a signal says stop; the worker's exit code.
int serve(const dns_zone& zone, std::vector<udppump::datagram_socket>& sockets, udppump::waiter_kind waiter,
          std::atomic<std::uint64_t>& answered, const sigset_t& stop_signals) {
  bool broken = false;
  const auto answer = [&](udppump::datagram& query) {
    const auto packet = dns_answer(zone, query.payload);
    if (packet && !query.reply(*packet)) answered.fetch_add(1, std::memory_order_relaxed);
  };
  const auto complain = [&](const udppump::receive_error& error) {
    if (error.what != udppump::receive_error::kind::fatal) return;
    std::fprintf(stderr, "dns_server: worker %d: %s\n", getpid(), error.code.message().c_str());
    broken = true;
  };

  udppump::pump_group group{{.waiter = waiter}};
  std::vector<std::unique_ptr<udppump::pump>> pumps;
  for (udppump::datagram_socket& socket : sockets) {
    // No query is anywhere near 4096 bytes; one that is gets cut, and so is malformed.
    const udppump::pump_options options{.receive_limit = 4096, .on_error = complain};
    pumps.push_back(std::make_unique<udppump::pump>(group, socket, answer, options));
  }
  to_stop = &group;
  struct sigaction action {};
  action.sa_handler = on_stop_signal;
  for (const int signal : {SIGTERM, SIGINT}) sigaction(signal, &action, nullptr);
  sigprocmask(SIG_UNBLOCK, &stop_signals, nullptr);

  const std::error_code error = group.run();
  sigprocmask(SIG_BLOCK, &stop_signals, nullptr);
  if (error) std::fprintf(stderr, "dns_server: worker %d: %s\n", getpid(), error.message().c_str());
  return error || broken ? failed : ended;
}

// --- the parent ------------------------------------------------------------------------------------------------------

struct worker {
  pid_t pid = 0;
  bool alive = false;
};

std::string why_ended(int status) {
  if (WIFSIGNALED(status)) return std::string{"killed by signal: "} + strsignal(WTERMSIG(status));
  return "exit code " + std::to_string(WEXITSTATUS(status));
}

/// Runs until told to stop, or until no worker is left; true after being told.
bool watch_over(std::vector<worker>& workers, const sigset_t& signals) {
  std::size_t alive = workers.size();
  bool stopping = false;
  while (alive > 0) {
    // A worker needs no time to stop; one that takes seconds hangs.
    const timespec patience{.tv_sec = 5, .tv_nsec = 0};
    const int signal = stopping ? sigtimedwait(&signals, nullptr, &patience) : sigwaitinfo(&signals, nullptr);
    const bool hangs = stopping && signal < 0 && errno == EAGAIN;
    if (signal == SIGTERM || signal == SIGINT || hangs) {
      stopping = true;
      for (const worker& each : workers) {
        if (each.alive) kill(each.pid, hangs ? SIGKILL : SIGTERM);
      }
    }
    for (std::size_t i = 0; i < workers.size(); ++i) {
      int status = 0;
      if (!workers[i].alive || waitpid(workers[i].pid, &status, WNOHANG) <= 0) continue;
      workers[i].alive = false;
      --alive;
      if (stopping && status == 0) continue;
      std::fprintf(stderr, "dns_server: worker %zu (pid %d) ended: %s; %zu of %zu workers left\n", i + 1,
                   workers[i].pid, why_ended(status).c_str(), alive, workers.size());
    }
  }
  return stopping;
}

/// Exit code, of the parent and of each worker.
int run(const settings& chosen) {
  const dns_zone zone = dns_zone::load(chosen.zone);
  std::vector<udppump::datagram_socket> sockets;
  for (const std::string& text : chosen.bind) {
    sockets.push_back(udppump::datagram_socket::bind(udppump::address::parse(text)));
  }
  const shared_counts counts = share_counts(chosen.workers);
  // Asked here for the sake of a clear message; each worker makes its own, because a waiter does not survive a fork.
  const udppump::waiter_report waiter = udppump::pump_group{{.waiter = kinds.at(chosen.waiter)}}.waiter();
  if (!waiter.fallback.empty()) std::fprintf(stderr, "dns_server: %s\n", waiter.fallback.c_str());

  // Blocked before the fork, so that none gets lost: the parent waits for them, a worker takes them when it is ready.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&signals, signal);
  sigprocmask(SIG_BLOCK, &signals, nullptr);

  std::vector<worker> workers(chosen.workers);
  const pid_t parent = getpid();
  for (std::size_t i = 0; i < workers.size(); ++i) {
    const pid_t pid = fork();
    if (pid < 0) {
      const int error = errno;
      for (std::size_t k = 0; k < i; ++k) kill(workers[k].pid, SIGTERM);
      throw std::system_error{error, std::generic_category(), "fork: too many workers?"};
    }
    if (pid > 0) {
      workers[i] = {.pid = pid, .alive = true};
      continue;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) return failed;  // the parent died before prctl
    return serve(zone, sockets, waiter.kind, counts[i].answered, signals);
  }

  for (const udppump::datagram_socket& socket : sockets) {
    std::printf("listening on %s\n", socket.local().to_string().c_str());
  }
  std::printf("%zu records, %zu workers, waiting by %s\n", zone.record_count(), workers.size(),
              std::string{udppump::to_string(waiter.kind)}.c_str());
  std::fflush(stdout);

  const bool told = watch_over(workers, signals);
  for (std::size_t i = 0; i < workers.size(); ++i) {
    std::printf("worker %zu (pid %d): %llu queries\n", i + 1, workers[i].pid,
                static_cast<unsigned long long>(counts[i].answered.load()));
  }
  return told ? ended : failed;
}

}  // namespace

int main(int argc, char** argv) {
  settings chosen;
  CLI::App app{
      "Answers DNS queries (UDP) from a zone file, with many workers on the same sockets.\n"
      "SIGTERM and SIGINT end it: it then prints how many queries each worker answered.\n"};
  app.footer(
      "Exit code: 0 after SIGTERM or SIGINT, 1 when every worker died, 2 when it could not start.\n"
      "Example: dns_server --zone example.com.zone --bind 127.0.0.1:5300 [::1]:5300 --workers 4");
  app.add_option("--zone", chosen.zone, "The zone, in master file format (RFC 1035, 5)")->required()->type_name("FILE");
  app.add_option("--bind", chosen.bind,
                 "Where to listen: 192.0.2.1:53, [2001:db8::1]:53, [::]:53; port 0 takes a free one")
      ->required()
      ->type_name("ADDRESS");
  app.add_option("--workers", chosen.workers, "Processes that answer, 1 to 1024")
      ->check(CLI::Range(1, 1024).description(""))
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--waiter", chosen.waiter, "How an idle worker waits: auto, uring, thread or poll")
      ->check(CLI::IsMember(kinds).description(""))
      ->type_name("KIND")
      ->capture_default_str();
  try {
    app.parse(argc, argv);
    return run(chosen);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "dns_server: %s; see dns_server --help\n", error.what());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "dns_server: %s\n", error.what());
  }
  return bad_start;
}

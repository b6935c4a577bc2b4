#include "load/run/work_server.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <stdexcept>

#include "load/run/system.hpp"
#include "load/run/work_match.hpp"
#include "load/run/worker_loop.hpp"
#include "udppump/lanes.hpp"

namespace udppump::load {

struct work_server::worker_counts : work_counts {};

void work_server::unmap::operator()(worker_counts* counts) const noexcept { ::munmap(counts, size); }

namespace {

constexpr pid_t has_ended = -1;

/// What a worker tells its parent when it serves, or why it cannot; shorter than PIPE_BUF, so written whole (pipe(7)).
struct report {
  bool serves = false;
  std::array<char, 300> text{};
};
static_assert(std::is_trivially_copyable_v<report>);

void tell(int pipe, bool serves, std::string_view text) {
  report told{.serves = serves};
  text.copy(told.text.data(), told.text.size() - 1);
  static_cast<void>(repeat([&] { return ::write(pipe, &told, sizeof told); }));
}

/// `sockets`: those that the worker serves, the first ones first.
[[noreturn]] void run_worker(pid_t parent, int pipe, const work_options& options, std::span<datagram_socket> sockets,
                             std::uint16_t number, work_counts& counts) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  ::signal(SIGINT, SIG_IGN);  // of a terminal, which the parent gets as well and then ends its workers
  ask_for_exact_timers();
  try {
    const auto ready = [&](std::string_view waiter) {
      tell(pipe, true, waiter);
      ::close(pipe);
    };
    work_service service{options.service, number};
    if (options.queue == queue_kind::herd) {
      serve_by_epoll(sockets.front(), service, counts, ready);
    } else {
      serve_by_pumps(sockets, options.waiter, options.drops, service, counts, ready);
    }
  } catch (const std::exception& error) {
    tell(pipe, false, error.what());
  }
  ::_exit(1);
}

std::vector<datagram_socket> bind_short_and_long(const work_options& options) {
  const lane lanes[] = {{.name = "short", .match = asks_at_most(options.short_limit)}, {.name = "long"}};
  return bind_lanes(options.bind, lanes,
                    {.receive_buffer = options.receive_buffer / std::size(lanes), .receive_time = true});
}

std::vector<datagram_socket> bind_sockets(const work_options& options) {
  if (options.queue == queue_kind::lanes) return bind_short_and_long(options);
  const bool sharded = options.queue == queue_kind::sharded;
  const std::size_t count = sharded ? options.workers : 1;
  const socket_options wanted{
      .receive_buffer = options.receive_buffer / count, .reuse_port = sharded, .receive_time = true};
  std::vector<datagram_socket> sockets;
  sockets.push_back(datagram_socket::bind(options.bind, wanted));
  const address same_port = options.bind.with_port(sockets.front().local().port());
  while (sockets.size() < count) sockets.push_back(datagram_socket::bind(same_port, wanted));
  return sockets;
}

/// Which of the sockets a worker serves; those in front first.
std::span<datagram_socket> served_by(std::uint16_t number, const work_options& options,
                                     std::span<datagram_socket> sockets) {
  if (options.queue != queue_kind::lanes) return sockets.subspan(number % sockets.size(), 1);
  return number < options.reserve ? sockets.first(1) : sockets;
}

/// Of all threads of a process.
std::uint64_t switches_of(pid_t process) {
  std::uint64_t sum = 0;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator{fmt::format("/proc/{}/task", process), gone}) {
    std::ifstream status{entry.path() / "status"};
    for (std::string line; std::getline(status, line);) {
      const auto name_ends = line.find("voluntary_ctxt_switches:");  // and nonvoluntary_ctxt_switches
      if (name_ends != std::string::npos) sum += std::stoull(line.substr(line.find(':') + 1));
    }
  }
  return sum;
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return fmt::format("killed by signal: {}", ::strsignal(WTERMSIG(status)));
  return fmt::format("exit code {}", WEXITSTATUS(status));
}

}  // namespace

std::string_view to_string(queue_kind kind) noexcept {
  switch (kind) {
    case queue_kind::shared:
      return "shared";
    case queue_kind::sharded:
      return "sharded";
    case queue_kind::lanes:
      return "lanes";
    case queue_kind::herd:
      break;
  }
  return "herd";
}

work_server::work_server(const work_options& options) {
  if (options.workers == 0) throw std::invalid_argument{"a server needs at least one worker; give 1 or more"};
  if (options.queue == queue_kind::lanes && options.reserve >= options.workers) {
    throw std::invalid_argument{
        "lanes need at least one worker that is not reserved for short requests; reserve fewer"};
  }
  const std::size_t size = options.workers * sizeof(worker_counts);
  void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) check_call(-1, "mmap");
  counts_ = {new (memory) worker_counts[options.workers], unmap{size}};
  auto sockets = bind_sockets(options);
  local_ = sockets.front().local();
  shortfall_ = sockets.front().receive_buffer().shortfall();
  try {
    start(options, sockets);
  } catch (...) {
    kill_all();
    throw;
  }
}

work_server::~work_server() { kill_all(); }

void work_server::start(const work_options& options, std::vector<datagram_socket>& sockets) {
  std::array<int, 2> pipe{};
  check_call(::pipe2(pipe.data(), O_CLOEXEC), "pipe2");
  std::fflush(nullptr);  // else each worker would print what is buffered once more
  const pid_t parent = ::getpid();
  for (std::uint16_t number = 0; number < options.workers; ++number) {
    const pid_t process = ::fork();
    if (process == 0) {
      ::close(pipe[0]);
      if (options.queue == queue_kind::sharded) {  // a worker that has ended leaves its socket to nobody
        datagram_socket own{std::move(sockets[number])};
        sockets.clear();
        sockets.push_back(std::move(own));
      }
      run_worker(parent, pipe[1], options, served_by(number, options, sockets), number, counts_[number]);
    }
    if (process < 0) {
      const int error = errno;
      for (const int end : pipe) ::close(end);
      throw failed_call("fork", code_of_errno(error));
    }
    processes_.push_back(process);
  }
  sockets.clear();
  ::close(pipe[1]);
  report told;
  std::string failure = "a worker ended before it could serve; see what it said above, or what `dmesg` says of it";
  std::size_t ready = 0;
  while (ready < options.workers && repeat([&] { return ::read(pipe[0], &told, sizeof told); }) == sizeof told) {
    if (!told.serves) {
      failure = told.text.data();
      break;
    }
    waiter_ = told.text.data();
    ++ready;
  }
  ::close(pipe[0]);
  if (ready < options.workers) throw std::runtime_error{failure};
}

void work_server::kill_all() noexcept {
  std::erase(processes_, has_ended);
  for (const pid_t process : processes_) ::kill(process, SIGKILL);
  for (const pid_t process : processes_) repeat([&] { return ::waitpid(process, nullptr, 0); });
  processes_.clear();
}

std::vector<std::uint64_t> work_server::served() const {
  std::vector<std::uint64_t> served;
  for (const auto& each : std::span{counts_.get(), workers()}) served.push_back(each.served);
  return served;
}

std::uint64_t work_server::refused() const noexcept {
  const std::span all{counts_.get(), workers()};
  return std::accumulate(all.begin(), all.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const worker_counts& each) { return sum + each.refused; });
}

std::uint64_t work_server::expired() const noexcept {
  const std::span all{counts_.get(), workers()};
  return std::accumulate(all.begin(), all.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const worker_counts& each) { return sum + each.expired; });
}

std::uint64_t work_server::limited() const noexcept {
  const std::span all{counts_.get(), workers()};
  return std::accumulate(all.begin(), all.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const worker_counts& each) { return sum + each.limited; });
}

double work_server::stretch() const noexcept {
  std::int64_t asked = 0, used = 0;
  for (const auto& each : std::span{counts_.get(), workers()}) {
    asked += each.asked;
    used += each.used;
  }
  return asked == 0 ? 1 : static_cast<double>(used) / static_cast<double>(asked);
}

std::uint64_t work_server::context_switches() const {
  std::uint64_t sum = 0;
  for (const pid_t process : processes_) {
    if (process != has_ended) sum += switches_of(process);
  }
  return sum;
}

std::optional<std::string> work_server::ended() {
  for (std::size_t number = 0; number < processes_.size(); ++number) {
    int status = 0;
    if (processes_[number] == has_ended) continue;
    if (::waitpid(processes_[number], &status, WNOHANG) != processes_[number]) continue;
    auto what = fmt::format("worker {} (pid {}) ended: {}", number, processes_[number], how_it_ended(status));
    processes_[number] = has_ended;
    return what;
  }
  return {};
}

}  // namespace udppump::load

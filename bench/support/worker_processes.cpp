#include "support/worker_processes.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>

#include "support/client.hpp"
#include "support/system.hpp"

namespace bench {
namespace {

using namespace std::chrono_literals;

struct thread_state {
  bool sleeping = false;
  std::uint64_t voluntary_switches = 0;
};

/// From proc(5), /proc/PID/task/TID/status. A process that has ended has no threads.
std::vector<thread_state> threads_of(pid_t process) {
  std::vector<thread_state> threads;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator{fmt::format("/proc/{}/task", process), gone}) {
    std::ifstream status{entry.path() / "status"};
    thread_state& state = threads.emplace_back();
    for (std::string name; status >> name;) {
      std::string value;
      std::getline(status, value);
      if (name == "State:") state.sleeping = value.find('S') != std::string::npos;
      if (name == "voluntary_ctxt_switches:") state.voluntary_switches = std::stoull(value);
    }
  }
  return threads;
}

[[noreturn]] void run_worker(pid_t parent, const std::function<void(std::size_t)>& work, std::size_t number) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  try {
    work(number);
  } catch (const std::exception& error) {
    fmt::print(stderr, "worker: {}\n", error.what());
    _exit(1);
  }
  _exit(0);
}

std::span<worker_note> map_notes(int memory, std::size_t count) {
  const std::size_t size = count * sizeof(worker_note);
  check_call(ftruncate(memory, static_cast<off_t>(size)), "ftruncate");
  void* const shared = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  if (shared == MAP_FAILED) throw std::system_error{errno, std::generic_category(), "mmap"};
  const std::span<worker_note> notes{new (shared) worker_note[count], count};
  for (std::size_t number = 0; number < count; ++number) notes[number].number = number;
  return notes;
}

[[noreturn]] void become(const std::string& program, std::vector<std::string> arguments, std::span<const int> sockets,
                         int notes) {
  // First away from the numbers that are to be given.
  std::vector<int> given{notes};
  given.insert(given.end(), sockets.begin(), sockets.end());
  const int beyond = notes_fd_of_worker + static_cast<int>(given.size());
  for (int& fd : given) fd = check_call(fcntl(fd, F_DUPFD_CLOEXEC, beyond), "fcntl");
  for (int wanted = notes_fd_of_worker; const int fd : given) check_call(dup2(fd, wanted++), "dup2");
  arguments.insert(arguments.begin(), program);
  std::vector<char*> pointers;
  for (auto& each : arguments) pointers.push_back(each.data());
  pointers.push_back(nullptr);
  execv(program.c_str(), pointers.data());
  throw std::system_error{errno, std::generic_category(), program};
}

}  // namespace

worker_processes::worker_processes(std::size_t count, const std::function<void(worker_note&)>& serve)
    : memory_{check_call(memfd_create("notes", MFD_CLOEXEC), "memfd_create")}, notes_{map_notes(memory_.fd(), count)} {
  start(count, [&](std::size_t number) { serve(notes_[number]); });
}

worker_processes::worker_processes(std::size_t count, const std::string& program,
                                   const std::vector<std::string>& arguments, std::span<const int> sockets,
                                   int processor)
    : memory_{check_call(memfd_create("notes", MFD_CLOEXEC), "memfd_create")}, notes_{map_notes(memory_.fd(), count)} {
  check_call(prctl(PR_SET_CHILD_SUBREAPER, 1), "prctl");  // the workers are children of the program, and outlive it
  start(1, [&](std::size_t) {
    if (processor >= 0) pin_to(processor);
    become(program, arguments, sockets, memory_.fd());
  });
  const auto serves = [](const worker_note& note) { return note.process.load() != 0; };
  for (const auto deadline = wall_time() + 10s; !std::ranges::all_of(notes_, serves);) {
    if (still_running() == 0) throw std::runtime_error{fmt::format("{} has ended before it served", program)};
    if (wall_time() > deadline) throw std::runtime_error{fmt::format("{} does not come to serve", program)};
    std::this_thread::sleep_for(1ms);
  }
  for (const auto& note : notes_) {
    if (note.process != workers_.front().process) workers_.push_back({.process = note.process});
  }
}

void worker_processes::start(std::size_t count, const std::function<void(std::size_t)>& work) {
  fflush(stdout);  // else each worker prints it once more
  const pid_t parent = getpid();
  for (std::size_t number = 0; number < count; ++number) {
    const pid_t process = check_call(fork(), "fork");
    if (process == 0) run_worker(parent, work, number);
    workers_.push_back({.process = process});
  }
}

worker_processes::~worker_processes() {
  for (const auto& each : workers_) {
    if (!each.ended) kill(each.process, SIGKILL);
  }
  // A program's process comes first: when it is gone, its children are this one's.
  for (const auto& each : workers_) {
    if (!each.ended) waitpid(each.process, nullptr, 0);
  }
  munmap(notes_.data(), notes_.size_bytes());
}

void worker_processes::wait_until_parked() {
  const auto deadline = wall_time() + 2s;
  for (std::uint64_t last = 0; wall_time() < deadline; std::this_thread::sleep_for(5ms)) {
    if (still_running() == 0) throw std::runtime_error{"every worker has ended"};
    std::uint64_t switches = 1;
    bool parked = true;
    for (const auto& each : workers_) {
      const auto threads = threads_of(each.process);
      parked = parked && !threads.empty() && std::ranges::all_of(threads, &thread_state::sleeping);
      for (const auto& thread : threads) switches += thread.voluntary_switches;
    }
    if (parked && switches == last) return;
    last = switches;
  }
  throw std::runtime_error{"the workers do not come to rest"};
}

std::uint64_t worker_processes::voluntary_switches() const {
  std::uint64_t sum = 0;
  for (const auto& each : workers_) {
    for (const auto& thread : threads_of(each.process)) sum += thread.voluntary_switches;
  }
  return sum;
}

nanoseconds worker_processes::cpu_time() const {
  nanoseconds sum{0};
  for (const auto& each : workers_) sum += bench::cpu_time(each.process);
  return sum;
}

std::uint64_t worker_processes::served() const {
  std::uint64_t sum = 0;
  for (const auto& each : notes_) sum += each.served.load(std::memory_order_relaxed);
  return sum;
}

void worker_processes::finish(const udppump::address& server) {
  client client;
  const auto deadline = wall_time() + 2s;
  // One at a time: a worker that drains its socket would take those meant for the others, which then wake for nothing.
  for (auto left = still_running(); left > 0 && wall_time() < deadline; left = still_running()) {
    client.send(std::string_view{&finish_payload, 1}, server);
    for (int i = 0; i < 100 && still_running() == left; ++i) std::this_thread::sleep_for(500us);
  }
}

std::size_t worker_processes::still_running() {
  for (auto& each : workers_) {
    if (!each.ended) each.ended = waitpid(each.process, nullptr, WNOHANG) == each.process;
  }
  return static_cast<std::size_t>(std::ranges::count(workers_, false, &worker::ended));
}

}  // namespace bench

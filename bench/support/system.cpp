#include "support/system.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "udppump/pump.hpp"

namespace bench {
namespace {

nanoseconds read_clock(clockid_t clock) {
  timespec now{};
  check_call(clock_gettime(clock, &now), "clock_gettime");
  return std::chrono::seconds{now.tv_sec} + nanoseconds{now.tv_nsec};
}

void give_up(int) {
  constexpr char text[] = "bench: gave up, a measurement did not end in time\n";
  if (write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(2);
  _exit(1);
}

}  // namespace

nanoseconds cpu_time() { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

nanoseconds cpu_time(pid_t process) {
  clockid_t clock{};
  if (const int error = clock_getcpuclockid(process, &clock); error != 0) {
    throw std::system_error{error, std::generic_category(), "clock_getcpuclockid"};
  }
  return read_clock(clock);
}

std::vector<int> usable_processors() {
  cpu_set_t allowed;
  check_call(sched_getaffinity(0, sizeof allowed, &allowed), "sched_getaffinity");
  std::vector<int> usable;
  for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
    if (CPU_ISSET(processor, &allowed)) usable.push_back(processor);
  }
  return usable;
}

void pin_to(int processor) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(processor, &only);
  check_call(sched_setaffinity(0, sizeof only, &only), "sched_setaffinity");
}

int pin_to_one_processor() {
  const int last = usable_processors().back();  // the first one takes most machines' interrupts
  pin_to(last);
  return last;
}

bool take_realtime() {
  const sched_param lowest{.sched_priority = 1};
  return sched_setscheduler(0, SCHED_FIFO, &lowest) == 0;
}

std::size_t raise_descriptor_limit() {
  rlimit limit{};
  check_call(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  limit.rlim_cur = limit.rlim_max;
  check_call(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
  return limit.rlim_cur;
}

void give_up_after(std::chrono::seconds limit) {
  struct sigaction action {};
  action.sa_handler = give_up;
  check_call(sigaction(SIGALRM, &action, nullptr), "sigaction");
  alarm(static_cast<unsigned>(limit.count()));
}

std::optional<std::string> why_unavailable(udppump::waiter_kind kind) {
  try {
    auto socket = udppump::datagram_socket::bind(udppump::address::parse("127.0.0.1:0"));
    udppump::pump pump{socket, [](udppump::datagram&) {}, {}, kind};
    const auto report = pump.waiter();
    return report.kind == kind ? std::nullopt : std::optional{report.fallback};
  } catch (const std::system_error& error) {
    return error.what();
  }
}

descriptor::~descriptor() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace bench

#include "support/program.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "support/system.hpp"

namespace bench {
namespace {

using namespace std::chrono_literals;

std::string content_of(const std::filesystem::path& file) {
  std::ifstream in{file};
  std::ostringstream content;
  content << in.rdbuf();  // an error, as of a process in /proc that ends meanwhile, is no exception here
  return content.str();
}

[[noreturn]] void become(std::vector<std::string>& command, const char* output, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  setpgid(0, 0);
  const int nothing = open("/dev/null", O_RDONLY), file = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (nothing < 0 || file < 0 || dup2(nothing, 0) < 0 || dup2(file, 1) < 0 || dup2(file, 2) < 0) _exit(1);
  std::vector<char*> arguments;
  for (auto& each : command) arguments.push_back(each.data());
  arguments.push_back(nullptr);
  execv(arguments.front(), arguments.data());
  fmt::print(stderr, "{}: {}\n", command.front(), std::generic_category().message(errno));
  std::fflush(stderr);
  _exit(1);
}

nanoseconds from_timeval(const timeval& time) {
  return std::chrono::seconds{time.tv_sec} + std::chrono::microseconds{time.tv_usec};
}

/// `first` and what descends from it, by the fourth field of /proc/PID/stat (proc(5)): a pool's workers have process
/// groups of their own.
std::vector<pid_t> tree_of(pid_t first) {
  std::multimap<pid_t, pid_t> children;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
    const std::string name = entry.path().filename();
    pid_t process = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), process).ec != std::errc{}) continue;
    const std::string stat = content_of(entry.path() / "stat");
    std::istringstream fields{stat.substr(std::min(stat.size(), stat.rfind(')') + 1))};
    std::string state;
    pid_t parent = 0;
    if (fields >> state >> parent) children.emplace(parent, process);
  }
  std::vector<pid_t> found{first};
  for (std::size_t at = 0; at < found.size(); ++at) {
    const auto [begin, end] = children.equal_range(found[at]);
    for (auto each = begin; each != end; ++each) found.push_back(each->second);
  }
  return found;
}

}  // namespace

std::optional<std::string> find_program(std::string_view name) {
  const char* const path = std::getenv("PATH");
  std::istringstream folders{fmt::format("{}:/usr/local/sbin:/usr/sbin:/sbin", path == nullptr ? "" : path)};
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string file = fmt::format("{}/{}", folder, name);
    if (!folder.empty() && access(file.c_str(), X_OK) == 0) return file;
  }
  return std::nullopt;
}

program::program(std::vector<std::string> command, std::filesystem::path output) : output_{std::move(output)} {
  std::fflush(nullptr);  // else what is buffered is printed twice if exec() fails
  const pid_t parent = getpid();
  process_ = check_call(fork(), "fork");
  if (process_ == 0) become(command, output_.c_str(), parent);
  setpgid(process_, process_);  // the child does so too: whoever is first
}

program::~program() {
  if (!ended_) {
    kill(process_, SIGTERM);
    for (const auto deadline = wall_time() + 5s; !has_ended() && wall_time() < deadline;) {
      std::this_thread::sleep_for(1ms);
    }
    kill(-process_, SIGKILL);  // nobody has waited for the first of them yet, so the number is still the group's
    waitpid(process_, nullptr, 0);
  }
}

nanoseconds program::wait() {
  int status = 0;
  rusage used{};
  check_call(wait4(process_, &status, 0, &used), "wait4");
  ended_ = true;
  if (status != 0) throw std::runtime_error{fmt::format("a program failed:\n{}", printed())};
  return from_timeval(used.ru_utime) + from_timeval(used.ru_stime);
}

bool program::has_ended() const {
  siginfo_t about{};
  return waitid(P_PID, static_cast<id_t>(process_), &about, WEXITED | WNOHANG | WNOWAIT) < 0 || about.si_pid != 0;
}

nanoseconds program::cpu_time() const {
  nanoseconds sum{0};
  for (const pid_t each : tree_of(process_)) sum += bench::cpu_time(each);
  return sum;
}

std::string program::printed() const { return content_of(output_); }

}  // namespace bench

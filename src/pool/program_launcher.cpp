#include <sys/stat.h>

#include <cstdlib>
#include <sstream>
#include <string_view>

#include "pool/process.hpp"
#include "sys/failure.hpp"
#include "sys/sys_process.hpp"

namespace udppump {

namespace {

using detail::fail;

std::string found_in_path(const std::string& name) {
  const char* const path = std::getenv("PATH");
  std::istringstream folders{path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin"};
  std::string not_executable;
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string candidate = (folder.empty() ? "." : folder) + "/" + name;
    struct stat about {};
    if (::stat(candidate.c_str(), &about) != 0 || !S_ISREG(about.st_mode)) continue;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    not_executable = candidate;
  }
  if (!not_executable.empty()) return not_executable;
  fail(ENOENT, "program \"" + name + "\" is in none of the folders of PATH; give its path");
}

}  // namespace

worker_program::worker_program(std::vector<std::string> command) : arguments_{std::move(command)} {
  if (arguments_.empty() || arguments_[0].empty()) fail(EINVAL, "no program given");
  path_ = arguments_[0].find('/') != std::string::npos ? arguments_[0] : found_in_path(arguments_[0]);
  struct stat about {};
  if (::stat(path_.c_str(), &about) != 0) fail(errno, "program \"" + path_ + '"');
  if (S_ISDIR(about.st_mode)) fail(EACCES, "program \"" + path_ + "\" is a directory");
  if (::access(path_.c_str(), X_OK) != 0) {
    fail(errno, "program \"" + path_ + "\" is not executable; chmod +x it, or name its interpreter before it");
  }
}

namespace detail {

namespace {

constexpr std::string_view not_for_workers[] = {
    "LISTEN_PID=",    "LISTEN_FDS=",     "LISTEN_FDNAMES=",  "NOTIFY_SOCKET=",    "WATCHDOG_PID=",
    "WATCHDOG_USEC=", "UDPPUMP_WORKER=", "UDPPUMP_INHERIT=", "UDPPUMP_TAKE_OVER="};

bool is_for_workers(std::string_view variable) {
  for (const std::string_view name : not_for_workers) {
    if (variable.substr(0, name.size()) == name) return false;
  }
  return true;
}

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& one : texts) pointers.push_back(const_cast<char*>(one.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

/// Ends the process with this worker's status where it comes back.
int execute(const std::string& path, const std::vector<std::string>& arguments,
            const std::vector<std::string>& environment, worker_page& page) {
  ::execve(path.c_str(), pointers_to(arguments).data(), pointers_to(environment).data());
  const int error = errno;
  std::string hint;
  if (error == ENOEXEC) hint = " (a script needs a first line such as #!/bin/sh)";
  if (error == ENOENT) hint = " (is the interpreter that it names missing?)";
  leave_last_words(page, "executing " + path + ": " + code_of(error).message() + hint);
  return error == ENOENT ? status_not_found : status_not_executable;
}

std::vector<std::string> environment_for_workers(std::size_t number) {
  std::vector<std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (is_for_workers(*variable)) environment.emplace_back(*variable);
  }
  environment.push_back("UDPPUMP_WORKER=" + std::to_string(number));
  return environment;
}

/// The sockets as descriptors 3, 4..., and the first as 0 too; not closed on exec.
void place(const std::vector<datagram_socket>& sockets) {
  const int first = 3;
  const int end = first + static_cast<int>(sockets.size());
  std::vector<int> moved;
  for (const datagram_socket& socket : sockets) {
    const int copy = ::fcntl(socket.fd(), F_DUPFD_CLOEXEC, end);
    if (copy < 0) fail(errno, "sockets for the program: raise the descriptor limit (ulimit -n)");
    moved.push_back(copy);
  }
  for (std::size_t at = 0; at < moved.size(); ++at) {
    if (::dup2(moved[at], first + static_cast<int>(at)) < 0) fail(errno, "dup2");
  }
  if (::dup2(moved[0], 0) < 0) fail(errno, "dup2");
}

/// Leads a process group of its own, with whatever it starts: so Ctrl-C at a terminal is the parent's alone, which asks
/// workers to finish what they hold, and a shell that wraps the program does not leave it behind.
class program_worker : public process {
 public:
  program_worker(pid_t pid, board& shared, std::size_t page) : process{pid, shared, page}, group_{pid} {
    static_cast<void>(sys::join_group(pid, pid));  // the child does so too: whoever is first
  }
  ~program_worker() override {
    if (pid_ > 0) signal_group(SIGKILL);
  }

  std::optional<worker_end> ended() override {
    auto end = process::ended();
    if (end) signal_group(SIGTERM);  // those it left
    return end;
  }
  void ask_to_stop() noexcept override {
    if (pid_ > 0) signal_group(SIGTERM);
  }
  bool kill() noexcept override {
    if (pid_ > 0) signal_group(SIGKILL);
    return true;
  }

 private:
  void signal_group(int signal) const noexcept { static_cast<void>(sys::kill(-group_, signal)); }

  const pid_t group_;
};

class program_launcher : public launcher {
 public:
  program_launcher(const launch_context& context, const worker_program& program)
      : context_{context}, program_{program} {}

  std::unique_ptr<running_worker> start(const assignment& what) override {
    const pid_t pid = fork_worker(context_, what, [&] {
      static_cast<void>(sys::join_group(0, 0));
      auto environment = environment_for_workers(what.number);
      environment.push_back("LISTEN_PID=" + std::to_string(::getpid()));
      environment.push_back("LISTEN_FDS=" + std::to_string(context_.sockets.size()));
      std::string names = "LISTEN_FDNAMES=";
      for (const std::string& name : context_.names) names += (&name == &context_.names[0] ? "" : ":") + name;
      environment.push_back(std::move(names));
      place(context_.sockets);
      ::sigprocmask(SIG_SETMASK, &context_.signal_mask, nullptr);
      return execute(program_.path(), program_.arguments(), environment, context_.shared->page(what.page));
    });
    return std::make_unique<program_worker>(pid, *context_.shared, what.page);
  }
  bool keeps_pages() const noexcept override { return false; }

 private:
  const launch_context& context_;
  const worker_program program_;
};

constexpr char inherit_variable[] = "UDPPUMP_INHERIT";

class self_launcher : public launcher {
 public:
  self_launcher(const launch_context& context, const own_command& command) : context_{context}, command_{command} {}

  std::unique_ptr<running_worker> start(const assignment& what) override {
    if (command_.path.empty()) fail(ENOENT, "executing this program anew takes /proc");
    const int page_signal = context_.shared->page_signal(what.page);
    const pid_t parent = ::getpid();
    const pid_t pid = fork_worker(context_, what, [&] {
      const board& shared = *context_.shared;
      std::vector<int> handed{shared.memory_fd(), shared.parent_signal(), page_signal};
      std::string text =
          std::string{inherit_variable} + "=1 " + std::to_string(parent) + ' ' + std::to_string(what.page);
      for (const int fd : handed) text += ' ' + std::to_string(fd);
      for (std::size_t at = 0; at < context_.sockets.size(); ++at) {
        handed.push_back(context_.sockets[at].fd());
        text += ' ' + std::to_string(handed.back()) + ' ' + context_.names[at];
      }
      for (const int fd : handed) static_cast<void>(sys::set_close_on_exec(fd, false));
      auto environment = environment_for_workers(what.number);
      environment.push_back(std::move(text));
      // The signals stay blocked: the new execution takes them when it is ready for them.
      return execute(command_.path, command_.arguments, environment, shared.page(what.page));
    });
    return std::make_unique<paged_process>(pid, *context_.shared, what.page);
  }
  bool keeps_pages() const noexcept override { return true; }

 private:
  const launch_context& context_;
  const own_command& command_;
};

}  // namespace

std::optional<inheritance> inheritance::take() {
  const char* const text = std::getenv(inherit_variable);
  if (text == nullptr) return {};
  std::istringstream words{text};
  ::unsetenv(inherit_variable);
  std::string version;
  inheritance left{};
  int memory = -1;
  int parent_signal = -1;
  int page_signal = -1;
  words >> version >> left.parent >> left.page >> memory >> parent_signal >> page_signal;
  if (!words || version != "1") {
    fail(EPROTO, "UDPPUMP_INHERIT is of another version of udppump; restart the pool");
  }
  left.memory = descriptor{memory};
  left.parent_signal = descriptor{parent_signal};
  left.page_signal = descriptor{page_signal};
  int fd = -1;
  std::string name;
  while (words >> fd >> name) left.sockets.push_back({descriptor{fd}, name});
  for (const int one : {memory, parent_signal, page_signal}) static_cast<void>(sys::set_close_on_exec(one, true));
  for (const passed_socket& one : left.sockets) static_cast<void>(sys::set_close_on_exec(one.socket.fd(), true));
  return left;
}

std::unique_ptr<launcher> make_program_launcher(const launch_context& context, const worker_program& program) {
  return std::make_unique<program_launcher>(context, program);
}

std::unique_ptr<launcher> make_self_launcher(const launch_context& context, const own_command& command) {
  return std::make_unique<self_launcher>(context, command);
}

}  // namespace detail
}  // namespace udppump

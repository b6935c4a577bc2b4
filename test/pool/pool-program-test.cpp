#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <udppump/pool_status.hpp>
#include <udppump/worker_pool.hpp>
#include <vector>

#include "support/asking_client.hpp"
#include "support/private_folder.hpp"
#include "support/serve.hpp"
#include "support/steady_load.hpp"

using namespace udppump;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

/// A program under test in a folder of its own, with what it wrote to stderr. Processes that it leaves behind come to
/// this one, and are ended with this object.
class program_run {
 public:
  program_run() {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    fs::copy_file(UDPPUMP_POOL_PROGRAM, program(), fs::copy_options::overwrite_existing);
  }
  ~program_run() {
    for (const pid_t one : started_) ::kill(one, SIGKILL);
    while (::waitpid(-1, nullptr, 0) > 0) continue;
  }
  program_run(const program_run&) = delete;
  program_run& operator=(const program_run&) = delete;

  pid_t start(std::vector<std::string> arguments) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      std::freopen(log_path().c_str(), "a", stderr);
      arguments.insert(arguments.begin(), program());
      std::vector<char*> pointers;
      for (auto& one : arguments) pointers.push_back(one.data());
      pointers.push_back(nullptr);
      ::execv(pointers[0], pointers.data());
      ::_exit(99);
    }
    started_.insert(pid);
    return pid;
  }
  /// A process that one of them started.
  void adopt(pid_t pid) { started_.insert(pid); }

  int join(pid_t pid) {
    int status = -1;
    if (!eventually([&] { return ::waitpid(pid, &status, WNOHANG) == pid; })) return -1;
    started_.erase(pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  std::string program() const { return folder_ / "pool_program"; }
  std::string take_over_path() const { return folder_ / "take-over"; }
  std::string log_path() const { return folder_ / "log"; }
  std::string log() const {
    std::stringstream all;
    all << std::ifstream{log_path()}.rdbuf();
    return all.str();
  }
  std::size_t count(const std::string& part) const {
    const std::string all = log();
    std::size_t found = 0;
    for (auto at = all.find(part); at != std::string::npos; at = all.find(part, at + 1)) ++found;
    return found;
  }
  /// What follows `before` in the log for the last time, up to a space or the line's end.
  std::string last(const std::string& before) const {
    const std::string all = log();
    const auto at = all.rfind(before);
    if (at == std::string::npos) return {};
    const auto begin = at + before.size();
    return all.substr(begin, all.find_first_of(" )\n", begin) - begin);
  }
  address server() const {
    EXPECT_TRUE(eventually([&] { return count("workers serve ") > 0; })) << log();
    return address::parse(last("workers serve "));
  }

 private:
  const private_folder folder_;
  std::set<pid_t> started_;
};

TEST(pool_program, sigusr2_has_a_new_execution_take_over_and_nothing_is_lost) {
  program_run run;
  pid_t parent = run.start({"bind=127.0.0.1:0"});
  steady_load load{run.server(), 500us};
  for (std::size_t generation = 1; generation <= 5; ++generation) {
    ::kill(parent, SIGUSR2);
    load.run_until([&] { return run.count("ended; another process serves on") == generation; }, patience);
    ASSERT_EQ(run.count("ended; another process serves on"), generation) << run.log();
    EXPECT_EQ(run.join(parent), 0);
    parent = std::stoi(run.last("udppump: pid "));
    run.adopt(parent);
    load.run(50ms, [] {});
  }
  load.settle();
  EXPECT_EQ(load.refused(), 0u);
  EXPECT_EQ(load.unanswered(), 0u) << run.log();
  EXPECT_EQ(load.repeated(), 0u);
  ::kill(parent, SIGTERM);
  EXPECT_EQ(run.join(parent), 0) << run.log();
}

TEST(pool_program, a_new_execution_that_cannot_start_leaves_the_old_one_serving) {
  program_run run;
  const pid_t parent = run.start({"bind=127.0.0.1:0"});
  steady_load load{run.server(), 500us};
  fs::remove(run.program());
  std::ofstream{run.program()} << "this is no program\n";
  ::kill(parent, SIGUSR2);
  load.run_until([&] { return run.count("going on as before") == 1; }, patience);
  EXPECT_EQ(run.count("going on as before"), 1u) << run.log();
  load.settle();
  EXPECT_EQ(load.unanswered(), 0u);
  ::kill(parent, SIGTERM);
  EXPECT_EQ(run.join(parent), 0);
}

std::string blocked_signals_of(pid_t process) {
  std::ifstream lines{"/proc/" + std::to_string(process) + "/status"};
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("SigBlk:", 0) == 0) return line;
  }
  return {};
}

TEST(pool_program, a_reload_runs_the_new_file_where_that_is_asked_for) {
  program_run run;
  const pid_t parent = run.start({"bind=127.0.0.1:0", "reexecute="});
  steady_load load{run.server(), 500us};
  const auto workers_files = [parent] {
    std::set<std::string> files;
    for (const auto& one : pool_status::of(parent).workers) {
      files.insert(fs::read_symlink("/proc/" + std::to_string(one.pid) + "/exe").string());
    }
    return files;
  };
  EXPECT_EQ(workers_files(), std::set<std::string>{run.program()});
  for (const auto& one : pool_status::of(parent).workers) {
    EXPECT_EQ(::getsid(one.pid), one.pid);
    EXPECT_EQ(blocked_signals_of(one.pid), blocked_signals_of(::getpid())) << "and not what its parent blocks";
  }
  for (std::size_t reload = 1; reload <= 3; ++reload) {
    fs::copy_file(run.program(), run.program() + ".new");
    fs::rename(run.program() + ".new", run.program());
    EXPECT_EQ(workers_files(), std::set<std::string>{run.program() + " (deleted)"});
    ::kill(parent, SIGHUP);
    load.run_until([&] { return run.count("reloaded 3 workers") == reload; }, patience);
    ASSERT_EQ(run.count("reloaded 3 workers"), reload) << run.log();
    EXPECT_EQ(workers_files(), std::set<std::string>{run.program()});
  }
  load.settle();
  EXPECT_EQ(load.unanswered(), 0u) << run.log();
  EXPECT_EQ(load.repeated(), 0u);
  const pid_t victim = pool_status::of(parent).workers.at(0).pid;
  ::kill(victim, SIGKILL);
  EXPECT_TRUE(
      eventually([&] { return run.count("(pid " + std::to_string(victim) + ") was killed by signal 9") == 1; }));
  EXPECT_TRUE(eventually([&] { return pool_status::of(parent).workers.size() == 3; }));
  ::kill(parent, SIGTERM);
  EXPECT_EQ(run.join(parent), 0) << run.log();
}

TEST(pool_program, no_worker_that_was_executed_anew_and_became_another_user_outlives_a_parent_that_is_killed) {
  if (::geteuid() != 0) GTEST_SKIP() << "requires root, to become another user";
  program_run run;
  const pid_t parent = run.start({"bind=127.0.0.1:0", "reexecute=", "user=65534"});
  static_cast<void>(run.server());  // they serve, as that user
  std::vector<pid_t> workers;
  for (const auto& one : pool_status::of(parent).workers) workers.push_back(one.pid);
  ASSERT_EQ(workers.size(), 3u);
  for (const pid_t one : workers) run.adopt(one);
  ::kill(parent, SIGKILL);
  EXPECT_EQ(run.join(parent), 128 + SIGKILL);
  for (const pid_t one : workers) EXPECT_TRUE(eventually([one] { return is_gone(one); }));
}

TEST(pool_program, a_second_start_takes_over_by_the_path_and_a_stale_path_is_no_obstacle) {
  program_run run;
  const std::string path = "take-over=" + run.take_over_path();
  const pid_t first = run.start({"bind=127.0.0.1:0", path});
  steady_load load{run.server(), 500us};
  load.run(50ms, [] {});
  const pid_t second = run.start({"bind=127.0.0.1:0", path, "workers=2"});
  load.run_until([&] { return run.count("ended; another process serves on") == 1; }, patience);
  EXPECT_EQ(run.join(first), 0) << run.log();
  load.settle();
  EXPECT_EQ(load.unanswered(), 0u) << run.log();

  ::kill(second, SIGKILL);
  EXPECT_EQ(run.join(second), 128 + SIGKILL);
  EXPECT_TRUE(fs::exists(run.take_over_path()));
  const pid_t third = run.start({"bind=127.0.0.1:0", path, "workers=1"});
  EXPECT_TRUE(eventually([&] { return run.count("1 worker serves ") == 1; })) << run.log();
  ::kill(third, SIGTERM);
  EXPECT_EQ(run.join(third), 0);
  EXPECT_FALSE(fs::exists(run.take_over_path()));
}

TEST(pool_program, a_second_start_that_fails_leaves_the_path_to_the_first) {
  program_run run;
  const std::string path = "take-over=" + run.take_over_path();
  const pid_t first = run.start({"bind=127.0.0.1:0", path});
  steady_load load{run.server(), 500us};
  // It gets the sockets, and cannot bind the address that it wants besides.
  EXPECT_EQ(run.join(run.start({"bind=127.0.0.1:0", "bind=192.0.2.1:1", path})), 90);
  load.run_until([&] { return run.count("going on as before") == 1; }, patience);
  EXPECT_TRUE(fs::exists(run.take_over_path()));
  const pid_t second = run.start({"bind=127.0.0.1:0", path});
  load.run_until([&] { return run.count("ended; another process serves on") == 1; }, patience);
  EXPECT_EQ(run.join(first), 0) << run.log();
  load.settle();
  EXPECT_EQ(load.unanswered(), 0u) << run.log();
  ::kill(second, SIGTERM);
  EXPECT_EQ(run.join(second), 0);
}

TEST(pool_program, who_connects_and_says_nothing_keeps_nobody_waiting_and_is_given_up) {
  program_run run;
  const std::string path = "take-over=" + run.take_over_path();
  const pid_t first = run.start({"bind=127.0.0.1:0", path});
  const address server = run.server();
  const int silent = ::socket(AF_UNIX, SOCK_SEQPACKET, 0);
  const auto where = address::parse("unix:" + run.take_over_path());
  ASSERT_EQ(::connect(silent, where.data(), where.size()), 0);
  const pid_t second = run.start({"bind=127.0.0.1:0", path});
  EXPECT_EQ(run.join(first), 0) << run.log();
  ASSERT_TRUE(readable(silent, patience)) << "it hears that another was there";
  ::close(silent);
  const int late = ::socket(AF_UNIX, SOCK_SEQPACKET, 0);
  ASSERT_TRUE(eventually([&] { return ::connect(late, where.data(), where.size()) == 0; }));
  ASSERT_TRUE(eventually([&] { return run.count("it did not say in time what it wants") == 1; })) << run.log();
  steady_load load{server, 500us};
  load.run(50ms, [] {});
  load.settle();
  EXPECT_EQ(load.unanswered(), 0u);
  ::kill(second, SIGTERM);
  EXPECT_EQ(run.join(second), 0);
  ::close(late);
}

TEST(pool_program, a_second_start_beside_a_stopped_pool_ends_with_a_reason) {
  program_run run;
  const std::string path = "take-over=" + run.take_over_path();
  const pid_t first = run.start({"bind=127.0.0.1:0", path});
  static_cast<void>(run.server());
  ::kill(first, SIGSTOP);
  std::vector<pid_t> starts;
  for (int more = 0; more < 8; ++more) starts.push_back(run.start({"bind=127.0.0.1:0", path}));
  for (const pid_t one : starts) EXPECT_EQ(run.join(one), 90);
  EXPECT_EQ(run.count("is it stopped?"), 8u) << run.log();
  ::kill(first, SIGCONT);
  ::kill(first, SIGTERM);
  EXPECT_EQ(run.join(first), 0);
}

TEST(pool_program, stopping_the_old_parent_after_the_take_over_changes_nothing) {
  program_run run;
  const pid_t first = run.start({"bind=127.0.0.1:0", "slow="});
  const auto client = datagram_socket::connect(run.server());
  ASSERT_FALSE(client.send("held"));
  ASSERT_TRUE(eventually([&] {
    return pool_status::of(first).workers.at(0).traffic->all.received == 1 ||
           pool_status::of(first).workers.at(1).traffic->all.received == 1 ||
           pool_status::of(first).workers.at(2).traffic->all.received == 1;
  }));
  ::kill(first, SIGUSR2);
  ASSERT_TRUE(eventually([&] { return run.count("has taken over: stopping") == 1; })) << run.log();
  ::kill(first, SIGTERM);
  EXPECT_EQ(run.join(first), 0) << run.log();
  EXPECT_TRUE(readable(client.fd()));
  const pid_t second = std::stoi(run.last("udppump: pid "));
  run.adopt(second);
  ::kill(second, SIGTERM);
  EXPECT_EQ(run.join(second), 0);
}

TEST(pool_program, stopping_a_parent_whose_execution_does_not_serve_yet_stops_that_as_well) {
  program_run run;
  const std::string go = run.take_over_path() + "-go";
  std::ofstream{go} << "go";
  const pid_t first = run.start({"bind=127.0.0.1:0", "await=" + go});
  static_cast<void>(run.server());
  fs::remove(go);
  ::kill(first, SIGUSR2);
  ASSERT_TRUE(eventually([&] { return run.count("takes the sockets over") == 1; })) << run.log();
  const pid_t second = std::stoi(run.last("udppump: pid "));
  run.adopt(second);
  ::kill(first, SIGTERM);
  ASSERT_TRUE(eventually([&] { return run.count("SIGTERM: stopping") >= 1; })) << run.log();
  std::ofstream{go} << "go";
  EXPECT_EQ(run.join(first), 0) << run.log();
  EXPECT_NE(::kill(second, 0), 0) << "it outlives the one that executed it: " << run.log();
  EXPECT_EQ(run.count("has taken over"), 0u) << run.log();
}

TEST(pool_program, something_at_the_path_that_is_no_socket_is_left_alone) {
  program_run run;
  std::ofstream{run.take_over_path()} << "precious";
  EXPECT_EQ(run.join(run.start({"bind=127.0.0.1:0", "take-over=" + run.take_over_path()})), 90);
  EXPECT_THAT(run.log(), testing::HasSubstr("no socket"));
  EXPECT_TRUE(fs::exists(run.take_over_path()));
}

}  // namespace

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <linux/capability.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <fstream>
#include <functional>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "pool/account.hpp"
#include "support/asking_client.hpp"
#include "support/pool_process.hpp"

using namespace udppump;
using detail::account_called;
using detail::group_called;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

namespace {

std::string refusal(const std::function<void()>& refused) {
  try {
    refused();
  } catch (const std::system_error& error) {
    return error.what();
  }
  return "accepted";
}
std::string user_refusal(const std::string& text) {
  return refusal([&] { static_cast<void>(account_called(text)); });
}
std::string group_refusal(const std::string& text) {
  return refusal([&] { static_cast<void>(group_called(text)); });
}

TEST(privileges, names_are_users_and_numbers_are) {
  EXPECT_EQ(account_called("nobody").user, 65534u);
  EXPECT_EQ(account_called("65534").name, "nobody");
  EXPECT_EQ(account_called("root").user, 0u);
  EXPECT_EQ(account_called("4123456").user, 4'123'456u);
  EXPECT_EQ(account_called("4123456").group, detail::no_id);
  EXPECT_EQ(group_called("root"), 0u);
  EXPECT_EQ(group_called("0"), 0u);
  EXPECT_EQ(group_called("4294967294"), 4'294'967'294u);
}

TEST(privileges, what_is_neither_or_seems_to_be_is_refused_with_the_cure) {
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
           {"", "is empty, as a variable that is not set would be: leave the"},
           {" nobody", "white space around it"},
           {"nobody ", "white space around it"},
           {"nobody\n", "white space around it"},
           {" ", "white space around it"},
           {std::string{"nobody\0x", 8}, "is no name"},
           {"+5", "without a sign"},
           {"-1", "without a sign"},
           {"-", "without a sign"},
           {"010", "write the number without it"},
           {"00", "write the number without it"},
           {"0x10", "is not known here"},
           {"1e3", "is not known here"},
           {"4294967295", "is nobody: the kernel reads it as"},
           {"4294967296", "is too large: 4294967294 is"},
           {"18446744073709551616", "is too large"},
           {"99999999999999999999999999", "is too large"},
           {"no-such-name", "is not known here"}}) {
    EXPECT_THAT(user_refusal(text), AllOf(HasSubstr("user "), HasSubstr(why))) << text;
    EXPECT_THAT(group_refusal(text), AllOf(HasSubstr("group "), HasSubstr(why))) << text;
  }
}

TEST(privileges, root_goes_by_its_name_alone) {
  EXPECT_THAT(user_refusal("0"),
              HasSubstr("is root (its number is 0), so that nothing would be dropped: name another, or "
                        "write root if that is meant"));
}

TEST(privileges, an_empty_name_in_the_options_is_refused_before_anything_is_bound) {
  const auto making = [](const privileges& become) {
    return refusal([&] { worker_pool{{.bind = {"127.0.0.1:0"}, .workers = 1, .become = become}}; });
  };
  EXPECT_THAT(making({.user = ""}), HasSubstr("user \"\" is empty"));
  EXPECT_THAT(making({.group = ""}), HasSubstr("group \"\" is empty"));
  EXPECT_THAT(making({.groups = {{"daemon", ""}}}), HasSubstr("group \"\" is empty"));
}

// --- what is left ----------------------------------------------------------------------------------------------------

std::string own_status() {
  std::ifstream about{"/proc/self/status"};
  return {std::istreambuf_iterator<char>{about}, {}};
}

bool may(unsigned capability) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  return ::syscall(SYS_capget, &header, sets) == 0 && (sets[0].effective >> capability & 1U) != 0;
}

/// A capability that stays over execve(2) and over a change of user is put where a starter could leave it.
bool make_inheritable() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capget, &header, sets) != 0) return false;
  sets[0].inheritable = 1U << CAP_KILL;
  return ::syscall(SYS_capset, &header, sets) == 0;
}

TEST(privileges, a_user_alone_leaves_no_capability_no_group_and_no_way_to_new_privileges) {
  if (::geteuid() != 0) GTEST_SKIP() << "two users require root";
  ASSERT_EQ(::setenv("HOME", "/root", 1), 0);
  pool_process pool{{.workers = 1, .become = {.user = "nobody"}}, [](worker_pool& made) {
                      return made.serve([](datagram& received) {
                        if (received.text() == "status") return static_cast<void>(received.reply(own_status()));
                        const char* const value = ::getenv(std::string{received.text()}.c_str());
                        received.reply(value != nullptr ? value : "unset");
                      });
                    }};
  const asking_client client{pool.address()};
  EXPECT_THAT(
      client.ask("status"),
      AllOf(HasSubstr("Uid:\t65534\t65534\t65534\t65534"), HasSubstr("Groups:\t65534 \n"), HasSubstr("NoNewPrivs:\t1"),
            HasSubstr("CapInh:\t0000000000000000"), HasSubstr("CapPrm:\t0000000000000000"),
            HasSubstr("CapEff:\t0000000000000000"), HasSubstr("CapAmb:\t0000000000000000")));
  // The bounding set is root's to reduce, unless a container takes that right.
  if (may(CAP_SETPCAP)) {
    EXPECT_THAT(client.ask("status"), HasSubstr("CapBnd:\t0000000000000000"));
  }
  EXPECT_EQ(client.ask("USER"), "nobody");
  EXPECT_EQ(client.ask("LOGNAME"), "nobody");
  EXPECT_EQ(client.ask("HOME"), account_called("nobody").home);
  EXPECT_EQ(client.ask("SHELL"), account_called("nobody").shell);
  EXPECT_EQ(pool.stop(), 0);
}

TEST(privileges, a_group_alone_stands_in_place_of_all_of_roots) {
  if (::geteuid() != 0) GTEST_SKIP() << "two users require root";
  child_process outer{[] {
    const gid_t roots[] = {0, 4};
    ASSERT_EQ(::setgroups(2, roots), 0);
    auto pool = pool_process::serving_with({.workers = 1, .become = {.group = "4123456"}},
                                           [](datagram& received) { received.reply(own_status()); });
    const asking_client client{pool.address()};
    EXPECT_THAT(client.ask("status"),
                AllOf(HasSubstr("Uid:\t0\t"), HasSubstr("Gid:\t4123456\t4123456\t4123456\t4123456"),
                      HasSubstr("Groups:\t4123456 \n"), HasSubstr("NoNewPrivs:\t0")));
    EXPECT_EQ(pool.stop(), 0);
  }};
  EXPECT_EQ(outer.join(), 0);
}

TEST(privileges, inheritable_capabilities_of_the_starter_do_not_stay) {
  if (::geteuid() != 0) GTEST_SKIP() << "two users require root";
  child_process outer{[] {
    ASSERT_TRUE(make_inheritable());
    pool_process pool{{.workers = 1, .become = {.user = "4123456", .group = "4123456", .no_new_privileges = false}},
                      [](worker_pool& made) {
                        return made.serve([](datagram& received) {
                          received.reply(own_status() + (::getenv("HOME") != nullptr ? "HOME is set" : "no HOME"));
                        });
                      }};
    const asking_client client{pool.address()};
    const std::string told = client.ask("status");
    EXPECT_THAT(told, AllOf(HasSubstr("CapInh:\t0000000000000000"), HasSubstr("NoNewPrivs:\t0"), HasSubstr("no HOME"),
                            Not(HasSubstr("CapBnd:\t0000000000000000"))))
        << "what was asked for is that set-user-ID programs gain something";
    EXPECT_EQ(pool.stop(), 0);
  }};
  EXPECT_EQ(outer.join(), 0);
}

/// What the kernel keeps for each thread must be said on the one that forks.
TEST(privileges, no_new_ones_holds_for_workers_whichever_thread_made_the_pool) {
  child_process outer{[] {
    std::optional<worker_pool> made;
    std::thread{[&] {
      made.emplace(pool_options{.bind = {"127.0.0.1:0"},
                                .workers = 1,
                                .become = {.no_new_privileges = true},
                                .restart = {.first_delay = std::chrono::milliseconds{1}, .crash_limit = 2},
                                .log = [](const pool_event&) {}});
    }}.join();
    return made->run([&](worker&) {
      if (own_status().find("NoNewPrivs:\t1") == std::string::npos) throw std::runtime_error{"there are new ones"};
      made->request_stop();
    });
  }};
  EXPECT_EQ(outer.join(), 0);
}

/// As a set-user-ID program changes who it is, a saved id may be left, by which root can be had back.
TEST(privileges, a_saved_id_of_roots_is_no_user_that_is_there_already) {
  if (::geteuid() != 0) GTEST_SKIP() << "two users require root";
  child_process half_way{[] {
    ASSERT_EQ(::setgroups(0, nullptr), 0);
    ASSERT_EQ(::setresgid(65534, 65534, 65534), 0);
    ASSERT_EQ(::setresuid(65534, 65534, 0), 0);
    EXPECT_THAT(refusal([] { worker_pool{{.bind = {"127.0.0.1:0"}, .workers = 1, .become = {.user = "nobody"}}}; }),
                HasSubstr("becoming user \"nobody\" requires root"));
  }};
  EXPECT_EQ(half_way.join(), 0);
}

TEST(privileges, groups_that_were_not_asked_for_are_no_user_that_is_there_already) {
  if (::geteuid() != 0) GTEST_SKIP() << "two users require root";
  child_process half_way{[] {
    const gid_t roots = 0;
    ASSERT_EQ(::setgroups(1, &roots), 0);
    ASSERT_EQ(::setresgid(65534, 65534, 65534), 0);
    ASSERT_EQ(::setresuid(65534, 65534, 65534), 0);
    EXPECT_THAT(refusal([] { worker_pool{{.bind = {"127.0.0.1:0"}, .workers = 1, .become = {.user = "nobody"}}}; }),
                HasSubstr("but its groups (0) are not those asked for"));
    EXPECT_EQ(refusal([] {
                worker_pool{{.bind = {"127.0.0.1:0"}, .workers = 1, .become = {.user = "nobody", .groups = {{"0"}}}}};
              }),
              "accepted");
  }};
  EXPECT_EQ(half_way.join(), 0);
}

/// Which of the descriptors that it is sent a worker has.
std::string kept_of(bool keeps_one_alone) {
  std::vector<int> opened;
  // Above those that a worker opens for itself.
  for (int at = 0; at < 3; ++at) opened.push_back(::fcntl(STDERR_FILENO, F_DUPFD, 500));
  auto pool = pool_process::serving_with(
      {.workers = 1, .keep_open = keeps_one_alone ? std::optional{std::vector<int>{opened[1]}} : std::nullopt},
      [opened](datagram& received) {
        std::string told;
        for (const int one : opened) told += ::fcntl(one, F_GETFD) >= 0 ? '1' : '0';
        received.reply(told);
      });
  const asking_client client{pool.address()};
  const std::string told = client.ask("which");
  pool.signal(SIGHUP);
  EXPECT_TRUE(pool.says("reloaded: ")) << "it lacks what it needs";
  EXPECT_EQ(client.ask("which"), told);
  EXPECT_EQ(pool.stop(), 0);
  for (const int one : opened) ::close(one);
  return told;
}

TEST(privileges, a_fork_keeps_what_the_program_has_open_or_what_it_is_told_to) {
  EXPECT_EQ(kept_of(false), "111");
  EXPECT_EQ(kept_of(true), "010");
}

// --- a worker attacks whoever sits at the terminal
// ---------------------------------------------------------------------

/// Each that worked, by name.
std::string attack_terminal() {
  std::string worked = ::getsid(0) == ::getpid() ? "" : "session ";
  if (const int fd = ::open("/dev/tty", O_RDWR | O_CLOEXEC); fd >= 0) {
    worked += "open ";
    ::close(fd);
  }
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::isatty(fd) != 1) continue;
    const std::string which = std::to_string(fd) + ' ';
    if ((::fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY) worked += "read-" + which;
    if (::ioctl(fd, TIOCSTI, "x") == 0) worked += "type-" + which;
    if (::ioctl(fd, TIOCSCTTY, 0) == 0) worked += "take-" + which;
  }
  return worked + (::isatty(STDERR_FILENO) == 1 ? "and stderr is a terminal" : "");
}

/// What a worker gets at whose pool was started at a terminal.
std::string got_at_a_terminal(const privileges& become) {
  shared<pool_report> report;
  child_process outer{[&] {
    int terminal = -1;
    int theirs = -1;
    const int own_errors = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    const int own_output = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    ASSERT_GE(::setsid(), 0);
    ASSERT_EQ(::openpty(&terminal, &theirs, nullptr, nullptr, nullptr), 0);
    ASSERT_EQ(::ioctl(theirs, TIOCSCTTY, 0), 0);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(theirs, fd);
    // Root may type anywhere.
    if (!become.user && ::geteuid() == 0) {
      ASSERT_EQ(::setresuid(65534, 65534, 65534), 0);
    }
    ::close(theirs);
    auto pool = pool_process::serving_with({.workers = 1, .become = become},
                                           [](datagram& received) { received.reply(attack_terminal()); });
    ::dup2(own_output, STDOUT_FILENO);
    ::dup2(own_errors, STDERR_FILENO);
    report->note("worked", asking_client{pool.address()}.ask("terminal"));
    EXPECT_EQ(::getsid(pool.pid()), ::getpid()) << "Ctrl-C would not reach it";
    EXPECT_EQ(pool.stop(), 0);
  }};
  EXPECT_EQ(outer.join(), 0);
  return report->log();
}

TEST(privileges, a_fork_cannot_type_at_the_terminal_that_its_pool_was_started_from) {
  EXPECT_EQ(got_at_a_terminal({}), "worked: read-0 read-1 read-2 and stderr is a terminal\n");
}

TEST(privileges, a_fork_of_another_user_can_only_write_there) {
  if (::geteuid() != 0) GTEST_SKIP() << "two users require root";
  EXPECT_EQ(got_at_a_terminal({.user = "nobody"}), "worked: and stderr is a terminal\n");
}

// --- a worker attacks its parent -------------------------------------------------------------------------------------

/// What a process of the same user can do to another one; each that worked, by name.
std::string attack(pid_t victim) {
  std::string worked;
  const std::string folder = "/proc/" + std::to_string(victim) + '/';
  for (const char* const file : {"mem", "environ", "maps", "auxv"}) {
    if (const int fd = ::open((folder + file).c_str(), O_RDONLY | O_CLOEXEC); fd >= 0) {
      worked += std::string{file} + ' ';
      ::close(fd);
    }
  }
  if (const int fd = ::open((folder + "fd/0").c_str(), O_RDONLY | O_PATH | O_CLOEXEC); fd >= 0) worked += "fd ";
  if (::ptrace(PTRACE_SEIZE, victim, 0, 0) == 0) {
    worked += "ptrace ";
    ::ptrace(PTRACE_DETACH, victim, 0, 0);
  }
  int byte = 0;
  iovec own{&byte, 1};
  iovec others{&byte, 1};
  if (::process_vm_readv(victim, &own, 1, &others, 1, 0) >= 0 || errno == EFAULT) worked += "process_vm_readv ";
  if (const long pidfd = ::syscall(SYS_pidfd_open, victim, 0); pidfd >= 0) {
    if (::syscall(SYS_pidfd_getfd, pidfd, 2, 0) >= 0) worked += "pidfd_getfd ";
  }
  return worked;
}

TEST(privileges, the_attack_works_on_a_process_that_is_open_to_its_user) {
  if (::geteuid() != 0) GTEST_SKIP() << "two users require root";
  child_process outer{[] {
    ASSERT_EQ(::setresuid(65534, 65534, 65534), 0);
    ASSERT_EQ(::prctl(PR_SET_DUMPABLE, 1), 0);
    const pid_t victim = ::getpid();
    shared<pool_report> report;
    child_process attacker{[&] { report->note("worked", attack(victim)); }};
    ASSERT_EQ(attacker.join(), 0);
    EXPECT_THAT(report->log(), AllOf(HasSubstr("mem "), HasSubstr("environ "))) << "the attack itself is broken";
  }};
  EXPECT_EQ(outer.join(), 0);
}

/// Of all that it is given but itself.
void attack_and_tell(datagram& received) {
  std::istringstream victims{std::string{received.text()}};
  std::string worked = "worked: ";
  for (pid_t victim = 0; victims >> victim;) {
    if (victim != ::getpid()) worked += attack(victim);
  }
  received.reply(worked);
}

TEST(privileges, a_worker_gets_at_neither_its_parent_nor_another_worker) {
  if (::geteuid() != 0) GTEST_SKIP() << "two users require root";
  auto pool = pool_process::serving_with({.workers = 2, .become = {.user = "nobody"}}, attack_and_tell);
  const asking_client client{pool.address()};
  for (const bool reloaded : {false, true}) {
    if (reloaded) {
      pool.signal(SIGHUP);
      ASSERT_TRUE(eventually([&] { return pool.status().reloads == 1; }));
      ASSERT_TRUE(eventually([&] { return pool.workers().size() == 2; }));
    }
    std::string victims = std::to_string(pool.pid());
    for (const pid_t one : pool.workers()) victims += ' ' + std::to_string(one);
    EXPECT_EQ(client.ask(victims), "worked: ") << reloaded;
  }
  EXPECT_EQ(pool.stop(), 0);
}

/// As a new execution of a parent is that changed its user: no change is left to make.
TEST(privileges, neither_does_one_whose_parent_was_that_user_already) {
  if (::geteuid() != 0) GTEST_SKIP() << "two users require root";
  child_process outer{[] {
    ASSERT_EQ(::setgroups(0, nullptr), 0);
    ASSERT_EQ(::setresgid(65534, 65534, 65534), 0);
    ASSERT_EQ(::setresuid(65534, 65534, 65534), 0);
    ASSERT_EQ(::prctl(PR_SET_DUMPABLE, 1), 0);
    auto pool = pool_process::serving_with({.workers = 1, .become = {.user = "nobody"}}, attack_and_tell);
    const asking_client client{pool.address()};
    EXPECT_EQ(client.ask(std::to_string(pool.pid())), "worked: ");
    EXPECT_EQ(pool.stop(), 0);
  }};
  EXPECT_EQ(outer.join(), 0);
}

}  // namespace

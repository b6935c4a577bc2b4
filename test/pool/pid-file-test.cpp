#include "pool/pid_file.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <system_error>
#include <thread>

#include "support/asking_client.hpp"
#include "support/pool_process.hpp"
#include "support/private_folder.hpp"

using namespace udppump;
using namespace std::chrono_literals;
using detail::earlier_pid_file;
using detail::file_identity;
using detail::heir;
using detail::pid_file;
using testing::AllOf;
using testing::HasSubstr;

namespace fs = std::filesystem;

namespace {

std::string content_of(const std::string& path) {
  std::ifstream from{path};
  return {std::istreambuf_iterator<char>{from}, {}};
}
std::string line_of(pid_t pid) { return std::to_string(pid) + '\n'; }

/// What the making of one says that is refused.
std::string refusal(const std::string& path, const std::optional<earlier_pid_file>& before = {}) {
  try {
    const pid_file made{path, heir{}, before};
  } catch (const std::system_error& refused) {
    return refused.what();
  }
  return "accepted";
}

TEST(pid_file, has_the_id_from_when_it_is_written_until_the_end) {
  const private_folder here;
  {
    const pid_file made{here / "pid", heir{}};
    EXPECT_EQ(content_of(here / "pid"), "");
    made.write();
    EXPECT_EQ(content_of(here / "pid"), line_of(::getpid()));
    EXPECT_EQ(fs::status(here / "pid").permissions(), fs::perms{0600});
  }
  EXPECT_FALSE(fs::exists(here / "pid"));
}

TEST(pid_file, of_a_process_that_lives_is_neither_taken_nor_changed_nor_removed) {
  const private_folder here;
  const pid_file made{here / "pid", heir{}};
  EXPECT_THAT(refusal(here / "pid"),
              HasSubstr("pid file \"" + (here / "pid") + "\": process " + std::to_string(::getpid()) +
                        " has it, and does not serve yet; stop it first, or choose another path"));
  made.write();
  EXPECT_THAT(refusal(here / "pid"), HasSubstr("process " + std::to_string(::getpid()) +
                                               " has it, and lives; stop it first, or choose another path"));
  EXPECT_EQ(content_of(here / "pid"), line_of(::getpid()));
}

TEST(pid_file, of_a_process_that_was_killed_is_taken_and_named_nobody_meanwhile) {
  const private_folder here;
  shared<std::atomic<int>> written;
  child_process killed{[&] {
    const pid_file made{here / "pid", heir{}};
    made.write();
    ++*written;
    for (;;) ::pause();
  }};
  ASSERT_TRUE(eventually([&] { return *written == 1; }));
  const pid_t pid = killed.pid();
  ::kill(pid, SIGKILL);
  ASSERT_EQ(killed.join(), 128 + SIGKILL);
  ASSERT_EQ(content_of(here / "pid"), line_of(pid));
  {
    const pid_file made{here / "pid", heir{}};
    EXPECT_EQ(content_of(here / "pid"), "") << "the id may be another's by now";
    made.write();
    EXPECT_EQ(content_of(here / "pid"), line_of(::getpid()));
  }
  EXPECT_FALSE(fs::exists(here / "pid"));
}

TEST(pid_file, what_it_says_is_not_taken_for_who_has_it_locked) {
  child_process ended{[] { return 0; }};
  const pid_t gone = ended.pid();
  ASSERT_EQ(ended.join(), 0);
  for (const pid_t named : {gone, pid_t{1}, ::getpid()}) {
    for (const int kind : {F_OFD_SETLK, F_SETLK}) {
      const private_folder here;
      std::ofstream{here / "pid"} << named << '\n';
      fs::permissions(here / "pid", fs::perms{0600});
      shared<std::atomic<bool>> is_locked;
      child_process other{[&] {
        const int held = ::open((here / "pid").c_str(), O_RDWR | O_CLOEXEC);
        struct flock all {};
        all.l_type = F_RDLCK;
        if (::fcntl(held, kind, &all) == 0) *is_locked = true;
        for (;;) ::pause();
      }};
      ASSERT_TRUE(eventually([&] { return is_locked->load(); }));
      EXPECT_THAT(refusal(here / "pid"),
                  HasSubstr("process " + std::to_string(other.pid()) + " has it locked, and not process " +
                            std::to_string(named) + ", which it names; stop the first"));
      EXPECT_THAT(refusal(here / "pid", earlier_pid_file{.is_told = true}),
                  HasSubstr("another pool has it (process " + std::to_string(other.pid()) + ')'));
      EXPECT_EQ(content_of(here / "pid"), line_of(named));
      ::kill(other.pid(), SIGKILL);
      static_cast<void>(other.join());
    }
  }
}

TEST(pid_file, of_a_process_that_is_not_shown_only_what_it_says_is_told_as_such) {
  if (::geteuid() != 0) GTEST_SKIP() << "requires root, to become another user";
  constexpr uid_t nobody = 65534;
  const private_folder here;
  ASSERT_EQ(::chown((here / "").c_str(), nobody, nobody), 0);
  shared<std::atomic<int>> state;
  // After this, /proc shows it to root alone, as it does the parent of a pool that became another user.
  const auto become_nobody = [] {
    return ::setresgid(nobody, nobody, nobody) == 0 && ::setresuid(nobody, nobody, nobody) == 0;
  };
  child_process other{[&] {
    if (!become_nobody()) return;
    const pid_file made{here / "pid", heir{}};
    *state = 1;
    while (*state == 1) std::this_thread::yield();
    std::ofstream{here / "pid"} << "1\n";
    *state = 3;
    for (;;) ::pause();
  }};
  ASSERT_TRUE(eventually([&] { return *state == 1; }));
  child_process looks{[&] {
    if (!become_nobody()) return 1;
    EXPECT_THAT(refusal(here / "pid"),
                HasSubstr("a process has it that is not shown to this user, and does not serve"));
    *state = 2;
    while (*state != 3) std::this_thread::yield();
    EXPECT_THAT(
        refusal(here / "pid"),
        HasSubstr("is not shown to this user; the file names process 1, which need not be true; find it as root"));
    EXPECT_THAT(refusal(here / "pid", earlier_pid_file{.is_told = true}),
                HasSubstr("another pool has it (it says process 1)"));
    return ::testing::Test::HasFailure() ? 1 : 0;
  }};
  EXPECT_EQ(looks.join(), 0);
  ::kill(other.pid(), SIGKILL);
  static_cast<void>(other.join());
}

TEST(pid_file, that_somebody_has_a_lease_on_keeps_no_start_waiting_and_that_is_said) {
  const private_folder here;
  std::ofstream{here / "pid"} << 1 << '\n';
  fs::permissions(here / "pid", fs::perms{0600});
  detail::descriptor held{::open((here / "pid").c_str(), O_RDONLY | O_CLOEXEC)};
  // Else SIGIO, which ends who neither handles nor ignores it.
  ASSERT_EQ(::fcntl(held.fd(), F_SETSIG, SIGURG), 0);
  if (::fcntl(held.fd(), F_SETLEASE, F_RDLCK) != 0) GTEST_SKIP() << "no leases on this file system";
  EXPECT_THAT(refusal(here / "pid"), HasSubstr("somebody has a lease on it (fcntl(2), F_SETLEASE)"));
  held.reset();
  EXPECT_EQ(content_of(here / "pid"), "1\n");
}

TEST(pid_file, goes_to_the_successor_without_a_moment_in_which_a_third_could_take_it) {
  const private_folder here;
  auto old = std::make_unique<pid_file>(here / "pid", heir{});
  old->write();
  std::ofstream{here / "pid"} << "4711\n";  // as if the two were not one process
  auto heirs = std::make_unique<pid_file>(here / "pid", heir{}, earlier_pid_file{});
  EXPECT_EQ(content_of(here / "pid"), "4711\n") << "it names the pool that still serves";
  EXPECT_NE(refusal(here / "pid"), "accepted");
  heirs->write();
  old.reset();
  EXPECT_EQ(content_of(here / "pid"), line_of(::getpid()));
  EXPECT_THAT(refusal(here / "pid"), HasSubstr("has it, and lives"));
  heirs.reset();
  EXPECT_FALSE(fs::exists(here / "pid"));
}

TEST(pid_file, stays_the_old_pools_if_the_successor_does_not_come_to_serve) {
  const private_folder here;
  const pid_file old{here / "pid", heir{}};
  old.write();
  EXPECT_EQ(refusal(here / "pid", earlier_pid_file{}), "accepted");
  EXPECT_EQ(content_of(here / "pid"), line_of(::getpid()));
  EXPECT_THAT(refusal(here / "pid"), HasSubstr("has it, and lives"));
}

TEST(pid_file, of_another_pool_than_the_one_that_is_taken_over_from_is_not_shared) {
  const private_folder here;
  const pid_file thirds{here / "pid", heir{}};
  thirds.write();
  const auto same = file_identity::of(thirds.fd());
  ASSERT_TRUE(same);
  const file_identity other{same->device, same->number + 1};
  EXPECT_THAT(refusal(here / "pid", earlier_pid_file{.is_told = true, .file = other}),
              AllOf(HasSubstr("another pool has it (process " + std::to_string(::getpid()) + ')'),
                    HasSubstr("has another file; give each pool a file of its own")));
  EXPECT_THAT(refusal(here / "pid", earlier_pid_file{.is_told = true}),
              HasSubstr("the one that is taken over from has none; give each pool"));
  EXPECT_EQ(content_of(here / "pid"), line_of(::getpid()));
  EXPECT_EQ(refusal(here / "pid", earlier_pid_file{.is_told = true, .file = same}), "accepted");
  EXPECT_EQ(refusal(here / "other", earlier_pid_file{.is_told = true, .file = same}), "accepted")
      << "nobody has it: this start has another file than the pool before it had";
}

TEST(pid_file, of_a_third_pool_is_refused_to_a_start_that_takes_over_and_both_go_on) {
  const private_folder here;
  const pool_options options{.workers = 1, .take_over = here / "path", .pid_file = here / "pid"};
  auto first = pool_process::serving_with(options, echo);
  auto third = pool_process::serving_with({.workers = 1, .pid_file = here / "third"}, echo);
  const asking_client client{first.address()};
  static_cast<void>(third.address());
  auto wrong = options;
  wrong.pid_file = here / "third";
  auto second = pool_process::serving_with(wrong, echo);
  EXPECT_EQ(second.join(), 90) << second.log();
  EXPECT_TRUE(second.has_said("another pool has it (process " + std::to_string(third.pid()))) << second.log();
  EXPECT_TRUE(first.says("going on as before")) << first.log();
  EXPECT_EQ(content_of(here / "third"), line_of(third.pid()));
  EXPECT_EQ(client.ask("still there"), "still there");
  EXPECT_EQ(first.stop(), 0) << first.log();
  EXPECT_EQ(third.stop(), 0) << third.log();
}

TEST(pid_file, of_a_pool_that_does_not_lock_it_is_left_to_it_until_the_successor_serves) {
  const private_folder here;
  std::ofstream{here / "pid"} << "4711\n";
  fs::permissions(here / "pid", fs::perms{0600});
  EXPECT_EQ(refusal(here / "pid", earlier_pid_file{}), "accepted");
  EXPECT_EQ(content_of(here / "pid"), "4711\n");
}

TEST(pid_file, of_two_made_at_once_one_is_refused) {
  const private_folder here;
  for (int round = 0; round < 50; ++round) {
    if (round % 2 == 0) std::ofstream{here / "pid"} << "4711\n";  // or none
    if (round % 2 == 0) fs::permissions(here / "pid", fs::perms{0600});
    shared<std::atomic<int>> at;
    shared<std::atomic<int>> made;
    const auto start = [&] {
      ++*at;
      while (*at < 2) continue;
      std::unique_ptr<pid_file> mine;
      try {
        mine = std::make_unique<pid_file>(here / "pid", heir{});
        mine->write();
        ++*made;
      } catch (const std::system_error&) {
      }
      ++*at;
      while (*at < 4) continue;  // both live until both have tried
      EXPECT_TRUE(!mine || content_of(here / "pid") == line_of(::getpid()));
    };
    child_process one{start};
    child_process other{start};
    ASSERT_EQ(one.join(), 0);
    ASSERT_EQ(other.join(), 0);
    ASSERT_EQ(*made, 1) << "in round " << round;
    ASSERT_FALSE(fs::exists(here / "pid"));
  }
}

TEST(pid_file, made_while_another_ends_is_the_one_that_is_there) {
  const private_folder here;
  shared<std::atomic<bool>> over;
  child_process others{[&] {
    while (!*over) static_cast<void>(refusal(here / "pid"));
  }};
  for (int made = 0; made < 200;) {
    try {
      const pid_file mine{here / "pid", heir{}};
      mine.write();
      ++made;
      ASSERT_EQ(content_of(here / "pid"), line_of(::getpid()));
    } catch (const std::system_error&) {  // the other has it
    }
  }
  *over = true;
  EXPECT_EQ(others.join(), 0);
}

TEST(pid_file, of_a_pool_is_the_parents_alone_and_no_worker_keeps_it) {
  const private_folder here;
  const std::string path = here / "pid";
  auto pool = pool_process{{.workers = 2, .pid_file = path}, [&](worker_pool& made) {
                             return made.serve([&](datagram& received) {
                               std::string open;
                               for (const auto& entry : fs::directory_iterator{"/proc/self/fd"}) {
                                 std::error_code closed;
                                 if (fs::read_symlink(entry.path(), closed) == path) open = "open";
                               }
                               received.reply(open.empty() ? "not open" : "open");
                             });
                           }};
  const asking_client client{pool.address()};
  EXPECT_EQ(client.ask("pid file?"), "not open");
  EXPECT_EQ(content_of(path), line_of(pool.pid()));
  EXPECT_THAT(refusal(path), HasSubstr("process " + std::to_string(pool.pid()) + " has it, and lives"));
  EXPECT_EQ(pool.stop(), 0) << pool.log();
  EXPECT_FALSE(fs::exists(path));
}

TEST(pid_file, of_a_pool_that_cannot_bind_is_not_left) {
  const private_folder here;
  const auto taken = datagram_socket::bind(address::parse("127.0.0.1:0"));
  EXPECT_THROW((worker_pool{{.bind = {taken.local().to_string()}, .workers = 1, .pid_file = here / "pid"}}),
               std::system_error);
  EXPECT_FALSE(fs::exists(here / "pid"));
}

TEST(pid_file, survives_a_take_over_by_a_second_start) {
  const private_folder here;
  const pool_options options{.workers = 1, .take_over = here / "path", .pid_file = here / "pid"};
  auto first = pool_process::serving_with(options, echo);
  auto with_port = options;
  with_port.bind = {first.address().to_string()};
  auto second = pool_process::serving_with(with_port, echo);
  EXPECT_TRUE(second.says("serving: ")) << second.log();
  EXPECT_EQ(content_of(here / "pid"), line_of(second.pid()));
  EXPECT_TRUE(first.says("stopped: ended; another process serves on")) << first.log();
  EXPECT_EQ(first.join(), 0);
  EXPECT_EQ(content_of(here / "pid"), line_of(second.pid()));
  EXPECT_THAT(refusal(here / "pid"), HasSubstr("process " + std::to_string(second.pid()) + " has it, and lives"));
  EXPECT_EQ(second.stop(), 0) << second.log();
  EXPECT_FALSE(fs::exists(here / "pid"));
}

TEST(pid_file, is_given_to_whom_root_becomes_and_emptied_where_that_one_may_not_remove_it) {
  if (::geteuid() != 0) GTEST_SKIP() << "two users require root";
  const private_folder here{0755};
  const std::string path = here / "pid";
  for (int life = 0; life < 2; ++life) {
    auto pool = pool_process::serving_with(
        {.workers = 1, .become = {.user = "4000002", .group = "4000002"}, .pid_file = path}, echo);
    EXPECT_TRUE(pool.says("serving: ")) << pool.log();
    EXPECT_EQ(content_of(path), line_of(pool.pid()));
    struct stat about {};
    ASSERT_EQ(::stat(path.c_str(), &about), 0);
    EXPECT_EQ(about.st_uid, 4000002U);
    EXPECT_EQ(pool.stop(), 0) << pool.log();
    ASSERT_TRUE(fs::exists(path)) << "the folder is root's";
    EXPECT_EQ(content_of(path), "");
  }
  fs::create_directory(here / "run");
  ASSERT_EQ(::chown((here / "run").c_str(), 4000002, 4000002), 0);
  auto pool = pool_process::serving_with(
      {.workers = 1, .become = {.user = "4000002", .group = "4000002"}, .pid_file = here / "run/pid"}, echo);
  EXPECT_TRUE(pool.says("serving: ")) << pool.log();
  EXPECT_EQ(pool.stop(), 0) << pool.log();
  EXPECT_FALSE(fs::exists(here / "run/pid"));
}

}  // namespace

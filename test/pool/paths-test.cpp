#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "support/asking_client.hpp"
#include "support/private_folder.hpp"
#include "support/process.hpp"
#include "udppump/worker_pool.hpp"

// Other users and the user that a service becomes try to have root, who starts it, open, change, give away or remove
// what is not theirs, by each path that a pool is given.

using namespace udppump;
using testing::AnyOf;
using testing::HasSubstr;

namespace fs = std::filesystem;

namespace {

constexpr uid_t attacker = 4'000'001;
constexpr uid_t service = 4'000'002;

struct kind {
  const char* name;
  bool is_socket;
  void (*put)(pool_options&, const std::string& path);
};
constexpr kind pid{"pid", false, [](pool_options& options, const std::string& path) { options.pid_file = path; }};
constexpr kind poison{"poison", false, [](pool_options& options, const std::string& path) {
                        options.redeliver = redelivery{.poison_file = path};
                      }};
constexpr kind served{"served", true,
                      [](pool_options& options, const std::string& path) { options.bind = {"unix:" + path}; }};
constexpr kind successors{"take-over", true,
                          [](pool_options& options, const std::string& path) { options.take_over = path; }};
constexpr std::array kinds{pid, poison, served, successors};

/// Whom root becomes; nobody else if this process is not root.
privileges to_become() {
  if (::geteuid() != 0) return {};
  return {.user = std::to_string(service), .group = std::to_string(service)};
}

/// Makes a pool in a process of its own, and says how that went.
std::string start(const std::vector<std::pair<kind, std::string>>& paths) {
  shared<std::array<char, 512>> said;
  child_process starting{[&] {
    pool_options options{.bind = {"127.0.0.1:0"}, .workers = 1, .become = to_become()};
    for (const auto& [which, path] : paths) which.put(options, path);
    try {
      const worker_pool made{options};
    } catch (const std::exception& refused) {
      std::strncpy(said->data(), refused.what(), said->size() - 1);
    }
    return 0;
  }};
  if (starting.join() != 0) return "the start hung or crashed";
  return said->front() == 0 ? "accepted" : said->data();
}

std::string state_of(const std::string& path) {
  struct stat about {};
  if (::lstat(path.c_str(), &about) != 0) return "nothing";
  std::string text;
  if (S_ISREG(about.st_mode)) std::getline(std::ifstream{path}, text);
  return std::to_string(about.st_ino) + ' ' + std::to_string(about.st_uid) + ':' + std::to_string(about.st_gid) + ' ' +
         std::to_string(about.st_mode) + ' ' + std::to_string(about.st_size) + ' ' + text;
}
void make_folder(const std::string& path, uid_t owner, mode_t mode) {
  ASSERT_EQ(::mkdir(path.c_str(), 0700), 0) << path;
  ASSERT_EQ(::chown(path.c_str(), owner, owner == ::geteuid() ? ::getegid() : owner), 0) << path;
  ASSERT_EQ(::chmod(path.c_str(), mode), 0) << path;
}
void make_file(const std::string& path) {
  std::ofstream{path} << "untouched";
  fs::permissions(path, fs::perms{0600});
}

class path_of : public testing::TestWithParam<kind> {};
INSTANTIATE_TEST_SUITE_P(, path_of, testing::ValuesIn(kinds), [](const auto& chosen) {
  std::string name = chosen.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST_P(path_of, where_something_was_laid_is_refused_and_what_was_laid_is_untouched) {
  const private_folder here{0755};
  const bool is_root = ::geteuid() == 0;
  const uid_t owner = is_root ? service : ::geteuid();
  make_folder(here / "run", owner, 0755);
  make_file(here / "target");
  fs::create_symlink(here / "target", here / "run/symbolic");
  fs::create_symlink(here / "new", here / "run/dangling");
  fs::create_symlink("/dev/null", here / "run/device");
  fs::create_hard_link(here / "target", here / "run/hard");
  fs::create_directory(here / "run/folder");
  ASSERT_EQ(::mkfifo((here / "run/fifo").c_str(), 0600), 0);
  std::vector<std::string> laid{"symbolic", "dangling", "device", "hard", "folder", "fifo"};
  for (const auto& name : laid) {
    if (name == "hard") continue;
    ASSERT_EQ(::lchown((here / ("run/" + name)).c_str(), owner, is_root ? service : ::getegid()), 0) << name;
  }
  const std::string target = state_of(here / "target");
  for (const auto& name : laid) {
    const std::string before = state_of(here / ("run/" + name));
    const std::string outcome = start({{GetParam(), here / ("run/" + name)}});
    EXPECT_THAT(outcome, HasSubstr(here / ("run/" + name))) << name;
    EXPECT_THAT(outcome, AnyOf(HasSubstr("remove it"), HasSubstr("give the path of the file itself"))) << name;
    EXPECT_EQ(state_of(here / ("run/" + name)), before) << name;
  }
  EXPECT_EQ(state_of(here / "target"), target);
  EXPECT_FALSE(fs::exists(here / "new"));
  EXPECT_EQ(start({{GetParam(), here / "run/new"}}), "accepted");
}

TEST_P(path_of, in_a_folder_where_others_may_write_is_refused_and_nothing_is_made) {
  if (::geteuid() != 0) GTEST_SKIP() << "two users require root";
  const private_folder here{0755};
  make_folder(here / "theirs", attacker, 0755);
  make_folder(here / "open", 0, 0777);
  make_folder(here / "sticky", 0, 01777);
  make_folder(here / "home", service, 0755);
  make_folder(here / "home/run", service, 0755);
  make_folder(here / "theirs/own", 0, 0755);
  make_folder(here / "sticky/theirs", service, 0755);
  for (const auto& folder : {"theirs", "open", "sticky", "home/run", "theirs/own", "sticky/theirs"}) {
    // Harmless, and so accepted: docs/security.md.
    if (std::string{folder} == "sticky" && std::string{GetParam().name} == "served") continue;
    const std::string outcome = start({{GetParam(), here / (std::string{folder} + "/name")}});
    EXPECT_THAT(outcome, HasSubstr("such as /run/NAME")) << folder;
    EXPECT_THAT(outcome, AnyOf(HasSubstr("belongs to another user"), HasSubstr("may be written to by others"),
                               HasSubstr("has the next one of another user")))
        << folder;
    EXPECT_FALSE(fs::exists(here / (std::string{folder} + "/name"))) << folder;
  }
  fs::create_directory_symlink(here / "open", here / "link");
  EXPECT_THAT(start({{GetParam(), here / "link/name"}}), HasSubstr("may be written to by others"));
  make_folder(here / "run", 0, 0755);
  EXPECT_EQ(start({{GetParam(), here / "run/name"}}), "accepted");
}

TEST(paths, what_root_makes_belongs_to_whom_it_becomes_who_can_use_it_when_it_takes_over) {
  if (::geteuid() != 0) GTEST_SKIP() << "two users require root";
  const private_folder here{0755};
  for (const kind& each : {pid, poison}) {
    const std::string path = here / each.name;
    ASSERT_EQ(start({{each, path}}), "accepted");
    struct stat about {};
    ASSERT_EQ(::lstat(path.c_str(), &about), 0) << "the folder is root's, so it is left";
    EXPECT_EQ(about.st_uid, service) << each.name;
    EXPECT_EQ(about.st_gid, service) << each.name;
    EXPECT_EQ(about.st_mode & 07777, 0600U) << each.name;
    EXPECT_EQ(start({{each, path}}), "accepted") << "and used anew: " << each.name;
  }
}

TEST(paths, whoever_exchanges_what_is_there_while_root_starts_gets_nothing) {
  if (::geteuid() != 0) GTEST_SKIP() << "two users require root";
  const private_folder here{0755};
  make_folder(here / "run", service, 0755);
  make_file(here / "target");
  make_folder(here / "secret", 0, 0755);
  for (const kind& each : kinds) make_file(here / (std::string{"secret/"} + each.name));
  std::vector<std::string> before;
  const auto look = [&] {
    std::vector<std::string> all{state_of(here / "target")};
    for (const auto& entry : fs::directory_iterator{here / "secret"}) all.push_back(state_of(entry.path()));
    std::sort(all.begin(), all.end());
    return all;
  };
  before = look();
  // As root's service would be after it was taken over: all that its user may do in its own folder, all the time.
  shared<std::atomic<unsigned>> rounds;
  const child_process quick{[&] {
    if (::setgroups(0, nullptr) != 0 || ::setresgid(service, service, service) != 0 ||
        ::setresuid(service, service, service) != 0 || ::chdir((here / "run").c_str()) != 0) {
      return 96;
    }
    for (;;) {
      for (const kind& each : kinds) {
        const int file = ::open("mine", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (file >= 0) ::close(file);
        static_cast<void>(::symlink("../target", "link"));
        static_cast<void>(::renameat2(AT_FDCWD, "link", AT_FDCWD, each.name, RENAME_EXCHANGE));
        static_cast<void>(::rename("link", each.name));
        static_cast<void>(::rename("mine", each.name));
        static_cast<void>(::symlink("../secret", "link"));
        static_cast<void>(::renameat2(AT_FDCWD, "link", AT_FDCWD, each.name, RENAME_EXCHANGE));
        static_cast<void>(::unlink("link"));
        static_cast<void>(::unlink(each.name));
      }
      ++*rounds;
    }
  }};
  ASSERT_TRUE(eventually([&] { return *rounds > 0; }));
  int accepted = 0;
  constexpr int starts = 30;
  for (int turn = 0; turn < starts; ++turn) {
    std::vector<std::pair<kind, std::string>> all;
    // One alone is accepted often, all together hardly ever.
    if (turn % 2 == 0) all = {{kinds[static_cast<std::size_t>(turn / 2) % kinds.size()], {}}};
    if (turn % 2 == 1) all.assign({{pid, {}}, {poison, {}}, {served, {}}, {successors, {}}});
    for (auto& [which, path] : all) path = here / (std::string{"run/"} + which.name);
    const std::string outcome = start(all);
    EXPECT_NE(outcome, "the start hung or crashed");
    if (outcome == "accepted") ++accepted;
  }
  EXPECT_EQ(look(), before) << accepted << " of " << starts << " starts were accepted";
}

TEST(paths, a_dead_socket_is_replaced_by_one_of_two_starts_at_once_and_served) {
  const private_folder here;
  const std::string path = here / "socket";
  for (int round = 0; round < 10; ++round) {
    { const auto dead = datagram_socket::bind(address::parse("unix:" + path)); }
    ASSERT_TRUE(fs::is_socket(path));
    shared<std::atomic<int>> at;
    shared<std::atomic<int>> made;
    const auto once = [&] {
      ++*at;
      while (*at < 2) continue;
      std::optional<worker_pool> pool;
      try {
        pool.emplace(pool_options{.bind = {"unix:" + path}, .workers = 1});
        ++*made;
      } catch (const std::system_error& refused) {
        EXPECT_EQ(refused.code(), std::errc::address_in_use) << refused.what();
      }
      ++*at;
      while (*at < 4) continue;  // both live until both have tried
      const bool reached = !pool || !datagram_socket::connect(address::parse("unix:" + path)).send("hello");
      EXPECT_TRUE(reached);
    };
    child_process one{once};
    child_process other{once};
    ASSERT_EQ(one.join(), 0);
    ASSERT_EQ(other.join(), 0);
    ASSERT_EQ(*made, 1) << "in round " << round;
  }
}

}  // namespace

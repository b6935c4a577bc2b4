#include "sys/service_path.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <system_error>
#include <vector>

#include "support/fault.hpp"
#include "support/private_folder.hpp"
#include "support/process.hpp"
#include "sys/access_list.hpp"
#include "udppump/address.hpp"

using namespace udppump;
using detail::descriptor;
using detail::heir;
using detail::service_path;
using detail::sticky_folder;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

namespace fs = std::filesystem;

namespace {

// Two who are nobody's friends, and have no account.
constexpr uid_t attacker = 4'000'001;
constexpr uid_t service = 4'000'002;

bool is_root() { return ::geteuid() == 0; }

/// What `refused` says, or that it says nothing.
std::string refusal(const std::function<void()>& refused) {
  try {
    refused();
  } catch (const std::system_error& error) {
    return error.what();
  }
  return "accepted";
}
std::string opening(const std::string& path, heir who = {}) {
  return refusal([&] { static_cast<void>(service_path{"test file", path, who}.open(O_RDWR, 0600)); });
}

/// Runs `body` in a process of another user, who reports what is expected and is not.
template <class Function>
int as_user(uid_t user, Function body) {
  child_process child{[&] {
    if (::setgroups(0, nullptr) != 0 || ::setresgid(user, user, user) != 0 || ::setresuid(user, user, user) != 0) {
      return 96;
    }
    body();
    return 0;
  }};
  return child.join();
}

void make_folder(const std::string& path, uid_t owner, mode_t mode) {
  ASSERT_EQ(::mkdir(path.c_str(), 0700), 0) << path;
  ASSERT_EQ(::chown(path.c_str(), owner, owner == ::geteuid() ? ::getegid() : owner), 0) << path;
  ASSERT_EQ(::chmod(path.c_str(), mode), 0) << path;
}
void make_file(const std::string& path) {
  const descriptor made{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
  ASSERT_TRUE(made) << path;
  ASSERT_EQ(::write(made.fd(), "untouched", 9), 9);
}
/// Everything of a file that an attack may change.
std::string state_of(const std::string& path) {
  struct stat about {};
  if (::lstat(path.c_str(), &about) != 0) return "nothing";
  return std::to_string(about.st_ino) + ' ' + std::to_string(about.st_uid) + ' ' + std::to_string(about.st_gid) + ' ' +
         std::to_string(about.st_mode) + ' ' + std::to_string(about.st_nlink) + ' ' + std::to_string(about.st_size) +
         ' ' + std::to_string(about.st_mtim.tv_nsec);
}
descriptor unix_socket(int type) { return descriptor{::socket(AF_UNIX, type | SOCK_CLOEXEC, 0)}; }

TEST(service_path, makes_a_file_opens_it_again_and_removes_only_that_one) {
  const private_folder here;
  const service_path path{"test file", here / "one"};
  const auto made = path.open(O_RDWR, 0640);
  EXPECT_TRUE(made.is_new);
  struct stat about {};
  ASSERT_EQ(::fstat(made.file.fd(), &about), 0);
  EXPECT_EQ(about.st_mode, S_IFREG | 0640U);
  const auto again = path.open(O_RDWR, 0600);
  EXPECT_FALSE(again.is_new);
  EXPECT_TRUE(path.leads_to(made.file));
  EXPECT_TRUE(path.leads_to(again.file));
  fs::rename(here / "one", here / "moved");
  const auto other = path.open(O_RDWR, 0600);
  EXPECT_TRUE(other.is_new);
  EXPECT_FALSE(path.leads_to(made.file));
  EXPECT_EQ(path.remove(made.file), -ENOENT);
  EXPECT_TRUE(fs::exists(here / "one")) << "another's file was removed";
  EXPECT_EQ(path.remove(other.file), 0);
  EXPECT_FALSE(fs::exists(here / "one"));
  EXPECT_NE(::fcntl(made.file.fd(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(service_path, what_was_laid_in_the_place_of_a_file_is_refused_and_untouched) {
  const private_folder here;
  make_file(here / "target");
  fs::create_symlink("target", here / "symbolic");
  fs::create_symlink("not-there", here / "dangling");
  fs::create_hard_link(here / "target", here / "hard");
  fs::create_directory(here / "folder");
  ASSERT_EQ(::mkfifo((here / "fifo").c_str(), 0600), 0);
  const descriptor socket = unix_socket(SOCK_DGRAM);
  ASSERT_EQ((service_path{"test socket", here / "socket"}.bind(socket)), 0);
  const std::string before = state_of(here / "target");
  EXPECT_THAT(opening(here / "symbolic"), AllOf(StartsWith("test file \"" + (here / "symbolic") + "\": "),
                                                HasSubstr("symbolic link; give the path of the file itself")));
  EXPECT_THAT(opening(here / "dangling"), HasSubstr("symbolic link"));
  EXPECT_THAT(opening(here / "hard"), HasSubstr("another name (a hard link); remove it"));
  for (const auto& name : {"folder", "fifo", "socket"}) {
    EXPECT_THAT(opening(here / name), HasSubstr("no regular file; remove it")) << name;
  }
  EXPECT_THAT(opening("/dev/null"), HasSubstr("no regular file"));
  EXPECT_EQ(state_of(here / "target"), before);
  EXPECT_FALSE(fs::exists(here / "not-there")) << "made through a dangling link";
}

TEST(service_path, a_file_that_others_may_write_to_is_refused) {
  const private_folder here;
  const auto why = AllOf(HasSubstr("may be written to by others: remove it, or change its mode"), HasSubstr("mode 06"));
  make_file(here / "by-all");
  ASSERT_EQ(::chmod((here / "by-all").c_str(), 0602), 0);
  EXPECT_THAT(opening(here / "by-all"), why);
  make_file(here / "by-group");
  ASSERT_EQ(::chmod((here / "by-group").c_str(), 0660), 0);
  EXPECT_EQ(opening(here / "by-group"), "accepted") << "it is this process's own group";
  if (!is_root()) return;
  ASSERT_EQ(::chown((here / "by-group").c_str(), 0, attacker), 0);
  EXPECT_THAT(opening(here / "by-group"), why);
}

// --- access control lists --------------------------------------------------------------------------------------------

/// Bytes of numbers, in the order in which a list has them.
std::string little(std::uint32_t value, int size) {
  std::string bytes;
  for (int i = 0; i < size; ++i) bytes += static_cast<char>(value >> 8 * i);
  return bytes;
}
std::string big(std::uint32_t value) {
  const std::string bytes = little(value, 4);
  return {bytes.rbegin(), bytes.rend()};
}

struct posix_entry {
  unsigned tag, allowed;
  std::uint32_t id = static_cast<std::uint32_t>(-1);
};
constexpr unsigned owner_is = 1, user_is = 2, owning_group_is = 4, group_is = 8, mask_is = 16, others_are = 32;

/// What the kernel takes as such a list, with what belongs to each.
std::string posix_list(std::vector<posix_entry> named, unsigned mask = 7) {
  std::string list = little(2, 4);
  named.insert(named.begin(), {owner_is, 7});
  const auto groups = std::find_if(named.begin(), named.end(), [](const auto& entry) { return entry.tag == group_is; });
  named.insert(groups, {owning_group_is, 5});
  named.push_back({mask_is, mask});
  named.push_back({others_are, 5});
  for (const auto& entry : named) list += little(entry.tag, 2) + little(entry.allowed, 2) + little(entry.id, 4);
  return list;
}

bool set_list(const std::string& path, const std::string& list) {
  return ::setxattr(path.c_str(), "system.posix_acl_access", list.data(), list.size(), 0) == 0;
}

TEST(service_path, a_folder_to_which_an_access_control_list_lets_others_write_is_refused) {
  const private_folder here;
  make_folder(here / "run", ::geteuid(), 0755);
  make_folder(here / "run/below", ::geteuid(), 0755);
  if (!set_list(here / "run", posix_list({{user_is, 7, attacker}}))) {
    ASSERT_EQ(errno, EOPNOTSUPP);
    GTEST_SKIP() << "the file system has no access control lists";
  }
  const auto why = AllOf(HasSubstr("the folder \"" + (here / "run") + "\" "), HasSubstr("access control list, ACL"),
                         HasSubstr("setfacl -b"), HasSubstr("choose "));
  EXPECT_THAT(opening(here / "run/1"), why);
  EXPECT_THAT(opening(here / "run/below/1"), AllOf(why, HasSubstr("on the way there")));
  ASSERT_TRUE(set_list(here / "run", posix_list({{group_is, 7, attacker}})));
  EXPECT_THAT(opening(here / "run/1"), why);
  EXPECT_FALSE(fs::exists(here / "run/1"));
  for (const auto& harmless : {posix_list({{user_is, 5, attacker}}), posix_list({{user_is, 7, attacker}}, 5),
                               posix_list({{user_is, 7, ::geteuid()}, {group_is, 7, ::getegid()}})}) {
    ASSERT_TRUE(set_list(here / "run", harmless));
    EXPECT_EQ(opening(here / "run/1"), "accepted");
  }
  if (!is_root()) return;
  ASSERT_TRUE(set_list(here / "run", posix_list({{user_is, 7, service}})));
  EXPECT_EQ(opening(here / "run/2", {service, service}), "accepted") << "the heir may write in the folder";
  EXPECT_THAT(opening(here / "run/below/2", {service, service}), why) << "and not above it";
}

TEST(service_path, a_file_to_which_an_access_control_list_lets_others_write_is_refused) {
  const private_folder here;
  make_file(here / "file");
  if (!set_list(here / "file", posix_list({{user_is, 6, attacker}}, 6))) {
    ASSERT_EQ(errno, EOPNOTSUPP);
    GTEST_SKIP() << "the file system has no access control lists";
  }
  EXPECT_THAT(opening(here / "file"), AllOf(HasSubstr("access control list, ACL"), HasSubstr("setfacl -b")));
  ASSERT_EQ(::removexattr((here / "file").c_str(), "system.posix_acl_access"), 0);
  EXPECT_EQ(::chmod((here / "file").c_str(), 0600), 0);
  EXPECT_EQ(opening(here / "file"), "accepted");
}

TEST(access_list, whom_it_names_counts_and_what_cannot_be_read_does) {
  const std::vector<gid_t> groups{service};
  const auto lets = [&groups](const std::string& list) {
    return detail::posix_list_lets_others_write(list, {attacker + 10, service, groups});
  };
  EXPECT_TRUE(lets(posix_list({{user_is, 2, attacker}})));
  EXPECT_TRUE(lets(posix_list({{group_is, 2, attacker}})));
  EXPECT_TRUE(lets(posix_list({{user_is, 2, 0}, {user_is, 2, service}, {user_is, 2, attacker}})));
  EXPECT_TRUE(lets(posix_list({{user_is, 2}}))) << "somebody outside of this user namespace";
  const auto without_heir = [&groups](const std::string& list) {
    return detail::posix_list_lets_others_write(list, {attacker + 10, static_cast<uid_t>(-1), groups});
  };
  EXPECT_TRUE(without_heir(posix_list({{user_is, 2}})));
  EXPECT_TRUE(without_heir(posix_list({{user_is, 2, service}})));
  EXPECT_FALSE(without_heir(posix_list({{user_is, 2, attacker + 10}})));
  EXPECT_FALSE(lets(posix_list({{user_is, 7, 0}, {user_is, 7, service}, {group_is, 7, 0}, {group_is, 7, service}})));
  EXPECT_FALSE(lets(posix_list({{user_is, 5, attacker}, {group_is, 5, attacker}})));
  EXPECT_FALSE(lets(posix_list({{user_is, 7, attacker}}, 5))) << "the mask takes it";
  const std::string whole = posix_list({{user_is, 5, attacker}});
  EXPECT_TRUE(lets("")) << "empty";
  EXPECT_TRUE(lets(whole.substr(0, whole.size() - 1))) << "cut";
  EXPECT_TRUE(lets(little(3, 4) + whole.substr(4))) << "another version";
}

TEST(access_list, of_nfs_whom_it_names_counts_and_what_cannot_be_read_does) {
  const auto entry = [](std::uint32_t type, std::uint32_t allowed, std::string who) {
    const auto size = static_cast<std::uint32_t>(who.size());
    who.resize((who.size() + 3) / 4 * 4);
    return big(type) + big(0) + big(allowed) + big(size) + who;
  };
  const auto lets = [](const std::string& list) { return detail::nfs_list_lets_others_write(list); };
  const std::string own = entry(0, 0x1601ff, "OWNER@"), group = entry(0, 2, "GROUP@"),
                    all = entry(0, 0x81, "EVERYONE@");
  EXPECT_FALSE(lets(big(3) + own + group + all)) << "as the mode has it";
  EXPECT_FALSE(lets(big(0)));
  EXPECT_FALSE(lets(big(2) + own + entry(0, 2, "root@example.net")));
  EXPECT_FALSE(lets(big(2) + own + entry(0, 0x81, "eve@example.net"))) << "reads";
  EXPECT_FALSE(lets(big(2) + own + entry(1, 0x1601ff, "eve@example.net"))) << "is denied";
  for (const std::uint32_t writing : {0x2U, 0x4U, 0x40U, 0x40000U, 0x80000U}) {
    EXPECT_TRUE(lets(big(2) + own + entry(0, writing, "eve@example.net"))) << writing;
  }
  EXPECT_TRUE(lets(big(1) + entry(0, 2, "rootless")));
  const std::string whole = big(3) + own + group + all;
  EXPECT_TRUE(lets("")) << "empty";
  EXPECT_TRUE(lets(whole.substr(0, whole.size() - 1))) << "cut";
  EXPECT_TRUE(lets(big(4) + own + group + all)) << "one is missing";
}

TEST(service_path, no_folder_or_none_that_is_there_is_said) {
  const private_folder here;
  make_file(here / "file");
  EXPECT_THAT(opening(here / "no/pid"),
              HasSubstr("the folder \"" + (here / "no") + "\" does not exist; make it first"));
  EXPECT_THAT(opening(here / "file/pid"), HasSubstr("\"" + (here / "file") + "\" is no folder"));
  for (const auto& path : {"/", "", "/tmp/", "/tmp/.", "/tmp/.."}) {
    EXPECT_THAT(opening(path), HasSubstr("this is a folder; name a file in it")) << path;
  }
}

TEST(service_path, relative_paths_dots_and_own_links_lead_where_they_should) {
  const private_folder here;
  fs::create_directories(here / "a/b");
  fs::create_symlink("a/b", here / "short");
  fs::create_symlink(here / "a", here / "whole");
  fs::create_symlink("round", here / "round");
  fs::create_directory_symlink("whole/../short", here / "two");
  for (const auto& [given, meant] : {std::pair{"short/1", "a/b/1"},
                                     {"whole/2", "a/2"},
                                     {"whole/b/../3", "a/3"},
                                     {"two/4", "a/b/4"},
                                     {".//a/./b//5", "a/b/5"}}) {
    EXPECT_EQ(opening(here / given), "accepted") << given;
    EXPECT_TRUE(fs::is_regular_file(here / meant)) << given;
  }
  EXPECT_THAT(opening(here / "round/1"), HasSubstr("round\" leads nowhere"));
  child_process elsewhere{[&] {
    EXPECT_EQ(::chdir((here / "a").c_str()), 0);
    EXPECT_EQ(opening("b/6"), "accepted");
    EXPECT_EQ(opening("7"), "accepted");
    EXPECT_EQ(opening("../8"), "accepted");
  }};
  EXPECT_EQ(elsewhere.join(), 0);
  for (const auto& meant : {"a/b/6", "a/7", "8"}) EXPECT_TRUE(fs::is_regular_file(here / meant)) << meant;
}

TEST(service_path, a_folder_that_anybody_may_write_to_is_refused_and_a_sticky_one_to_root) {
  const private_folder here;
  make_folder(here / "open", ::geteuid(), 0777);
  make_folder(here / "open/own", ::geteuid(), 0700);
  make_folder(here / "sticky", ::geteuid(), 01777);
  make_folder(here / "sticky/own", ::geteuid(), 0700);
  EXPECT_THAT(opening(here / "open/1"),
              AllOf(HasSubstr("the folder \"" + (here / "open") + "\" (owner "), HasSubstr("mode 0777"),
                    HasSubstr("may be written to by others"), HasSubstr("choose one where only root")));
  EXPECT_THAT(opening(here / "open/own/1"), HasSubstr("on the way there"));
  EXPECT_EQ(opening(here / "sticky/own/1"), "accepted");
  EXPECT_THAT(opening(here / "sticky/1"), is_root() ? HasSubstr("mode 1777") : HasSubstr("accepted"));
  EXPECT_EQ(refusal([&] { service_path("test socket", here / "sticky/1", {}, sticky_folder::accepted); }), "accepted");
}

TEST(service_path, root_goes_through_no_folder_and_no_link_of_other_users) {
  if (!is_root()) GTEST_SKIP() << "two users require root";
  const private_folder here;
  make_folder(here / "theirs", attacker, 0755);
  make_folder(here / "theirs/own", 0, 0755);
  make_folder(here / "sticky", 0, 01777);
  make_folder(here / "sticky/theirs", attacker, 0755);
  make_folder(here / "sticky/theirs/own", 0, 0755);
  make_folder(here / "of-group", 0, 0755);
  ASSERT_EQ(::chown((here / "of-group").c_str(), 0, attacker), 0);
  ASSERT_EQ(::chmod((here / "of-group").c_str(), 0775), 0);
  make_folder(here / "of-roots-group", 0, 0770);
  make_folder(here / "own", 0, 0755);
  fs::create_directory_symlink(here / "own", here / "sticky/link");
  ASSERT_EQ(::lchown((here / "sticky/link").c_str(), attacker, attacker), 0);
  fs::create_directory_symlink(here / "own", here / "sticky/own-link");
  EXPECT_THAT(opening(here / "theirs/1"),
              AllOf(HasSubstr("theirs\" (owner 4000001, group 4000001, mode 0755) belongs to another user"),
                    HasSubstr("such as /run/NAME")));
  EXPECT_THAT(opening(here / "theirs/own/1"), HasSubstr("theirs\" on the way there (owner 4000001"));
  EXPECT_THAT(opening(here / "sticky/theirs/own/1"), HasSubstr("sticky\" on the way there"));
  EXPECT_THAT(opening(here / "of-group/1"), HasSubstr("mode 0775) may be written to by others"));
  EXPECT_EQ(opening(here / "of-roots-group/1"), "accepted");
  EXPECT_THAT(opening(here / "sticky/link/1"), HasSubstr("sticky\" on the way there"));
  ASSERT_EQ(::lchown((here / "own").c_str(), 0, 0), 0);
  fs::create_directory_symlink(here / "own", here / "their-link");
  ASSERT_EQ(::lchown((here / "their-link").c_str(), attacker, attacker), 0);
  EXPECT_THAT(opening(here / "their-link/1"), HasSubstr("their-link\" belongs to another user, 4000001"));
  EXPECT_TRUE(fs::is_empty(here / "own"));
  EXPECT_TRUE(fs::is_empty(here / "theirs/own"));
  EXPECT_EQ(opening(here / "sticky/own-link/1"), "accepted");
  EXPECT_TRUE(fs::exists(here / "own/1"));
}

TEST(service_path, a_user_trusts_root_and_himself_and_nobody_else) {
  if (!is_root()) GTEST_SKIP() << "two users require root";
  const private_folder here{0755};
  make_folder(here / "mine", service, 0755);
  make_folder(here / "theirs", attacker, 0755);
  make_folder(here / "theirs/open", attacker, 0777);
  make_folder(here / "sticky", 0, 01777);
  make_file(here / "sticky/laid");
  ASSERT_EQ(::chown((here / "sticky/laid").c_str(), attacker, attacker), 0);
  ASSERT_EQ(::chmod((here / "sticky/laid").c_str(), 0644), 0);
  const int failed = as_user(service, [&] {
    EXPECT_EQ(opening(here / "mine/1"), "accepted");
    EXPECT_EQ(opening(here / "sticky/1"), "accepted");
    EXPECT_THAT(opening(here / "1"),
                HasSubstr("it cannot be made: Permission denied; let this user write to its folder"));
    EXPECT_THAT(opening(here / "theirs/1"), HasSubstr("belongs to another user"));
    EXPECT_THAT(opening(here / "theirs/open/1"), HasSubstr("on the way there"));
    EXPECT_THAT(opening(here / "sticky/laid"), HasSubstr("belongs to user 4000001"));
    EXPECT_THAT(refusal([&] { static_cast<void>(service_path("test file", here / "sticky/laid").open(O_RDONLY, 0)); }),
                HasSubstr("belongs to another user: remove it"));
  });
  EXPECT_EQ(failed, 0);
}

TEST(service_path, what_root_makes_is_given_to_the_heir_and_nothing_else_is) {
  if (!is_root()) GTEST_SKIP() << "two users require root";
  const private_folder here{0755};
  make_folder(here / "run", service, 0755);
  make_folder(here / "run/below", service, 0755);
  make_file(here / "own");
  make_file(here / "run/their");
  ASSERT_EQ(::chown((here / "run/their").c_str(), attacker, attacker), 0);
  const std::string before = state_of(here / "own");
  const heir who{service, service};
  EXPECT_EQ(opening(here / "new", who), "accepted");
  EXPECT_EQ(opening(here / "own", who), "accepted");
  EXPECT_EQ(opening(here / "run/new", who), "accepted");
  EXPECT_THAT(opening(here / "run/new"), HasSubstr("belongs to another user")) << "no heir, no trust";
  EXPECT_THAT(opening(here / "run/their", who), HasSubstr("belongs to another user"));
  EXPECT_THAT(opening(here / "run/below/new", who), HasSubstr("run\" on the way there"));
  struct stat about {};
  for (const auto& made : {"new", "run/new"}) {
    ASSERT_EQ(::stat((here / made).c_str(), &about), 0);
    EXPECT_EQ(about.st_uid, service) << made;
    EXPECT_EQ(about.st_gid, service) << made;
  }
  EXPECT_EQ(state_of(here / "own"), before);
}

TEST(service_path, a_file_in_a_folder_of_roots_is_not_removed_once_privileges_were_dropped) {
  if (!is_root()) GTEST_SKIP() << "two users require root";
  const private_folder here{0755};
  const heir who{service, service};
  const service_path path{"test file", here / "pid", who};
  const auto made = path.open(O_RDWR, 0600);
  EXPECT_EQ(as_user(service, [&] { EXPECT_EQ(path.remove(made.file), -EACCES); }), 0);
  EXPECT_TRUE(path.leads_to(made.file));
}

/// An attacker who is quick: exchanges two names as long as he lives.
child_process exchanging(uid_t user, const std::string& one, const std::string& other) {
  return child_process{[=] {
    if (::setresgid(user, user, user) != 0 || ::setresuid(user, user, user) != 0) return 96;
    for (;;) static_cast<void>(::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE));
  }};
}

TEST(service_path, whoever_exchanges_names_meanwhile_gets_nothing) {
  if (!is_root()) GTEST_SKIP() << "two users require root";
  const private_folder here{0755};
  make_file(here / "target");
  make_folder(here / "run", service, 0755);
  const heir who{service, service};
  // The user that the service becomes has its own folder, and what it likes in it.
  ASSERT_EQ(opening(here / "run/file", who), "accepted");
  fs::create_symlink(here / "target", here / "run/link");
  ASSERT_EQ(::lchown((here / "run/link").c_str(), service, service), 0);
  const std::string before = state_of(here / "target");
  const child_process quick = exchanging(service, here / "run/file", here / "run/link");
  int accepted = 0;
  int refused = 0;
  for (int turn = 0; turn < 3000 && (accepted < 30 || refused < 30); ++turn) {
    const std::string outcome = refusal([&] {
      const auto opened = service_path{"test file", here / "run/file", who}.open(O_RDWR, 0600);
      ASSERT_EQ(::ftruncate(opened.file.fd(), 0), 0);
      ASSERT_EQ(::write(opened.file.fd(), "1", 1), 1);
    });
    ++(outcome == "accepted" ? accepted : refused);
  }
  EXPECT_EQ(state_of(here / "target"), before) << accepted << " were accepted, " << refused << " refused";
}

TEST(service_path, whoever_exchanges_folders_meanwhile_gets_nothing) {
  if (!is_root()) GTEST_SKIP() << "two users require root";
  const private_folder here{0755};
  make_folder(here / "secret", 0, 0755);
  make_file(here / "secret/file");
  make_folder(here / "home", attacker, 0755);
  make_folder(here / "home/run", attacker, 0755);
  fs::create_directory_symlink(here / "secret", here / "home/link");
  const std::string before = state_of(here / "secret/file");
  const child_process quick = exchanging(attacker, here / "home/run", here / "home/link");
  for (int turn = 0; turn < 300; ++turn) {
    EXPECT_NE(opening(here / "home/run/file", {attacker, attacker}), "accepted");
    EXPECT_NE(opening(here / "home/run/new", {attacker, attacker}), "accepted");
  }
  EXPECT_EQ(state_of(here / "secret/file"), before);
  EXPECT_FALSE(fs::exists(here / "secret/new"));
}

// --- Unix sockets ----------------------------------------------------------------------------------------------------

TEST(service_path, a_socket_has_its_mode_from_the_beginning) {
  const private_folder here;
  const descriptor socket = unix_socket(SOCK_SEQPACKET);
  ASSERT_EQ((service_path{"test socket", here / "one"}.bind(socket, 0600)), 0);
  EXPECT_EQ(fs::status(here / "one").permissions(), fs::perms{0600});
  const descriptor for_all = unix_socket(SOCK_DGRAM);
  const mode_t mask = ::umask(022);
  ASSERT_EQ((service_path{"test socket", here / "two"}.bind(for_all)), 0);
  ::umask(mask);
  EXPECT_EQ(fs::status(here / "two").permissions(), fs::perms{0755});
}

TEST(service_path, a_socket_that_nobody_has_is_replaced_and_one_that_somebody_has_is_not) {
  for (const int type : {SOCK_DGRAM, SOCK_SEQPACKET}) {
    const private_folder here;
    const service_path path{"test socket", here / "one"};
    descriptor first = unix_socket(type);
    ASSERT_EQ(path.bind(first), 0);
    const std::string before = state_of(here / "one");
    EXPECT_EQ(path.bind(unix_socket(type)), -EADDRINUSE) << "it need not listen for that";
    EXPECT_EQ(state_of(here / "one"), before);
    first.reset();
    const descriptor second = unix_socket(type);
    EXPECT_EQ(path.bind(second), 0);
    EXPECT_EQ(path.bind(unix_socket(type)), -EADDRINUSE);
    EXPECT_EQ(path.remove_socket(), 0);
    EXPECT_TRUE(fs::is_empty(here / ".")) << "nothing is left aside";
  }
}

TEST(service_path, what_is_no_socket_is_in_the_way_and_stays) {
  const private_folder here;
  make_file(here / "file");
  fs::create_symlink("nowhere", here / "link");
  descriptor gone = unix_socket(SOCK_DGRAM);
  ASSERT_EQ((service_path{"test socket", here / "dead"}.bind(gone)), 0);
  gone.reset();
  fs::create_symlink("dead", here / "link-to-dead");
  fs::create_directory(here / "folder");
  ASSERT_EQ(::mkfifo((here / "fifo").c_str(), 0600), 0);
  for (const auto& name : {"file", "link", "link-to-dead", "folder", "fifo"}) {
    const std::string before = state_of(here / name);
    const service_path path{"test socket", here / name};
    EXPECT_TRUE(path.is_in_the_way()) << name;
    EXPECT_EQ(path.bind(unix_socket(SOCK_DGRAM)), -EADDRINUSE) << name;
    EXPECT_EQ(path.remove_socket(), -ENOTSOCK) << name;
    EXPECT_EQ(state_of(here / name), before) << name;
  }
  EXPECT_TRUE(fs::is_socket(here / "dead")) << "removed through a link";
  EXPECT_FALSE((service_path{"test socket", here / "dead"}.is_in_the_way()));
  EXPECT_FALSE((service_path{"test socket", here / "nothing"}.is_in_the_way()));
  EXPECT_EQ((service_path{"test socket", here / "nothing"}.remove_socket()), -ENOENT);
}

TEST(service_path, of_two_that_replace_a_dead_socket_at_once_one_has_the_path) {
  const private_folder here;
  constexpr int rounds = 50;
  for (int round = 0; round < rounds; ++round) {
    descriptor dead = unix_socket(SOCK_DGRAM);
    ASSERT_EQ((service_path{"test socket", here / "one"}.bind(dead)), 0);
    dead.reset();
    shared<std::atomic<int>> ready;
    shared<std::atomic<int>> bound;
    const auto start = [&] {
      const descriptor mine = unix_socket(SOCK_DGRAM);
      ++*ready;
      while (*ready < 2) continue;
      const bool mine_is_it = service_path{"test socket", here / "one"}.bind(mine) == 0;
      *bound += mine_is_it ? 1 : 0;
      ++*ready;
      while (*ready < 4) continue;  // both live until both have tried
      return 0;
    };
    child_process one{start};
    child_process other{start};
    ASSERT_EQ(one.join(), 0);
    ASSERT_EQ(other.join(), 0);
    ASSERT_EQ(*bound, 1) << "in round " << round;
    ASSERT_EQ((service_path{"test socket", here / "one"}.remove_socket()), 0);
  }
  EXPECT_TRUE(fs::is_empty(here / "."));
}

TEST(service_path, a_socket_that_took_a_dead_ones_place_meanwhile_keeps_the_path) {
  const private_folder here;
  descriptor dead = unix_socket(SOCK_DGRAM);
  ASSERT_EQ((service_path{"test socket", here / "one"}.bind(dead)), 0);
  dead.reset();
  const descriptor living = unix_socket(SOCK_DGRAM);
  int bound = -1;
  {
    const fault::injection meanwhile{{.call = "renameat", .times = 1, .meanwhile = [&] {
                                        ::unlink((here / "one").c_str());
                                        bound = service_path{"test socket", here / "one"}.bind(living);
                                      }}};
    EXPECT_EQ((service_path{"test socket", here / "one"}.bind(unix_socket(SOCK_DGRAM))), -EADDRINUSE);
  }
  ASSERT_EQ(bound, 0);
  EXPECT_EQ((service_path{"test socket", here / "one"}.bind(unix_socket(SOCK_DGRAM))), -EADDRINUSE)
      << "the living one is where it was";
  EXPECT_EQ((service_path{"test socket", here / "one"}.remove_socket()), 0);
  EXPECT_TRUE(fs::is_empty(here / ".")) << "nothing is left aside";
}

TEST(service_path, a_socket_is_given_to_the_heir_and_what_is_put_in_its_place_is_not) {
  if (!is_root()) GTEST_SKIP() << "two users require root";
  const private_folder here{0755};
  const heir who{service, service};
  const service_path path{"test socket", here / "one", who};
  const descriptor socket = unix_socket(SOCK_SEQPACKET);
  ASSERT_EQ(path.bind(socket, 0600), 0);
  path.give_socket();
  struct stat about {};
  ASSERT_EQ(::stat((here / "one").c_str(), &about), 0);
  EXPECT_EQ(about.st_uid, service);
  EXPECT_EQ(about.st_gid, service);
  EXPECT_EQ(about.st_mode, S_IFSOCK | 0600U);
  EXPECT_THAT(refusal([&] { path.give_socket(); }), HasSubstr("somebody has put something else there"))
      << "it is not root's any more";
  ASSERT_EQ(path.remove_socket(), 0);
  make_file(here / "target");
  const std::string before = state_of(here / "target");
  fs::create_hard_link(here / "target", here / "one");
  EXPECT_THAT(refusal([&] { path.give_socket(); }), HasSubstr("somebody has put something else there"));
  fs::remove(here / "one");
  EXPECT_EQ(state_of(here / "target").substr(0, 10), before.substr(0, 10));
  fs::create_symlink("target", here / "one");
  EXPECT_THAT(refusal([&] { path.give_socket(); }), HasSubstr("somebody has put something else there"));
  ASSERT_EQ(::stat((here / "target").c_str(), &about), 0);
  EXPECT_EQ(about.st_uid, 0U);
}

}  // namespace

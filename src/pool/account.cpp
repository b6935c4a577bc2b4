#include "pool/account.hpp"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "sys/failure.hpp"
#include "sys/printable.hpp"

namespace udppump::detail {

namespace {

bool is_digit(char one) { return one >= '0' && one <= '9'; }
bool is_blank(char one) { return static_cast<unsigned char>(one) <= ' ' || one == '\x7f'; }

/// The number that `text` is; nothing if it can be a name. `kind` is "user" or "group".
std::optional<unsigned> number(const std::string& kind, const std::string& text) {
  const std::string what = kind + ' ' + printable(quoted(text));
  if (text.empty()) {
    fail(EINVAL, what + " is empty, as a variable that is not set would be: leave the " + kind + " out, or name one");
  }
  if (text.front() == '+' || text.front() == '-' || is_blank(text.front()) || is_blank(text.back()) ||
      text.find('\0') != text.npos) {
    fail(EINVAL, what + " is no name and no number: write it without a sign, and without white space around it");
  }
  if (!std::all_of(text.begin(), text.end(), is_digit)) return {};
  if (text.size() > 1 && text.front() == '0') {
    fail(EINVAL, what + " begins with a zero, which some read as octal: write the number without it");
  }
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) fail(EINVAL, what + " is too large: 4294967294 is the largest number");
  if (value == no_id) {
    fail(EINVAL, kind + ' ' + text + " is nobody: the kernel reads it as \"unchanged\"; give another number");
  }
  return value;
}

/// Which of the two a number stands for that is also somebody's name.
void refuse_if_two(const std::string& kind, const std::string& text, unsigned written, unsigned named) {
  if (written == named) return;
  fail(EINVAL, kind + ' ' + quoted(text) + " is a number, and the name of the " + kind + " with the number " +
                   std::to_string(named) + ": give one that is not both");
}

std::optional<account> entry(const passwd* found) {
  if (found == nullptr) return {};
  const auto text = [](const char* of) { return std::string{of != nullptr ? of : ""}; };
  return account{.user = found->pw_uid,
                 .group = found->pw_gid,
                 .name = text(found->pw_name),
                 .home = text(found->pw_dir),
                 .shell = text(found->pw_shell)};
}

std::optional<account> entry_of(uid_t id) { return entry(::getpwuid(id)); }

}  // namespace

account account_called(const std::string& text) {
  const auto written = number("user", text);
  errno = 0;
  auto found = entry(::getpwnam(text.c_str()));
  const int error = errno;
  if (written) {
    if (found) refuse_if_two("user", text, *written, found->user);
    if (!found) found = entry_of(*written);
    if (!found) found = account{.user = *written};
  }
  if (!found) {
    fail(error == 0 ? ENOENT : error,
         "user " + quoted(text) + " is not known here; see `getent passwd`, or give a number");
  }
  if (found->user == no_id) {
    fail(EINVAL, "user " + quoted(text) +
                     " has the number 4294967295, which the kernel reads as \"unchanged\": mend its entry");
  }
  if (found->user == 0) {
    const auto root = entry_of(0);
    const std::string name = root ? root->name : "root";
    if (text != name) {
      fail(EINVAL, "user " + quoted(text) +
                       " is root (its number is 0), so that nothing would be dropped: name another, or write " + name +
                       " if that is meant");
    }
  }
  return *found;
}

gid_t group_called(const std::string& text) {
  const auto written = number("group", text);
  errno = 0;
  const group* const found = ::getgrnam(text.c_str());
  if (found == nullptr && written) return *written;
  if (found == nullptr) {
    fail(errno == 0 ? ENOENT : errno,
         "group " + quoted(text) + " is not known here; see `getent group`, or give its number");
  }
  if (written) refuse_if_two("group", text, *written, found->gr_gid);
  if (found->gr_gid == no_id) {
    fail(EINVAL, "group " + quoted(text) +
                     " has the number 4294967295, which the kernel reads as \"unchanged\": mend its entry");
  }
  return found->gr_gid;
}

std::vector<gid_t> groups_of(const account& who, gid_t own) {
  if (who.name.empty()) return {own};
  int count = 64;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  while (::getgrouplist(who.name.c_str(), own, groups.data(), &count) < 0) {
    groups.resize(static_cast<std::size_t>(count));
  }
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

}  // namespace udppump::detail

#include "pid_file.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>

#include <charconv>
#include <optional>
#include <system_error>

namespace udppump::tools {

namespace {

constexpr mode_t readable_by_all = 0644;

std::string own_line() { return std::to_string(::getpid()) + '\n'; }

[[noreturn]] void fail(const std::string& what) { throw std::system_error{errno, std::generic_category(), what}; }

/// Nothing for nobody; who does not exist is told of by the pool.
std::optional<uid_t> id_of(const std::string& user) {
  if (user.empty()) return {};
  uid_t id = 0;
  const auto [end, error] = std::from_chars(user.data(), user.data() + user.size(), id);
  if (error == std::errc{} && end == user.data() + user.size()) return id;
  const passwd* const found = ::getpwnam(user.c_str());
  return found != nullptr ? std::optional{found->pw_uid} : std::nullopt;
}

}  // namespace

pid_file::pid_file(std::string path, const std::string& user) : path_{std::move(path)} {
  if (path_.empty()) return;
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, readable_by_all);
  made_ = fd_ >= 0;
  if (!made_ && errno == EEXIST) fd_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
  if (fd_ < 0 && errno == EACCES && ::access(path_.c_str(), F_OK) == 0) {
    fail("--pid-file \"" + path_ + "\": it belongs to somebody else; remove it");
  }
  if (fd_ < 0) fail("--pid-file \"" + path_ + "\": its directory must exist and be writable");
  if (const auto id = id_of(user)) static_cast<void>(::fchown(fd_, *id, static_cast<gid_t>(-1)) == 0);
}

pid_file::~pid_file() {
  if (fd_ < 0) return;
  const std::string now = content();
  if (now == own_line() || (made_ && now.empty())) {
    if (::unlink(path_.c_str()) != 0) static_cast<void>(::ftruncate(fd_, 0));
  }
  ::close(fd_);
}

void pid_file::write() {
  if (fd_ < 0) return;
  const std::string line = own_line();
  if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, line.data(), line.size(), 0) != static_cast<ssize_t>(line.size())) {
    fail("--pid-file \"" + path_ + "\"");
  }
}

std::string pid_file::content() const {
  char text[32];
  const ssize_t size = ::pread(fd_, text, sizeof text, 0);
  return {text, size > 0 ? static_cast<std::size_t>(size) : 0};
}

}  // namespace udppump::tools

#include "pid_file.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <optional>
#include <system_error>
#include <utility>

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
  // Neither through a link that somebody laid there, nor waiting for the other end of a FIFO.
  constexpr int safely = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  fd_ = ::open(path_.c_str(), safely | O_CREAT | O_EXCL, readable_by_all);
  made_ = fd_ >= 0;
  if (!made_ && errno == EEXIST) fd_ = ::open(path_.c_str(), safely);
  if (fd_ < 0 && errno == ELOOP) {
    fail("--pid-file \"" + path_ + "\": it is a symbolic link; give the path of the file itself");
  }
  if (fd_ < 0 && errno == EACCES && ::access(path_.c_str(), F_OK) == 0) {
    fail("--pid-file \"" + path_ + "\": it belongs to somebody else; remove it");
  }
  if (fd_ < 0) fail("--pid-file \"" + path_ + "\": its directory must exist and be writable");
  struct stat about {};
  const bool known = ::fstat(fd_, &about) == 0;
  if (!known || !S_ISREG(about.st_mode) || about.st_nlink != 1) {
    ::close(std::exchange(fd_, -1));
    errno = EINVAL;
    fail("--pid-file \"" + path_ + "\": it is no file, or has another name (a hard link); remove it");
  }
  // What was there before stays whose it is.
  if (const auto id = id_of(user); id && made_) static_cast<void>(::fchown(fd_, *id, static_cast<gid_t>(-1)) == 0);
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

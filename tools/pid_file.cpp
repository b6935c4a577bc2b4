#include "pid_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <system_error>

namespace udppump::tools {

namespace {

constexpr mode_t readable_by_all = 0644;

std::string own_line() { return std::to_string(::getpid()) + '\n'; }

[[noreturn]] void fail(const std::string& what) { throw std::system_error{errno, std::generic_category(), what}; }

}  // namespace

pid_file::pid_file(std::string path) : path_{std::move(path)} {
  if (path_.empty()) return;
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, readable_by_all);
  made_ = fd_ >= 0;
  if (!made_ && errno == EEXIST) fd_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
  if (fd_ < 0) fail("--pid-file \"" + path_ + "\": its directory must exist and be writable");
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

#include "load/report/output_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "load/run/system.hpp"

namespace udppump::load {
namespace {

std::string cannot_write(const std::string& path) {
  const char* cure = errno == ENOENT || errno == ENOTDIR ? "; its directory must exist"
                     : errno == EISDIR                   ? "; name a file in it"
                     : errno == ENOSPC                   ? "; make room there, or name another file"
                                                         : "; name a file that this user may write";
  return "cannot write " + path + cure;
}

int opened(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
  return fd < 0 ? check(fd, cannot_write(path)) : fd;
}

/// Owns a descriptor, unless it is standard output's.
class file {
 public:
  explicit file(const std::string& path, int flags)
      : fd_{is_standard_output(path) ? STDOUT_FILENO : opened(path, flags)} {}
  file(const file&) = delete;
  file& operator=(const file&) = delete;
  ~file() {
    if (fd_ != STDOUT_FILENO) ::close(fd_);
  }
  int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

std::optional<struct stat> status_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};
  return status;
}

bool is_same(const struct stat& one, const struct stat& other) {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

}  // namespace

bool is_standard_output(const std::string& path) {
  if (path == "-") return true;
  const auto named = status_of(path);
  struct stat output {};
  if (!named || ::fstat(STDOUT_FILENO, &output) != 0 || !is_same(*named, output)) return false;
  const auto nothing = status_of("/dev/null");
  return !nothing || !is_same(*named, *nothing);
}

bool is_same_file(const std::string& one, const std::string& other) {
  const auto first = status_of(one), second = status_of(other);
  return first && second && is_same(*first, *second);
}

void expect_writable(const std::string& path) {
  if (!path.empty()) file{path, 0};
}

void write_file(const std::string& path, std::string_view content) {
  const file to{path, O_TRUNC};
  while (!content.empty()) {
    const auto written = repeat([&] { return ::write(to.fd(), content.data(), content.size()); });
    if (written < 0) check(written, cannot_write(path));
    content.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace udppump::load

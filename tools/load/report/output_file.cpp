#include "load/report/output_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "load/run/system.hpp"

namespace udppump::load {
namespace {

class file {
 public:
  file(const std::string& path, int flags)
      : fd_{check(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666), "cannot write " + path)} {}
  file(const file&) = delete;
  file& operator=(const file&) = delete;
  ~file() { ::close(fd_); }
  int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

}  // namespace

void expect_writable(const std::string& path) {
  if (!path.empty()) file{path, 0};
}

void write_file(const std::string& path, std::string_view content) {
  const file to{path, O_TRUNC};
  while (!content.empty()) {
    const auto written = repeat([&] { return ::write(to.fd(), content.data(), content.size()); });
    content.remove_prefix(static_cast<std::size_t>(check(written, "cannot write " + path)));
  }
}

}  // namespace udppump::load

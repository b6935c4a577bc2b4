#include "pool/own_terminal.hpp"

#include "sys/failure.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_process.hpp"
#include "sys/sys_terminal.hpp"
#include "sys/sys_user.hpp"
#include "udppump/descriptor.hpp"

namespace udppump::detail {

namespace {

/// Of the same terminal, or -errno. A serial line could be waited for.
int open_for_writing(int fd) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const int opened = sys::open(path.c_str(), O_WRONLY | O_NOCTTY | O_NONBLOCK);
  if (opened >= 0) static_cast<void>(sys::set_waiting(opened));
  return opened;
}

}  // namespace

std::string leave_terminal() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (!sys::is_terminal(fd)) continue;
    if (fd != STDIN_FILENO && sys::access_mode(fd) == O_WRONLY) continue;
    const descriptor opened{fd == STDIN_FILENO ? sys::open("/dev/null", O_RDONLY) : open_for_writing(fd)};
    if (opened.fd() == -EIO) continue;  // it was hung up, and is nobody's any more
    const int done = opened ? sys::duplicate_onto(opened.fd(), fd) : opened.fd();
    if (done >= 0) continue;
    const std::string what =
        "descriptor " + std::to_string(fd) + " is a terminal, and could not be opened for writing alone";
    if (sys::effective_user() != 0) {
      return what + ": " + code_of(done).message() +
             "; workers can read what is typed there: redirect it, or start as root";
    }
    fail(done, what, "mount /proc and /dev, or redirect it");
  }
  return {};
}

}  // namespace udppump::detail

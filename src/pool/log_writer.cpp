#include "udppump/log_writer.hpp"

#include <time.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string_view>

#include "pool/counted.hpp"
#include "sys/failure.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_process.hpp"
#include "sys/sys_terminal.hpp"
#include "udppump/descriptor.hpp"

namespace udppump {

namespace {

/// While it lives, no write of this thread ends or stops the process. SIGPIPE: a reader that is gone. SIGTTOU: a
/// background process that writes to its terminal, which whoever else has that may forbid (TOSTOP in termios(3)). They
/// are not ignored, because programs that are executed would inherit that.
class undisturbed {
 public:
  undisturbed() noexcept {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t both = pipe_;
    sigaddset(&both, SIGTTOU);
    static_cast<void>(sys::signal_mask(SIG_BLOCK, both, &before_));
  }
  ~undisturbed() { static_cast<void>(sys::signal_mask(SIG_SETMASK, before_)); }
  undisturbed(const undisturbed&) = delete;
  undisturbed& operator=(const undisturbed&) = delete;

  void take_broken_pipe() const noexcept { static_cast<void>(sys::take_pending(pipe_)); }

 private:
  sigset_t pipe_;
  sigset_t before_;
};

/// Of a terminal a new open file of our own: O_NONBLOCK set on the given one would be seen by all who share it.
detail::descriptor opened_anew(int fd) {
  if (!sys::is_terminal(fd)) return {};
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  return detail::descriptor{sys::open(path.c_str(), O_WRONLY | O_NOCTTY | O_NONBLOCK)};
}

}  // namespace

class log_writer::state {
 public:
  state(int fd, form to_line) : fd_{fd}, to_line_{std::move(to_line)}, own_{opened_anew(fd)} {}

  void write(const pool_event& event) {
    const std::lock_guard<std::mutex> one_at_a_time{mutex_};
    const undisturbed meanwhile;
    // Together, as what is told of lost lines may fit although the next line does not, and so on for ever.
    const std::string lines = (untold_ > 0 ? to_line_(what_was_lost()) : std::string{}) + to_line_(event);
    if (put(lines, meanwhile)) {
      untold_ = 0;
    } else {
      ++untold_;
      ++lost_;
    }
  }

  /// Nothing follows that could.
  void tell_the_rest() {
    if (untold_ == 0 && rest_.empty()) return;
    const undisturbed meanwhile;
    if (put(untold_ > 0 ? to_line_(what_was_lost()) : std::string{}, meanwhile)) untold_ = 0;
  }

  std::uint64_t lost() const noexcept {
    const std::lock_guard<std::mutex> one_at_a_time{mutex_};
    return lost_;
  }
  int own_descriptor() const noexcept { return own_.fd(); }

 private:
  pool_event what_was_lost() const {
    const std::string why = last_error_ == -EAGAIN ? "nobody read them"
                                                   : "they could not be written (" +
                                                         detail::code_of(static_cast<int>(last_error_)).message() + ')';
    return {pool_event::level::warning,
            "log-lost",
            detail::counted(untold_, "line") + " of this log " + (untold_ == 1 ? "was" : "were") + " lost, as " + why,
            {{"count", std::to_string(untold_)}}};
  }

  /// In one call, so that lines of several processes do not mix. False if nothing of it was written. If only its
  /// beginning was, the rest waits, and goes before whatever comes next.
  bool put(const std::string& lines, const undisturbed& meanwhile) {
    if (!rest_.empty()) {
      const std::size_t done = take_some(rest_, meanwhile);
      rest_.erase(0, done);
      if (!rest_.empty()) return false;
    }
    const std::size_t done = take_some(lines, meanwhile);
    if (done == 0) return false;
    rest_ = lines.substr(done);
    return true;
  }

  std::size_t take_some(const std::string& lines, const undisturbed& meanwhile) {
    const ssize_t written = write_at_once(lines);
    if (written == -EPIPE) meanwhile.take_broken_pipe();
    if (written < 0) last_error_ = written;
    return written < 0 ? 0 : static_cast<std::size_t>(written);
  }

  ssize_t write_at_once(std::string_view lines) const noexcept {
    struct stat given {};
    if (sys::status(fd_, given) == 0) {
      // A file has no reader to wait for. Some file systems refuse to write at once what needs a new block.
      if (S_ISREG(given.st_mode)) {
        const ssize_t written = sys::write(fd_, lines.data(), lines.size());
        if (written != -EINVAL || !leave_direct_writes()) return written;
        return sys::write(fd_, lines.data(), lines.size());
      }
      if (S_ISFIFO(given.st_mode)) leave_direct_writes();
      if (is_own(given)) return sys::write(own_.fd(), lines.data(), lines.size());
    }
    const ssize_t written = sys::write_at_once(fd_, lines.data(), lines.size());
    // Pipes and sockets can do that. What else there is, and what filters for system calls refuse, is asked first.
    if (written != -EOPNOTSUPP && written != -ENOSYS && written != -EPERM) return written;
    pollfd room{fd_, POLLOUT, 0};
    if (sys::poll(&room, 1, 0) == 0) return -EAGAIN;
    return sys::write(fd_, lines.data(), lines.size());
  }

  /// O_DIRECT, by which some file systems take whole blocks alone, and who reads a pipe piece by piece loses what does
  /// not fit (pipe(2)), belongs to all who have the open file, such as workers. False if it was not that.
  bool leave_direct_writes() const noexcept {
    const int flags = sys::file_flags(fd_);
    return flags >= 0 && (flags & O_DIRECT) != 0 && sys::set_file_flags(fd_, flags & ~O_DIRECT) == 0;
  }

  /// Whether the descriptor is still the terminal that was opened anew.
  bool is_own(const struct stat& given) const noexcept {
    struct stat own {};
    return own_ && sys::status(own_.fd(), own) == 0 && S_ISCHR(given.st_mode) && given.st_rdev == own.st_rdev;
  }

  const int fd_;
  const form to_line_;
  const detail::descriptor own_;
  mutable std::mutex mutex_;
  std::string rest_;
  std::uint64_t untold_ = 0;
  std::uint64_t lost_ = 0;
  ssize_t last_error_ = 0;
};

log_writer::log_writer(int fd, form to_line) : state_{std::make_unique<state>(fd, std::move(to_line))} {}
log_writer::~log_writer() {
  try {
    state_->tell_the_rest();
  } catch (...) {  // no memory for a line
  }
}

void log_writer::write(const pool_event& event) noexcept {
  try {
    state_->write(event);
  } catch (...) {  // no memory for a line
  }
}

std::uint64_t log_writer::lost() const noexcept { return state_->lost(); }
int log_writer::own_descriptor() const noexcept { return state_->own_descriptor(); }

std::string log_writer::text_line(const pool_event& event) {
  const auto then = std::chrono::floor<std::chrono::milliseconds>(event.time);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(then);
  const time_t whole = std::chrono::system_clock::to_time_t(seconds);
  tm parts{};
  ::localtime_r(&whole, &parts);
  char date[32];
  const std::size_t size = std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  const long offset = parts.tm_gmtoff / 60;  // minutes east
  char rest[32];
  std::snprintf(rest, sizeof rest, ".%03d%c%02ld:%02ld ", static_cast<int>((then - seconds).count()),
                offset < 0 ? '-' : '+', std::abs(offset) / 60, std::abs(offset) % 60);
  std::string line{date, size};
  return line.append(rest).append(to_string(event.severity)).append(" udppump: ").append(event.text) += '\n';
}

std::string_view to_string(pool_event::level level) noexcept {
  switch (level) {
    case pool_event::level::error:
      return "error";
    case pool_event::level::warning:
      return "warning";
    case pool_event::level::notice:
      return "notice";
    case pool_event::level::info:
      break;
  }
  return "info";
}

}  // namespace udppump

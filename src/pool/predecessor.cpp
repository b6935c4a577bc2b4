#include "pool/predecessor.hpp"

#include <poll.h>
#include <sys/time.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "sys/failure.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_process.hpp"
#include "sys/sys_user.hpp"

namespace udppump::detail {

namespace {

using kind = take_over_message::kind;
using std::chrono::milliseconds;

/// Others may be before this one (pool/take_over.cpp).
constexpr std::chrono::seconds answer_timeout{5};
constexpr std::chrono::seconds connect_timeout{5};
constexpr milliseconds try_again_after{20};
/// For "ready" to be heard, which takes an old parent that runs a moment.
constexpr std::chrono::seconds hearing_time{5};

bool is_of_own_user_or_root(const peer& who) { return who.user == 0 || who.user == sys::effective_user(); }

[[noreturn]] void refuse(int error, const std::string& why) { fail(error, "taking the sockets over: " + why); }
[[noreturn]] void refuse(int error, const std::string& why, const std::string& cure) {
  fail(error, "taking the sockets over: " + why, cure);
}

/// Nobody gives a start of another user sockets by this.
void check_user(int connection, const std::string& what) {
  const peer who = peer::of(connection);
  if (is_of_own_user_or_root(who)) return;
  refuse(EPERM, what + " is served by " + description_of_peer(connection) +
                    ", and only processes of root and of user " + std::to_string(sys::effective_user()) +
                    " may give sockets to this start; end that process, and keep others out of the path's folder");
}

bool is_take_over_socket(int fd) {
  int family = -1;
  int type = -1;
  return sys::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, family) >= 0 && family == AF_UNIX &&
         sys::getsockopt(fd, SOL_SOCKET, SO_TYPE, type) >= 0 && type == SOCK_SEQPACKET;
}

/// Those of the user who made it are let in.
bool is_trusted_listener(int fd) {
  int listens = 0;
  return is_take_over_socket(fd) && sys::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, listens) >= 0 && listens != 0 &&
         is_of_own_user_or_root(peer::of(fd));
}

/// Only to a socket that is there itself: a link, symbolic or hard, may lead to the path of another pool, which would
/// end.
int connect_to(const std::string& path, const address& where, const descriptor& connection) {
  const descriptor there{sys::open(path.c_str(), O_PATH | O_NOFOLLOW)};
  struct stat about {};
  if (!there) return there.fd();
  if (const int known = sys::status(there.fd(), about); known < 0) return known;
  if (!S_ISSOCK(about.st_mode)) return -ENOENT;  // none is there; what is there is in the way of ours
  if (about.st_nlink != 1) {
    refuse(EMLINK, "take-over socket \"" + path + "\": it has another name (a hard link); remove it");
  }
  const auto same = address::parse_numeric("unix:/proc/self/fd/" + std::to_string(there.fd()));
  const int connected = sys::connect(connection.fd(), same->data(), same->size());
  // Without /proc, or not root and closed to its own user (PR_SET_DUMPABLE): then nobody else has the folder.
  const bool is_out_of_reach = connected == -ENOENT || connected == -EACCES;
  return is_out_of_reach ? sys::connect(connection.fd(), where.data(), where.size()) : connected;
}

}  // namespace

address take_over_address(const std::string& path) {
  const auto where = address::parse_numeric("unix:" + path);
  if (!where) {
    fail(ENAMETOOLONG,
         "take-over socket \"" + path + "\": a Unix socket's path has 1 to 107 bytes; choose a shorter one");
  }
  return *where;
}

std::optional<predecessor> predecessor::at(const std::string& path, uid_t become) {
  const address where = take_over_address(path);
  // Who waits for room among those who connect is served in turn, if it does so in the kernel.
  descriptor connection = make_take_over_socket(0);
  const timeval wait{.tv_sec = connect_timeout.count(), .tv_usec = 0};
  static_cast<void>(sys::setsockopt(connection.fd(), SOL_SOCKET, SO_SNDTIMEO, wait));
  const int connected = connect_to(path, where, connection);
  if (connected == -EAGAIN) {
    refuse(ETIMEDOUT,
           "others wait already for the pool at \"" + path +
               "\"; is it stopped? `ss -xlp` shows who has it: end that process, or continue it (kill -CONT)");
  }
  if (connected == -ENOENT || connected == -ECONNREFUSED) return {};
  if (connected < 0) {
    refuse(connected, "connecting to the pool at \"" + path + '"', "start as the same user, or choose another path");
  }
  check_user(connection.fd(), '"' + path + '"');
  std::optional<predecessor> found{std::in_place, std::move(connection), become};
  found->await_answer();
  return found;
}

std::optional<predecessor> predecessor::inherited(uid_t become) {
  const char* const text = std::getenv(take_over_variable);
  if (text == nullptr) return {};
  int fd = -1;
  std::from_chars(text, text + std::string_view{text}.size(), fd);
  ::unsetenv(take_over_variable);
  if (fd < 3 || sys::set_close_on_exec(fd, true) < 0 || !is_take_over_socket(fd)) {
    fail(EBADF, std::string{take_over_variable} + " names no open connection; it is for SIGUSR2 only: unset it");
  }
  descriptor connection{fd};
  check_user(fd, "the connection that " + std::string{take_over_variable} + " names");
  std::optional<predecessor> found{std::in_place, std::move(connection), become};
  found->await_answer();
  return found;
}

predecessor::predecessor(descriptor connection, uid_t become)
    : connection_{std::move(connection), take_over_connection::end::new_parents}, become_{become} {
  // EPIPE: it has hung up, and may have said why.
  const int sent = connection_.say_hello();
  if (sent < 0 && sent != -EPIPE) fail_with_cure(sent, "taking the sockets over: speaking to the pool that has them");
}

void predecessor::await_answer() {
  for (const auto until = clock::now() + answer_timeout; !has_answered();) {
    const auto left = std::chrono::ceil<milliseconds>(until - clock::now()).count();
    pollfd answer{.fd = connection_.fd(), .events = POLLIN, .revents = 0};
    if (left > 0 && sys::poll(&answer, 1, static_cast<int>(left)) != 0) continue;
    refuse(ETIMEDOUT, "the pool that has them does not answer; is it stopped? Its path was made by " +
                          description_of_peer(connection_.fd()) +
                          ", and `ss -xlp` shows who has it now: end that process, or continue it (kill -CONT)");
  }
}

bool predecessor::has_answered() {
  take_over_message came = connection_.hear();
  switch (came.what) {
    case kind::nothing:
      return false;
    case kind::sockets:
      // The listener may have gone to somebody else since it was made.
      if (!is_of_own_user_or_root(came.from) && (become_ == nobody || came.from.user != become_)) {
        refuse(EPERM, came.from.called() + " of user " + std::to_string(came.from.user) +
                          " hands them on, which may not give sockets to this start; end that process");
      }
      sockets_ = std::move(came.sockets);
      listener_ = std::move(came.listener);
      pid_file_ = came.pid_file;
      who_ = came.from;
      if (listener_ && !is_trusted_listener(listener_.fd())) {
        refuse(EPROTO, "what should be the take-over socket is none of this user's; end " + came.from.called());
      }
      return true;
    case kind::no:
      refuse(EBUSY, came.why);
    case kind::hung_up:
      refuse(came.error == 0 ? ECONNRESET : came.error, "the pool that has them hung up; is it of the same user?");
    case kind::cut_off:
      refuse(EMFILE, "not all of them arrived; raise the limit of open files (ulimit -n)");
    case kind::other_version:
      refuse(EPROTO, "the pool that has them speaks " + came.why + ", and this program version 1; stop it first");
    default:
      refuse(EPROTO, "what the pool that has them says makes no sense here; stop it first");
  }
}

void predecessor::say_ready() noexcept {
  if (verdict_ != verdict::open || ready_ != ready::not_yet) return;
  ready_ = ready::wanted;
  try_ready();
}

void predecessor::try_ready() noexcept {
  const int said = connection_.say_ready();
  if (said >= 0) {
    ready_ = ready::said;
    verdict_ = verdict::ours;
    overdue_at_ = clock::now() + hearing_time;
  } else if (said == -EPIPE || said == -ECONNRESET || said == -ENOTCONN) {
    ready_ = ready::refused;  // it says "no", or has ended
  } else {
    tries_again_at_ = clock::now() + try_again_after;
  }
}

predecessor::verdict predecessor::hear() {
  if (connection_.fd() < 0) return verdict_;
  if (ready_ == ready::wanted) try_ready();
  take_over_message came = connection_.hear();
  if (came.what == kind::nothing) return verdict_;
  connection_.close();
  if (came.what == kind::hung_up) return verdict_ = verdict::ours;
  // An earlier version may say "no" although it could know that this pool is ready.
  why_ = came.what == kind::no ? std::move(came.why) : "what it says makes no sense here";
  return verdict_ = verdict::theirs;
}

std::string predecessor::overdue(clock::time_point now) {
  if (connection_.fd() < 0 || now < overdue_at_) return {};
  overdue_at_ = clock::time_point::max();
  const std::string told = who_.called() + ", from which this pool has taken over, does not hear it" +
                           ", and its workers serve on beside those of this pool; nothing is lost. ";
  const std::string pid = std::to_string(who_.pid);
  if (who_.is_stopped()) return told + "It is stopped: kill -CONT " + pid + ", or end it";
  return told + "Look what it does, and end it if it hangs";
}

predecessor::clock::time_point predecessor::wakes_at() const noexcept {
  if (connection_.fd() < 0) return clock::time_point::max();
  return ready_ == ready::wanted ? tries_again_at_ : overdue_at_;
}

}  // namespace udppump::detail

#include "pool/take_over.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <sstream>
#include <string_view>

#include "sys/failure.hpp"
#include "sys/sys_process.hpp"
#include "udppump/address.hpp"

namespace udppump::detail {

namespace {

constexpr std::string_view greeting = "udppump 1 ";
constexpr int answer_timeout_ms = 5000;
constexpr std::size_t longest_message = 64 * 1024;

address address_of(const std::string& path) {
  const auto where = address::parse_numeric("unix:" + path);
  if (!where) fail(ENAMETOOLONG, "take-over socket \"" + path + "\": a Unix socket's path has 1 to 107 bytes");
  return *where;
}

descriptor seqpacket(int flags) {
  const int made = sys::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
  if (made < 0) fail(made, "socket for the take-over");
  return descriptor{made};
}

long send_words(int fd, const std::string& words, const std::vector<int>& descriptors) {
  iovec part{const_cast<char*>(words.data()), words.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  std::vector<char> control(CMSG_SPACE(sizeof(int) * most_passed));
  if (!descriptors.empty()) {
    const std::size_t size = sizeof(int) * descriptors.size();
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(size);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(header), descriptors.data(), size);
  }
  return sys::sendmsg(fd, &message, MSG_NOSIGNAL);
}

struct received_words {
  long result = 0;  // bytes, 0 for the end, or -errno
  std::string words = {};
  std::vector<descriptor> descriptors = {};
};

received_words receive_words(int fd) {
  received_words came;
  std::vector<char> text(longest_message);
  std::vector<char> control(CMSG_SPACE(sizeof(int) * most_passed));
  iovec part{text.data(), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  came.result = sys::recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (came.result <= 0) return came;
  came.words.assign(text.data(), static_cast<std::size_t>(came.result));
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = 0; at + sizeof(int) <= header->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
      int passed = -1;
      std::memcpy(&passed, CMSG_DATA(header) + at, sizeof passed);
      came.descriptors.emplace_back(passed);
    }
  }
  return came;
}

}  // namespace

std::optional<predecessor> predecessor::at(const std::string& path) {
  const address where = address_of(path);
  descriptor connection = seqpacket(SOCK_NONBLOCK);
  const int connected = sys::connect(connection.fd(), where.data(), where.size());
  if (connected == -EAGAIN) {
    fail(ETIMEDOUT, "taking the sockets over: others wait already for the pool at \"" + path + "\"; is it stopped?");
  }
  if (connected == -ENOENT || connected == -ECONNREFUSED) return {};
  if (connected < 0)
    fail(connected, "connecting to the pool that serves at \"" + path + "\", to take its sockets over");
  return std::optional<predecessor>{std::in_place, std::move(connection)};
}

predecessor::predecessor(descriptor connection) : connection_{std::move(connection)} {
  const std::string hello = std::string{greeting} + "hello " + std::to_string(::getpid());
  // EPIPE: it has hung up, and may have said why.
  const long sent = send_words(connection_.fd(), hello, {});
  if (sent < 0 && sent != -EPIPE) fail(sent, "taking the sockets over: speaking to the pool that has them");
  pollfd answer{.fd = connection_.fd(), .events = POLLIN, .revents = 0};
  if (sys::poll(&answer, 1, answer_timeout_ms) == 0) {
    fail(ETIMEDOUT, "taking the sockets over: the pool that has them does not answer; is it stopped?");
  }
  received_words came = receive_words(connection_.fd());
  if (came.result <= 0) {
    fail(came.result == 0 ? ECONNRESET : came.result,
         "taking the sockets over: the pool that has them hung up; is it of the same user?");
  }
  std::istringstream words{came.words};
  std::string udppump, version, verb, name;
  words >> udppump >> version >> verb;
  if (udppump != "udppump" || version != "1" || (verb != "sockets" && verb != "no")) {
    fail(EPROTO, "taking the sockets over: the pool that has them speaks another version of udppump; stop it first");
  }
  if (verb == "no") {
    std::string why;
    std::getline(words >> std::ws, why);
    fail(EBUSY, "taking the sockets over: " + why);
  }
  for (descriptor& one : came.descriptors) {
    if (!(words >> name)) break;
    sockets_.push_back({std::move(one), name});
  }
}

void predecessor::say_ready() noexcept {
  if (connection_) static_cast<void>(send_words(connection_.fd(), std::string{greeting} + "ready", {}));
}

std::string predecessor::hear() {
  const received_words came = receive_words(connection_.fd());
  if (came.result == -EAGAIN) return {};
  connection_.reset();
  const std::string no = std::string{greeting} + "no ";
  return came.words.rfind(no, 0) == 0 ? came.words.substr(no.size()) : std::string{};
}

void successor::refuse(const std::string& why) const noexcept {
  static_cast<void>(send_words(connection_.fd(), std::string{greeting} + "no " + why, {}));
}

successor::news successor::listen(const std::vector<offered>& sockets) {
  const received_words came = receive_words(connection_.fd());
  if (came.result == -EAGAIN) return news::nothing;
  if (came.result <= 0) return news::gone;
  std::istringstream words{came.words};
  std::string udppump, version, verb;
  words >> udppump >> version >> verb;
  const auto turn_away = [this](const std::string& why) {
    refuse(why);
    return news::gone;
  };
  if (udppump != "udppump" || version != "1") return turn_away("other versions of udppump cannot take over; restart");
  if (verb == "hello" && (words >> pid_)) {
    if (sockets.size() > most_passed) return turn_away("more than 250 sockets cannot be handed over; restart instead");
    std::string answer = std::string{greeting} + "sockets";
    std::vector<int> descriptors;
    for (const offered& one : sockets) {
      answer += ' ' + one.name;
      descriptors.push_back(one.fd);
    }
    return send_words(connection_.fd(), answer, descriptors) < 0 ? news::gone : news::took_sockets;
  }
  return verb == "ready" ? news::ready : news::gone;
}

bool successor::is_trusted() const noexcept {
  ucred who{};
  if (sys::getsockopt(connection_.fd(), SOL_SOCKET, SO_PEERCRED, who) < 0) return false;
  return who.uid == ::geteuid() || who.uid == 0;
}

descriptor listen_for_successors(const std::string& path, uid_t user, gid_t group) {
  const address where = address_of(path);
  descriptor listener = seqpacket(SOCK_NONBLOCK);
  const std::string what = "take-over socket \"" + path + "\"";
  int bound = sys::bind(listener.fd(), where.data(), where.size());
  struct stat there {};
  if (bound == -EADDRINUSE && ::lstat(path.c_str(), &there) == 0 && S_ISSOCK(there.st_mode)) {
    static_cast<void>(sys::unlink(path.c_str()));  // of a pool that is gone: connecting was refused
    bound = sys::bind(listener.fd(), where.data(), where.size());
  }
  if (bound < 0) {
    fail(bound, what + (bound == -EADDRINUSE ? ": what is there is no socket: remove it or choose another path"
                                             : ": its directory must exist and be writable"));
  }
  // Nobody else can connect before listen().
  int failed = ::chmod(path.c_str(), 0600) != 0 || ::chown(path.c_str(), user, group) != 0 ? -errno : 0;
  if (failed == 0) failed = sys::listen(listener.fd(), 4);
  if (failed < 0) {
    static_cast<void>(sys::unlink(path.c_str()));
    fail(failed, what);
  }
  return listener;
}

}  // namespace udppump::detail

#include "pool/predecessor.hpp"

#include <poll.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "sys/failure.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

using kind = take_over_message::kind;
constexpr int answer_timeout_ms = 5000;

}  // namespace

address take_over_address(const std::string& path) {
  const auto where = address::parse_numeric("unix:" + path);
  if (!where) {
    fail(ENAMETOOLONG,
         "take-over socket \"" + path + "\": a Unix socket's path has 1 to 107 bytes; choose a shorter one");
  }
  return *where;
}

std::optional<predecessor> predecessor::at(const std::string& path) {
  const address where = take_over_address(path);
  descriptor connection = make_take_over_socket(SOCK_NONBLOCK);
  const int connected = sys::connect(connection.fd(), where.data(), where.size());
  if (connected == -EAGAIN) {
    fail(ETIMEDOUT, "taking the sockets over: others wait already for the pool at \"" + path + "\"; is it stopped?");
  }
  if (connected == -ENOENT || connected == -ECONNREFUSED) return {};
  if (connected < 0) {
    fail(connected, "taking the sockets over: connecting to the pool at \"" + path +
                        "\"; start as the same user, or choose another path");
  }
  return std::optional<predecessor>{std::in_place, std::move(connection)};
}

std::optional<predecessor> predecessor::inherited() {
  const char* const text = std::getenv(take_over_variable);
  if (text == nullptr) return {};
  int fd = -1;
  std::from_chars(text, text + std::string_view{text}.size(), fd);
  ::unsetenv(take_over_variable);
  if (fd < 3 || sys::set_close_on_exec(fd, true) < 0) {
    fail(EBADF, std::string{take_over_variable} + " names no open descriptor; it is for SIGUSR2 only: unset it");
  }
  return std::optional<predecessor>{std::in_place, descriptor{fd}};
}

predecessor::predecessor(descriptor connection) : connection_{std::move(connection)} {
  // EPIPE: it has hung up, and may have said why.
  const int sent = connection_.say_hello(sys::process_id());
  if (sent < 0 && sent != -EPIPE) fail_with_cure(sent, "taking the sockets over: speaking to the pool that has them");
  pollfd answer{.fd = connection_.fd(), .events = POLLIN, .revents = 0};
  if (sys::poll(&answer, 1, answer_timeout_ms) == 0) {
    fail(ETIMEDOUT, "taking the sockets over: the pool that has them does not answer; is it stopped?");
  }
  take_over_message came = connection_.hear();
  switch (came.what) {
    case kind::sockets:
      sockets_ = std::move(came.sockets);
      listener_ = std::move(came.listener);
      return;
    case kind::no:
      fail(EBUSY, "taking the sockets over: " + came.why);
    case kind::nothing:
    case kind::hung_up:
      fail(came.error == 0 ? ECONNRESET : came.error,
           "taking the sockets over: the pool that has them hung up; is it of the same user?");
    default:
      fail(EPROTO, "taking the sockets over: the pool that has them is of another version of udppump; stop it first");
  }
}

void predecessor::say_ready() noexcept {
  if (connection_.fd() >= 0) static_cast<void>(connection_.say_ready());
}

std::string predecessor::hear() {
  take_over_message came = connection_.hear();
  if (came.what == kind::nothing) return {};
  connection_.close();
  return std::move(came.why);
}

}  // namespace udppump::detail

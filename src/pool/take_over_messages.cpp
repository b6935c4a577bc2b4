#include "pool/take_over_messages.hpp"

#include <algorithm>
#include <cstring>
#include <sstream>
#include <string_view>

#include "sys/failure.hpp"
#include "sys/sys.hpp"

namespace udppump::detail {

namespace {

constexpr std::string_view greeting = "udppump 1 ";
constexpr std::size_t longest_message = 64 * 1024;
constexpr char listener_name[] = "@take-over";
constexpr char service_managers_mark = '+';

std::string in_words(const listening& as) {
  std::string words;
  if (as.from_service_manager) words += service_managers_mark;
  return words += as.name;
}

listening of_words(const std::string& name) {
  const bool managed = name.front() == service_managers_mark;
  return {.name = name.substr(managed ? 1 : 0), .from_service_manager = managed};
}

int send(int fd, const std::string& verb, const std::vector<int>& descriptors = {}) {
  const std::string words = std::string{greeting} + verb;
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
  return static_cast<int>(std::min<ssize_t>(sys::sendmsg(fd, &message, MSG_NOSIGNAL), 0));
}

struct received_words {
  ssize_t result = 0;  // bytes, 0 for the end, or -errno
  std::string words = {};
  std::vector<descriptor> descriptors = {};
};

received_words receive(int fd) {
  received_words came;
  std::vector<char> text(longest_message);
  std::vector<char> control(CMSG_SPACE(sizeof(int) * most_passed));
  iovec part{text.data(), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  // The other end has hung up before it read all; what it said last is behind the error (unix_release_sock() in
  // net/unix/af_unix.c).
  for (int tries = 0; tries < 2; ++tries) {
    came.result = sys::recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (came.result != -ECONNRESET) break;
  }
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

int take_over_connection::say_hello(pid_t own) const { return send(fd(), "hello " + std::to_string(own)); }
int take_over_connection::say_no(const std::string& why) const { return send(fd(), "no " + why); }
int take_over_connection::say_ready() const { return send(fd(), "ready"); }

int take_over_connection::hand_on(const handed_sockets& sockets) const {
  std::string words = "sockets";
  std::vector<int> descriptors;
  if (sockets.listener >= 0) {
    words += std::string{' '} + listener_name;
    descriptors.push_back(sockets.listener);
  }
  for (const handed_sockets::named& one : sockets.sockets) {
    words += ' ' + in_words(one.as);
    descriptors.push_back(one.fd);
  }
  return send(fd(), words, descriptors);
}

take_over_message take_over_connection::hear() const {
  using kind = take_over_message::kind;
  received_words came = receive(fd());
  if (came.result == -EAGAIN) return {};
  if (came.result <= 0) return {.what = kind::hung_up, .error = static_cast<int>(came.result)};
  if (came.words.rfind(greeting, 0) != 0) return {.what = kind::other_version};
  std::istringstream words{came.words.substr(greeting.size())};
  std::string verb;
  words >> verb;
  take_over_message said{.what = kind::unknown};
  if (verb == "hello" && (words >> said.pid)) {
    said.what = kind::hello;
  } else if (verb == "no") {
    said.what = kind::no;
    std::getline(words >> std::ws, said.why);
  } else if (verb == "ready") {
    said.what = kind::ready;
  } else if (verb == "sockets") {
    said.what = kind::sockets;
    for (descriptor& one : came.descriptors) {
      std::string name;
      if (!(words >> name)) break;
      if (name == listener_name) {
        said.listener = std::move(one);
      } else {
        said.sockets.push_back({std::move(one), of_words(name)});
      }
    }
  }
  return said;
}

descriptor make_take_over_socket(int flags) {
  const int made = sys::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
  if (made < 0) fail_with_cure(made, "socket for the take-over");
  return descriptor{made};
}

}  // namespace udppump::detail

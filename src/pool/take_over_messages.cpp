#include "pool/take_over_messages.hpp"

#include <poll.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <sstream>

#include "sys/credentials.hpp"
#include "sys/failure.hpp"
#include "sys/passed_descriptors.hpp"
#include "sys/sys.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

using kind = take_over_message::kind;

constexpr std::string_view own_name = "udppump ";
constexpr std::string_view version = "1";
constexpr std::size_t longest_message = 64 * 1024;
constexpr std::size_t longest_hello = 256;
constexpr char listener_name[] = "@take-over";
constexpr std::string_view pid_file_mark = "@pid-file=";
constexpr std::string_view no_pid_file = "none";
constexpr char question_of_pid_file[] = "pid-file";
constexpr char service_managers_mark = '+';

std::string in_words(const listening& as) {
  std::string words;
  if (as.from_service_manager) words += service_managers_mark;
  return words += as.to_word();
}

listening of_words(const std::string& name) {
  const bool managed = name.front() == service_managers_mark;
  listening as = listening::of_word(name.substr(managed ? 1 : 0));
  as.from_service_manager = managed;
  return as;
}

int send(int fd, const std::string& verb, const std::vector<int>& descriptors = {}) {
  const std::string words = std::string{own_name}.append(version) + ' ' + verb;
  if (words.size() > longest_message) return -EMSGSIZE;
  iovec part{const_cast<char*>(words.data()), words.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  std::vector<char> control(CMSG_SPACE(sizeof(int) * most_passed));
  if (!descriptors.empty()) pass_descriptors(message, control, descriptors);
  return static_cast<int>(std::min<ssize_t>(sys::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT), 0));
}

struct received_words {
  ssize_t result = 0;  // bytes, 0 for the end, or -errno
  std::string words = {};
  std::vector<descriptor> descriptors = {};
  peer from = {};
  bool is_message = false;  // the kernel tells who sent one, even if it is empty
  bool is_whole = true;
};

received_words receive(int fd, std::size_t most_bytes, std::size_t most_descriptors) {
  received_words came;
  std::vector<char> text(most_bytes);
  std::vector<char> control(CMSG_SPACE(sizeof(ucred)) +
                            (most_descriptors > 0 ? CMSG_SPACE(sizeof(int) * most_descriptors) : 0));
  iovec part{text.data(), text.size()};
  msghdr message{};
  // The other end has hung up before it read all; what it said last is behind the error (unix_release_sock() in
  // net/unix/af_unix.c).
  for (int tries = 0; tries < 2; ++tries) {
    message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    came.result = sys::recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (came.result != -ECONNRESET) break;
  }
  if (came.result < 0) return came;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (const auto who = credentials_in(*header)) {
      came.from = {.pid = who->pid, .user = who->uid};
      came.is_message = true;
    }
    take_descriptors(*header, came.descriptors);
  }
  came.is_whole = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
  came.words.assign(text.data(), static_cast<std::size_t>(came.result));
  return came;
}

/// The version in the first words, which another one may be sure to understand: "version 2 of the take-over".
std::string version_in(std::string_view words) {
  constexpr std::size_t longest_version = 8;
  if (words.substr(0, own_name.size()) != own_name) return "no udppump at all";
  words.remove_prefix(own_name.size());
  const std::string_view number = words.substr(0, std::min(words.find(' '), longest_version));
  if (number.empty() || number.find_first_not_of("0123456789") != std::string_view::npos) return "no udppump at all";
  return "version " + std::string{number} + " of the take-over";
}

std::string in_words(const std::optional<file_identity>& pid_file) {
  std::string words{pid_file_mark};
  if (!pid_file) return words.append(no_pid_file);
  return words += std::to_string(pid_file->device) + ':' + std::to_string(pid_file->number);
}

/// Of what follows pid_file_mark; not told if there is no sense in it.
earlier_pid_file pid_file_of(std::string_view text) {
  if (text == no_pid_file) return {.is_told = true};
  file_identity file;
  const char* const end = text.data() + text.size();
  const auto device = std::from_chars(text.data(), end, file.device);
  if (device.ec != std::errc{} || device.ptr == end || *device.ptr != ':') return {};
  const auto number = std::from_chars(device.ptr + 1, end, file.number);
  if (number.ec != std::errc{} || number.ptr != end) return {};
  return {.is_told = true, .file = file};
}

/// No name that a pool gives has a space, and none that it was given keeps one. A colon is between a name and a lane.
bool is_name(const std::string& word) {
  const std::size_t mark = word[0] == service_managers_mark ? 1 : 0;
  return word.size() > mark && word[mark] != '@' && word[mark] != ':' && word.back() != ':' &&
         std::none_of(word.begin(), word.end(), [](char one) { return static_cast<unsigned char>(one) < ' '; });
}

}  // namespace

take_over_message take_over_message::of(std::string_view text, std::vector<descriptor> descriptors) {
  const std::string greeting = std::string{own_name}.append(version) + ' ';
  if (text.substr(0, greeting.size()) != greeting) return {.what = kind::other_version, .why = version_in(text)};
  std::istringstream words{std::string{text.substr(greeting.size())}};
  std::string verb;
  std::string more;
  words >> verb;
  take_over_message said{.what = kind::unknown};
  if (verb != "sockets" && !descriptors.empty()) return said;
  if (long claimed = 0; verb == "hello" && (words >> claimed)) {
    said.what = kind::hello;
    said.stays = (words >> more) && more == "stays";
    said.asks_pid_file = said.stays && (words >> more) && more == question_of_pid_file;
  } else if (verb == "no") {
    said.what = kind::no;
    std::getline(words >> std::ws, said.why);
    if (said.why.empty()) said.why = "it does not say why";
  } else if (verb == "ready" && !(words >> more)) {
    said.what = kind::ready;
  } else if (verb == "sockets") {
    std::size_t at = 0;
    while (words >> more) {
      if (more.starts_with(pid_file_mark)) {
        if (said.pid_file.is_told) return {.what = kind::unknown};
        said.pid_file = pid_file_of(std::string_view{more}.substr(pid_file_mark.size()));
        if (!said.pid_file.is_told) return {.what = kind::unknown};
        continue;
      }
      if (at == descriptors.size()) return {.what = kind::unknown};
      const bool is_listener = more == listener_name;
      if (is_listener ? static_cast<bool>(said.listener) : !is_name(more)) return {.what = kind::unknown};
      if (is_listener) {
        said.listener = std::move(descriptors[at]);
      } else {
        said.sockets.push_back({std::move(descriptors[at]), of_words(more)});
      }
      ++at;
    }
    if (at != descriptors.size()) return {.what = kind::unknown};
    said.what = kind::sockets;
  }
  return said;
}

take_over_connection::take_over_connection(descriptor connection, end which) noexcept
    : socket_{std::move(connection)}, which_{which} {
  static_cast<void>(sys::setsockopt(fd(), SOL_SOCKET, SO_PASSCRED, 1));
}

int take_over_connection::say_hello() const {
  return send(fd(), "hello " + std::to_string(sys::process_id()) + " stays " + question_of_pid_file);
}
int take_over_connection::say_no(const std::string& why) const { return send(fd(), "no " + why); }
int take_over_connection::say_ready() const { return send(fd(), "ready"); }
void take_over_connection::stop_receiving() const noexcept { static_cast<void>(sys::stop_receiving(fd())); }

int take_over_connection::hand_on(const handed_sockets& sockets, bool tells_pid_file) const {
  std::string words = "sockets";
  if (tells_pid_file) words += ' ' + in_words(sockets.pid_file);
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
  const bool takes_sockets = which_ == end::new_parents;
  received_words came =
      receive(fd(), takes_sockets ? longest_message : longest_hello, takes_sockets ? most_passed : std::size_t{0});
  if (came.result == -EAGAIN) return {};
  if (came.result < 0 || (came.result == 0 && !came.is_message)) {
    return {.what = kind::hung_up, .error = static_cast<int>(came.result)};
  }
  take_over_message said = came.is_whole ? take_over_message::of(came.words, std::move(came.descriptors))
                                         : take_over_message{.what = kind::cut_off};
  said.from = came.from;
  return said;
}

bool take_over_connection::is_hung_up() const noexcept {
  pollfd one{.fd = fd(), .events = POLLIN, .revents = 0};
  return sys::poll(&one, 1, 0) > 0 && (one.revents & (POLLHUP | POLLNVAL)) != 0;
}

descriptor make_take_over_socket(int flags) {
  const int made = sys::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
  if (made < 0) fail_with_cure(made, "socket for the take-over");
  return descriptor{made};
}

}  // namespace udppump::detail

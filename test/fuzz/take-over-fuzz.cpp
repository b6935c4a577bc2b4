// Any bytes and descriptors as the messages of a take-over, at either end; and two honest ends, between which anything
// may happen in any order: one is given up, does not get through, dies. No descriptor is kept, nothing is said out of
// order, and who is left of the two serves: never both, never none.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "pool/predecessor.hpp"
#include "pool/successor.hpp"
#include "pool/take_over_messages.hpp"
#include "udppump/datagram_socket.hpp"

using namespace udppump;
using namespace udppump::detail;
using phase = successor::phase;
using verdict = predecessor::verdict;
using kind = take_over_message::kind;

namespace {

using input = std::span<const std::uint8_t>;

void check(bool holds) {
  if (!holds) std::abort();
}

std::uint8_t next(input& data) {
  if (data.empty()) return 0;
  const std::uint8_t first = data.front();
  data = data.subspan(1);
  return first;
}

/// The next file that is opened has this number if nothing was left open.
int lowest_free() {
  const int fd = ::open("/dev/null", O_RDONLY);
  ::close(fd);
  return fd;
}

struct connected {
  descriptor first, second;
  connected() {
    int both[2];
    check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, both) == 0);
    first = descriptor{both[0]};
    second = descriptor{both[1]};
  }
};

const datagram_socket& a_socket() {
  static const datagram_socket one = datagram_socket::bind(address::parse("127.0.0.1:0"));
  return one;
}

/// A message that is nearly one of ours, or anything.
std::string words_of(input& data) {
  static const char* const parts[] = {"udppump 1 hello 1 stays",
                                      "udppump 1 hello 7",
                                      "udppump 1 ready",
                                      "udppump 1 no why",
                                      "udppump 1 sockets",
                                      "udppump 2 hello 1",
                                      "udppump 1 ",
                                      " @take-over",
                                      " +unit",
                                      " dns",
                                      " a b c",
                                      ""};
  std::string words;
  const std::uint8_t shape = next(data);
  for (unsigned piece = 0; piece < (shape & 3u); ++piece) words += parts[next(data) % std::size(parts)];
  const std::size_t raw = std::min<std::size_t>(data.size(), (shape >> 2) % 32);
  words.append(reinterpret_cast<const char*>(data.data()), raw);
  data = data.subspan(raw);
  if ((shape & 0x80) != 0) words.append(next(data) * 8u, ' ');
  return words;
}

void send(int fd, const std::string& words, std::size_t descriptors) {
  iovec part{const_cast<char*>(words.data()), words.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 16)] = {};
  if (descriptors > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * descriptors);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * descriptors);
    int* const numbers = reinterpret_cast<int*>(CMSG_DATA(header));
    std::fill_n(numbers, descriptors, a_socket().fd());
  }
  static_cast<void>(::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
}

handed_sockets handed() { return {.sockets = {{a_socket().fd(), {.name = "dns"}}}}; }

/// Messages to the old side.
void visit_old_side(input data) {
  connected ends;
  successor old_side{std::move(ends.first)};
  int granted = 0;
  int ready = 0;
  while (!data.empty() && old_side.now() != phase::gone && old_side.now() != phase::heir) {
    const std::uint8_t what = next(data);
    const phase before = old_side.now();
    if (what % 8 == 0) {
      ends.second.reset();
    } else if (what % 8 == 1) {
      old_side.give_up("enough");
    } else if (ends.second) {
      send(ends.second.fd(), words_of(data), what % 8 == 2 ? next(data) % 16 : 0);
    }
    static_cast<void>(old_side.listen());
    check(old_side.now() != phase::heir || before == phase::has);
    ready += old_side.now() == phase::heir ? 1 : 0;
    if (old_side.now() == phase::waits && old_side.hand(handed()).empty()) ++granted;
  }
  check(granted <= 1 && ready <= granted);
  // What it said: the sockets once at most, and a refusal once at most.
  int said = 0;
  for (char text[1 << 12]; ends.second && ::recv(ends.second.fd(), text, sizeof text, MSG_DONTWAIT) > 0;) ++said;
  check(said <= 2);
}

/// Messages to the new side.
void visit_new_side(input data) {
  connected ends;
  try {
    predecessor before{std::move(ends.second)};
    bool answered = false;
    while (!data.empty() && before.fd() >= 0) {
      const std::uint8_t what = next(data);
      if (what % 8 == 0) {
        ends.first.reset();
      } else if (ends.first) {
        send(ends.first.fd(), words_of(data), what % 4 == 1 ? next(data) % 16 : 0);
      }
      if (!answered) {
        answered = before.has_answered();
        if (answered) check(before.who().pid == ::getpid());
        continue;
      }
      if (what % 8 == 7) before.say_ready();
      check(before.hear() != verdict::theirs || !before.why().empty());
      check(before.fd() >= 0 || before.hear() != verdict::open);
    }
    for (const passed_socket& one : before.take_sockets()) check(one.socket.fd() >= 0 && !one.as.name.empty());
  } catch (const std::system_error&) {  // refused
  }
}

/// Two honest ends. What may happen to them is one byte each.
void meet(input data) {
  connected ends;
  std::optional<successor> old_side{std::in_place, std::move(ends.first)};
  std::optional<predecessor> new_side{std::in_place, std::move(ends.second)};
  check(old_side->listen().empty() && old_side->hand(handed()).empty() && new_side->has_answered());
  bool old_lives = true;
  bool new_lives = true;
  bool wants = false;
  phase decided = phase::has;
  verdict heard = verdict::open;
  const auto old_listens = [&] {
    if (!old_side) return;
    static_cast<void>(old_side->listen());
    decided = old_side->now();
    if (decided == phase::gone || decided == phase::heir) old_side.reset();
  };
  const auto new_listens = [&] {
    if (new_side && new_side->fd() >= 0) heard = new_side->hear();
  };
  for (const std::uint8_t what : data.first(std::min<std::size_t>(data.size(), 64))) {
    switch (what % 8) {
      case 0:
        old_listens();
        break;
      case 1:
        new_listens();
        break;
      case 2:
        if (!new_side) break;
        new_side->say_ready();
        wants = true;
        break;
      case 3:
        if (!old_side) break;
        old_side->give_up("late");
        decided = old_side->now();
        if (decided == phase::gone || decided == phase::heir) old_side.reset();
        break;
      case 4:
        if (what >= 32) break;  // seldom
        old_lives = false;
        old_side.reset();
        break;
      case 5:
        if (what >= 32) break;
        new_lives = false;
        new_side.reset();
        break;
      default:
        break;
    }
  }
  // In the end all is heard, and a new side that lives is ready at some time.
  if (new_side && !wants) new_side->say_ready();
  for (int turn = 0; turn < 8; ++turn) {
    old_listens();
    new_listens();
  }
  const bool old_serves = old_lives && decided == phase::gone;
  const bool new_serves = new_lives && heard == verdict::ours;
  if (old_lives && new_lives) check(old_serves != new_serves);
  if (!old_lives && new_lives && decided != phase::gone) check(new_serves);
  if (old_lives && !new_lives && decided != phase::heir) check(old_serves);
  check(!new_lives || heard != verdict::open);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  input data{bytes, size};
  static_cast<void>(a_socket());
  const int before = lowest_free();
  switch (next(data) % 4) {
    case 0:
      visit_old_side(data);
      break;
    case 1:
      visit_new_side(data);
      break;
    case 2:
      meet(data);
      break;
    default: {
      std::vector<descriptor> passed;
      for (unsigned more = next(data) % 8; more > 0; --more) passed.emplace_back(::dup(a_socket().fd()));
      const auto said =
          take_over_message::of({reinterpret_cast<const char*>(data.data()), data.size()}, std::move(passed));
      for (const passed_socket& one : said.sockets) check(one.socket && !one.as.name.empty());
    }
  }
  check(lowest_free() == before);
  return 0;
}

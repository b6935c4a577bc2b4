#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "pool/predecessor.hpp"
#include "pool/successor.hpp"
#include "pool/take_over_messages.hpp"
#include "support/process.hpp"
#include "sys/sys_file.hpp"

using namespace udppump;
using namespace udppump::detail;
using kind = take_over_message::kind;
using testing::HasSubstr;

namespace {

/// The two ends of a connection.
struct connected {
  connected() {
    int both[2];
    EXPECT_EQ(sys::socket_pair(SOCK_SEQPACKET, both), 0);
    first = descriptor{both[0]};
    second = descriptor{both[1]};
  }
  descriptor first, second;
};

bool is_same_file(int one, int other) {
  struct stat a {};
  struct stat b {};
  return ::fstat(one, &a) == 0 && ::fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

TEST(take_over_messages, arrive_as_they_were_said) {
  connected ends;
  const take_over_connection one{std::move(ends.first)};
  const take_over_connection other{std::move(ends.second)};
  EXPECT_EQ(other.hear().what, kind::nothing);
  EXPECT_EQ(one.say_hello(4711), 0);
  EXPECT_EQ(one.say_no("it is too late for that"), 0);
  EXPECT_EQ(one.say_ready(), 0);
  const auto hello = other.hear();
  EXPECT_EQ(hello.what, kind::hello);
  EXPECT_EQ(hello.pid, 4711);
  const auto no = other.hear();
  EXPECT_EQ(no.what, kind::no);
  EXPECT_EQ(no.why, "it is too late for that");
  EXPECT_EQ(other.hear().what, kind::ready);
  EXPECT_EQ(other.hear().what, kind::nothing);
}

TEST(take_over_messages, hand_on_descriptors_with_their_names_and_who_opened_them) {
  connected ends;
  const take_over_connection one{std::move(ends.first)};
  const take_over_connection other{std::move(ends.second)};
  const descriptor dns{sys::memory_file("dns")};
  const descriptor managed{sys::memory_file("managed")};
  const descriptor listener{sys::memory_file("listener")};
  EXPECT_EQ(one.hand_on({.sockets = {{dns.fd(), {.name = "dns"}},
                                     {managed.fd(), {.name = "unit", .from_service_manager = true}}},
                         .listener = listener.fd()}),
            0);
  const auto came = other.hear();
  ASSERT_EQ(came.what, kind::sockets);
  ASSERT_EQ(came.sockets.size(), 2u);
  EXPECT_EQ(came.sockets[0].as, (listening{.name = "dns"}));
  EXPECT_TRUE(is_same_file(came.sockets[0].socket.fd(), dns.fd()));
  EXPECT_EQ(came.sockets[1].as, (listening{.name = "unit", .from_service_manager = true}));
  EXPECT_TRUE(is_same_file(came.sockets[1].socket.fd(), managed.fd()));
  EXPECT_TRUE(is_same_file(came.listener.fd(), listener.fd()));
  EXPECT_NE(::fcntl(came.listener.fd(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(take_over_messages, keep_the_words_that_earlier_versions_understand) {
  connected ends;
  const take_over_connection one{std::move(ends.first)};
  const descriptor socket{sys::memory_file("socket")};
  const auto words = [&ends] {
    char text[256];
    const ssize_t size = ::recv(ends.second.fd(), text, sizeof text, MSG_DONTWAIT);
    return std::string{text, size > 0 ? static_cast<std::size_t>(size) : 0};
  };
  static_cast<void>(one.say_hello(12));
  EXPECT_EQ(words(), "udppump 1 hello 12");
  static_cast<void>(one.hand_on(
      {.sockets = {{socket.fd(), {.name = "a"}}, {socket.fd(), {.name = "b", .from_service_manager = true}}},
       .listener = socket.fd()}));
  EXPECT_EQ(words(), "udppump 1 sockets @take-over a +b");
  static_cast<void>(one.say_no("why not"));
  EXPECT_EQ(words(), "udppump 1 no why not");
  static_cast<void>(one.say_ready());
  EXPECT_EQ(words(), "udppump 1 ready");
}

TEST(take_over_messages, of_another_version_of_no_sense_and_none_at_all_are_told_apart) {
  connected ends;
  const take_over_connection other{std::move(ends.second)};
  const auto say = [&ends](std::string_view words) {
    ASSERT_EQ(::send(ends.first.fd(), words.data(), words.size(), 0), static_cast<ssize_t>(words.size()));
  };
  for (const char* foreign : {"udppump 2 hello 1", "udppump", "GET / HTTP/1.1", "udppump 10 hello 1"}) {
    say(foreign);
    EXPECT_EQ(other.hear().what, kind::other_version) << foreign;
  }
  for (const char* senseless : {"udppump 1 ", "udppump 1 hello", "udppump 1 hello you", "udppump 1 goodbye"}) {
    say(senseless);
    EXPECT_EQ(other.hear().what, kind::unknown) << senseless;
  }
  ends.first.reset();
  const auto end = other.hear();
  EXPECT_EQ(end.what, kind::hung_up);
  EXPECT_EQ(end.error, 0);
}

TEST(take_over_messages, the_two_sides_understand_each_other) {
  connected ends;
  successor old_side{std::move(ends.first)};
  EXPECT_TRUE(old_side.is_trusted());
  const descriptor socket{sys::memory_file("socket")};
  const handed_sockets handed{.sockets = {{socket.fd(), {.name = "dns"}}}};
  child_process new_side{[connection = ends.second.release(), &socket] {
    predecessor before{descriptor{connection}};
    const auto sockets = before.take_sockets();
    if (sockets.size() != 1 || sockets[0].as.name != "dns" || !is_same_file(sockets[0].socket.fd(), socket.fd())) {
      return 1;
    }
    before.say_ready();
    return 0;
  }};
  successor::news heard{};
  EXPECT_TRUE(eventually([&] { return (heard = old_side.listen(handed)) != successor::news::nothing; }));
  EXPECT_EQ(heard, successor::news::took_sockets);
  EXPECT_EQ(old_side.pid(), new_side.pid());
  EXPECT_TRUE(eventually([&] { return (heard = old_side.listen(handed)) != successor::news::nothing; }));
  EXPECT_EQ(heard, successor::news::ready);
  EXPECT_EQ(new_side.join(), 0);
}

TEST(take_over_messages, a_refusal_reaches_the_new_side_with_its_reason) {
  connected ends;
  const successor old_side{std::move(ends.first)};
  old_side.refuse("not today");
  try {
    const predecessor before{std::move(ends.second)};
    FAIL() << "it got the sockets";
  } catch (const std::system_error& refused) {
    EXPECT_THAT(refused.what(), HasSubstr("not today"));
  }
}

TEST(take_over_messages, a_refusal_is_heard_even_if_the_old_side_hung_up_without_reading_the_hello) {
  connected ends;
  const take_over_connection new_side{std::move(ends.first)};
  ASSERT_EQ(new_side.say_hello(1), 0);
  {
    const successor old_side{std::move(ends.second)};
    old_side.refuse("not to you");
  }
  EXPECT_EQ(new_side.hear().why, "not to you");
  EXPECT_EQ(new_side.hear().what, kind::hung_up);
}

TEST(take_over_messages, more_sockets_than_one_message_can_carry_are_refused) {
  connected ends;
  successor old_side{std::move(ends.first)};
  const take_over_connection other{std::move(ends.second)};
  const descriptor socket{sys::memory_file("socket")};
  handed_sockets handed;
  for (std::size_t at = 0; at <= most_passed; ++at) handed.sockets.push_back({socket.fd(), {.name = "x"}});
  ASSERT_EQ(other.say_hello(1), 0);
  EXPECT_EQ(old_side.listen(handed), successor::news::gone);
  EXPECT_THAT(other.hear().why, HasSubstr("250"));
  handed.sockets.pop_back();
  ASSERT_EQ(other.say_hello(1), 0);
  EXPECT_EQ(old_side.listen(handed), successor::news::took_sockets);
  EXPECT_EQ(other.hear().sockets.size(), most_passed);
}

}  // namespace

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "pool/predecessor.hpp"
#include "pool/successor.hpp"
#include "pool/take_over_messages.hpp"
#include "support/fault.hpp"
#include "support/process.hpp"
#include "support/sockets.hpp"
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

using end = take_over_connection::end;
using phase = successor::phase;

/// A datagram socket as pools hand them on.
datagram_socket a_socket() { return datagram_socket::bind(address::parse("127.0.0.1:0")); }

/// Two ends that only speak.
struct speaking {
  connected ends;
  take_over_connection old_parents{std::move(ends.first), end::old_parents};
  take_over_connection new_parents{std::move(ends.second), end::new_parents};
};

/// The old side, and somebody at the other end who says what he likes.
struct visited {
  connected ends;
  successor old_side{std::move(ends.first)};
  datagram_socket socket = a_socket();
  handed_sockets handed{.sockets = {{socket.fd(), {.name = "dns"}}}};

  void say(std::string_view words) const {
    ASSERT_EQ(::send(ends.second.fd(), words.data(), words.size(), MSG_NOSIGNAL), static_cast<ssize_t>(words.size()));
  }
  /// What the old side makes of one thing that is said.
  std::string hear(std::string_view words) {
    say(words);
    return old_side.listen();
  }
  std::string answer() const {
    char text[1024];
    const ssize_t size = ::recv(ends.second.fd(), text, sizeof text, MSG_DONTWAIT);
    return size < 0 ? "nothing" : std::string{text, static_cast<std::size_t>(size)};
  }
};

bool is_same_file(int one, int other) {
  struct stat a {};
  struct stat b {};
  return ::fstat(one, &a) == 0 && ::fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

TEST(take_over_messages, arrive_as_they_were_said) {
  speaking two;
  EXPECT_EQ(two.old_parents.hear().what, kind::nothing);
  EXPECT_EQ(two.new_parents.say_hello(), 0);
  EXPECT_EQ(two.new_parents.say_ready(), 0);
  EXPECT_EQ(two.old_parents.say_no("it is too late for that"), 0);
  const auto hello = two.old_parents.hear();
  EXPECT_EQ(hello.what, kind::hello);
  EXPECT_TRUE(hello.stays);
  EXPECT_EQ(hello.from.pid, ::getpid());
  EXPECT_EQ(hello.from.user, ::geteuid());
  EXPECT_EQ(two.old_parents.hear().what, kind::ready);
  EXPECT_EQ(two.old_parents.hear().what, kind::nothing);
  const auto no = two.new_parents.hear();
  EXPECT_EQ(no.what, kind::no);
  EXPECT_EQ(no.why, "it is too late for that");
}

TEST(take_over_messages, hand_on_descriptors_with_their_names_and_who_opened_them) {
  speaking two;
  const descriptor dns{sys::memory_file("dns")};
  const descriptor managed{sys::memory_file("managed")};
  const descriptor listener{sys::memory_file("listener")};
  EXPECT_EQ(two.old_parents.hand_on({.sockets = {{dns.fd(), {.name = "dns"}},
                                                 {managed.fd(), {.name = "unit", .from_service_manager = true}}},
                                     .listener = listener.fd()}),
            0);
  const auto came = two.new_parents.hear();
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
  const take_over_connection one{std::move(ends.first), end::new_parents};
  const descriptor socket{sys::memory_file("socket")};
  const auto words = [&ends] {
    char text[256];
    const ssize_t size = ::recv(ends.second.fd(), text, sizeof text, MSG_DONTWAIT);
    return std::string{text, size > 0 ? static_cast<std::size_t>(size) : 0};
  };
  static_cast<void>(one.say_hello());
  EXPECT_EQ(words(), "udppump 1 hello " + std::to_string(::getpid()) + " stays pid-file");
  static_cast<void>(one.hand_on(
      {.sockets = {{socket.fd(), {.name = "a"}}, {socket.fd(), {.name = "b", .from_service_manager = true}}},
       .listener = socket.fd()}));
  EXPECT_EQ(words(), "udppump 1 sockets @take-over a +b");
  static_cast<void>(one.say_no("why not"));
  EXPECT_EQ(words(), "udppump 1 no why not");
  static_cast<void>(one.say_ready());
  EXPECT_EQ(words(), "udppump 1 ready");
}

TEST(take_over_messages, tell_which_file_is_the_pid_file_to_who_asks) {
  for (const std::optional<file_identity>& file : {std::optional<file_identity>{}, {{7, 4711}}}) {
    speaking two;
    const descriptor socket{sys::memory_file("socket")};
    const handed_sockets handed{.sockets = {{socket.fd(), {.name = "dns"}}}, .pid_file = file};
    EXPECT_EQ(two.old_parents.hand_on(handed), 0);
    EXPECT_FALSE(two.new_parents.hear().pid_file.is_told) << "earlier versions would not understand it";
    EXPECT_EQ(two.old_parents.hand_on(handed, true), 0);
    const auto came = two.new_parents.hear();
    EXPECT_EQ(came.what, kind::sockets);
    EXPECT_EQ(came.sockets.size(), 1u);
    EXPECT_TRUE(came.pid_file.is_told);
    EXPECT_EQ(came.pid_file.file, file);
  }
  for (const char* senseless : {"", "1", "1:", ":1", "1:2:3", "-1:2", "1: 2", "none:", "1:99999999999999999999"}) {
    const std::string words = std::string{"udppump 1 sockets @pid-file="} + senseless;
    EXPECT_EQ(take_over_message::of(words, {}).what, kind::unknown) << senseless;
  }
  EXPECT_EQ(take_over_message::of("udppump 1 sockets @pid-file=none @pid-file=none", {}).what, kind::unknown);
  for (const auto& [words, asks] : std::map<std::string, bool>{{"udppump 1 hello 1 stays pid-file", true},
                                                               {"udppump 1 hello 1 stays", false},
                                                               {"udppump 1 hello 1 pid-file", false}}) {
    visited by;
    EXPECT_EQ(by.hear(words), "");
    EXPECT_EQ(by.old_side.hand(by.handed), "");
    EXPECT_EQ(by.answer().find("@pid-file=none") != std::string::npos, asks) << words;
  }
}

TEST(take_over_messages, of_another_version_of_no_sense_and_none_at_all_are_told_apart) {
  connected ends;
  const take_over_connection other{std::move(ends.second), end::old_parents};
  const auto say = [&ends](std::string_view words) {
    ASSERT_EQ(::send(ends.first.fd(), words.data(), words.size(), 0), static_cast<ssize_t>(words.size()));
  };
  for (const auto& [foreign, told] :
       std::map<std::string, std::string>{{"udppump 2 hello 1", "version 2 of the take-over"},
                                          {"udppump 10 hello 1", "version 10 of the take-over"},
                                          {"udppump", "no udppump at all"},
                                          {"udppump \x1b[2J 1", "no udppump at all"},
                                          {"udppump 123456789012 x", "version 12345678 of the take-over"},
                                          {"GET / HTTP/1.1", "no udppump at all"},
                                          {"", "no udppump at all"}}) {
    say(foreign);
    const auto came = other.hear();
    EXPECT_EQ(came.what, kind::other_version) << foreign;
    EXPECT_EQ(came.why, told) << foreign;
  }
  for (const char* senseless : {"udppump 1 ", "udppump 1 hello", "udppump 1 hello you", "udppump 1 goodbye",
                                "udppump 1 ready steady", "udppump 1 sockets a", "udppump 1 sockets @take-over"}) {
    say(senseless);
    EXPECT_EQ(other.hear().what, kind::unknown) << senseless;
  }
  say("udppump 1 hello 1" + std::string(300, ' '));
  EXPECT_EQ(other.hear().what, kind::cut_off) << "longer than any that is understood";
  ends.first.reset();
  const auto last = other.hear();
  EXPECT_EQ(last.what, kind::hung_up);
  EXPECT_EQ(last.error, 0);
}

TEST(take_over_messages, of_sockets_have_a_name_for_each_descriptor_and_no_more) {
  const auto parsed = [](const char* words, std::size_t descriptors) {
    std::vector<descriptor> passed;
    for (; descriptors > 0; --descriptors) passed.emplace_back(sys::memory_file("one"));
    return take_over_message::of(words, std::move(passed));
  };
  EXPECT_EQ(parsed("udppump 1 sockets a b", 2).sockets.size(), 2u);
  EXPECT_EQ(parsed("udppump 1 sockets", 0).what, kind::sockets);
  const auto lanes = parsed("udppump 1 sockets dns:quick +b:rest", 2);
  ASSERT_EQ(lanes.sockets.size(), 2u);
  EXPECT_EQ(lanes.sockets[0].as, (detail::listening{"dns", false, "quick"}));
  EXPECT_EQ(lanes.sockets[1].as, (detail::listening{"b", true, "rest"}));
  for (const char* nameless : {":", ":quick", "dns:", "+:quick", "+dns:"}) {
    EXPECT_EQ(parsed((std::string{"udppump 1 sockets "} + nameless).c_str(), 1).what, kind::unknown) << nameless;
  }
  EXPECT_EQ(parsed("udppump 1 sockets a b", 1).what, kind::unknown);
  EXPECT_EQ(parsed("udppump 1 sockets a", 2).what, kind::unknown);
  EXPECT_EQ(parsed("udppump 1 sockets @take-over @take-over", 2).what, kind::unknown);
  for (const char* name : {"+", "@other", "+@take-over", "a\x1b[2J"}) {
    EXPECT_EQ(parsed((std::string{"udppump 1 sockets "} + name).c_str(), 1).what, kind::unknown) << name;
  }
  for (const char* words : {"udppump 1 ready", "udppump 1 hello 1", "udppump 1 no thanks"}) {
    EXPECT_EQ(parsed(words, 1).what, kind::unknown) << words;
  }
}

TEST(take_over_messages, descriptors_that_nobody_asked_for_are_not_even_received) {
  speaking two;
  const std::size_t before = open_descriptors();
  const descriptor gift{sys::memory_file("gift")};
  handed_sockets gifts;
  for (std::size_t at = 0; at < most_passed; ++at) gifts.sockets.push_back({gift.fd(), {.name = "x"}});
  for (int often = 0; often < 5; ++often) {
    ASSERT_EQ(two.new_parents.hand_on(gifts), 0);
    EXPECT_EQ(two.old_parents.hear().what, kind::cut_off);
    EXPECT_EQ(open_descriptors(), before + 1);
  }
}

// --- the old side ----------------------------------------------------------------------------------------------------

TEST(take_over_messages, the_two_sides_understand_each_other) {
  visited by;
  EXPECT_EQ(by.old_side.who().pid, ::getpid());
  child_process new_side{[connection = by.ends.second.release(), &by] {
    ::close(by.old_side.fd());  // the parent's
    predecessor before{descriptor{connection}};
    if (!eventually([&] { return before.has_answered(); })) return 2;
    const auto sockets = before.take_sockets();
    if (sockets.size() != 1 || sockets[0].as.name != "dns") return 3;
    if (!is_same_file(sockets[0].socket.fd(), by.socket.fd())) return 4;
    before.say_ready();
    if (before.hear() != predecessor::verdict::ours) return 5;
    return eventually([&] { return before.hear() == predecessor::verdict::ours && before.fd() < 0; }) ? 0 : 6;
  }};
  const auto becomes = [&by](phase wanted) {
    return eventually([&] {
      EXPECT_EQ(by.old_side.listen(), "");
      return by.old_side.now() == wanted;
    });
  };
  ASSERT_TRUE(becomes(phase::waits));
  EXPECT_EQ(by.old_side.who().pid, new_side.pid()) << "as the kernel knows it, whoever connected";
  EXPECT_EQ(by.old_side.hand(by.handed), "");
  ASSERT_TRUE(becomes(phase::heir));
  by.old_side.leave_sockets();
  {
    const successor last = std::move(by.old_side);  // hangs up
  }
  EXPECT_EQ(new_side.join(), 0);
}

TEST(take_over_messages, are_heard_once_each_and_in_their_order) {
  for (const char* first : {"udppump 1 ready", "udppump 1 sockets", "udppump 1 no", "udppump 1 what", "x"}) {
    visited by;
    EXPECT_NE(by.hear(first), "") << first;
    EXPECT_EQ(by.old_side.now(), phase::gone) << first;
    EXPECT_THAT(by.answer(), HasSubstr("udppump 1 no ")) << first;
  }
  for (const char* second : {"udppump 1 hello 1", "udppump 1 ready", "udppump 1 no", "x"}) {
    visited by;
    EXPECT_EQ(by.hear("udppump 1 hello 1"), "");
    ASSERT_EQ(by.old_side.now(), phase::waits);
    EXPECT_NE(by.hear(second), "") << second << ", before it has the sockets";
    EXPECT_EQ(by.old_side.now(), phase::gone) << second;
  }
  for (const char* third : {"udppump 1 hello 1", "udppump 1 no", "x"}) {
    visited by;
    EXPECT_EQ(by.hear("udppump 1 hello 1"), "");
    EXPECT_EQ(by.old_side.hand(by.handed), "");
    by.say(third);
    by.say("udppump 1 ready");
    EXPECT_NE(by.old_side.listen(), "") << third;
    EXPECT_EQ(by.old_side.now(), phase::gone) << third << ", and nothing after that counts";
  }
}

TEST(take_over_messages, of_who_ended_after_it_was_ready_are_no_reason_to_end_as_well) {
  visited stays;
  EXPECT_EQ(stays.hear("udppump 1 hello 1 stays"), "");
  EXPECT_EQ(stays.old_side.hand(stays.handed), "");
  stays.say("udppump 1 ready");
  stays.ends.second.reset();
  EXPECT_THAT(stays.old_side.listen(), HasSubstr("ended"));
  EXPECT_EQ(stays.old_side.now(), phase::gone);

  visited earlier;  // hangs up itself
  EXPECT_EQ(earlier.hear("udppump 1 hello 1"), "");
  EXPECT_EQ(earlier.old_side.hand(earlier.handed), "");
  earlier.say("udppump 1 ready");
  earlier.ends.second.reset();
  EXPECT_EQ(earlier.old_side.listen(), "");
  EXPECT_EQ(earlier.old_side.now(), phase::heir);
}

TEST(take_over_messages, who_is_given_up_has_been_ready_before_or_never_is) {
  visited late;
  EXPECT_EQ(late.hear("udppump 1 hello 1"), "");
  EXPECT_EQ(late.old_side.hand(late.handed), "");
  late.old_side.give_up("too late");
  EXPECT_EQ(late.old_side.now(), phase::gone);
  constexpr char ready[] = "udppump 1 ready";
  EXPECT_EQ(::send(late.ends.second.fd(), ready, sizeof ready - 1, MSG_NOSIGNAL), -1);
  EXPECT_EQ(errno, EPIPE);

  visited in_time;
  EXPECT_EQ(in_time.hear("udppump 1 hello 1"), "");
  EXPECT_EQ(in_time.old_side.hand(in_time.handed), "");
  in_time.say(ready);
  in_time.old_side.give_up("too late");
  EXPECT_EQ(in_time.old_side.now(), phase::heir);
}

TEST(take_over_messages, a_refusal_that_cannot_be_said_is_said_later_and_holds_meanwhile) {
  visited by;
  EXPECT_EQ(by.hear("udppump 1 hello 1"), "");
  EXPECT_EQ(by.old_side.hand(by.handed), "");
  static_cast<void>(by.answer());
  {
    const fault::injection full{{.call = "sendmsg", .error = ENOBUFS}};
    by.old_side.give_up("too late");
    EXPECT_EQ(by.old_side.now(), phase::parting);
    EXPECT_EQ(by.old_side.listen(), "");
    EXPECT_EQ(by.old_side.now(), phase::parting);
  }
  EXPECT_EQ(by.answer(), "nothing") << "nor does it hang up";
  EXPECT_EQ(by.old_side.listen(), "");
  EXPECT_EQ(by.old_side.now(), phase::gone);
  EXPECT_EQ(by.answer(), "udppump 1 no too late");
}

/// The old side of what it has executed, and who speaks in its place or for itself.
struct executed {
  connected ends;
  successor old_side;
  datagram_socket socket = a_socket();
  handed_sockets handed{.sockets = {{socket.fd(), {.name = "dns"}}}, .listener = socket.fd()};

  executed(pid_t pid, bool gets_listener) : old_side{std::move(ends.first), pid, gets_listener} {}
  void say(std::string_view words) const {
    ASSERT_EQ(::send(ends.second.fd(), words.data(), words.size(), MSG_NOSIGNAL), static_cast<ssize_t>(words.size()));
  }
};

TEST(take_over_messages, are_heard_of_nobody_else_than_what_was_executed) {
  child_process child{[] { ::pause(); }};
  executed hello{child.pid(), true};
  hello.say("udppump 1 hello 1 stays");
  EXPECT_THAT(hello.old_side.listen(), HasSubstr("pid " + std::to_string(::getpid()) + " of user "));
  EXPECT_EQ(hello.old_side.now(), phase::gone);
  EXPECT_EQ(hello.old_side.who().pid, child.pid());

  // It speaks itself, and then another says that it is ready.
  int both[2];
  ASSERT_EQ(sys::socket_pair(SOCK_SEQPACKET, both), 0);
  const descriptor theirs{both[1]};
  constexpr int on = 1;  // before anything is said
  ASSERT_EQ(::setsockopt(both[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
  child_process honest{[&theirs] {
    constexpr char words[] = "udppump 1 hello 1 stays";
    static_cast<void>(::send(theirs.fd(), words, sizeof words - 1, MSG_NOSIGNAL));
    ::pause();
  }};
  const datagram_socket socket = a_socket();
  ASSERT_TRUE(readable(both[0], patience));
  successor old_side{descriptor{both[0]}, honest.pid(), true};
  EXPECT_EQ(old_side.listen(), "");
  EXPECT_EQ(old_side.now(), phase::waits);
  EXPECT_EQ(old_side.hand({.sockets = {{socket.fd(), {.name = "dns"}}}}), "");
  ASSERT_EQ(::send(theirs.fd(), "udppump 1 ready", 15, MSG_NOSIGNAL), 15);
  old_side.give_up("too late");
  EXPECT_EQ(old_side.now(), phase::gone) << "it was another that was ready";
}

TEST(take_over_messages, of_what_was_executed_end_with_it_whoever_has_its_connection) {
  executed silent{::getpid(), true};
  EXPECT_EQ(silent.old_side.note_end(), "it ended");
  EXPECT_EQ(silent.old_side.now(), phase::gone);
  EXPECT_EQ(silent.old_side.note_end(), "");
  executed ready{::getpid(), true};
  ready.say("udppump 1 hello 1 stays");
  EXPECT_EQ(ready.old_side.listen(), "");
  EXPECT_EQ(ready.old_side.hand(ready.handed), "");
  ready.say("udppump 1 ready");
  EXPECT_EQ(ready.old_side.note_end(), "it ended before its workers served");
  EXPECT_EQ(ready.old_side.now(), phase::gone);
}

TEST(take_over_messages, give_the_listener_to_what_was_executed_only_if_nobody_else_gets_at_it) {
  for (const bool gets_it : {true, false}) {
    executed one{::getpid(), gets_it};
    one.say("udppump 1 hello 1 stays");
    EXPECT_EQ(one.old_side.listen(), "");
    EXPECT_EQ(one.old_side.hand(one.handed), "");
    const auto came = take_over_connection{std::move(one.ends.second), end::new_parents}.hear();
    EXPECT_EQ(came.what, kind::sockets);
    EXPECT_EQ(came.sockets.size(), 1u);
    EXPECT_EQ(static_cast<bool>(came.listener), gets_it);
  }
}

TEST(take_over_messages, more_sockets_than_one_message_can_carry_are_refused) {
  const datagram_socket socket = a_socket();
  handed_sockets handed;
  for (std::size_t at = 0; at <= most_passed; ++at) handed.sockets.push_back({socket.fd(), {.name = "x"}});
  visited too_many;
  EXPECT_EQ(too_many.hear("udppump 1 hello 1"), "");
  EXPECT_THAT(too_many.old_side.hand(handed), HasSubstr("250"));
  EXPECT_EQ(too_many.old_side.now(), phase::gone);
  EXPECT_THAT(too_many.answer(), HasSubstr("250"));
  handed.sockets.pop_back();
  speaking two;
  ASSERT_EQ(two.old_parents.hand_on(handed), 0);
  EXPECT_EQ(two.new_parents.hear().sockets.size(), most_passed);
}

// --- the new side ----------------------------------------------------------------------------------------------------

/// The new side with the sockets, and the old one as far as it speaks.
struct handed_on {
  connected ends;
  take_over_connection old_side{std::move(ends.first), end::old_parents};
  predecessor before{std::move(ends.second)};
  datagram_socket socket = a_socket();

  handed_on() {
    EXPECT_EQ(old_side.hear().what, kind::hello);
    EXPECT_EQ(old_side.hand_on({.sockets = {{socket.fd(), {.name = "dns"}}}}), 0);
    EXPECT_TRUE(before.has_answered());
    EXPECT_EQ(before.who().pid, ::getpid());
  }
};
using verdict = predecessor::verdict;

TEST(take_over_messages, a_refusal_reaches_the_new_side_with_its_reason) {
  for (const bool hangs_up : {false, true}) {
    connected ends;
    predecessor before{std::move(ends.second)};
    take_over_connection old_side{std::move(ends.first), end::old_parents};
    EXPECT_EQ(old_side.say_no("not today"), 0);
    if (hangs_up) old_side.close();  // without having read the hello
    try {
      static_cast<void>(before.has_answered());
      FAIL() << "it got the sockets";
    } catch (const std::system_error& refused) {
      EXPECT_THAT(refused.what(), HasSubstr("not today"));
    }
  }
}

TEST(take_over_messages, whoever_ends_leaves_the_sockets_to_the_other) {
  handed_on early;
  EXPECT_EQ(early.before.hear(), verdict::open);
  early.old_side.close();
  EXPECT_EQ(early.before.hear(), verdict::ours);
  EXPECT_LT(early.before.fd(), 0);

  handed_on late;
  late.before.say_ready();
  EXPECT_EQ(late.before.hear(), verdict::ours);
  late.old_side.close();
  EXPECT_EQ(late.before.hear(), verdict::ours);
}

TEST(take_over_messages, who_was_given_up_hears_it_however_late_and_is_not_ready_any_more) {
  handed_on given_up;
  given_up.old_side.stop_receiving();
  given_up.before.say_ready();
  EXPECT_EQ(given_up.before.hear(), verdict::open) << "it has not said so yet";
  EXPECT_EQ(given_up.old_side.say_no("too late"), 0);
  given_up.old_side.close();
  EXPECT_EQ(given_up.before.hear(), verdict::theirs);
  EXPECT_EQ(given_up.before.why(), "too late");

  handed_on died;
  died.old_side.stop_receiving();
  died.before.say_ready();
  EXPECT_EQ(died.before.hear(), verdict::open);
  died.old_side.close();
  EXPECT_EQ(died.before.hear(), verdict::ours) << "it never said no, and lives no more";
}

TEST(take_over_messages, that_it_is_ready_is_said_again_until_it_could_be_said) {
  handed_on two;
  {
    const fault::injection full{{.call = "sendmsg", .error = ENOBUFS}};
    two.before.say_ready();
    EXPECT_EQ(two.before.hear(), verdict::open);
    EXPECT_NE(two.before.wakes_at(), predecessor::clock::time_point::max());
  }
  EXPECT_EQ(two.old_side.hear().what, kind::nothing);
  EXPECT_EQ(two.before.hear(), verdict::ours);
  EXPECT_EQ(two.old_side.hear().what, kind::ready);
  const auto late = two.before.wakes_at();
  EXPECT_NE(late, predecessor::clock::time_point::max());
  EXPECT_EQ(two.before.overdue(late - std::chrono::milliseconds{1}), "");
  EXPECT_THAT(two.before.overdue(late), HasSubstr("from which this pool has taken over, does not hear it"));
  EXPECT_EQ(two.before.overdue(late), "") << "once";
  EXPECT_EQ(two.before.wakes_at(), predecessor::clock::time_point::max());
}

}  // namespace

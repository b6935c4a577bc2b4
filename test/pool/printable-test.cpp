#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <string>

#include "pool/pool_log.hpp"
#include "support/asking_client.hpp"
#include "support/pool_process.hpp"
#include "sys/printable.hpp"

using namespace udppump;
using namespace std::chrono_literals;
using detail::printable_word;
using detail::quoted;

namespace {

TEST(printable, what_commands_a_terminal_or_ends_a_line_is_written_out) {
  EXPECT_EQ(printable(std::string{"a\0b", 3}), R"(a\x00b)");
  EXPECT_EQ(printable("a\nb\rc\td"), R"(a\x0ab\x0dc\x09d)");
  EXPECT_EQ(printable("\x1b[2J \x1f \x7f"), R"(\x1b[2J \x1f \x7f)");
  EXPECT_EQ(printable("\xc2\x80 \xc2\x9b"
                      "31m \xc2\x9f \xc2\xa0"),
            "\\xc2\\x80 \\xc2\\x9b"
            "31m \\xc2\\x9f \xc2\xa0");
  EXPECT_EQ(printable("\u2028\u2029\u202e\u2066\u200f"),
            R"(\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xae\xe2\x81\xa6\xe2\x80\x8f)");
}

TEST(printable, what_is_no_utf_8_is_written_out_byte_by_byte) {
  EXPECT_EQ(printable("\x80 \x9b \xff"), R"(\x80 \x9b \xff)");
  EXPECT_EQ(printable("\xc2"), R"(\xc2)");
  EXPECT_EQ(printable("\xe2\x82"), R"(\xe2\x82)");
  EXPECT_EQ(printable("\xc0\x8a \xe0\x80\x8a \xf0\x80\x80\x8a"), R"(\xc0\x8a \xe0\x80\x8a \xf0\x80\x80\x8a)");
  // Longer forms than needed of what may stand there: of "/", of the last character of two bytes, and of three.
  EXPECT_EQ(printable("\xe0\x80\xaf \xe0\x9f\xbf \xf0\x80\x80\xaf \xf0\x8f\xbf\xbd"),
            R"(\xe0\x80\xaf \xe0\x9f\xbf \xf0\x80\x80\xaf \xf0\x8f\xbf\xbd)");
  EXPECT_EQ(printable("\xed\xa0\x80 \xf4\x90\x80\x80"), R"(\xed\xa0\x80 \xf4\x90\x80\x80)");
}

TEST(printable, everything_else_stays_as_it_is_and_so_does_what_was_made_printable) {
  const std::string fine = "plain \\ \"text\" \u00e9 \u20ac \u65e5\u672c \U0001f600";
  EXPECT_EQ(printable(fine), fine);
  const std::string once = printable("\x1b\n\x9b");
  EXPECT_EQ(printable(once), once);
}

TEST(printable, a_word_has_no_white_space_and_what_is_quoted_ends_where_it_ends) {
  EXPECT_EQ(printable_word("/a b\" payload='00\\"), R"(/a\x20b\x22\x20payload=\x2700\x5c)");
  EXPECT_EQ(quoted(R"(say "x\y")"), R"("say \"x\\y\"")");
}

TEST(printable, so_are_the_texts_and_the_fields_of_all_events) {
  std::vector<std::string> seen;
  const detail::pool_log log{[&seen](const pool_event& event) {
    seen.push_back(event.text);
    for (const auto& [name, value] : event.fields) seen.push_back(value);
  }};
  log.notice("x", "a\nb", {{"field", "c\x1b"}});
  EXPECT_EQ(seen, (std::vector<std::string>{R"(a\x0ab)", R"(c\x1b)"}));
}

TEST(pool_log, is_written_to_stderr_if_nobody_else_takes_it) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  child_process child{[&] {
    ::dup2(ends[1], STDERR_FILENO);
    detail::pool_log{[](const pool_event&) {}}.error("x", "taken");
    detail::pool_log{{}}.error("x", "written");
  }};
  EXPECT_EQ(child.join(), 0);
  char text[100];
  const auto size = ::read(ends[0], text, sizeof text);
  const std::string line{text, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  EXPECT_TRUE(line.ends_with(" error udppump: written\n")) << line;
  ::close(ends[0]), ::close(ends[1]);
}

TEST(pool_log, whose_reader_is_gone_ends_nobody_and_leaves_signals_as_they_were) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  for (const bool is_blocked : {false, true}) {
    child_process child{[&] {
      ::signal(SIGPIPE, SIG_DFL);
      sigset_t wanted, after;
      sigemptyset(&wanted);
      if (is_blocked) sigaddset(&wanted, SIGPIPE);
      ::sigprocmask(SIG_SETMASK, &wanted, nullptr);
      const int output = ::dup(STDERR_FILENO);
      ::dup2(ends[1], STDERR_FILENO);
      const detail::pool_log log{{}};
      for (int time = 0; time < 3; ++time) log.warning("x", "y");
      ::dup2(output, STDERR_FILENO);
      ::sigprocmask(SIG_SETMASK, nullptr, &after);
      EXPECT_EQ(sigismember(&after, SIGPIPE), is_blocked ? 1 : 0);
      ::sigpending(&after);
      EXPECT_EQ(sigismember(&after, SIGPIPE), 0);
    }};
    EXPECT_EQ(child.join(), 0);
  }
  ::close(ends[1]);
}

class printable_of : public testing::TestWithParam<worker_model> {};
INSTANTIATE_TEST_SUITE_P(both, printable_of, testing::Values(worker_model::processes, worker_model::threads),
                         [](const auto& model) {
                           return model.param == worker_model::processes ? "processes" : "threads";
                         });

TEST_P(printable_of, what_a_handler_throws_commands_no_terminal_and_forges_no_line_on_stderr) {
  const std::string file = temporary_path("hostile-text");
  std::remove(file.c_str());
  shared<std::atomic<unsigned>> port;
  child_process parent{[&] {
    const int log = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(log, STDERR_FILENO);
    worker_pool pool{{.bind = {"127.0.0.1:0"}, .workers = 1, .model = GetParam()}};
    *port = pool.sockets()[0].local().port();
    return pool.serve([](datagram&) {
      throw std::runtime_error{
          "h\u00e9 \x1b]0;x\x07 \x7f \xc2\x9b"
          "31m \x9b"
          "2J\nudppump: all is well\r"};
    });
  }};
  ASSERT_TRUE(eventually([&port] { return port->load() != 0; }));
  const asking_client client{address::parse("127.0.0.1:" + std::to_string(port->load()))};
  client.send("anything");
  const auto log = [&file] {
    std::ifstream lines{file};
    return std::string{std::istreambuf_iterator<char>{lines}, {}};
  };
  EXPECT_TRUE(eventually([&log] { return log().find("another is started") != std::string::npos; })) << log();
  ::kill(parent.pid(), SIGTERM);
  EXPECT_EQ(parent.join(), 0);
  EXPECT_NE(log().find("; its last words: \"h\u00e9 \\x1b]0;x\\x07 \\x7f \\xc2\\x9b31m \\x9b2J\\x0audppump: all is well"
                       "\\x0d\"; another is started"),
            std::string::npos)
      << log();
  EXPECT_EQ(log().find("\nudppump: all is well"), std::string::npos);
  for (const char one : log()) EXPECT_TRUE(one == '\n' || static_cast<unsigned char>(one) >= 0x20) << int{one};
  std::remove(file.c_str());
}

}  // namespace

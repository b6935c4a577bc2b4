// program_outputs: what programs write to stderr, line by line, whoever writes what.
#include "pool/program_outputs.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "pool/pool_log.hpp"
#include "support/serve.hpp"
#include "sys/printable.hpp"

using namespace udppump;
using namespace std::chrono_literals;
using detail::program_outputs;

namespace {

constexpr pid_t program = 4711;

struct outputs_of_programs : testing::Test {
  outputs_of_programs() { outputs.belongs_to(made.which, program); }
  void write(const std::string& text) {
    EXPECT_EQ(::write(made.writes.fd(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  /// A turn is limited in time, which may be over at once on a busy machine.
  void read() {
    do {
      outputs.read(program_outputs::clock::now());
    } while (readable(outputs.fd()));
  }
  void read_when_due() {
    read();
    outputs.read(outputs.next());
  }
  static constexpr auto never = program_outputs::clock::time_point::max();
  std::string last() const { return events.empty() ? "" : events.back().text; }

  std::vector<pool_event> events;
  detail::pool_log log{[this](const pool_event& event) { events.push_back(event); }};
  program_outputs outputs{log};
  program_outputs::made made = outputs.make(3);
};

TEST_F(outputs_of_programs, are_told_line_by_line_with_the_number_of_the_worker) {
  write("first\nsec");
  read();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(last(), "worker 3 (pid 4711): first");
  EXPECT_EQ(events[0].name, "worker-says");
  EXPECT_EQ(events[0].severity, pool_event::level::info);
  EXPECT_EQ(events[0].fields[0].second, "3");
  EXPECT_EQ(events[0].fields[2].second, "first");
  write("ond\n\n \r\nthird\r\n");
  read();
  ASSERT_EQ(events.size(), 3u) << "what has nothing in it is no line";
  EXPECT_EQ(events[1].text, "worker 3 (pid 4711): second");
  EXPECT_EQ(last(), "worker 3 (pid 4711): third");
}

TEST_F(outputs_of_programs, command_no_terminal_and_have_no_colours) {
  write("\x1b[1;31mred\x1b[0m\tand \x1b[2J \xff\n");
  read();
  EXPECT_EQ(last(), "worker 3 (pid 4711): red    and \\x1b[2J \\xff");
  write("\x1b[\x1b[1\n");
  read();
  EXPECT_EQ(last(), "worker 3 (pid 4711): \\x1b[\\x1b[1") << "what is cut off is no colour";
}

TEST_F(outputs_of_programs, may_say_how_severe_a_line_is) {
  const std::pair<const char*, pool_event::level> told[] = {{"<0>x", pool_event::level::error},
                                                            {"<3>x", pool_event::level::error},
                                                            {"<4>x", pool_event::level::warning},
                                                            {"<5>x", pool_event::level::notice},
                                                            {"<7>x", pool_event::level::info}};
  for (const auto& [line, level] : told) {
    write(std::string{line} + '\n');
    read();
    EXPECT_EQ(events.back().severity, level) << line;
    EXPECT_EQ(last(), "worker 3 (pid 4711): x");
  }
  for (const char* const other : {"<8>x", "<34>x", "<", "<3"}) {
    write(std::string{other} + '\n');
    read();
    EXPECT_EQ(events.back().severity, pool_event::level::info) << other;
    EXPECT_EQ(last(), std::string{"worker 3 (pid 4711): "} + other);
  }
}

TEST_F(outputs_of_programs, are_told_in_pieces_if_a_line_does_not_end) {
  write(std::string(10'000, 'x'));
  read();
  EXPECT_EQ(events.size(), 2u);
  EXPECT_TRUE(last().ends_with("xxx...")) << last();
  write("y\n");
  read();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_TRUE(last().ends_with("xxxy")) << last();
  std::size_t told = 0;
  for (const auto& each : events) told += each.text.size() - std::string{"worker 3 (pid 4711): "}.size();
  EXPECT_EQ(told, 10'001 + 2 * 3u) << "nothing is lost";
}

TEST_F(outputs_of_programs, wait_as_programs_expect_and_never_here) {
  EXPECT_EQ(::fcntl(made.writes.fd(), F_GETFL) & O_NONBLOCK, 0);
  read();
  EXPECT_TRUE(events.empty());
}

TEST_F(outputs_of_programs, have_last_words_also_without_an_end) {
  for (const char* const line : {"one", "two", "three", "four"}) write(std::string{line} + '\n');
  write("fi");
  EXPECT_EQ(outputs.last_words(program), "three | four | fi");
  EXPECT_EQ(events.size(), 5u) << "they are in the log before";
  EXPECT_EQ(last(), "worker 3 (pid 4711): fi") << "with what has no end";
  EXPECT_EQ(outputs.last_words(program), "") << "once";
  EXPECT_EQ(outputs.last_words(program + 1), "");
}

TEST_F(outputs_of_programs, are_read_on_after_the_worker_while_what_it_started_writes) {
  EXPECT_EQ(outputs.last_words(program), "");
  write("a child\n");
  read();
  EXPECT_EQ(last(), "worker 3 (pid 4711): a child");
  write("the end");
  made.writes.reset();
  read();
  EXPECT_EQ(last(), "worker 3 (pid 4711): the end");
  read();
  EXPECT_EQ(events.size(), 2u);
}

TEST_F(outputs_of_programs, of_one_who_writes_without_end_keep_nobody_waiting) {
  ASSERT_GT(::fcntl(made.writes.fd(), F_SETPIPE_SZ, 1 << 20), 0);
  const std::string lines(1 << 20, '\n');
  write(lines);
  auto other = outputs.make(5);
  outputs.belongs_to(other.which, program + 1);
  ASSERT_EQ(::write(other.writes.fd(), "heard\n", 6), 6);
  const auto begin = program_outputs::clock::now();
  read();
  EXPECT_LT(program_outputs::clock::now() - begin, 5s);
  EXPECT_EQ(last(), "worker 5 (pid 4712): heard");
}

TEST_F(outputs_of_programs, are_forgotten_of_one_that_was_not_started) {
  write("x\n");
  outputs.belongs_to(made.which, 0);
  read();
  EXPECT_TRUE(events.empty());
  EXPECT_EQ(outputs.last_words(program), "");
}

TEST_F(outputs_of_programs, are_told_to_the_last_at_the_end) {
  write("a line\nand no line");
  outputs.read_the_rest();
  EXPECT_EQ(events.size(), 2u);
  EXPECT_EQ(last(), "worker 3 (pid 4711): and no line");
}

TEST_F(outputs_of_programs, are_told_without_an_end_once_nothing_more_comes) {
  EXPECT_EQ(outputs.next(), never) << "the parent does not wake for nothing";
  write("<4>Password: ");
  read();
  EXPECT_TRUE(events.empty());
  EXPECT_LE(outputs.next(), program_outputs::clock::now() + program_outputs::longest_silence);
  read_when_due();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(last(), "worker 3 (pid 4711): Password: ...");
  EXPECT_EQ(outputs.next(), never);
  write("secret\n<3>next\n");
  read();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[1].text, "worker 3 (pid 4711): secret");
  EXPECT_EQ(events[1].severity, pool_event::level::warning) << "it is the same line";
  EXPECT_EQ(events[2].severity, pool_event::level::error);
  EXPECT_EQ(outputs.next(), never);
}

TEST_F(outputs_of_programs, that_end_a_line_late_are_not_told_twice) {
  write("abc");
  read_when_due();
  write("\n");
  read();
  EXPECT_EQ(events.size(), 1u);
  EXPECT_EQ(outputs.next(), never);
}

TEST_F(outputs_of_programs, are_told_without_an_end_also_if_it_goes_on_and_on) {
  const auto begin = program_outputs::clock::now();
  write("10%\r");
  read();
  write("20%\r");
  read();
  EXPECT_LE(outputs.next(), begin + program_outputs::longest_wait);
}

TEST_F(outputs_of_programs, are_cut_between_characters) {
  const std::string snowman = "\xe2\x98\x83", text = std::string(program_outputs::longest_line - 1, 'x');
  write(text + snowman + '\n');
  read();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].text, "worker 3 (pid 4711): " + text + "...");
  EXPECT_EQ(last(), "worker 3 (pid 4711): " + snowman);
  std::string many;
  for (int count = 0; count < 100; ++count) many += snowman;
  write(many + '\n');
  const std::string words = outputs.last_words(program);
  EXPECT_EQ(words, printable(words)) << "that is UTF-8";
}

TEST_F(outputs_of_programs, without_an_end_are_cut_between_characters_and_colours) {
  write("caf\xc3");
  read_when_due();
  EXPECT_EQ(last(), "worker 3 (pid 4711): caf...");
  EXPECT_EQ(outputs.next(), never) << "what is left is no line";
  write("\xa9 \x1b[3");
  read_when_due();
  EXPECT_EQ(last(), "worker 3 (pid 4711): \xc3\xa9 ...");
  write("1mred\n");
  read();
  EXPECT_EQ(last(), "worker 3 (pid 4711): red");
}

TEST_F(outputs_of_programs, in_a_large_pipe_have_the_last_lines_as_last_words) {
  constexpr std::size_t size = 1 << 20;
  if (::fcntl(made.writes.fd(), F_SETPIPE_SZ, size) < 0) GTEST_SKIP() << "no large pipe";
  const std::string line(2'000, 'm'), end = "the reason\n";
  std::string all;
  while (all.size() + line.size() + 1 + end.size() <= size) all += line + '\n';
  write(all + end);
  EXPECT_TRUE(outputs.last_words(program).ends_with(" | the reason"));
  EXPECT_EQ(last(), "worker 3 (pid 4711): the reason");
  std::size_t told = 0, skipped = 0;
  const std::string begin = "worker 3 (pid 4711): ";
  for (const auto& each : events) {
    if (each.name == "output-skipped") {
      skipped += std::stoul(each.fields.back().second);
      EXPECT_EQ(each.text,
                begin + "of what it wrote before its end, " + each.fields.back().second + " bytes are left out here");
      continue;
    }
    const std::string_view said = std::string_view{each.text}.substr(begin.size());
    told += (said.ends_with("...") ? said.size() - 3 : said.size() + 1) - (said.starts_with("...") ? 3 : 0);
  }
  EXPECT_EQ(told + skipped, all.size() + end.size()) << "what is left out is said";
  EXPECT_GE(skipped, size - program_outputs::most_at_end - (1 << 14));
}

TEST_F(outputs_of_programs, that_others_go_on_writing_are_not_waited_for_at_the_end) {
  write("mine\n");
  EXPECT_EQ(outputs.last_words(program), "mine");
  write("of a child\n");
  EXPECT_EQ(events.size(), 1u);
  read();
  EXPECT_EQ(last(), "worker 3 (pid 4711): of a child");
}

}  // namespace

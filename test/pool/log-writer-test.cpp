// log_writer: lines for whom nobody reads, whoever that is.
#include "udppump/log_writer.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>

#include "support/fault.hpp"
#include "support/private_folder.hpp"
#include "udppump/descriptor.hpp"

namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using udppump::log_writer;
using udppump::pool_event;
using udppump::detail::descriptor;

pool_event event_of(std::string text) { return {pool_event::level::notice, "test", std::move(text), {}}; }

/// Without the time, so that it can be compared.
std::string plain(const pool_event& event) { return "udppump: " + event.text + '\n'; }

struct ends {
  descriptor reads, writes;
};
ends make_pipe() {
  int both[2];
  EXPECT_EQ(::pipe(both), 0);
  return {descriptor{both[0]}, descriptor{both[1]}};
}
ends make_socket_pair() {
  int both[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, both), 0);
  return {descriptor{both[0]}, descriptor{both[1]}};
}
ends make_terminal() {
  int master = -1, terminal = -1;
  EXPECT_EQ(::openpty(&master, &terminal, nullptr, nullptr, nullptr), 0);
  termios modes{};
  ::tcgetattr(terminal, &modes);
  ::cfmakeraw(&modes);
  ::tcsetattr(terminal, TCSANOW, &modes);
  return {descriptor{master}, descriptor{terminal}};
}

/// What is there to be read by now; descriptors that wait are asked first.
std::string all_of(int fd) {
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
  std::string all;
  char some[65'536];
  for (ssize_t size; (size = ::read(fd, some, sizeof some)) > 0;) all.append(some, static_cast<std::size_t>(size));
  return all;
}

struct reader {
  const char* name;
  ends (*make)();
};
void PrintTo(const reader& one, std::ostream* out) { *out << one.name; }

class log_writer_to : public testing::TestWithParam<reader> {
 protected:
  const ends to_ = GetParam().make();
};

TEST_P(log_writer_to, nobody_who_reads_does_not_wait_and_tells_what_was_lost) {
  log_writer log{to_.writes.fd(), plain};
  for (int line = 0; line < 5'000; ++line) log.write(event_of("line " + std::to_string(line) + std::string(200, '.')));
  const std::uint64_t lost = log.lost();
  ASSERT_GT(lost, 0u);
  std::string seen = all_of(to_.reads.fd());
  log.write(event_of("read again"));
  seen += all_of(to_.reads.fd());

  // Each line is there whole, or is counted where it is missing: a terminal makes room in the middle.
  std::istringstream lines{seen};
  std::uint64_t next = 0;
  std::uint64_t told = 0;
  std::string line;
  while (std::getline(lines, line) && line != "udppump: read again") {
    std::uint64_t count = 0;
    int end = 0;
    if (std::sscanf(line.c_str(), "udppump: %" SCNu64 " line%*[s] of this log %*s lost, as nobody read them%n", &count,
                    &end) == 1 &&
        end > 0) {
      EXPECT_EQ(line.size(), static_cast<std::size_t>(end)) << line;
    } else if (line == "udppump: 1 line of this log was lost, as nobody read them") {
      count = 1;
    } else {
      ASSERT_EQ(line, "udppump: line " + std::to_string(next) + std::string(200, '.'));
      ++next;
    }
    told += count;
    next += count;
  }
  EXPECT_EQ(next, 5'000u);
  EXPECT_EQ(told, lost);
  EXPECT_EQ(line, "udppump: read again");
  EXPECT_FALSE(std::getline(lines, line)) << line;
  EXPECT_EQ(log.lost(), lost);
}

TEST_P(log_writer_to, others_of_the_descriptor_wait_as_before) {
  const int before = ::fcntl(to_.writes.fd(), F_GETFL);
  log_writer log{to_.writes.fd(), plain};
  log.write(event_of("a line"));
  EXPECT_EQ(::fcntl(to_.writes.fd(), F_GETFL), before);
  EXPECT_EQ(all_of(to_.reads.fd()), "udppump: a line\n");
}

INSTANTIATE_TEST_SUITE_P(, log_writer_to,
                         testing::Values(reader{"pipe", make_pipe}, reader{"socket", make_socket_pair},
                                         reader{"terminal", make_terminal}),
                         [](const auto& of) { return std::string{of.param.name}; });

TEST(log_writer, a_terminal_whose_output_was_stopped_is_not_waited_for) {
  const ends to = make_terminal();
  log_writer log{to.writes.fd(), plain};
  ASSERT_GE(log.own_descriptor(), 0);
  ASSERT_EQ(::tcflow(to.writes.fd(), TCOOFF), 0);
  log.write(event_of("stopped"));
  EXPECT_EQ(log.lost(), 1u);
  ASSERT_EQ(::tcflow(to.writes.fd(), TCOON), 0);
  log.write(event_of("goes on"));
  EXPECT_EQ(all_of(to.reads.fd()), "udppump: 1 line of this log was lost, as nobody read them\nudppump: goes on\n");
}

TEST(log_writer, a_descriptor_that_becomes_another_is_followed_there) {
  const ends terminal = make_terminal();
  const ends pipe = make_pipe();
  log_writer log{terminal.writes.fd(), plain};
  ASSERT_GE(::dup2(pipe.writes.fd(), terminal.writes.fd()), 0);
  log.write(event_of("to a pipe"));
  EXPECT_EQ(all_of(pipe.reads.fd()), "udppump: to a pipe\n");
  EXPECT_EQ(all_of(terminal.reads.fd()), "");
}

TEST(log_writer, a_file_is_written_to_even_if_its_file_system_cannot_do_so_at_once) {
  const private_folder folder;
  const descriptor file{::open((folder / "log").c_str(), O_WRONLY | O_CREAT, 0600)};
  const fault::injection refused{{.call = "pwritev2", .error = EAGAIN}};
  log_writer log{file.fd(), plain};
  log.write(event_of("to a file"));
  EXPECT_EQ(log.lost(), 0u);
  std::stringstream text;
  text << std::ifstream{folder / "log"}.rdbuf();
  EXPECT_EQ(text.str(), "udppump: to a file\n");
}

TEST(log_writer, a_pipe_that_a_worker_has_made_one_of_packets_is_one_of_bytes_again) {
  const ends pipe = make_pipe();
  log_writer log{pipe.writes.fd(), plain};
  ASSERT_EQ(::fcntl(pipe.writes.fd(), F_SETFL, O_DIRECT), 0);
  ASSERT_EQ(::fcntl(pipe.reads.fd(), F_SETFL, O_NONBLOCK), 0);
  log.write(event_of("a line"));
  char byte = 0;
  std::string read;
  while (read.size() < 16 && ::read(pipe.reads.fd(), &byte, 1) == 1) read += byte;
  EXPECT_EQ(read, "udppump: a line\n");
}

TEST(log_writer, a_file_of_which_a_worker_wants_whole_blocks_written_is_written_to_all_the_same) {
  const private_folder folder;
  const descriptor file{::open((folder / "log").c_str(), O_WRONLY | O_CREAT, 0600)};
  log_writer log{file.fd(), plain};
  if (::fcntl(file.fd(), F_SETFL, O_DIRECT) != 0) GTEST_SKIP() << "no O_DIRECT on this file system";
  const fault::injection refused{{.call = "write", .error = EINVAL, .times = 1}};  // as ext4 does of itself
  log.write(event_of("a line"));
  EXPECT_EQ(log.lost(), 0u);
  EXPECT_EQ(::fcntl(file.fd(), F_GETFL) & O_DIRECT, 0);
  std::stringstream text;
  text << std::ifstream{folder / "log"}.rdbuf();
  EXPECT_EQ(text.str(), "udppump: a line\n");
}

TEST(log_writer, a_reader_that_is_gone_sends_no_signal) {
  ends to = make_pipe();
  to.reads.reset();
  log_writer log{to.writes.fd(), plain};
  log.write(event_of("to nobody"));
  EXPECT_EQ(log.lost(), 1u);
  sigset_t pending;
  sigpending(&pending);
  EXPECT_EQ(sigismember(&pending, SIGPIPE), 0);
}

TEST(log_writer, a_kernel_that_cannot_write_at_once_is_asked_for_room_first) {
  for (const int error : {EOPNOTSUPP, ENOSYS, EPERM}) {
    const ends to = make_pipe();
    const fault::injection refused{{.call = "pwritev2", .error = error}};
    log_writer log{to.writes.fd(), plain};
    log.write(event_of("fits"));
    EXPECT_EQ(all_of(to.reads.fd()), "udppump: fits\n");
    for (int line = 0; line < 500; ++line) log.write(event_of(std::string(1'000, '.')));
    EXPECT_GT(log.lost(), 0u);
    EXPECT_GT(refused.hits(), 0);
  }
}

TEST(log_writer, a_full_disk_is_told_by_its_name) {
  const ends to = make_pipe();
  log_writer log{to.writes.fd(), plain};
  {
    const fault::injection refused{{.call = "pwritev2", .error = ENOSPC}};
    log.write(event_of("lost"));
  }
  log.write(event_of("written"));
  EXPECT_THAT(all_of(to.reads.fd()), HasSubstr("could not be written (No space left on device)"));
}

TEST(log_writer, lines_have_the_form_that_is_asked_for) {
  const ends to = make_pipe();
  log_writer log{to.writes.fd(), [](const pool_event& event) { return std::string{event.name} + '\n'; }};
  log.write(event_of("text"));
  EXPECT_EQ(all_of(to.reads.fd()), "test\n");
}

TEST(log_writer, a_line_of_text_has_the_local_time_with_its_offset_and_the_level) {
  const char* const zone = std::getenv("TZ");
  const std::string before = zone != nullptr ? zone : "";
  ::setenv("TZ", "XYZ-05:30", 1);  // east of Greenwich, in spite of the sign (tzset(3))
  ::tzset();
  const std::string line = log_writer::text_line(event_of("a text"));
  ::setenv("TZ", "XYZ+03", 1);
  ::tzset();
  const std::string west = log_writer::text_line(event_of("a text"));
  zone != nullptr ? ::setenv("TZ", before.c_str(), 1) : ::unsetenv("TZ");
  ::tzset();
  EXPECT_THAT(line, MatchesRegex("[0-9-]+T[0-9:]+\\.[0-9][0-9][0-9]\\+05:30 notice udppump: a text\n"));
  EXPECT_THAT(west, HasSubstr("-03:00 notice udppump: a text\n"));
  tm parts{};
  ASSERT_NE(::strptime(line.c_str(), "%Y-%m-%dT%H:%M:%S", &parts), nullptr);
  const time_t told = ::timegm(&parts) - (5 * 60 + 30) * 60;
  EXPECT_LE(std::abs(::time(nullptr) - told), 60);
}

TEST(log_writer, lines_have_the_time_of_the_event) {
  pool_event event = event_of("a text");
  event.time = std::chrono::system_clock::time_point{std::chrono::days{400} + std::chrono::milliseconds{12'034}};
  tm parts{};
  const std::string line = log_writer::text_line(event);
  const char* const rest = ::strptime(line.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  ASSERT_NE(rest, nullptr) << line;
  EXPECT_EQ(std::string{rest}.substr(0, 4), ".034");
  EXPECT_EQ(::mktime(&parts), 400 * 24 * 3600 + 12);
}

TEST(log_writer, what_was_lost_last_is_told_at_the_end) {
  const ends to = make_pipe();
  {
    log_writer log{to.writes.fd(), plain};
    const fault::injection refused{{.call = "pwritev2", .error = EAGAIN, .times = 1}};
    log.write(event_of("lost"));
  }
  EXPECT_EQ(all_of(to.reads.fd()), "udppump: 1 line of this log was lost, as nobody read them\n");
}

}  // namespace

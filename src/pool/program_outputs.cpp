#include "pool/program_outputs.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <utility>

#include "pool/duration_text.hpp"
#include "sys/failure.hpp"
#include "sys/sys.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

constexpr std::size_t most_last_lines = 3, longest_last_line = 160;
/// What fits into a pipe.
constexpr std::size_t most_at_end = 1 << 16;
constexpr std::size_t one_read = 4096;

/// Without colours, and what else a terminal takes for the looks of text (ECMA-48, SGR); tabs are spaces.
std::string plain(std::string_view line) {
  std::string text;
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (line.substr(at, 2) == "\x1b[") {
      const auto end = line.find_first_not_of("0123456789;:", at + 2);
      if (end != std::string_view::npos && line[end] == 'm') {
        at = end;
        continue;
      }
    }
    if (line[at] == '\t') {
      text += "    ";
    } else {
      text += line[at];
    }
  }
  return text;
}

/// "<3>text", as services tell systemd how severe a line is (sd-daemon(3)); else it is of no weight.
pool_event::level take_level(std::string_view& line) {
  if (line.size() < 3 || line[0] != '<' || line[1] < '0' || line[1] > '7' || line[2] != '>') {
    return pool_event::level::info;
  }
  const int told = line[1] - '0';
  line.remove_prefix(3);
  return static_cast<pool_event::level>(
      std::clamp(told, static_cast<int>(pool_event::level::error), static_cast<int>(pool_event::level::info)));
}

}  // namespace

program_outputs::program_outputs(const pool_log& log) : log_{log}, set_{sys::epoll_create()} {
  if (!set_) fail_with_cure(set_.fd(), "epoll for what programs write to stderr");
}

program_outputs::made program_outputs::make(std::size_t worker) {
  int ends[2];
  if (const int piped = sys::pipe_nonblocking(ends); piped < 0) fail_with_cure(piped, "pipe for a program's stderr");
  descriptor reads{ends[0]};
  descriptor writes{ends[1]};
  // The program's end waits, as programs expect it; each end has flags of its own.
  const int flags = sys::file_flags(writes.fd());
  if (flags < 0) fail_with_cure(flags, "pipe for a program's stderr");
  if (const int set = sys::set_file_flags(writes.fd(), flags & ~O_NONBLOCK); set < 0) {
    fail_with_cure(set, "pipe for a program's stderr");
  }
  epoll_event what{};
  what.events = EPOLLIN;
  what.data.u64 = next_;
  if (const int added = sys::epoll_ctl(set_.fd(), EPOLL_CTL_ADD, reads.fd(), &what); added < 0) {
    fail_with_cure(added, "epoll_ctl for a program's stderr");
  }
  all_.emplace(next_, output{.worker = worker, .reads = std::move(reads)});
  return {next_++, std::move(writes)};
}

void program_outputs::belongs_to(id which, pid_t pid) {
  const auto found = all_.find(which);
  if (found == all_.end()) return;
  if (pid <= 0) {
    all_.erase(found);
  } else {
    found->second.pid = pid;
  }
}

void program_outputs::read() {
  const auto until = clock::now() + longest_turn;
  std::array<epoll_event, 16> ready;  // the kernel puts who was told of behind the others
  do {
    const int found = sys::epoll_wait(set_.fd(), ready.data(), static_cast<int>(ready.size()), 0);
    if (found <= 0) break;
    for (int at = 0; at < found; ++at) {
      const auto one = all_.find(ready[static_cast<std::size_t>(at)].data.u64);
      if (one != all_.end()) read_some(one->second);
    }
  } while (clock::now() < until);
  forget_ended();
}

bool program_outputs::read_some(output& from) {
  if (!from.reads) return false;
  std::array<char, one_read> text;
  const ssize_t size = sys::read(from.reads.fd(), text.data(), text.size());
  if (size == -EAGAIN) return false;
  if (size <= 0) {
    end(from);
    return false;
  }
  take(from, {text.data(), static_cast<std::size_t>(size)});
  return true;
}

void program_outputs::read_what_is_there(output& from) {
  for (std::size_t read = 0; read < most_at_end && read_some(from); read += one_read) {
  }
}

void program_outputs::take(output& from, std::string_view text) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::size_t size = std::min({end, text.size(), longest_line - from.line.size()});
    from.line += text.substr(0, size);
    text.remove_prefix(size);
    const bool is_whole = !text.empty() && text.front() == '\n';
    if (is_whole) text.remove_prefix(1);
    if (!is_whole && from.line.size() < longest_line) return;
    if (!is_whole) from.line += "...";
    tell(from, from.line);
    from.line.clear();
    from.in_pieces = !is_whole;
  }
}

void program_outputs::tell(output& from, std::string_view line) {
  if (!from.in_pieces) from.level = take_level(line);
  std::string text = plain(line);
  text.erase(std::find_if_not(text.rbegin(), text.rend(), [](char one) { return one == ' ' || one == '\r'; }).base(),
             text.end());
  if (text.empty()) return;
  from.last.push_back(text.size() <= longest_last_line ? text : text.substr(0, longest_last_line) + "...");
  if (from.last.size() > most_last_lines) from.last.pop_front();
  const std::string number = std::to_string(from.worker);
  log_.say(from.level, "worker-says", "worker " + number + " (pid " + std::to_string(from.pid) + "): " + text,
           {{"worker", number}, {"pid", std::to_string(from.pid)}, {"line", text}});
}

void program_outputs::end(output& one) {
  if (!one.line.empty()) tell(one, std::exchange(one.line, {}));
  one.reads.reset();  // which takes it out of the set
}

std::string program_outputs::last_words(pid_t pid) {
  const auto found =
      std::ranges::find_if(all_, [pid](const auto& one) { return one.second.pid == pid && one.second.has_worker; });
  if (found == all_.end()) return {};
  output& its = found->second;
  read_what_is_there(its);
  its.has_worker = false;
  std::string words;
  for (const std::string& line : its.last) words += (words.empty() ? "" : " | ") + line;
  if (!its.line.empty()) words += (words.empty() ? "" : " | ") + plain(its.line).substr(0, longest_last_line);
  forget_ended();
  return words;
}

void program_outputs::read_the_rest() {
  for (auto& [which, one] : all_) {
    read_what_is_there(one);
    end(one);
  }
}

void program_outputs::forget_ended() {
  std::erase_if(all_, [](const auto& one) { return !one.second.reads && !one.second.has_worker; });
}

}  // namespace udppump::detail

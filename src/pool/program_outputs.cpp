#include "pool/program_outputs.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "pool/counted.hpp"
#include "sys/cut_text.hpp"
#include "sys/failure.hpp"
#include "sys/sys.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

constexpr std::size_t most_last_lines = 3, longest_last_line = 160;
constexpr std::size_t one_read = 4096;
/// Of what is skipped at the end, to have the last lines.
constexpr std::size_t last_part = 2 * program_outputs::longest_line;

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

/// How much of a line that goes on can be told: no character and no colour is cut in two.
std::size_t tellable_size(std::string_view line) {
  constexpr std::size_t longest_colour = 32;
  const auto colour = line.rfind('\x1b');
  if (colour != std::string_view::npos && line.size() - colour <= longest_colour &&
      (colour + 1 == line.size() ||
       (line[colour + 1] == '[' && line.find_first_not_of("0123456789;:", colour + 2) == std::string_view::npos))) {
    return colour;
  }
  return whole_size(line);
}

std::string_view without_end_of_character(std::string_view text) {
  for (int most = 3; most > 0 && !text.empty() && continues_character(text.front()); --most) text.remove_prefix(1);
  return text;
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

void program_outputs::read(clock::time_point now) {
  const auto until = clock::now() + longest_turn;
  std::array<epoll_event, 16> ready;  // the kernel puts who was told of behind the others
  do {
    const int found = sys::epoll_wait(set_.fd(), ready.data(), static_cast<int>(ready.size()), 0);
    if (found <= 0) break;
    for (int at = 0; at < found; ++at) {
      const auto one = all_.find(ready[static_cast<std::size_t>(at)].data.u64);
      if (one != all_.end()) read_some(one->second, one_read);
    }
  } while (clock::now() < until);
  for (auto& [which, one] : all_) {
    if (one.waits && now >= told_at(one)) tell_without_end(one);
  }
  forget_ended();
}

program_outputs::clock::time_point program_outputs::next() const noexcept {
  auto next = clock::time_point::max();
  for (const auto& [which, one] : all_) next = std::min(next, told_at(one));
  return next;
}

program_outputs::clock::time_point program_outputs::told_at(const output& one) noexcept {
  if (!one.waits) return clock::time_point::max();
  return std::min(one.waits->last + longest_silence, one.waits->first + longest_wait);
}

std::size_t program_outputs::read_some(output& from, std::size_t most) {
  if (!from.reads) return 0;
  std::array<char, one_read> text;
  const ssize_t size = sys::read(from.reads.fd(), text.data(), std::min(text.size(), most));
  if (size == -EAGAIN) return 0;
  if (size <= 0) {
    end(from);
    return 0;
  }
  take(from, {text.data(), static_cast<std::size_t>(size)});
  return static_cast<std::size_t>(size);
}

void program_outputs::read_what_is_there(output& from) {
  if (!from.reads) return;
  const int waiting = sys::waiting_in_pipe(from.reads.fd());
  std::size_t there = waiting < 0 ? most_at_end : static_cast<std::size_t>(waiting);
  const auto begin = clock::now();
  at_ends_until_ = std::max(at_ends_until_, begin);
  // Half of what is left of the time that all have together.
  const auto until = begin + (longest_at_ends - (at_ends_until_ - begin)) / 2;
  for (std::size_t done = 0; done < there;) {
    const std::size_t left = there - done;
    if (left > last_part && (done >= most_at_end || clock::now() >= until)) {
      done += skip(from, left - last_part, begin + (longest_at_ends - (at_ends_until_ - begin)));
      there = done + last_part;  // if not all could be skipped, what is left is read later
    }
    const std::size_t told = read_some(from, there - done);
    if (told == 0) break;
    done += told;
  }
  at_ends_until_ += part_at_ends * (clock::now() - begin);
}

std::size_t program_outputs::skip(output& from, std::size_t size, clock::time_point until) {
  tell_without_end(from);
  from.line.clear();
  from.last.clear();
  std::vector<char> text(1 << 16);
  char before = '\n';
  std::size_t done = 0;
  while (done < size && clock::now() < until) {
    const ssize_t read = sys::read(from.reads.fd(), text.data(), std::min(text.size(), size - done));
    if (read <= 0) break;
    done += static_cast<std::size_t>(read);
    before = text[static_cast<std::size_t>(read) - 1];
  }
  from.in_pieces = from.is_cut_before = before != '\n';
  from.level = pool_event::level::info;
  const std::string number = std::to_string(from.worker), pid = std::to_string(from.pid);
  log_.warning("output-skipped",
               "worker " + number + " (pid " + pid + "): of what it wrote before its end, " + counted(done, "byte") +
                   (done == 1 ? " is" : " are") + " left out here",
               {{"worker", number}, {"pid", pid}, {"bytes", std::to_string(done)}});
  return done;
}

void program_outputs::take(output& from, std::string_view text) {
  const auto now = clock::now();
  if (std::exchange(from.is_cut_before, false)) {
    text = without_end_of_character(text);
    from.line = "...";
  }
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::size_t size = std::min({end, text.size(), longest_line - from.line.size()});
    from.line += text.substr(0, size);
    text.remove_prefix(size);
    const bool is_whole = !text.empty() && text.front() == '\n';
    if (is_whole) text.remove_prefix(1);
    if (!is_whole && from.line.size() < longest_line) {
      from.waits = output::waiting{.first = from.waits ? from.waits->first : now, .last = now};
      return;
    }
    if (!is_whole) {
      tell_without_end(from);
      continue;
    }
    tell(from, from.line);
    from.line.clear();
    from.in_pieces = false;
    from.waits.reset();
  }
}

void program_outputs::tell_without_end(output& from) {
  from.waits.reset();
  const std::size_t size = tellable_size(from.line);
  if (size == 0) return;
  tell(from, from.line.substr(0, size) + "...");
  from.line.erase(0, size);
  from.in_pieces = true;
}

void program_outputs::tell(output& from, std::string_view line) {
  if (!from.in_pieces) from.level = take_level(line);
  std::string text = plain(line);
  text.erase(std::find_if_not(text.rbegin(), text.rend(), [](char one) { return one == ' ' || one == '\r'; }).base(),
             text.end());
  if (text.empty()) return;
  from.last.push_back(shortened(text, longest_last_line));
  if (from.last.size() > most_last_lines) from.last.pop_front();
  const std::string number = std::to_string(from.worker);
  log_.say(from.level, "worker-says", "worker " + number + " (pid " + std::to_string(from.pid) + "): " + text,
           {{"worker", number}, {"pid", std::to_string(from.pid)}, {"line", text}});
}

void program_outputs::tell_last(output& from) {
  if (!from.line.empty()) tell(from, std::exchange(from.line, {}));
  from.in_pieces = false;
  from.waits.reset();
}

void program_outputs::end(output& one) {
  tell_last(one);
  one.reads.reset();  // which takes it out of the set
}

std::string program_outputs::last_words(pid_t pid) {
  const auto found =
      std::ranges::find_if(all_, [pid](const auto& one) { return one.second.pid == pid && one.second.has_worker; });
  if (found == all_.end()) return {};
  output& its = found->second;
  read_what_is_there(its);
  tell_last(its);  // what follows is of others
  its.has_worker = false;
  std::string words;
  for (const std::string& line : its.last) words += (words.empty() ? "" : " | ") + line;
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

#include "terminal.hpp"

#define NCURSES_NOMACROS
#include <curses.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

namespace udppump::tools {

namespace {

constexpr short alarm_pair = 1, title_pair = 2;

/// https://no-color.org: whatever it is, if it is not empty.
bool wants_colour() {
  const char* const none = std::getenv("NO_COLOR");
  return none == nullptr || *none == '\0';
}

key read_as(int code) {
  switch (code) {
    case 'q':
    case 'Q':
      return key::quit;
    case 's':
      return key::sort;
    case 'p':
      return key::pool;
    case 'h':
    case '?':
      return key::help;
    case ' ':
      return key::pause;
    case KEY_UP:
    case 'k':
      return key::up;
    case KEY_DOWN:
    case 'j':
      return key::down;
    case KEY_PPAGE:
      return key::page_up;
    case KEY_NPAGE:
      return key::page_down;
    case KEY_HOME:
      return key::home;
    case KEY_END:
      return key::end;
    case KEY_RESIZE:
      return key::resized;
    default:
      return key::none;
  }
}

/// It has cursor_address (terminfo(5)).
bool is_drawn_anywhere() {
  const char* const how = ::tigetstr("cup");
  return how != nullptr && how != reinterpret_cast<const char*>(-1);
}

[[noreturn]] void fail_as_gone() { throw std::runtime_error{"the terminal is gone"}; }

}  // namespace

struct terminal::state {
  SCREEN* screen = nullptr;
  bool colour = false;
};

terminal::terminal() : state_{std::make_unique<state>()} {
  if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDOUT_FILENO) != 1) {
    throw std::runtime_error{"top needs a terminal as its input and output; udppump stat writes to anything"};
  }
  std::setlocale(LC_CTYPE, "");
  state_->screen = ::newterm(nullptr, stdout, stdin);
  const char* const kind = std::getenv("TERM");
  if (state_->screen == nullptr) {
    throw std::runtime_error{
        fmt::format("nothing is known of a terminal of the kind \"{}\"; set TERM to one that `toe -a` lists, or use "
                    "udppump stat",
                    kind == nullptr ? "" : kind)};
  }
  ::set_term(state_->screen);
  if (!is_drawn_anywhere()) {
    ::endwin();
    ::delscreen(state_->screen);
    throw std::runtime_error{fmt::format("a terminal of the kind \"{}\" (TERM) cannot be drawn over; use udppump stat",
                                         kind == nullptr ? "" : kind)};
  }
  ::cbreak();
  ::noecho();
  ::nonl();
  ::keypad(stdscr, TRUE);
  ::curs_set(0);
  ::nodelay(stdscr, TRUE);
  state_->colour = wants_colour() && ::has_colors() && ::start_color() == OK;
  if (state_->colour) {
    ::use_default_colors();
    ::init_pair(alarm_pair, COLOR_RED, -1);
    ::init_pair(title_pair, COLOR_CYAN, -1);
  }
}

terminal::~terminal() {
  // One without a second screen goes on in the last line.
  ::move(getmaxy(stdscr) - 1, 0);
  ::clrtoeol();
  ::refresh();
  ::endwin();
  ::delscreen(state_->screen);
}

std::size_t terminal::rows() const noexcept { return static_cast<std::size_t>(std::max(0, getmaxy(stdscr))); }
std::size_t terminal::columns() const noexcept { return static_cast<std::size_t>(std::max(0, getmaxx(stdscr))); }

void terminal::draw(const std::vector<frame_line>& lines) noexcept {
  ::erase();
  for (std::size_t row = 0; row < lines.size(); ++row) {
    attr_t how = A_NORMAL;
    switch (lines[row].as) {
      case frame_line::style::plain:
        break;
      case frame_line::style::title:
        how = A_BOLD | (state_->colour ? COLOR_PAIR(title_pair) : A_NORMAL);
        break;
      case frame_line::style::head:
        how = A_REVERSE;
        break;
      case frame_line::style::alarm:
        how = A_BOLD | (state_->colour ? COLOR_PAIR(alarm_pair) : A_NORMAL);
        break;
      case frame_line::style::help:
        how = A_DIM;
        break;
    }
    ::attrset(static_cast<int>(how));
    ::mvaddnstr(static_cast<int>(row), 0, lines[row].text.c_str(), static_cast<int>(lines[row].text.size()));
  }
  ::attrset(A_NORMAL);
  ::refresh();
}

key terminal::wait(std::chrono::milliseconds time) {
  // getch() says the same of no key and of no terminal.
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  const int found = ::poll(&input, 1, static_cast<int>(std::max<std::int64_t>(0, time.count())));
  if (found < 0 && errno != EINTR) fail_as_gone();
  if (found > 0 && (input.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) fail_as_gone();
  errno = 0;
  const int code = ::getch();
  if (code == ERR && found > 0 && (errno == EIO || errno == 0)) fail_as_gone();
  return code == ERR ? key::none : read_as(code);
}

}  // namespace udppump::tools

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "command.hpp"
#include "command_line.hpp"
#include "load/plan/quantity.hpp"
#include "pool_choice.hpp"
#ifdef UDPPUMP_HAS_CURSES
#include "terminal.hpp"
#include "top_frame.hpp"
#endif

namespace udppump::tools {

namespace {

struct top_settings {
  std::string pool;
  std::chrono::nanoseconds interval = std::chrono::seconds{1};
};

#ifdef UDPPUMP_HAS_CURSES

using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// Looks at one pool, and at the next one if that is wanted.
class looker {
 public:
  explicit looker(std::string wanted) : wanted_{std::move(wanted)}, reader_{choose_pools(wanted_).front()} {}

  void look() {
    try {
      const auto now = clock::now();
      pool_status told = reader_.read();
      if (looks_) {
        looks_->before = std::move(looks_->now);
        looks_->seconds = std::chrono::duration<double>{now - looked_at_}.count();
        looks_->now = std::move(told);
      } else {
        looks_ = two_looks{.now = std::move(told)};
      }
      looked_at_ = now;
    } catch (const std::system_error& ended) {
      why_not_ = ended.what();
      looks_.reset();
      find_again();
    }
  }
  /// The one with the next higher id.
  void go_to_next() {
    auto all = pool_reader::all();
    const auto next =
        std::ranges::find_if(all, [this](const pool_reader& each) { return each.parent() > reader_.parent(); });
    if (all.empty()) return;
    reader_ = next == all.end() ? all.front() : *next;
    wanted_.clear();
    looks_.reset();
    look();
  }

  std::vector<frame_line> frame(top_view& view) const {
    return looks_ ? frame_of(*looks_, view) : frame_of(why_not_, view);
  }

 private:
  /// One that took over, or was started again.
  void find_again() {
    try {
      reader_ = choose_pool(wanted_);
    } catch (const std::exception&) {
      // There is none, or there are several: the keys choose.
    }
  }

  std::string wanted_;
  pool_reader reader_;
  std::optional<two_looks> looks_;
  std::string why_not_;
  clock::time_point looked_at_ = {};
};

/// What a key changes; false: to quit.
bool heed(key pressed, looker& pool, top_view& view) {
  const std::size_t page = std::max<std::size_t>(1, view.rows / 2);
  switch (pressed) {
    case key::quit:
      return false;
    case key::sort:
      view.order = after(view.order);
      break;
    case key::pool:
      pool.go_to_next();
      break;
    case key::help:
      view.help = !view.help;
      break;
    case key::pause:
      view.paused = !view.paused;
      break;
    case key::up:
      view.skipped -= std::min<std::size_t>(view.skipped, 1);
      break;
    case key::down:
      ++view.skipped;
      break;
    case key::page_up:
      view.skipped -= std::min(view.skipped, page);
      break;
    case key::page_down:
      view.skipped += page;
      break;
    case key::home:
      view.skipped = 0;
      break;
    case key::end:
      view.skipped = SIZE_MAX;
      break;
    case key::none:
    case key::resized:
      break;
  }
  return true;
}

int run(const top_settings& settings) {
  const auto& interrupted = interruption();  // before ncurses looks for handlers
  looker pool{settings.pool};
  terminal screen;
  top_view view;
  auto next_look = clock::now();
  for (;;) {
    const auto now = clock::now();
    if (now >= next_look) {
      if (!view.paused) pool.look();
      next_look = now + settings.interval;
    }
    view.rows = screen.rows();
    view.columns = screen.columns();
    screen.draw(pool.frame(view));
    if (interrupted || !heed(screen.wait(std::chrono::ceil<milliseconds>(next_look - now)), pool, view)) return exit_ok;
  }
}

#else

int run(const top_settings&) {
  throw std::runtime_error{"this udppump was built without ncurses; install libncurses-dev and build it again"};
}

#endif

std::chrono::nanoseconds parse_interval(const std::string& text) {
  const auto time = load::parse_duration_in(std::chrono::seconds{1}, text);
  if (time >= std::chrono::milliseconds{100} && time <= std::chrono::hours{1}) return time;
  throw std::invalid_argument{load::quoted(text) + " is not between 100ms and 1h; give a time that is"};
}

}  // namespace

void add_top(CLI::App& app, action& chosen) {
  auto& sub = *app.add_subcommand("top", "Watch a running pool in the terminal, with rates a second.");
  auto settings = std::make_shared<top_settings>();
  add_parsed(sub, "POOL", settings->pool, not_empty,
             {"", "", "which pool: the process id of its parent, or its name; default: the first that there is"});
  add_parsed(sub, "--interval", settings->interval, parse_interval,
             {"TIME", "1s", "between two looks, 100ms at least; without a unit in seconds"});
  sub.footer(
      "Keys: q quits, s sorts workers by the next column, p goes to the next pool, space pauses, arrows and Page Up "
      "and\n"
      "Down scroll, h helps. Colours are left out if NO_COLOR is set.\n"
      "Exit codes: 0 told to quit; 1 there is no pool, it may not be looked at, or there is no terminal; 2 wrong "
      "usage.");
  sub.callback([&chosen, settings] { chosen = [settings] { return run(*settings); }; });
}

}  // namespace udppump::tools

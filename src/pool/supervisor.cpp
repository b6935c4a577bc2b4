#include "pool/supervisor.hpp"

#include <poll.h>

#include <algorithm>

#include "sys/failure.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

supervisor::supervisor(const supervised& parts)
    : parts_{parts},
      options_{parts.context.options},
      board_{parts.context.shared},
      log_{parts.log},
      signals_{parts.context.signal_mask},
      signal_fd_{sys::signal_descriptor(signals_.set())},
      places_(parts.context.options.workers) {
  if (!signal_fd_) fail(signal_fd_.fd(), "signalfd");
  if (!options_.reload_on_change.empty()) files_.emplace(options_.reload_on_change);
  if (parts_.start.keeps_pages()) stranded_.emplace(board_, parts_.context.sockets.all());
}

int supervisor::run() {
  try {
    for (std::size_t number = 0; number < places_.size(); ++number) start(number);
  } catch (const std::system_error&) {
    // Those that were started may hold something.
    if (!members_.empty()) begin_stop("a worker could not be started", false);
    while (!members_.empty()) go_round();
    if (parts_.redelivers != nullptr) parts_.redelivers->give_up();
    throw;
  }
  if (parts_.service.watchdog_interval().count() > 0) watchdog_at_ = clock::now();
  while (!stopping_ || !members_.empty()) go_round();
  if (parts_.redelivers != nullptr) parts_.redelivers->give_up();
  log_.notice("stopped", was_handed_over_ ? "ended; another process serves on" : "stopped");
  return result_;
}

void supervisor::go_round() {
  wait();
  take_signals();
  note_serving();
  if (std::exchange(reap_due_, false)) reap();
  if (std::exchange(take_over_due_, false) || clock::now() >= parts_.takes_over.wakes_at()) heed_take_over();
  if (!stopping_) restart();
  continue_reload();
  enforce_deadlines();
  const auto now = clock::now();
  if (stranded_ && !stopping_ && now >= stranded_->next()) stranded_->look(now);
  if (now >= watchdog_at_) {
    parts_.service.feed_watchdog();
    watchdog_at_ = now + parts_.service.watchdog_interval();
  }
}

supervisor::member& supervisor::start(std::size_t number) {
  auto& own = parts_.context.parents_own = parts_.takes_over.descriptors();
  own.push_back(signal_fd_.fd());
  if (files_) own.push_back(files_->fd());
  auto made = std::make_unique<member>(member{.number = number, .page = board_.claim(number), .started = clock::now()});
  try {
    made->worker = parts_.start.start({number, made->page});
  } catch (...) {
    board_.release(made->page);
    throw;
  }
  made->deadline = made->started + (parts_.start.keeps_pages() ? options_.start_timeout : parts_.ready_after);
  places_[number].start_at.reset();
  members_.push_back(std::move(made));
  return *members_.back();
}

supervisor::clock::time_point supervisor::next_event() const {
  auto next = std::min(watchdog_at_, parts_.takes_over.wakes_at());
  if (stranded_ && !stopping_) next = std::min(next, stranded_->next());
  for (const place& one : places_) {
    if (one.start_at && !stopping_) next = std::min(next, *one.start_at);
  }
  for (const auto& one : members_) {
    if (!one->killed && (!one->serving || one->stopping)) next = std::min(next, one->deadline);
  }
  return next;
}

void supervisor::wait() {
  std::vector<pollfd> set;
  const auto watch = [&set](int fd) { set.push_back({.fd = fd, .events = POLLIN, .revents = 0}); };
  watch(signal_fd_.fd());
  watch(board_.parent_signal());
  if (files_) watch(files_->fd());
  const std::size_t first_successor = set.size();
  for (const int fd : parts_.takes_over.descriptors()) watch(fd);
  const std::size_t first_socket = set.size();
  if (stranded_ && !stopping_) {
    for (const int fd : stranded_->wants_to_know()) watch(fd);
  }

  const auto next = next_event();
  int timeout = -1;
  if (next != clock::time_point::max()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - clock::now()).count();
    timeout = static_cast<int>(std::clamp<long>(left, 0, 60'000));
  }
  if (sys::poll(set.data(), set.size(), timeout) <= 0) return;
  const auto any_of = [&set](std::size_t first, std::size_t end) {
    return std::any_of(set.begin() + static_cast<std::ptrdiff_t>(first), set.begin() + static_cast<std::ptrdiff_t>(end),
                       [](const pollfd& one) { return one.revents != 0; });
  };
  signals_due_ = set[0].revents != 0;
  take_over_due_ = any_of(first_successor, first_socket);
  if (any_of(first_socket, set.size())) stranded_->arrived(clock::now());
  if (set[1].revents != 0) {
    std::uint64_t waste = 0;
    static_cast<void>(sys::read(board_.parent_signal(), &waste, sizeof waste));
    reap_due_ = true;  // a thread's end
  }
  if (files_ && set[2].revents != 0) {
    if (const std::string file = files_->changed(); !file.empty() && !stopping_) {
      log_.notice("file-changed", "\"" + file + "\" has changed");
      begin_reload();
    }
  }
}

void supervisor::take_signals() {
  const std::uint32_t wanted = board_.header().requests.exchange(0, std::memory_order_acquire);
  if ((wanted & request_stop) != 0) begin_stop("asked to stop", false);
  if ((wanted & request_reload) != 0) begin_reload();
  if (!std::exchange(signals_due_, false)) return;
  signalfd_siginfo came{};
  while (sys::read(signal_fd_.fd(), &came, sizeof came) == static_cast<ssize_t>(sizeof came)) {
    switch (came.ssi_signo) {
      case SIGCHLD:
        reap_due_ = true;
        break;
      case SIGHUP:
        begin_reload();
        break;
      case SIGUSR2:
        if (!stopping_) parts_.takes_over.begin(parts_.context.signal_mask);
        break;
      default:
        begin_stop(came.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM", false);
    }
  }
}

void supervisor::note_serving() {
  const auto now = clock::now();
  bool more = false;
  for (const auto& one : members_) {
    if (one->serving) continue;
    const page_state state = board_.page(one->page).state.load(std::memory_order_acquire);
    one->serving = parts_.start.keeps_pages() ? state == page_state::serving || state == page_state::stopping
                                              : now >= one->deadline;
    more |= one->serving;
    if (one->serving && !parts_.start.keeps_pages()) {
      auto starting = page_state::starting;
      board_.page(one->page).state.compare_exchange_strong(starting, page_state::serving);
    }
  }
  if (more && was_whole_ && !stopping_ && !reload_) parts_.service.status(status());
  if (was_whole_ || stopping_ || serving_count() < places_.size()) return;
  was_whole_ = true;
  std::string where;
  for (const datagram_socket& socket : parts_.context.sockets.all()) {
    where += (where.empty() ? "" : ", ") + socket.local().to_string();
  }
  log_.notice("serving",
              std::to_string(places_.size()) + (places_.size() == 1 ? " worker serves " : " workers serve ") + where,
              {{"workers", std::to_string(places_.size())}, {"sockets", where}});
  // After the log, where a program may have written its id somewhere: then the pool before this one ends.
  parts_.takes_over.say_ready();
  parts_.service.ready(status());
}

/// The worker that has this number and is not about to go, if there is one.
supervisor::member* supervisor::serving_as(std::size_t number) const noexcept {
  for (const auto& one : members_) {
    if (one->number == number && !one->stopping) return one.get();
  }
  return nullptr;
}

std::size_t supervisor::serving_count() const noexcept {
  return static_cast<std::size_t>(
      std::count_if(members_.begin(), members_.end(), [](const auto& one) { return one->serving && !one->stopping; }));
}

std::string supervisor::status() const {
  std::string text = std::to_string(serving_count()) + " of " + std::to_string(places_.size()) + " workers serve";
  if (const auto restarts = board_.header().restarts.load()) {
    text += ", " + std::to_string(restarts) + (restarts == 1 ? " restart" : " restarts");
  }
  return text;
}

}  // namespace udppump::detail

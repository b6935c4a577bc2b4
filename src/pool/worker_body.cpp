#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <thread>

#include "pool/running_worker.hpp"
#include "pump/group_core.hpp"
#include "sys/sys_process.hpp"

namespace udppump {

using detail::group_core;
using detail::worker_link;

namespace {

constexpr std::chrono::milliseconds group_budget{5};

}  // namespace

worker::worker(std::shared_ptr<worker_link> link, std::span<datagram_socket> sockets, waiter_kind kind,
               std::shared_ptr<detail::wake_signal> signal)
    : link_{std::move(link)},
      sockets_{sockets},
      pumps_{std::make_shared<group_core>(kind, group_budget, std::move(signal), link_)} {}

worker::~worker() { link_->on_stop = nullptr; }

std::size_t worker::number() const noexcept { return link_->page().number.load(std::memory_order_relaxed); }
bool worker::stopping() const noexcept { return link_->told_to_stop(); }
void worker::ready() noexcept { link_->serving(); }
void worker::on_stop(std::function<void()> call) { link_->on_stop = std::move(call); }

std::error_code worker::serve(handler on_datagram, const pump_options& options) {
  std::vector<std::unique_ptr<pump>> pumps;
  for (datagram_socket& socket : sockets_) {
    pumps.push_back(std::make_unique<pump>(
        pumps_, socket, [&on_datagram](datagram& received) { on_datagram(received); }, options));
  }
  const std::error_code error = pumps_.run();
  // What is held is finished; the parent has the patience, and ends it with SIGKILL.
  const auto busy = [&pumps] {
    for (const auto& one : pumps) {
      if (one->in_flight() != 0) return true;
    }
    return false;
  };
  while (!error && busy()) std::this_thread::sleep_for(std::chrono::milliseconds{1});
  return error;
}

namespace detail {

namespace {

/// Whom SIGTERM is for, in a worker's process; signal handlers find things in globals only.
struct {
  worker_page* page = nullptr;
  int signal = -1;
} told;

void on_term(int) {
  told.page->orders.fetch_or(order_stop, std::memory_order_release);
  notify(told.signal);
}

}  // namespace

sigset_t parents_signals() noexcept {
  sigset_t set;
  sigemptyset(&set);
  for (const int one : {SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD}) sigaddset(&set, one);
  return set;
}

void take_workers_signals(board& shared, std::size_t page) {
  told = {&shared.page(page), shared.page_signal(page)};
  struct sigaction action {};
  action.sa_handler = on_term;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGTERM, &action, nullptr);
  action.sa_handler = SIG_IGN;  // a terminal's Ctrl-C goes to all, and the parent acts on it
  for (const int parents : {SIGINT, SIGHUP, SIGUSR2}) ::sigaction(parents, &action, nullptr);
}

void leave_last_words(worker_page& page, const std::string& text) noexcept {
  const std::size_t size = std::min(text.size(), sizeof page.last_words - 1);
  std::memcpy(page.last_words, text.data(), size);
  page.last_words[size] = '\0';
}

worker_end run_body(const launch_context& context, const assignment& what, const worker_body& body) {
  worker_page& page = context.shared->page(what.page);
  const fork_mark mark;
  const auto end = [&](int code, const std::string& words, bool hopeless = false) {
    if (!mark.in_child()) leave_last_words(page, words);
    return worker_end{.by_signal = false, .code = code, .words = words, .hopeless = hopeless};
  };
  try {
    std::vector<int> descriptors;
    for (const datagram_socket& socket : context.sockets) descriptors.push_back(socket.fd());
    const auto link = std::make_shared<worker_link>(context.shared->share_of(what.page), std::move(descriptors));
    const int own_signal = ::fcntl(context.shared->page_signal(what.page), F_DUPFD_CLOEXEC, 3);
    if (own_signal < 0) return end(status_no_setup, "eventfd: raise the descriptor limit (ulimit -n)", true);
    worker self{link, context.sockets, context.options.waiter, std::make_shared<wake_signal>(own_signal)};
    body(self);
  } catch (const std::exception& thrown) {
    return end(1, thrown.what());
  } catch (...) {
    return end(1, "an exception of an unknown type");
  }
  return end(0, page.last_words);
}

}  // namespace detail
}  // namespace udppump

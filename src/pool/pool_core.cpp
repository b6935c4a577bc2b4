#include "pool/pool_core.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <stdexcept>

#include "pool/become.hpp"
#include "pool/worker_setup.hpp"
#include "sys/failure.hpp"
#include "sys/sys_process.hpp"
#include "sys/wake_signal.hpp"

namespace udppump::detail {

namespace {

constexpr std::size_t most_workers = 4096;
/// Keeps "for ever" from overflowing the clock.
constexpr std::chrono::hours longest_time{24 * 365};
constexpr std::chrono::seconds take_over_margin{10};
/// Before the names of sockets that are handed on and came from a service manager once: no address asked for them.
constexpr char service_managers_mark[] = "+";

pool_options checked(pool_options options) {
  const auto refuse = [](const std::string& why) { throw std::invalid_argument{why}; };
  if (options.workers == 0) options.workers = usable_cores();
  if (options.workers > most_workers) {
    refuse("workers: " + std::to_string(options.workers) + " is absurd; at most " + std::to_string(most_workers));
  }
  const bool threads = options.model == worker_model::threads;
  if (threads && options.reexecute) refuse("reexecute takes processes: threads are of this execution");
  if (options.redeliver && options.redeliver_limit == 0) refuse("redeliver_limit is 0; at least 1");
  if (options.redeliver && options.redeliver_limit > 1 << 20) refuse("redeliver_limit is above 1 MiB");
  if (options.redeliver && options.socket.receive_offload) {
    refuse("redeliver and receive_offload exclude each other: a joined read holds many datagrams, and one can be kept");
  }
  if (options.nice && (*options.nice < -20 || *options.nice > 19)) {
    refuse("nice: " + std::to_string(*options.nice) + " is not between -20 and 19");
  }
  if (options.restart.crash_limit == 0) refuse("restart.crash_limit is 0; at least 1");
  for (const auto time : {options.stop_timeout, options.start_timeout, options.restart.healthy_after,
                          options.restart.first_delay, options.restart.longest_delay}) {
    if (time.count() < 0) refuse("a time of the pool's options is negative");
  }
  for (auto* const time : {&options.stop_timeout, &options.start_timeout, &options.restart.healthy_after,
                           &options.restart.first_delay, &options.restart.longest_delay}) {
    *time = std::min<std::chrono::milliseconds>(*time, longest_time);
  }
  return options;
}

constexpr char default_name[] = "udppump";

/// "NAME=ADDRESS" or "ADDRESS"; a name has no colon, as LISTEN_FDNAMES separates by it, and no '[' or '/'.
std::pair<std::string, std::string> split_name(const std::string& text) {
  const auto at = text.find('=');
  if (at == std::string::npos || text.find_first_of(":[/ ") < at) return {default_name, text};
  const std::string name = text.substr(0, at);
  const bool has_control =
      std::any_of(name.begin(), name.end(), [](char one) { return static_cast<unsigned char>(one) <= ' '; });
  if (name.empty() || has_control || name[0] == '@' || name[0] == '+') {
    throw std::invalid_argument{"\"" + text + "\": the name before \"=\" is empty, begins with @ or +, or has a space"};
  }
  return {name, text.substr(at + 1)};
}

std::optional<descriptor> inherited_connection() {
  const char* const text = std::getenv("UDPPUMP_TAKE_OVER");
  if (text == nullptr) return {};
  int fd = -1;
  std::from_chars(text, text + std::string_view{text}.size(), fd);
  ::unsetenv("UDPPUMP_TAKE_OVER");
  if (fd < 3 || sys::set_close_on_exec(fd, true) < 0) fail(EBADF, "UDPPUMP_TAKE_OVER is no descriptor");
  return descriptor{fd};
}

}  // namespace

pool_core::pool_core(pool_options options)
    : options_{checked(std::move(options))},
      log_{options_.log},
      own_{own_command::look_up()},
      context_{.options = options_, .shared = nullptr, .sockets = sockets_, .names = names_} {
  if (auto left = inheritance::take()) {
    inherit(std::move(*left));
    return;
  }
  const identity become{options_.become};
  open();
  if (!options_.take_over.empty() && !listener_) {
    listener_ = listen_for_successors(options_.take_over, become.user(), become.group());
  }
  // From here on the path is removed where this fails.
  takes_over_.emplace(own_, std::move(listener_), options_.take_over, std::move(before_),
                      options_.start_timeout + take_over_margin, log_);
  board_ = std::make_unique<board>(2 * options_.workers, options_.redeliver ? options_.redeliver_limit : 0);
  context_.shared = board_.get();
  if (options_.redeliver) {
    keeps_.emplace(*options_.redeliver, *board_, sockets_, log_);
    keeps_->give_file_to(become.user(), become.group());
  }
  reserve_for_workers(options_);
  become.assume();
}

pool_core::~pool_core() = default;

void pool_core::inherit(inheritance left) {
  for (passed_socket& one : left.sockets) add_socket(std::move(one));
  board_ = std::make_unique<board>(std::move(left.memory), std::move(left.parent_signal), left.page,
                                   std::move(left.page_signal));
  context_.shared = board_.get();
  inherited_ = std::move(left);
}

void pool_core::open() {
  std::vector<passed_socket> passed;
  if (auto connection = inherited_connection()) {
    before_.emplace(std::move(*connection));
  } else if (!options_.take_over.empty()) {
    before_ = predecessor::at(options_.take_over);
  }
  if (before_) {
    for (passed_socket& one : before_->take_sockets()) {
      if (one.name == take_over_name) {
        listener_ = std::move(one.socket);
      } else {
        passed.push_back(std::move(one));
      }
    }
  } else {
    passed = service_manager::take_sockets();
    for (passed_socket& one : passed) one.name = service_managers_mark + one.name;
  }
  std::vector<std::pair<std::string, address>> wanted;
  for (const std::string& text : options_.bind) {
    const auto [name, where] = split_name(text);
    wanted.emplace_back(name, address::parse(where));
  }
  const bool chosen = !wanted.empty();
  for (passed_socket& one : passed) {
    address local;
    socklen_t size = address::capacity;
    if (sys::getsockname(one.socket.fd(), local.buffer(), &size) == 0) local.resize(size);
    // Of a pool before this one, port 0 stands for the one that it was given.
    const auto match = std::find_if(wanted.begin(), wanted.end(), [&](const auto& each) {
      return each.second == local || (before_ && each.second.port() == 0 && each.second == local.with_port(0));
    });
    // What the pool before this one had bound, and this one is not to serve, is closed.
    if (match == wanted.end() && chosen && one.name.rfind(service_managers_mark, 0) != 0) continue;
    if (match != wanted.end()) wanted.erase(match);
    add_socket(std::move(one));
  }
  for (const auto& [name, where] : wanted) {
    sockets_.push_back(datagram_socket::bind(where, options_.socket));
    names_.push_back(name);
    handed_names_.push_back(name);
    if (const std::string shortfall = sockets_.back().receive_buffer().shortfall(); !shortfall.empty()) {
      log_.warning("receive-buffer", sockets_.back().local().to_string() + ": " + shortfall);
    }
  }
  if (sockets_.empty()) {
    throw std::invalid_argument{"nothing to listen on: give an address to bind, or start by a socket unit of systemd"};
  }
}

void pool_core::add_socket(passed_socket passed) {
  std::replace_if(
      passed.name.begin(), passed.name.end(), [](char one) { return static_cast<unsigned char>(one) <= ' '; }, '_');
  const bool managed = passed.name.rfind(service_managers_mark, 0) == 0;
  if (managed) passed.name.erase(0, 1);
  int listening = 0;
  int type = 0;
  const int fd = passed.socket.fd();
  const std::string what = "descriptor " + std::to_string(fd) + " (" + passed.name + ") that was passed";
  const int asked = sys::getsockopt(fd, SOL_SOCKET, SO_TYPE, type);
  if (asked < 0) fail(asked, what + " is no socket; check LISTEN_FDS and the socket unit");
  static_cast<void>(sys::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, listening));
  if (type == SOCK_STREAM || listening != 0) {
    fail(EPROTOTYPE, what + " is a stream socket; in the socket unit, take ListenDatagram= and not ListenStream=");
  }
  sockets_.push_back(datagram_socket::adopt(fd, options_.socket));
  static_cast<void>(passed.socket.release());
  names_.push_back(passed.name.empty() ? default_name : passed.name);
  handed_names_.push_back(managed ? service_managers_mark + names_.back() : names_.back());
}

int pool_core::run(worker_body body) {
  if (inherited_) {
    const assignment what{board_->page(inherited_->page).number, inherited_->page};
    if (::getppid() != inherited_->parent) return status_no_setup;
    take_workers_signals(*board_, what.page);
    const sigset_t parents = parents_signals();
    ::sigprocmask(SIG_UNBLOCK, &parents, nullptr);
    return run_body(context_, what, body).code;
  }
  const auto start = options_.model == worker_model::threads ? make_thread_launcher(context_, std::move(body))
                     : options_.reexecute                    ? make_self_launcher(context_, own_)
                                                             : make_fork_launcher(context_, std::move(body));
  return supervise(*start, {});
}

int pool_core::run(const worker_program& program, const program_options& options) {
  if (options_.model == worker_model::threads) throw std::invalid_argument{"programs are processes, not threads"};
  if (options_.redeliver) throw std::invalid_argument{"redeliver takes handlers: a program's datagrams are its own"};
  const auto start = make_program_launcher(context_, program);
  return supervise(*start, options.ready_after);
}

int pool_core::supervise(launcher& start, std::chrono::milliseconds ready_after) {
  supervisor parent{{.context = context_,
                     .start = start,
                     .service = service_,
                     .log = log_,
                     .takes_over = *takes_over_,
                     .handed_names = handed_names_,
                     .keeps = keeps_ ? &*keeps_ : nullptr,
                     .ready_after = ready_after}};
  return parent.run();
}

void pool_core::request(std::uint32_t what) noexcept {
  board_->header().requests.fetch_or(what, std::memory_order_release);
  notify(board_->parent_signal());
}

}  // namespace udppump::detail

#include "pool/pool_parent.hpp"

#include <algorithm>
#include <stdexcept>

#include "pool/checked_options.hpp"
#include "pool/fork_launcher.hpp"
#include "pool/main_process.hpp"
#include "pool/metrics_process.hpp"
#include "pool/own_terminal.hpp"
#include "pool/program_launcher.hpp"
#include "pool/self_launcher.hpp"
#include "pool/shown.hpp"
#include "pool/supervisor.hpp"
#include "pool/thread_launcher.hpp"
#include "pool/worker_setup.hpp"
#include "sys/sys_user.hpp"

namespace udppump::detail {

namespace {

constexpr std::chrono::seconds take_over_margin{10};
/// A new parent whose take-over fails kills its own workers after the stop timeout, and then ends.
constexpr std::chrono::seconds ending_margin{1};

pool_options closed_to_workers(pool_options options) {
  close_to_workers(options.become);
  return options;
}

std::unique_ptr<launcher> make_launcher(const launch_context& context, const own_command& own, worker_body body,
                                        std::shared_ptr<const void> alive) {
  if (context.options.model == worker_model::threads) {
    return std::make_unique<thread_launcher>(context, std::move(body), std::move(alive));
  }
  if (context.options.reexecute) return std::make_unique<self_launcher>(context, own);
  return std::make_unique<fork_launcher>(context, std::move(body));
}

}  // namespace

pool_parent::pool_parent(pool_options options)
    : options_{closed_to_workers(checked(std::move(options)))},
      log_{options_.log},
      own_{own_command::look_up()},
      metrics_program_{options_.metrics.empty() ? std::nullopt
                                                : std::optional{worker_program{std::vector{options_.metrics_program}}}},
      become_{options_.become},
      sockets_{options_.socket, options_.lanes},
      lanes_{options_.lanes, options_.workers} {
  open();
  board_.emplace(2 * options_.max_workers, options_.redeliver ? options_.redeliver->largest : 0, sockets_.size());
  board_->set_workers(options_.workers);
  show_pool(*board_, options_, own_.path);
  show_sockets(*board_, sockets_);
  if (options_.status_group) door_.emplace(*options_.status_group, *board_);
  if (options_.redeliver) {
    redelivers_.emplace(*options_.redeliver, *board_, sockets_.all(), log_, heir{become_.user(), become_.group()},
                        options_.quarantine);
  }
  context_.emplace(launch_context{.options = options_, .shared = *board_, .sockets = sockets_, .lanes = lanes_});
  if (metrics_program_) metrics_memory_ = board_->memory_to_read();
  reserve_for_workers(options_);
  sockets_.give_to(become_.user());
  if (become_.leaves_nothing()) {
    if (const std::string why = leave_terminal(); !why.empty()) log_.warning("terminal", why);
  }
  become_.assume();
}

/// Sockets, from whoever has them.
void pool_parent::open() {
  const heir who{become_.user(), become_.group()};
  std::optional<service_path> path;
  if (!options_.take_over.empty()) {
    static_cast<void>(take_over_address(options_.take_over));
    path.emplace("take-over socket", options_.take_over, who);
  }
  std::optional<predecessor> before = predecessor::inherited(become_.user());
  const bool was_executed = before.has_value();
  if (!before && path) before = predecessor::at(options_.take_over, become_.user());
  if (before) log_.info("taking-over", "taking over from " + before->who().called());
  // Before anything is bound: another that lives is told of as such, and not as who has the port.
  if (!options_.pid_file.empty()) {
    pid_.emplace(options_.pid_file, who, before ? std::optional{before->its_pid_file()} : std::nullopt);
  }
  auto passed = before ? before->take_sockets() : service_manager::take_sockets();
  descriptor listener = before ? before->take_listener() : descriptor{};
  if (before && !options_.adopt.empty()) {
    throw std::invalid_argument{
        "adopt and a take-over exclude each other: the sockets come from the pool before this "
        "one; give their addresses in bind"};
  }
  for (const int fd : options_.adopt) passed.push_back(pool_sockets::duplicate_of(fd));
  std::vector<wanted_address> wanted;
  for (const std::string& text : options_.bind) wanted.push_back(wanted_address::parse(text));
  sockets_.open(wanted, std::move(passed), before.has_value(), who, log_);
  if (!path) listener.reset();
  // What is made now belongs to the user that root has become: root's next start would refuse it.
  if (path && !listener && was_executed && become_.leaves_nothing() && sys::effective_user() != 0) {
    log_.warning("take-over-path", "nobody can take over from this pool at \"" + options_.take_over +
                                       "\": the pool before it kept the path to itself, and its log says why. To have "
                                       "it again, start the pool anew as root");
    path.reset();
  }
  if (path && !listener) listener = listen_for_successors(*path);
  // From here on the path is removed if the rest fails.
  takes_over_.emplace(own_, std::move(listener), std::move(path), std::move(before),
                      options_.start_timeout + take_over_margin, options_.stop_timeout + ending_margin,
                      why_it_may_not_be_replaced(), log_);
}

int pool_parent::run(worker_body body) {
  const auto start = make_launcher(*context_, own_, std::move(body), shared_from_this());
  return supervise(*start, {});
}

int pool_parent::run(const worker_program& program, const program_options& options) {
  if (options_.handler_timeout.count() != 0 || options_.max_requests != 0) {
    throw std::invalid_argument{
        "handler_timeout and max_requests require handlers, as a program receives by itself; set hang_timeout, "
        "max_lifetime or max_memory, or omit them"};
  }
  if (options_.model == worker_model::threads) {
    throw std::invalid_argument{"a program cannot run as a thread; set model to processes"};
  }
  if (options_.redeliver) {
    throw std::invalid_argument{"redeliver requires handlers, as a program receives by itself; omit redeliver"};
  }
  const auto is_automatic = [](const lane& one) { return one.reserve == automatic_reserve; };
  if (std::ranges::any_of(options_.lanes, is_automatic)) {
    throw std::invalid_argument{
        "automatic_reserve requires handlers, as a program receives by itself, and how long it takes is not known; "
        "give a number"};
  }
  const auto has_age = [](const lane& one) { return one.max_age.count() != 0; };
  if (options_.max_age.count() != 0 || std::ranges::any_of(options_.lanes, has_age)) {
    throw std::invalid_argument{
        "max_age requires handlers, as a program receives by itself; set max_wait, which keeps the "
        "queue short, or omit max_age"};
  }
  if (options_.client_limit) {
    throw std::invalid_argument{"client_limit requires handlers, as a program receives by itself; omit client_limit"};
  }
  if (options_.client_share) {
    throw std::invalid_argument{"client_share requires handlers, as a program receives by itself; omit client_share"};
  }
  std::optional<notify_socket> notifies;
  const program_options checked_ones = checked(options);
  const bool notified = options.ready == readiness::notification;
  if (notified || checked_ones.hang_timeout.count() != 0) notifies.emplace();
  const exclusive_library exclusive{program, checked_ones};
  tell(exclusive, checked_ones.exclusive);
  std::optional<program_outputs> outputs;
  if (options.error_output == program_stderr::log) outputs.emplace(log_);
  program_launcher start{*context_,
                         program,
                         checked_ones,
                         exclusive,
                         notifies ? notifies->name() : std::string{},
                         outputs ? &*outputs : nullptr};
  return supervise(start, {.ready_after = notified ? std::nullopt : std::optional{checked_ones.ready_after},
                           .notifies = notifies ? &*notifies : nullptr,
                           .max_wait = checked_ones.max_wait,
                           .hang_timeout = checked_ones.hang_timeout,
                           .outputs = outputs ? &*outputs : nullptr});
}

void pool_parent::tell(const exclusive_library& exclusive, exclusive_waits wanted) const {
  if (exclusive.is_on()) {
    return log_.info(
        "exclusive",
        "if the program waits by epoll, a datagram wakes one worker: " + exclusive.path() + " is preloaded",
        {{"library", exclusive.path()}});
  }
  if (exclusive.why_not().empty()) return;
  if (wanted == exclusive_waits::on) throw std::invalid_argument{"exclusive waits: " + exclusive.why_not()};
  log_.info("not-exclusive",
            "if the program waits by epoll, a datagram wakes all idle workers: " + exclusive.why_not());
}

int pool_parent::supervise(launcher& start, const of_programs& programs) {
  become_.bind_thread();
  board_->header().shown.kind = start.keeps_pages() ? shown_kind::handlers : shown_kind::programs;
  board_->header().shown.max_wait_ms = shown_milliseconds(programs.max_wait);
  if (!service_.complaint().empty()) log_.warning("service-manager", service_.complaint());
  std::optional<metrics_process> metrics;
  if (metrics_program_) {
    metrics.emplace(metrics_process::wanted{options_.metrics, metrics_program_->path(), std::move(metrics_memory_),
                                            context_->signal_mask},
                    log_);
  }
  supervisor parent{{.context = *context_,
                     .start = start,
                     .service = service_,
                     .log = log_,
                     .takes_over = *takes_over_,
                     .redelivers = redelivers_ ? &*redelivers_ : nullptr,
                     .pid = pid_ ? &*pid_ : nullptr,
                     .door = door_ ? &*door_ : nullptr,
                     .ready_after = programs.ready_after,
                     .notifies = programs.notifies,
                     .metrics = metrics ? &*metrics : nullptr,
                     .max_wait = programs.max_wait,
                     .hang_timeout = programs.hang_timeout,
                     .outputs = programs.outputs}};
  return parent.run();
}

}  // namespace udppump::detail

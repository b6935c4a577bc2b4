#include "pool/checked_options.hpp"

#include <algorithm>
#include <stdexcept>

#include "pool/board.hpp"
#include "sys/printable.hpp"
#include "wait/waiter.hpp"

namespace udppump::detail {

namespace {

constexpr std::size_t most_workers = 4096;
constexpr std::size_t least_room = 64;
constexpr unsigned most_jitter = 90;
/// Keeps "for ever" from overflowing the clock.
constexpr std::chrono::hours longest_time{24 * 365};

std::chrono::milliseconds bounded(std::chrono::milliseconds time) {
  if (time.count() < 0) throw std::invalid_argument{"a time is negative; give 0 or more"};
  return std::min<std::chrono::milliseconds>(time, longest_time);
}

}  // namespace

pool_options checked(pool_options options) {
  const auto refuse = [](const std::string& why) { throw std::invalid_argument{why}; };
  if (options.workers == 0) options.workers = usable_cores();
  if (options.workers > most_workers) {
    refuse("workers: " + std::to_string(options.workers) + " is too many; give " + std::to_string(most_workers) +
           " at most");
  }
  if (options.max_workers == 0) options.max_workers = std::min(most_workers, std::max(4 * options.workers, least_room));
  if (options.max_workers < options.workers || options.max_workers > most_workers) {
    refuse("max_workers: " + std::to_string(options.max_workers) + " is not between the " +
           std::to_string(options.workers) + " workers to begin with and " + std::to_string(most_workers) +
           "; give a number that is");
  }
  if (options.max_jitter > most_jitter) {
    refuse("max_jitter: " + std::to_string(options.max_jitter) + " percent is too much; give " +
           std::to_string(most_jitter) + " at most");
  }
  if (const std::string why = why_no_pool_name(options.name); !options.name.empty() && !why.empty()) {
    refuse("name: " + quoted(options.name) + ' ' + why);
  }
  static_cast<void>(asked_waiter(options.waiter));  // throws
  const bool threads = options.model == worker_model::threads;
  if (threads && options.reexecute) refuse("reexecute requires processes, and model is threads; omit one of them");
  if (threads && options.end_orphans) {
    refuse("end_orphans is for workers that are processes, and model is threads; omit one of them");
  }
  if (options.keep_open && (threads || options.reexecute)) {
    refuse(std::string{"keep_open is for workers that are forks, and "} +
           (threads ? "model is threads" : "reexecute is set") + "; omit one of them");
  }
  if (!options.adopt.empty() && (options.reexecute || !options.take_over.empty())) {
    refuse(std::string{"adopt and "} + (options.reexecute ? "reexecute" : "take_over") +
           " exclude each other: a new process would open the sockets once more; give their addresses in bind");
  }
  if (options.redeliver && (options.redeliver->largest == 0 || options.redeliver->largest > 1 << 20)) {
    refuse("redeliver.largest: " + std::to_string(options.redeliver->largest) +
           " is not between 1 and 1048576 bytes; give a number that is");
  }
  if (options.redeliver && options.socket.receive_offload) {
    refuse(
        "redeliver and receive_offload exclude each other: a joined read holds many datagrams, and only one can be "
        "kept; omit one of the two");
  }
  if (options.quarantine && !options.redeliver) {
    refuse(
        "quarantine requires redeliver, as only then the pool knows of which datagram a worker died; give both or "
        "neither");
  }
  if (options.quarantine && (options.quarantine->deaths == 0 || options.quarantine->time.count() <= 0)) {
    refuse("quarantine: deaths or time is not above 0; give 1 at least");
  }
  if (options.quarantine) options.quarantine->time = bounded(options.quarantine->time);
  if ((options.client_limit || options.client_share) && options.reexecute) {
    refuse(std::string{options.client_limit ? "client_limit" : "client_share"} +
           " and reexecute exclude each other: workers that are new executions share no memory that counts "
           "clients; omit one of the two");
  }
  if (options.max_memory != 0 && threads) {
    refuse("max_memory is for workers that are processes, and model is threads; omit one of them");
  }
  if (options.max_age.count() < 0) refuse("max_age is negative; give 0 for no limit");
  if (options.nice && (*options.nice < -20 || *options.nice > 19)) {
    refuse("nice: " + std::to_string(*options.nice) + " is not between -20 and 19; give a level that is");
  }
  if (options.restart.crash_limit == 0) refuse("restart.crash_limit is 0; give 1 at least");
  for (auto* const time :
       {&options.stop_timeout, &options.drain, &options.handler_timeout, &options.max_lifetime, &options.start_timeout,
        &options.restart.healthy_after, &options.restart.first_delay, &options.restart.longest_delay}) {
    *time = bounded(*time);
  }
  if (options.prove_for) options.prove_for = bounded(*options.prove_for);
  options.reload_width = std::min(options.reload_width, options.workers);
  return options;
}

program_options checked(program_options options) {
  options.ready_after = bounded(options.ready_after);
  options.max_wait = bounded(options.max_wait);
  options.hang_timeout = bounded(options.hang_timeout);
  return options;
}

}  // namespace udppump::detail

namespace udppump {

std::string why_no_pool_name(std::string_view name) {
  if (name.empty()) return "is empty; give a name";
  if (name.size() > detail::shown_pool::longest_name) return "is longer than 63 bytes; give a shorter one";
  if (detail::printable_word(name) != name || name.find('/') != std::string_view::npos) {
    return "has white space, a slash, a quotation mark or what cannot be printed; give a name without";
  }
  if (name.find_first_not_of("0123456789") == std::string_view::npos) {
    return "is a number, which would be read as a process id; give a name that has a letter";
  }
  if (name.front() == '-') return "begins with a dash, as options do; give a name that begins with a letter";
  return {};
}

}  // namespace udppump

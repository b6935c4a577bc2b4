#include "load/run/load_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <system_error>
#include <thread>

#include "load/run/answer_receiver.hpp"
#include "load/run/flow_sockets.hpp"
#include "load/run/handover_queue.hpp"
#include "load/run/paced_sender.hpp"
#include "load/run/system.hpp"

namespace udppump::load {
namespace {

using namespace std::chrono_literals;

/// Every so long the receiver looks after notes and the time, whether or not answers come.
constexpr std::chrono::milliseconds turn{5};
/// More requests than any sender sends in a turn.
constexpr std::size_t note_capacity = 1 << 16;
/// Every so long what has no answer is given up, on flows that send nothing more as well.
constexpr nanoseconds forget_every = 250ms;
/// Everything is ready when the first request is due.
constexpr nanoseconds head_start = 20ms;

[[noreturn]] void throw_unreachable(const address& target, int error) {
  const bool refused = error == ECONNREFUSED;
  throw failure{code_of_errno(error), target.to_string(),
                refused ? "nothing listens there: start the server, or correct the address"
                        : "no way leads there: look at the address and the routes"};
}

/// The sender's thread, which is asked to stop and waited for in the end.
class sender_thread {
 public:
  sender_thread(paced_sender& sender, const request_plan& plan, nanoseconds start)
      : thread_{[this, &sender, plan, start](const std::stop_token& stop) {
          try {
            sender.send(plan, start, stop);
          } catch (...) {
            failure_ = std::current_exception();
          }
          done_.store(true, std::memory_order_release);
        }} {}
  bool done() const noexcept { return done_.load(std::memory_order_acquire); }
  void stop() { thread_.request_stop(); }
  void join() {
    thread_.join();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  std::exception_ptr failure_;
  std::atomic<bool> done_{false};
  std::jthread thread_;  // last: it uses the others
};

class progress_meter {
 public:
  progress_meter(const load_watch& watch, nanoseconds length) : watch_{watch}, length_{length} {}

  void answered(nanoseconds latency) {
    if (watch_.report) recent_.add(latency);
  }
  void look(nanoseconds now, const answer_ledger& ledger) {
    if (!watch_.report || now < last_ + watch_.every) return;
    const double seconds = std::chrono::duration<double>{now - last_}.count();
    watch_.report({.since_start = now,
                   .length = length_,
                   .answers_per_second = static_cast<double>(recent_.count()) / seconds,
                   .p50 = recent_.count() == 0 ? unanswered : recent_.percentile(50),
                   .p99 = recent_.count() == 0 ? unanswered : recent_.percentile(99),
                   .lost = ledger.counts().lost});
    recent_.clear();
    last_ = now;
  }

 private:
  const load_watch& watch_;
  nanoseconds length_;
  nanoseconds last_{0};
  histogram recent_;
};

double per_second(std::uint64_t count, nanoseconds time) noexcept {
  return time <= 0ns ? 0 : static_cast<double>(count) / std::chrono::duration<double>{time}.count();
}

}  // namespace

double load_result::lag_share() const noexcept {
  const nanoseconds measured_p99 = latency.percentile(99);
  if (measured_p99 <= 0ns) return 0;
  return static_cast<double>(lag.percentile(99).count()) / static_cast<double>(measured_p99.count());
}

double load_result::asked_rate() const noexcept { return per_second(counts.sent + counts.unsent, planned); }
double load_result::offered_rate() const noexcept { return per_second(counts.sent, measured); }

load_result run_load(const load_options& options, const request_template& requests, const load_watch& watch) {
  const flow_sockets flows{options.target, options.sources, options.plan.flows};
  answer_receiver receiver{flows};
  handover_queue<sender_note> notes{note_capacity};
  answer_ledger ledger{{.flows = options.plan.flows,
                        .sequence_bits = requests.sequence_bits(),
                        .timeout = options.timeout,
                        .warmup = options.warmup,
                        .service = options.plan.service,
                        .keep_records = options.keep_records}};
  paced_sender sender{flows,
                      requests,
                      notes,
                      {.warmup = options.warmup,
                       .spin_limit = options.spin_limit,
                       .priority = options.priority,
                       .longest_lag = options.timeout}};
  progress_meter meter{watch, options.plan.length};
  load_result result;

  const nanoseconds start = monotonic_now() + head_start;
  nanoseconds last_intended{0};
  const auto take_notes = [&] {
    for (sender_note note; notes.pop(note);) {
      last_intended = note.request.plan.intended;
      if (note.what == sender_note::kind::sent) {
        ledger.sent(note.request);
      } else {
        ledger.unsent(note.request.plan.flow);
      }
    }
  };

  bool any_answer = false;
  nanoseconds last_forgotten{0};
  sender_thread thread{sender, request_plan{options.plan}, start};
  for (;;) {
    const auto& arrivals = receiver.receive(turn);
    const bool all_sent = thread.done();  // before the notes: then these are all
    take_notes();
    for (const auto& each : arrivals) {
      result.answer_bytes += each.size;
      const auto latency = ledger.came(each.flow, requests.read(each.head), each.at - start);
      any_answer = any_answer || latency;
      if (latency) meter.answered(*latency);
    }
    if (receiver.icmp_errors() > 0 && !any_answer) {
      throw_unreachable(options.target, receiver.last_icmp_error());  // the sender's thread is stopped on the way out
    }
    const nanoseconds now = monotonic_now() - start;
    if (now > last_forgotten + forget_every) {
      ledger.forget(now);
      last_forgotten = now;
    }
    meter.look(now, ledger);
    if (watch.interrupted != nullptr && *watch.interrupted && !result.interrupted) {
      result.interrupted = true;
      thread.stop();
    }
    if (all_sent && arrivals.empty() && (ledger.open() == 0 || now > last_intended + options.timeout)) break;
  }
  thread.join();
  take_notes();
  ledger.close();

  result.counts = ledger.counts();
  result.latency = ledger.latencies();
  result.used = ledger.used();
  result.classes = ledger.classes();
  result.lag = sender.lag();
  result.receive_drops = flows.drops();
  result.receive_buffer_shortfall = flows.receive_buffer().shortfall();
  result.icmp_errors = receiver.icmp_errors() + sender.icmp_errors();
  result.send_error = sender.last_error();
  result.gave_up = sender.gave_up();
  const bool early = result.interrupted || result.gave_up;
  result.measured =
      std::max(0ns, (early ? sender.last_sent() : std::max(options.plan.length, sender.last_sent())) - options.warmup);
  result.planned = std::max(0ns, (early ? last_intended : options.plan.length) - options.warmup);
  result.records = ledger.take_records();
  if (!any_answer && is_icmp_error(result.send_error)) throw_unreachable(options.target, result.send_error);
  return result;
}

}  // namespace udppump::load

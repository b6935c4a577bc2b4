#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "load/plan/request_template.hpp"
#include "load/run/class_results.hpp"
#include "load/run/histogram.hpp"
#include "load/run/request_record.hpp"

namespace udppump::load {

/// A request as the sender tells of it.
struct sent_request {
  planned_request plan;
  /// How much later than intended it was sent.
  nanoseconds lag{0};
};

struct ledger_options {
  std::uint32_t flows = 1;
  /// request_template::sequence_bits().
  unsigned sequence_bits = 32;
  /// An answer after this long is late. Requests are remembered for twice as long, so that late and repeated answers
  /// are known as such; if answers are matched in order, for exactly this long.
  nanoseconds timeout = std::chrono::seconds{2};
  /// Requests that were due before are matched, but not counted.
  nanoseconds warmup{0};
  /// What requests ask for. If some are short and some long, these are counted apart.
  service_times service = {};
  /// Keep a record of each request; else memory does not grow with the length of the run.
  bool keep_records = false;
};

/// Matches answers with requests, and counts. Belongs to one thread.
class answer_ledger {
 public:
  explicit answer_ledger(const ledger_options& options);

  /// A request, before it was sent; in the order of their indexes. It takes the next sequence of its flow.
  void sent(const sent_request& request);
  /// The newest request of a flow could not be sent.
  void unsent(std::uint32_t flow);
  /// Something came in on a flow, at a time since the start; `read` is what the template made of it. The request's
  /// latency, or nothing if it answers none.
  std::optional<nanoseconds> came(std::uint32_t flow, const std::optional<request_template::answer>& read,
                                  nanoseconds at);
  /// Gives up on what has been too long ago at a time since the start.
  void forget(nanoseconds now);
  /// Nothing comes any more: what has no answer is lost.
  void close();

  /// Requests that have no answer and were not given up, those before the end of the warm-up included.
  std::uint64_t open() const noexcept { return open_; }
  const request_counts& counts() const noexcept { return counts_; }
  /// Of answered and late ones.
  const histogram& latencies() const noexcept { return latencies_; }
  /// Service times that servers told.
  const histogram& used() const noexcept { return used_; }
  /// Latencies by class of work, and what was lost or not sent; nothing if there is one class only.
  const std::optional<class_results>& classes() const noexcept { return classes_; }
  /// One for each request, by index; empty unless they are kept.
  const std::vector<request_record>& records() const noexcept { return records_; }
  std::vector<request_record> take_records() noexcept { return std::move(records_); }

 private:
  enum class state : std::uint8_t { open, answered, unsent };
  struct entry {
    std::uint64_t index;
    nanoseconds intended;
    nanoseconds asked;
    state is = state::open;
  };
  /// Those of a flow that are remembered; the first has sequence `first`.
  struct window {
    std::uint64_t first = 0;
    std::deque<entry> entries;
  };

  bool counts_for(const entry& request) const noexcept { return request.intended >= options_.warmup; }
  bool in_order() const noexcept { return options_.sequence_bits == 0; }
  /// A request that is counted, and will not be answered.
  void miss(const entry& request) noexcept {
    if (classes_) classes_->miss(request.asked);
  }
  entry* find(window& flow, std::uint64_t sequence) noexcept;
  entry* oldest_open(window& flow) noexcept;
  void drop_front(window& flow);
  void forget(window& flow, nanoseconds now);

  ledger_options options_;
  nanoseconds memory_;
  std::uint64_t sequence_mask_;
  std::vector<window> flows_;
  std::uint64_t open_ = 0;
  request_counts counts_;
  histogram latencies_;
  histogram used_;
  std::optional<class_results> classes_;
  std::vector<request_record> records_;
};

}  // namespace udppump::load

#include "load/run/answer_ledger.hpp"

namespace udppump::load {

answer_ledger::answer_ledger(const ledger_options& options)
    : options_{options},
      memory_{in_order() ? options.timeout : 2 * options.timeout},
      sequence_mask_{(std::uint64_t{1} << options.sequence_bits) - 1},
      flows_(options.flows),
      classes_{class_results::of(options.service)} {}

void answer_ledger::sent(const sent_request& request) {
  const planned_request& plan = request.plan;
  window& flow = flows_[plan.flow];
  forget(flow, plan.intended);
  if (!in_order() && flow.entries.size() > sequence_mask_) {  // its id is used again
    const entry& oldest = flow.entries.front();
    if (oldest.is == state::open && counts_for(oldest) && plan.intended - oldest.intended <= options_.timeout) {
      ++counts_.reused;
    }
    drop_front(flow);
  }
  flow.entries.push_back({.index = plan.index, .intended = plan.intended, .asked = plan.asked});
  ++open_;
  if (counts_for(flow.entries.back())) ++counts_.sent;
  if (options_.keep_records) {
    records_.push_back({.intended = plan.intended, .lag = request.lag, .asked = plan.asked, .flow = plan.flow});
  }
}

void answer_ledger::unsent(std::uint32_t flow) {
  auto& entries = flows_[flow].entries;
  if (entries.empty() || entries.back().is != state::open) return;  // given up, or taken for answered, in between
  entry& newest = entries.back();
  newest.is = state::unsent;
  --open_;
  if (!counts_for(newest)) return;
  --counts_.sent;
  ++counts_.unsent;
  miss(newest);
}

std::optional<nanoseconds> answer_ledger::came(std::uint32_t flow, const std::optional<request_template::answer>& read,
                                               nanoseconds at) {
  window& asked = flows_[flow];
  if (in_order()) forget(asked, at);
  entry* const request = !read ? nullptr : in_order() ? oldest_open(asked) : find(asked, read->sequence);
  if (request == nullptr || request->is == state::unsent) {
    ++counts_.strange;
    return {};
  }
  const bool counted = counts_for(*request);
  if (request->is == state::answered) {
    if (counted) ++counts_.duplicates;
    return {};
  }
  const nanoseconds latency = at - request->intended;
  request->is = state::answered;
  --open_;
  if (counted) {
    ++(latency > options_.timeout ? counts_.late : counts_.answered);
    latencies_.add(latency);
    if (read->work) used_.add(read->work->used);
    if (classes_) classes_->add(request->asked, latency, read->work ? read->work->used : request->asked);
    if (read->dns) {
      ++counts_.codes.at(read->dns->code);
      if (read->dns->truncated) ++counts_.truncated;
    }
  }
  if (options_.keep_records) {
    request_record& record = records_[request->index];
    record.latency = latency;
    if (read->work) {
      record.used = read->work->used;
      record.waited = read->work->waited.value_or(nanoseconds{-1});
      record.worker = read->work->worker;
    }
  }
  return latency;
}

void answer_ledger::forget(nanoseconds now) {
  for (auto& flow : flows_) forget(flow, now);
}

void answer_ledger::close() {
  for (auto& flow : flows_) {
    while (!flow.entries.empty()) drop_front(flow);
  }
}

answer_ledger::entry* answer_ledger::find(window& flow, std::uint64_t sequence) noexcept {
  const std::uint64_t distance = (sequence - flow.first) & sequence_mask_;
  return distance < flow.entries.size() ? &flow.entries[distance] : nullptr;
}

answer_ledger::entry* answer_ledger::oldest_open(window& flow) noexcept {
  while (!flow.entries.empty() && flow.entries.front().is != state::open) drop_front(flow);
  return flow.entries.empty() ? nullptr : &flow.entries.front();
}

void answer_ledger::drop_front(window& flow) {
  const entry& oldest = flow.entries.front();
  if (oldest.is == state::open) {
    --open_;
    if (counts_for(oldest)) {
      ++counts_.lost;
      miss(oldest);
    }
  }
  flow.entries.pop_front();
  ++flow.first;
}

void answer_ledger::forget(window& flow, nanoseconds now) {
  while (!flow.entries.empty() && now - flow.entries.front().intended > memory_) drop_front(flow);
}

}  // namespace udppump::load

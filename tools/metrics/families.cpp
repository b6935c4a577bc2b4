#include "metrics/families.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace udppump::metrics {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using labels = std::vector<ClientMetric::Label>;
using std::chrono::nanoseconds;

double in_seconds(nanoseconds time) { return std::chrono::duration<double>{time}.count(); }

labels with(labels known, std::string name, std::string value) {
  known.push_back({std::move(name), std::move(value)});
  return known;
}

/// Families in the order in which they were first named.
class collection {
 public:
  void count(const std::string& name, const std::string& help, labels of, double value) {
    add(name, help, MetricType::Counter, std::move(of)).counter.value = value;
  }
  void count(const std::string& name, const std::string& help, labels of, std::uint64_t value) {
    count(name, help, std::move(of), static_cast<double>(value));
  }
  void gauge(const std::string& name, const std::string& help, labels of, double value) {
    add(name, help, MetricType::Gauge, std::move(of)).gauge.value = value;
  }
  template <class Value>
  void gauge_if_known(const std::string& name, const std::string& help, labels of, const std::optional<Value>& value) {
    if (value) gauge(name, help, std::move(of), static_cast<double>(*value));
  }
  void histogram(const std::string& name, const std::string& help, labels of, const time_histogram& times) {
    // Ends of buckets: each is exact. From a microsecond to half a minute, doubled each time.
    constexpr unsigned first = 10, last = 35;
    auto& told = add(name, help, MetricType::Histogram, std::move(of)).histogram;
    told.sample_count = times.total();
    told.sample_sum = in_seconds(times.sum);
    for (unsigned bit = first; bit <= last; ++bit) {
      const nanoseconds bound{std::int64_t{1} << bit};
      told.bucket.push_back({times.below(bound), in_seconds(bound)});
    }
  }
  std::vector<MetricFamily> take() { return std::move(families_); }

 private:
  ClientMetric& add(const std::string& name, const std::string& help, MetricType type, labels of) {
    const auto [place, is_new] = places_.try_emplace(name, families_.size());
    if (is_new) families_.push_back({name, help, type, {}});
    auto& family = families_[place->second];
    family.metric.emplace_back().label = std::move(of);
    return family.metric.back();
  }

  std::vector<MetricFamily> families_;
  std::map<std::string, std::size_t> places_;
};

void add_traffic(collection& all, const labels& pool, const traffic& told, const std::vector<std::string>& lanes) {
  const auto add = [&](const labels& of, const traffic_counts& counts) {
    all.count("udppump_datagrams_received_total", "Datagrams given to the handler.", of, counts.received);
    all.count("udppump_received_bytes_total", "Bytes of payload given to the handler.", of, counts.bytes);
    all.count("udppump_datagrams_handled_total", "Datagrams that the handler has finished.", of, counts.handled);
    for (const auto& [reason, count] :
         {std::pair{"source", counts.ignored}, std::pair{"quarantine", counts.quarantined},
          std::pair{"too_old", counts.expired}, std::pair{"client_limit", counts.limited}}) {
      all.count("udppump_datagrams_dropped_total", "Datagrams that a worker dropped before the handler, by reason.",
                with(of, "reason", reason), count);
    }
    all.gauge("udppump_datagrams_in_flight", "Datagrams whose handlers have returned and will answer later (tickets).",
              of, static_cast<double>(counts.in_flight));
  };
  // The sum over lanes is the pool's.
  if (told.lanes.empty()) add(pool, told.all);
  for (std::size_t at = 0; at < told.lanes.size(); ++at) {
    add(with(pool, "lane", at < lanes.size() ? lanes[at] : std::to_string(at)), told.lanes[at]);
  }
  all.histogram("udppump_handler_seconds", "Time in the handler, of each datagram.", pool, told.times);
  if (told.ages) {
    all.histogram("udppump_datagram_age_seconds", "Time from a datagram's arrival to when a worker took it.", pool,
                  *told.ages);
  }
}

void add_sockets(collection& all, const labels& pool, const std::vector<socket_status>& sockets) {
  std::set<std::pair<std::string, std::string>> told;
  for (std::size_t at = 0; at < sockets.size(); ++at) {
    const socket_status& one = sockets[at];
    labels of = with(pool, "address", one.address);
    if (!one.lane.empty()) of = with(std::move(of), "lane", one.lane);
    if (!told.insert({one.address, one.lane}).second) of = with(std::move(of), "socket", std::to_string(at));
    all.gauge_if_known("udppump_socket_queue_bytes",
                       "Memory of datagrams that wait in the socket, as the kernel counts.", of, one.queued);
    all.gauge_if_known("udppump_socket_queue_limit_bytes", "Memory that datagrams may take that wait in the socket.",
                       of, one.room);
    all.gauge_if_known("udppump_socket_receive_buffer_bytes", "Receive buffer that was granted, in bytes of payload.",
                       of, one.buffer_granted);
    all.gauge_if_known("udppump_socket_receive_buffer_asked_bytes", "Receive buffer that was asked for.", of,
                       one.buffer_asked);
    if (one.oldest_waits) {
      all.gauge("udppump_socket_oldest_datagram_seconds", "For how long the oldest datagram in the socket waits.", of,
                in_seconds(*one.oldest_waits));
    }
    if (one.drops) {
      all.count("udppump_socket_drops_total", "Datagrams that the kernel dropped at the socket.", of,
                std::uint64_t{*one.drops});
    }
  }
}

void add_usage(collection& all, const std::string& prefix, const std::string& whose, const labels& of,
               const process_usage& usage) {
  all.count(prefix + "_cpu_seconds_total", "Processor time of " + whose + '.', of, in_seconds(usage.cpu));
  const std::string switches = prefix + "_context_switches_total", help = "Context switches of " + whose + ", by kind.";
  all.count(switches, help, with(of, "kind", "voluntary"), usage.voluntary_switches);
  all.count(switches, help, with(of, "kind", "involuntary"), usage.involuntary_switches);
  all.gauge_if_known(prefix + "_resident_bytes", "Resident memory of " + whose + '.', of, usage.resident);
}

void add_workers(collection& all, const labels& pool, const pool_status& status) {
  std::map<std::string, std::size_t> states;
  const auto alike =
      status.kind == worker_kind::programs
          ? std::vector{worker_state::starting, worker_state::serving, worker_state::stopping}
          : std::vector{worker_state::starting, worker_state::idle, worker_state::handling, worker_state::stopping};
  for (const worker_state state : alike) states[std::string{to_string(state)}] = 0;
  nanoseconds longest{0};
  for (const worker_status& one : status.workers) {
    ++states[std::string{to_string(one.state)}];
    longest = std::max(longest, one.handling_for.value_or(nanoseconds{0}));
  }
  for (const auto& [state, count] : states) {
    all.gauge("udppump_workers", "Workers, by what they do now.", with(pool, "state", state),
              static_cast<double>(count));
  }
  if (status.kind != worker_kind::programs) {
    all.gauge("udppump_longest_handler_seconds", "For how long the longest of the handlers that run now has run.", pool,
              in_seconds(longest));
  }
  if (status.workers.size() > most_told_workers) return;
  std::set<std::size_t> told;
  for (const worker_status& one : status.workers) {
    // In a reload two have the same number; the counts of the one that began first go on.
    if (!told.insert(one.number).second) continue;
    const labels of = with(pool, "worker", std::to_string(one.number));
    all.gauge("udppump_worker_uptime_seconds", "Time since the worker began.", of, in_seconds(one.uptime));
    if (one.traffic) {
      all.count("udppump_worker_datagrams_handled_total", "Datagrams that the worker's handler has finished.", of,
                one.traffic->all.handled);
    }
    if (one.usage) add_usage(all, "udppump_worker", "the worker", of, *one.usage);
  }
}

void add_pool(collection& all, const labels& pool, const pool_status& status) {
  all.gauge("udppump_pool_info", "1, with what the pool is.",
            with(with(with(pool, "version", status.version), "kind", std::string{to_string(status.kind)}), "parent",
                 std::to_string(status.parent)),
            1);
  all.gauge("udppump_uptime_seconds", "Time since the pool began.", pool, in_seconds(status.uptime));
  all.gauge("udppump_workers_wanted", "How many workers there should be.", pool,
            static_cast<double>(status.workers_wanted));
  all.count("udppump_worker_restarts_total", "Workers that died and were replaced.", pool, status.restarts);
  all.count("udppump_worker_hangs_total", "Workers that hung and were ended.", pool, status.hangs);
  all.count("udppump_reloads_total", "Reloads that were completed.", pool, status.reloads);
  if (status.kicks) {
    all.count("udppump_kicks_total", "Times that the parent woke a worker because a datagram waited and none took it.",
              pool, *status.kicks);
  }
  if (status.traffic) add_traffic(all, pool, *status.traffic, status.lanes);
  if (status.redelivery) {
    const redelivery_counts& counts = *status.redelivery;
    all.count("udppump_datagrams_redelivered_total", "Datagrams given to another worker after theirs died.", pool,
              counts.redelivered);
    all.count("udppump_datagrams_poisoned_total", "Datagrams dropped because workers died of them.", pool,
              counts.poisoned);
    all.count("udppump_datagrams_abandoned_total", "Datagrams of workers that died, lost for want of room.", pool,
              counts.abandoned);
    all.count("udppump_quarantines_total", "Times that a sender was put in quarantine.", pool, counts.quarantines);
  }
  add_sockets(all, pool, status.sockets);
  add_workers(all, pool, status);
  if (status.usage) add_usage(all, "udppump_parent", "the pool's parent", pool, *status.usage);
}

}  // namespace

std::vector<MetricFamily> families_of(std::span<const pool_status> pools, std::span<const std::string> labels) {
  collection all;
  all.gauge("udppump_pools", "Pools that are told of here.", {}, static_cast<double>(pools.size()));
  for (std::size_t at = 0; at < pools.size(); ++at) add_pool(all, {{"pool", labels[at]}}, pools[at]);
  return all.take();
}

}  // namespace udppump::metrics

#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "udppump/pool_status.hpp"

/// What a pool could be like, for tests of what is made of it.
inline udppump::traffic planted_traffic(std::uint64_t handled) {
  using namespace std::chrono_literals;
  udppump::traffic all;
  all.all.received = handled + 1;
  all.all.handled = handled;
  all.all.handler_time = handled * 10us;
  all.times.counts.resize(100);
  all.times.counts[60] = handled;
  all.times.sum = all.all.handler_time;
  return all;
}

inline udppump::pool_status planted_pool(std::size_t workers, std::uint64_t handled_each) {
  using namespace std::chrono_literals;
  udppump::pool_status pool;
  pool.parent = 4711;
  pool.user = 53;
  pool.name = "dns";
  pool.version = "0.1.0";
  pool.kind = udppump::worker_kind::handlers;
  pool.uptime = 3h;
  pool.workers_wanted = workers;
  pool.max_age = 500ms;
  pool.redelivery = udppump::redelivery_counts{.redelivered = 3, .poisoned = 1};
  pool.restarts = 2;
  pool.kicks = 0;
  pool.traffic = planted_traffic(workers * handled_each);
  pool.sockets = {{.address = "127.0.0.1:53",
                   .name = "dns",
                   .inode = 99,
                   .queued = 75'000,
                   .room = 100'000,
                   .buffer_asked = 100'000,
                   .buffer_granted = 50'000,
                   .drops = 7,
                   .oldest_waits = 340ms},
                  {.address = "unix:/run/dns", .name = "dns", .inode = 100}};
  for (std::size_t number = 0; number < workers; ++number) {
    udppump::worker_status one;
    one.number = number;
    one.pid = static_cast<pid_t>(5000 + number);
    one.state = udppump::worker_state::idle;
    one.uptime = 3h;
    one.kicks = 0;
    one.traffic = planted_traffic(handled_each);
    one.waiter = udppump::waiter_kind::epoll;
    one.usage = udppump::process_usage{
        .cpu = 2s * (number + 1), .voluntary_switches = 100, .involuntary_switches = 5, .resident = 4 << 20};
    pool.workers.push_back(one);
  }
  return pool;
}

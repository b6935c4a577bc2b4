#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "udppump/address.hpp"

namespace bench {

/// The payload that tells an echo_handler to end its worker.
inline constexpr char finish_payload = 'F';

/// Answers each datagram with its own payload; ends at finish_payload.
struct echo_handler {
  bool operator()(auto& received) const {
    if (!received.payload.empty() && received.payload.front() == std::byte{finish_payload}) return false;
    static_cast<void>(received.reply(received.payload));
    return true;
  }
};

/// What a worker tells its parent; lies in memory that both share.
struct worker_note {
  /// Wake-ups that found nothing, over the worker's life; -1 where it does not know. Written when it ends.
  std::int64_t empty_wakeups = -1;
};

/// Forked processes that serve one socket. They end with their parent.
class worker_processes {
 public:
  /// Each runs serve(note) and ends when it returns.
  worker_processes(std::size_t count, const std::function<void(worker_note&)>& serve);
  worker_processes(const worker_processes&) = delete;
  worker_processes& operator=(const worker_processes&) = delete;
  /// Kills what still runs.
  ~worker_processes();

  /// Waits until every thread of every worker sleeps, and stays asleep for some milliseconds. Throws
  /// std::runtime_error where that takes more than two seconds, or where a worker has ended.
  void wait_until_parked();
  /// Over all workers, since they began: how often their threads gave their processor up by themselves.
  std::uint64_t voluntary_switches() const;
  /// Over all workers, since they began.
  std::chrono::nanoseconds cpu_time() const;
  /// Ends the workers by finish_payload, sent to `server`; kills those that do not listen.
  void finish(const udppump::address& server);
  /// What each told; complete after finish().
  std::span<const worker_note> notes() const { return notes_; }

 private:
  std::size_t still_running();

  struct worker {
    pid_t process;
    bool ended = false;
  };
  std::vector<worker> workers_;
  std::span<worker_note> notes_;
};

}  // namespace bench

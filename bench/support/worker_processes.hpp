#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "support/system.hpp"
#include "udppump/address.hpp"

namespace bench {

/// The payload that tells an echo_handler to end its worker.
inline constexpr char finish_payload = 'F';

/// Answers each datagram with its own payload; ends at finish_payload.
struct echo_handler {
  bool operator()(auto& received) const {
    if (!received.payload.empty() && received.payload.front() == std::byte{finish_payload}) return false;
    received.reply(received.payload);
    return true;
  }
};

/// What a worker tells its parent; lies in memory that both share, and that outlives an exec().
struct alignas(64) worker_note {
  /// Which of the workers it is, from 0.
  std::size_t number = 0;
  /// Wake-ups that found nothing, over the worker's life; -1 if it does not know. Written when it ends.
  std::int64_t empty_wakeups = -1;
  /// Datagrams handled.
  std::atomic<std::uint64_t> served{0};
  /// Of a program that was exec()ed: who serves, once it has come so far.
  std::atomic<pid_t> process{0};

  void count() noexcept { served.store(served.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
};

/// Descriptors that a worker program finds open: all notes, then one or more sockets.
inline constexpr int notes_fd_of_worker = 3, first_socket_fd_of_worker = 4;

/// Forked processes that serve one socket. They end with their parent.
class worker_processes {
 public:
  /// Each runs serve(note) and ends when it returns.
  worker_processes(std::size_t count, const std::function<void(worker_note&)>& serve);
  /// Starts `program` with `arguments`, which forks into `count` workers: as programs do that share a socket. It finds
  /// all notes as notes_fd_of_worker and the sockets from first_socket_fd_of_worker on, and runs on `processor` only
  /// (-1: on any). Returns when all serve. Throws std::runtime_error if they do not within ten seconds.
  worker_processes(std::size_t count, const std::string& program, const std::vector<std::string>& arguments,
                   std::span<const int> sockets, int processor);
  worker_processes(const worker_processes&) = delete;
  worker_processes& operator=(const worker_processes&) = delete;
  /// Kills what still runs.
  ~worker_processes();

  /// Waits until every thread of every worker sleeps, and stays asleep for some milliseconds. Throws
  /// std::runtime_error if that takes more than two seconds, or if a worker has ended.
  void wait_until_parked();
  /// Over all workers, since they began: how often their threads gave their processor up by themselves.
  std::uint64_t voluntary_switches() const;
  /// Over all workers, since they began.
  std::chrono::nanoseconds cpu_time() const;
  /// Ends the workers by finish_payload, sent to `server`; kills those that do not listen.
  void finish(const udppump::address& server);
  /// What each told; complete after finish().
  std::span<const worker_note> notes() const { return notes_; }
  /// Over all workers, since they began.
  std::uint64_t served() const;

 private:
  void start(std::size_t count, const std::function<void(std::size_t number)>& work);
  std::size_t still_running();

  struct worker {
    pid_t process;
    bool ended = false;
  };
  descriptor memory_;
  std::vector<worker> workers_;
  std::span<worker_note> notes_;
};

}  // namespace bench

#pragma once

#include "pool/board.hpp"
#include "pool/inheritance.hpp"
#include "pool/pool_core.hpp"

namespace udppump::detail {

/// The pool in a process that its parent executed anew: one worker, with what it was left.
class reexecuted_worker : public pool_core {
 public:
  /// Takes the descriptors. Throws std::system_error if they are not those of a pool of this version.
  reexecuted_worker(pool_options options, const inheritance& left);

  /// Runs the body as the worker that this process is, and returns its exit status.
  int run(worker_body body) override;
  int run(const worker_program& program, const program_options& options) override;
  void request(std::uint32_t what) noexcept override { board_.request(what); }
  void request_scale(std::size_t workers) noexcept override { board_.request_scale(workers); }
  const std::vector<datagram_socket>& sockets() const noexcept override { return sockets_.all(); }
  std::size_t workers() const noexcept override { return workers_; }

 private:
  const pool_options options_;
  const pid_t parent_;
  pool_sockets sockets_;
  lane_plan lanes_;
  board board_;
  const assignment what_;
  const std::size_t workers_;
};

}  // namespace udppump::detail

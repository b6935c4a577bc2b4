#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "pool/launcher.hpp"
#include "udppump/worker_pool.hpp"

namespace udppump::detail {

/// What a worker_pool is: the parent of workers (pool_parent) or, in a process that such a parent executed anew, one of
/// its workers (reexecuted_worker).
class pool_core {
 public:
  /// Throws as worker_pool's constructor.
  static std::shared_ptr<pool_core> make(pool_options options);
  virtual ~pool_core() = default;

  virtual int run(worker_body body) = 0;
  virtual int run(const worker_program& program, const program_options& options) = 0;
  /// Bits of board_header::requests. Any thread, signal handlers.
  virtual void request(std::uint32_t what) noexcept = 0;
  virtual void request_scale(std::size_t workers) noexcept = 0;
  virtual const std::vector<datagram_socket>& sockets() const noexcept = 0;
  virtual std::size_t workers() const noexcept = 0;
};

}  // namespace udppump::detail

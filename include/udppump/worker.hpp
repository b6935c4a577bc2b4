#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <system_error>

#include "udppump/datagram_socket.hpp"
#include "udppump/export.hpp"
#include "udppump/handler.hpp"
#include "udppump/pump_group.hpp"
#include "udppump/pump_options.hpp"

namespace udppump {

namespace detail {
class worker_link;
class worker_maker;
}  // namespace detail

/// One worker, as its body (the function given to worker_pool::run()) sees it. Valid while the body runs, on its
/// thread, unless a function says otherwise.
class UDPPUMP_EXPORT worker {
 public:
  ~worker();
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;

  /// 0 up to the number of workers. A worker that replaces another has the other's number; during a reload both have.
  std::size_t number() const noexcept;
  /// The pool's sockets, the same for all workers, in the order of pool_options::bind. Outlive the body.
  std::span<datagram_socket> sockets() const noexcept { return sockets_; }

  /// For a body with an event loop of its own: put pumps into this group, and watch the group. The pool counts on the
  /// worker from the group's first turn on. When the worker is told to stop, each pump has a last turn and stops; those
  /// that bring answers (pump_role) do so when the tickets of the others are given back. Then on_stop is called. Pumps
  /// outside of the group serve as well, but the pool cannot see what they do, stop them, wake
  /// them, or keep their datagrams; such a body says ready() by itself.
  pump_group& pumps() noexcept { return pumps_; }
  /// `call` is called once, by pumps().dispatch(), when all pumps of the group have stopped because the worker was told
  /// to stop: the place to end the event loop.
  void on_stop(std::function<void()> call);
  /// Tells the pool that this worker serves. A group that serves does it by itself.
  void ready() noexcept;
  /// For a body without an event loop: serves all sockets until the worker is told to stop and all tickets are given
  /// back. Returns as pump_group::run(). Throws what the handler throws.
  [[nodiscard]] std::error_code serve(handler on_datagram, const pump_options& options = {});

  /// Whether the worker was told to stop. Any thread.
  bool stopping() const noexcept;

 private:
  friend class detail::worker_maker;
  struct parts;
  explicit worker(parts made);

  std::shared_ptr<detail::worker_link> link_;
  std::span<datagram_socket> sockets_;
  pump_group pumps_;
};

}  // namespace udppump

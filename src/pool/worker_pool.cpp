#include "udppump/worker_pool.hpp"

#include "pool/pool_core.hpp"

namespace udppump {

worker_pool::worker_pool(pool_options options) : core_{detail::pool_core::make(std::move(options))} {}
worker_pool::~worker_pool() = default;

int worker_pool::serve(handler on_datagram, const pump_options& options) {
  // Copies of a handler call the same function, which so outlives even a thread that is left behind.
  return run([on_datagram = std::move(on_datagram), options](worker& self) {
    if (const auto error = self.serve(on_datagram, options)) throw std::system_error{error, "serving"};
  });
}

int worker_pool::run(std::function<void(worker&)> body) {
  if (!body) throw std::invalid_argument{"worker_pool: the body is an empty function; give one that serves"};
  return core_->run(std::move(body));
}

int worker_pool::run(const worker_program& program, const program_options& options) {
  return core_->run(program, options);
}

void worker_pool::request_stop() noexcept { core_->request(detail::request_stop); }
void worker_pool::request_reload() noexcept { core_->request(detail::request_reload); }
void worker_pool::request_scale(std::size_t workers) noexcept { core_->request_scale(workers); }
std::span<const datagram_socket> worker_pool::sockets() const noexcept { return core_->sockets(); }
std::size_t worker_pool::workers() const noexcept { return core_->workers(); }

}  // namespace udppump

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pool/board.hpp"
#include "pool/hand_over.hpp"
#include "pool/pool_log.hpp"
#include "pool/running_worker.hpp"
#include "pool/service_manager.hpp"
#include "pool/succession.hpp"
#include "pool/supervisor.hpp"
#include "udppump/worker_pool.hpp"

namespace udppump::detail {

/// What a worker_pool has from its making on: sockets, the shared board, the way to a successor. In the process of a
/// worker that was executed anew it is the worker's instead.
class pool_core {
 public:
  explicit pool_core(pool_options options);
  ~pool_core();

  int run(worker_body body);
  int run(const worker_program& program, const program_options& options);

  /// Bits of board_header::requests.
  void request(std::uint32_t what) noexcept;
  const std::vector<datagram_socket>& sockets() const noexcept { return sockets_; }
  const pool_options& options() const noexcept { return options_; }

 private:
  void inherit(inheritance left);
  void open();
  void add_socket(passed_socket passed);
  int supervise(launcher& start, std::chrono::milliseconds ready_after);

  pool_options options_;
  pool_log log_;
  own_command own_;
  service_manager service_;
  std::vector<datagram_socket> sockets_;
  std::vector<std::string> names_, handed_names_;
  descriptor listener_;
  std::optional<predecessor> before_;
  std::unique_ptr<board> board_;
  std::optional<hand_over> keeps_;
  std::optional<succession> takes_over_;
  std::optional<inheritance> inherited_;
  launch_context context_;
};

}  // namespace udppump::detail

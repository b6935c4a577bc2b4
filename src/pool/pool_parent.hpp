#pragma once

#include <memory>
#include <optional>

#include "pool/board.hpp"
#include "pool/exclusive_library.hpp"
#include "pool/identity.hpp"
#include "pool/own_command.hpp"
#include "pool/pid_file.hpp"
#include "pool/pool_core.hpp"
#include "pool/pool_log.hpp"
#include "pool/pool_sockets.hpp"
#include "pool/redeliverer.hpp"
#include "pool/service_manager.hpp"
#include "pool/status_door.hpp"
#include "pool/take_over.hpp"

namespace udppump::detail {

class notify_socket;
class program_outputs;

/// What the parent of workers has from its making on: sockets, the shared board, the way to a successor. Made as a
/// shared_ptr, since threads that cannot be ended keep it.
class pool_parent : public pool_core, public std::enable_shared_from_this<pool_parent> {
 public:
  explicit pool_parent(pool_options options);

  int run(worker_body body) override;
  int run(const worker_program& program, const program_options& options) override;
  void request(std::uint32_t what) noexcept override { board_->request(what); }
  void request_scale(std::size_t workers) noexcept override { board_->request_scale(workers); }
  const std::vector<datagram_socket>& sockets() const noexcept override { return sockets_.all(); }
  std::size_t workers() const noexcept override { return board_->workers(); }

 private:
  void open();
  /// What the supervisor knows of programs, and of no other workers.
  struct of_programs {
    std::optional<std::chrono::milliseconds> ready_after = {};
    notify_socket* notifies = nullptr;
    std::chrono::milliseconds max_wait{0};
    std::chrono::milliseconds hang_timeout{0};
    program_outputs* outputs = nullptr;
  };
  int supervise(launcher& start, const of_programs& programs);
  /// Logs what was done; throws std::invalid_argument for what was wanted and does not work here.
  void tell(const exclusive_library& exclusive, exclusive_waits wanted) const;

  const pool_options options_;
  const pool_log log_;
  const own_command own_;
  std::optional<worker_program> metrics_program_;
  identity become_;
  service_manager service_;
  pool_sockets sockets_;
  lane_plan lanes_;
  std::optional<take_over> takes_over_;
  std::optional<pid_file> pid_;
  std::optional<board> board_;
  std::optional<status_door> door_;
  std::optional<redeliverer> redelivers_;
  std::optional<launch_context> context_;
  descriptor metrics_memory_;
};

}  // namespace udppump::detail

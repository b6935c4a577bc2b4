#pragma once

#include <string>
#include <vector>

#include "support/program.hpp"
#include "support/temporary_directory.hpp"
#include "udppump/address.hpp"

namespace bench {

/// Python workers under `udppump exec`, which answer work requests (load/plan/work_message.hpp) on a port of 127.0.0.1,
/// and end with this object.
class exec_service {
 public:
  /// `options` of exec, beside --bind. Returns when all serve. Throws std::runtime_error with what was printed if they
  /// do not within ten seconds.
  explicit exec_service(const std::vector<std::string>& options);

  const udppump::address& server() const noexcept { return server_; }

 private:
  temporary_directory directory_;
  program program_;
  udppump::address server_;
};

/// Why there cannot be any here; empty if there can.
std::string why_no_exec_service();

}  // namespace bench

#pragma once

#include <chrono>
#include <optional>

#include "name_servers/sample_zone.hpp"
#include "name_servers/server_setup.hpp"
#include "support/program.hpp"
#include "support/temporary_directory.hpp"
#include "udppump/address.hpp"

namespace bench {

/// A name server that answers on a free port of 127.0.0.1, and ends with this object.
class name_server {
 public:
  /// Returns when it answers. Throws std::runtime_error with what it printed if it does not within ten seconds,
  /// thrice.
  name_server(const server_setup& setup, const sample_zone& zone);

  const udppump::address& address() const noexcept { return address_; }
  /// Of all its processes and threads, since they began.
  std::chrono::nanoseconds cpu_time() const { return program_->cpu_time(); }

 private:
  temporary_directory directory_;
  udppump::address address_;
  std::optional<program> program_;
};

}  // namespace bench

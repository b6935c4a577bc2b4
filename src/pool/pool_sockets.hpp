#pragma once

#include <string>
#include <utility>
#include <vector>

#include "pool/listening.hpp"
#include "pool/pool_log.hpp"
#include "sys/service_path.hpp"
#include "udppump/datagram_socket.hpp"

namespace udppump::detail {

/// An address to listen on, as pool_options::bind has it: "NAME=ADDRESS" or "ADDRESS".
struct wanted_address {
  std::string name;
  address where;
  /// Throws std::invalid_argument or std::system_error.
  static wanted_address parse(const std::string& text);
};

/// The sockets of a pool, and what each is called, in the same order. The sockets stay where they are once all are
/// here.
class pool_sockets {
 public:
  /// `options` outlive it.
  explicit pool_sockets(const socket_options& options) : options_{options} {}

  /// Of a socket that this process has open (pool_options::adopt). Throws std::system_error if it is no datagram
  /// socket.
  static passed_socket duplicate_of(int fd);
  /// One that was passed. Throws std::system_error if it is no datagram socket.
  void adopt(passed_socket passed);
  /// Adopts those of `passed` that are wanted (all, if nothing is; and always those of a service manager) and binds the
  /// rest. `of_a_pool`: they were passed by a pool before this one, whose port 0 stands for the one it was given.
  /// Throws std::system_error, or std::invalid_argument if there is nothing to listen on.
  void open(std::vector<wanted_address> wanted, std::vector<passed_socket> passed, bool of_a_pool, heir who,
            const pool_log& log);

  std::size_t size() const noexcept { return all_.size(); }
  std::vector<datagram_socket>& all() noexcept { return all_; }
  const std::vector<datagram_socket>& all() const noexcept { return all_; }
  const std::vector<listening>& called() const noexcept { return called_; }

 private:
  const socket_options& options_;
  std::vector<datagram_socket> all_;
  std::vector<listening> called_;
};

}  // namespace udppump::detail

#pragma once

#include <string>
#include <utility>
#include <vector>

#include "pool/listening.hpp"
#include "pool/pool_log.hpp"
#include "socket/socket_state.hpp"
#include "sys/service_path.hpp"
#include "udppump/datagram_socket.hpp"

namespace udppump::detail {

/// An address to listen on, as pool_options::bind has it: "NAME=ADDRESS" or "ADDRESS".
struct wanted_address {
  std::string name;
  address where;
  bool is_port_alone = false;  // ":53": on all addresses, of whichever family there is
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
  /// Those of a service manager come first; then what is wanted, in that order and under those names: one of `passed`
  /// that is bound there, or else it is bound now. If nothing is wanted, all that were passed. `of_a_pool`: they were
  /// passed by a pool before this one, whose port 0 stands for the one it was given, and are looked at closely
  /// (fault_of()). A port alone is bound for IPv4 if there is no IPv6 here. Throws std::system_error, or
  /// std::invalid_argument if there is nothing to listen on.
  void open(std::vector<wanted_address> wanted, std::vector<passed_socket> passed, bool of_a_pool, heir who,
            const pool_log& log);

  /// As who owns them the pool may bind others in their place: the kernel lets only sockets of one user share a port
  /// (socket(7), SO_REUSEPORT). Of those that it bound itself; -1: as they are.
  void give_to(uid_t user) const noexcept;

  /// A socket's options have changed: what datagram_socket knows of them is read anew. Before anybody serves it.
  void reread(std::size_t at);

  std::size_t size() const noexcept { return all_.size(); }
  std::vector<datagram_socket>& all() noexcept { return all_; }
  const std::vector<datagram_socket>& all() const noexcept { return all_; }
  const std::vector<listening>& called() const noexcept { return called_; }
  /// As each should be, whatever a worker makes of it; of open(), not of adopt(). One that a pool before this one hands
  /// on should be as this start's options have it, and not as its workers left it.
  const std::vector<socket_state>& states() const noexcept { return states_; }

 private:
  void take(passed_socket passed, bool of_a_pool, const pool_log& log);
  void clean(const listening& as, const pool_log& log);
  void tell_what_is_odd(const pool_log& log) const;
  void bind(const wanted_address& wanted, heir who);
  void check_against_own(const address& where) const;

  const socket_options& options_;
  std::vector<datagram_socket> all_;
  std::vector<listening> called_;
  std::vector<socket_state> states_;
};

}  // namespace udppump::detail

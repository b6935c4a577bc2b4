#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lanes/lane_group.hpp"
#include "pool/passed_group.hpp"
#include "pool/pool_log.hpp"
#include "socket/socket_state.hpp"
#include "sys/service_path.hpp"
#include "udppump/datagram_socket.hpp"

namespace udppump::detail {

/// The sockets of a pool, and what each is called, in the same order. With lanes, those of a port follow each other in
/// the order of the lanes. The sockets stay where they are once all are here.
class pool_sockets {
 public:
  /// `options` and `lanes` outlive it. Throws as lane_group.
  explicit pool_sockets(const socket_options& options, std::span<const lane> lanes = {});

  /// Of a socket that this process has open (pool_options::adopt). Throws std::system_error if it is no datagram
  /// socket.
  static passed_socket duplicate_of(int fd);
  /// One that was passed. Throws std::system_error if it is no datagram socket, or of a lane that there is not.
  void adopt(passed_socket passed);
  /// Those of a service manager come first; then what is wanted, in that order and under those names: one of `passed`
  /// that is bound there, or else it is bound now. If nothing is wanted, all that were passed. `of_a_pool`: they were
  /// passed by a pool before this one, whose port 0 stands for the one it was given, and are looked at closely
  /// (fault_of()). A port alone is bound for IPv4 if there is no IPv6 here. Of a port that was passed without lanes,
  /// what was passed is the last lane, and the others join it. Throws std::system_error, or std::invalid_argument if
  /// there is nothing to listen on.
  void open(std::vector<wanted_address> wanted, std::vector<passed_socket> passed, bool of_a_pool, heir who,
            const pool_log& log);

  /// As who owns them the pool may bind others in their place: the kernel lets only sockets of one user share a port
  /// (socket(7), SO_REUSEPORT). Of those that it bound itself; -1: as they are.
  void give_to(uid_t user) const noexcept;

  /// A socket's options have changed: what datagram_socket knows of them is read anew. Before anybody serves it.
  void reread(std::size_t at);

  /// Has the kernel sort what comes to that socket's port into its lanes: 0 or -errno, as lane_group::sort(). Where
  /// lanes were added to what a pool before this one serves, all goes to the last one until begin_to_sort(): that pool
  /// may have to serve on, and knows no other.
  int sort(std::size_t at) const noexcept;
  /// Throws std::system_error if a socket of others takes part of what comes to `local`, where that socket is or was
  /// bound: it would get what is for a lane. `known` are of others, and all right.
  void expect_port_alone(std::size_t at, const address& local, std::vector<ino_t> known = {}) const;
  void begin_to_sort() noexcept;

  /// Null without lanes.
  const lane_group* lanes() const noexcept { return lanes_ ? &*lanes_ : nullptr; }
  /// The sockets of the same port, which follow each other: the first, and the one after the last.
  std::pair<std::size_t, std::size_t> port_of(std::size_t at) const noexcept {
    return {at - all_[at].lane(), at - all_[at].lane() + std::max<std::size_t>(lane_options_.size(), 1)};
  }
  /// How a socket that is bound in the place of one is to be bound, if those of the pool are bound like `options`.
  socket_options options_at(std::size_t at, const socket_options& options) const;
  /// Its address, and the lane if there are some: "127.0.0.1:53 (quick)".
  std::string description(std::size_t at) const;

  std::size_t size() const noexcept { return all_.size(); }
  std::vector<datagram_socket>& all() noexcept { return all_; }
  const std::vector<datagram_socket>& all() const noexcept { return all_; }
  const std::vector<listening>& called() const noexcept { return called_; }
  /// As each should be, whatever a worker makes of it; of open(), not of adopt(). One that a pool before this one hands
  /// on should be as this start's options have it, and not as its workers left it.
  const std::vector<socket_state>& states() const noexcept { return states_; }

 private:
  void take(passed_group group, bool of_a_pool, const pool_log& log);
  void take(passed_socket passed, bool of_a_pool, const pool_log& log);
  void add_lanes_to_last(bool of_a_pool);
  void clean(const pool_log& log);
  void tell_what_is_odd(const pool_log& log) const;
  void bind(const wanted_address& wanted, heir who);
  void check_against_own(const address& where) const;

  const socket_options& options_;
  const std::span<const lane> lane_options_;
  std::optional<lane_group> lanes_;
  bool gathers_ = false;
  std::vector<datagram_socket> all_;
  std::vector<listening> called_;
  std::vector<socket_state> states_;
};

}  // namespace udppump::detail

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pool/board.hpp"
#include "pool/pool_log.hpp"
#include "pool/quarantine.hpp"
#include "sys/service_path.hpp"
#include "udppump/datagram_socket.hpp"
#include "udppump/descriptor.hpp"
#include "udppump/worker_pool.hpp"

namespace udppump::detail {

/// Gives the datagrams of workers that died to others, by redelivery's rules. In the parent: what lies in the board is
/// the workers' claim, so it is copied once, within the parent's own bounds, and only the copy is looked at. Which
/// places are in use, and how many died of what is there, the parent knows by itself.
class redeliverer {
 public:
  /// Opens the poison file, which is the heir's if it is new; throws std::system_error. All arguments outlive this
  /// object, but for the last two.
  redeliverer(const redelivery& rules, board& shared, const std::vector<datagram_socket>& sockets, const pool_log& log,
              heir who = {}, const std::optional<sender_quarantine>& quarantine = {});

  /// The poison file's, which no worker should have; -1 without one.
  int file() const noexcept { return file_.fd(); }
  /// The worker of `page` has died. True if a datagram now waits for another worker.
  bool rescue(std::size_t page);
  /// No worker is left: what still waits is given up.
  void give_up();

 private:
  /// What a kept datagram was when it was copied.
  struct claim {
    std::uint32_t socket = 0;
    unsigned size = 0;  // as it was sent, which may be more than the payload
    int flags = 0;
    socklen_t from_size = 0;
    sockaddr_storage from = {};
    std::size_t control_size = 0;
    alignas(cmsghdr) std::byte control[control_capacity] = {};
    std::vector<std::byte> payload = {};

    address sender() const noexcept;
    void copy_of(const kept_datagram& kept, unsigned length, std::uint32_t limit);
  };

  void put(const claim& what, kept_datagram& place) const noexcept;
  bool offer_again(std::uint32_t at);
  void poison(std::uint32_t deaths, const claim& left);
  void give_up(const std::string& why, std::uint32_t deaths, const claim& left) const;
  std::optional<std::uint32_t> free_one() const noexcept;
  std::string describe(std::uint32_t deaths, const claim& left) const;

  const redelivery& rules_;
  board& shared_;
  const std::vector<datagram_socket>& sockets_;
  const pool_log& log_;
  std::optional<quarantine> quarantine_;
  descriptor file_;
  std::vector<std::uint32_t> deaths_;  // of workers that had what is at each place for redelivery; 0: it is free
};

}  // namespace udppump::detail

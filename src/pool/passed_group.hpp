#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pool/listening.hpp"
#include "udppump/address.hpp"
#include "udppump/lanes.hpp"

namespace udppump::detail {

/// An address to listen on, as pool_options::bind has it: "NAME=ADDRESS" or "ADDRESS".
struct wanted_address {
  std::string name;
  address where;
  bool is_port_alone = false;  // ":53": on all addresses, of whichever family there is
  /// Throws std::invalid_argument or std::system_error.
  static wanted_address parse(const std::string& text);
};

/// What a socket without a name is called.
constexpr char default_socket_name[] = "udppump";

/// What of the sockets that were passed belongs to one port: one socket, or one for each lane.
struct passed_group {
  std::vector<passed_socket> members;
  address local;  // none if it cannot be told

  const listening& as() const noexcept { return members.front().as; }
  bool has_lanes() const noexcept { return !as().lane.empty(); }
  /// Taken out of what was passed.
  bool is_taken() const noexcept { return members.empty(); }

  /// In the order in which the first of each came.
  static std::vector<passed_group> of(std::vector<passed_socket> passed);
};

/// Throws std::system_error if a pool hands on lanes that are not those of this start: what arrives is sorted into them
/// until that pool ends.
void check_lanes_of(const std::vector<passed_group>& passed, std::span<const lane> lanes);

/// Which of those that were passed each address asks for. Of a pool, port 0 stands for the port that it was given, best
/// under the same name.
std::vector<std::optional<std::size_t>> match(const std::vector<wanted_address>& wanted,
                                              const std::vector<passed_group>& passed, bool of_a_pool);

}  // namespace udppump::detail

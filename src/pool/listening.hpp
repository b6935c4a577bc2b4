#pragma once

#include <string>

#include "udppump/descriptor.hpp"

namespace udppump::detail {

/// What one of a pool's sockets is called, and who opened it.
struct listening {
  /// As LISTEN_FDNAMES has it: no white space, no colon.
  std::string name;
  /// No address of pool_options::bind asked for it, so it is kept whichever are asked for.
  bool from_service_manager = false;
  /// Which lane of the port it is; empty without lanes.
  std::string lane = {};

  bool operator==(const listening&) const = default;

  /// With the lane, as programs get it: "dns/quick".
  std::string full_name() const { return lane.empty() ? name : name + '/' + lane; }
  /// The same for the pool's own processes, which is read back by of_word(): "dns:quick".
  std::string to_word() const { return lane.empty() ? name : name + ':' + lane; }
  static listening of_word(const std::string& word) {
    const auto colon = word.find(':');
    if (colon == std::string::npos) return {.name = word};
    return {.name = word.substr(0, colon), .lane = word.substr(colon + 1)};
  }
};

/// A socket that was passed to this process.
struct passed_socket {
  descriptor socket;
  listening as;
};

}  // namespace udppump::detail

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pool/take_over_messages.hpp"
#include "udppump/address.hpp"

namespace udppump::detail {

/// The pool whose sockets a new parent takes over, as that one sees it. Made in the constructor of its pool.
class predecessor {
 public:
  /// Whoever serves at `path`; nothing if nobody does. Throws std::system_error if it does not hand over.
  static std::optional<predecessor> at(const std::string& path);
  /// The parent that executed this program for that, by the environment; nothing if none did. Throws as at().
  static std::optional<predecessor> inherited();
  /// Asks for the sockets, and waits for them. Throws as at().
  explicit predecessor(descriptor connection);

  std::vector<passed_socket> take_sockets() noexcept { return std::move(sockets_); }
  /// The Unix socket where successors connect; empty if the old parent has none.
  descriptor take_listener() noexcept { return std::move(listener_); }
  /// The old workers may go.
  void say_ready() noexcept;
  /// Readable when hear() has something; -1 once the old parent is gone.
  int fd() const noexcept { return connection_.fd(); }
  /// Why the old parent does not hand over after all; empty if it says nothing, or is gone.
  std::string hear();

 private:
  take_over_connection connection_;
  std::vector<passed_socket> sockets_;
  descriptor listener_;
};

/// In the environment of an execution that is to take over: the descriptor of its connection.
constexpr char take_over_variable[] = "UDPPUMP_TAKE_OVER";

/// The path of a Unix socket as an address. Throws std::system_error.
address take_over_address(const std::string& path);

}  // namespace udppump::detail

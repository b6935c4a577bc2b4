#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "pool/listening.hpp"
#include "udppump/descriptor.hpp"

namespace udppump::detail {

// How a new parent takes the sockets over from an old one, over a SOCK_SEQPACKET Unix socket, in words:
//
//   new: "udppump 1 hello PID"
//   old: "udppump 1 sockets NAME..."   with the descriptors (SCM_RIGHTS), or "udppump 1 no WHY"
//   new: "udppump 1 ready"             its workers serve; the old one's now finish and end
//
// A NAME that begins with "+" is of a socket that a service manager opened; "@take-over" is the Unix socket where
// successors connect. Until it hears "ready", the old parent goes on as before; if the connection breaks, for good.
// Both serve the same sockets meanwhile, which is what sockets shared by workers are for.

/// Sockets that a pool hands on at most: the kernel passes 253 in one message (SCM_MAX_FD, unix(7)).
constexpr std::size_t most_passed = 250;

/// What one of the two said.
struct take_over_message {
  enum class kind {
    nothing,  // nothing has come yet
    hello,
    sockets,
    no,
    ready,
    other_version,  // of udppump, or nothing of udppump's at all
    unknown,        // of this version, and no sense in it
    hung_up,
  };
  kind what = kind::nothing;
  pid_t pid = 0;                            // hello
  std::vector<passed_socket> sockets = {};  // sockets
  descriptor listener = {};                 // sockets: where successors connect; may be empty
  std::string why = {};                     // no
  int error = 0;                            // hung_up: -errno, or 0 if the other end was closed
};

/// What is handed on; the descriptors stay the sender's.
struct handed_sockets {
  struct named {
    int fd;
    listening as;
  };
  std::vector<named> sockets;
  int listener = -1;

  std::size_t size() const noexcept { return sockets.size() + (listener >= 0 ? 1 : 0); }
};

/// One end of the connection. Nothing blocks. The calls that say something return 0 or -errno.
class take_over_connection {
 public:
  explicit take_over_connection(descriptor connection) noexcept : socket_{std::move(connection)} {}

  int fd() const noexcept { return socket_.fd(); }
  void close() noexcept { socket_.reset(); }

  int say_hello(pid_t own) const;
  /// At most most_passed.
  int hand_on(const handed_sockets& sockets) const;
  int say_no(const std::string& why) const;
  int say_ready() const;

  take_over_message hear() const;

 private:
  descriptor socket_;
};

/// A Unix socket for one end; `flags` as socket(2) has them. Throws std::system_error.
descriptor make_take_over_socket(int flags);

}  // namespace udppump::detail

#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

#include "pool/peer.hpp"
#include "pool/take_over_messages.hpp"
#include "sys/service_path.hpp"

namespace udppump::detail {

/// A new parent that wants the sockets, as the old one sees it. It may say each thing once, in the right order.
class successor {
 public:
  using clock = std::chrono::steady_clock;
  enum class origin : char {
    executed,   // by this pool, for this
    connected,  // by the path
  };

  successor(descriptor connection, origin how) noexcept;

  enum class phase : char {
    silent,   // up to its hello
    waits,    // for the sockets
    has,      // the sockets, and has not said that its workers serve
    parting,  // has had them, and could not be told yet that it may not keep them
    gone,     // of no interest any more
    heir,     // said that its workers serve
  };
  phase now() const noexcept { return phase_; }
  /// Since when.
  clock::time_point since() const noexcept { return since_; }

  /// Hears one thing that it says; how its phase changes is the news. Why it is gone, if that is to be told.
  std::string listen();
  /// It gets them, or is gone; why.
  std::string hand(const handed_sockets& sockets);
  /// It may not have the sockets, or not keep them, and is told why. It is its pool's heir all the same if it has said
  /// before that its workers serve.
  void give_up(const std::string& why);
  /// This pool ends, and who has the sockets serves on.
  void leave_sockets() noexcept;

  /// To poll for reading.
  int fd() const noexcept { return connection_.fd(); }
  bool is_executed() const noexcept { return how_ == origin::executed; }
  /// As the kernel knows it: first who connected, then who spoke.
  const peer& who() const noexcept { return who_; }
  std::string description() const { return description_of_peer(fd()); }

 private:
  void set(phase next) noexcept;
  void hear_ready(const take_over_message& said);
  void say_no(const std::string& why);

  take_over_connection connection_;
  const origin how_;
  phase phase_ = phase::silent;
  clock::time_point since_ = clock::now();
  bool stays_ = false;
  peer who_;
  std::string why_;  // while parting
};

/// Whether a process of this user may have the sockets: root, or who made the listener. Not whom a pool became that
/// root has started, since its workers are that.
bool may_take_over(const peer& who, int listener) noexcept;

/// A Unix socket where successors connect. Throws std::system_error.
descriptor listen_for_successors(const service_path& path);

}  // namespace udppump::detail

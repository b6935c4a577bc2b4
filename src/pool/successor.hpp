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
  /// Who connects by the path.
  explicit successor(descriptor connection) noexcept;
  /// What this pool has executed: nobody else speaks for it, as the kernel knows who does. Without `gets_listener` it
  /// has no path by which others take over from it.
  successor(descriptor connection, pid_t executed, bool gets_listener) noexcept;

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
  /// The process that was executed has ended: whoever has its end of the connection now is another. Why it is gone, if
  /// that is to be told.
  std::string note_end() noexcept;

  /// To poll for reading.
  int fd() const noexcept { return connection_.fd(); }
  bool is_executed() const noexcept { return executed_ > 0; }
  /// 0: it connected by the path.
  pid_t executed() const noexcept { return executed_; }
  bool gets_listener() const noexcept { return gets_listener_; }
  /// As the kernel knows it: first who connected, then who spoke.
  const peer& who() const noexcept { return who_; }
  std::string description() const { return description_of_peer(fd()); }

 private:
  void set(phase next) noexcept;
  take_over_message hear() const;
  void hear_ready(const take_over_message& said);
  void say_no(const std::string& why);

  take_over_connection connection_;
  const pid_t executed_ = 0;
  const bool gets_listener_ = true;
  phase phase_ = phase::silent;
  clock::time_point since_ = clock::now();
  bool stays_ = false;
  bool asks_pid_file_ = false;
  peer who_;
  std::string why_;  // while parting
};

/// Whether a process of this user may have the sockets: root, or who made the listener. Not whom a pool became that
/// root has started, since its workers are that.
bool may_take_over(const peer& who, int listener) noexcept;

/// A Unix socket where successors connect. Throws std::system_error.
descriptor listen_for_successors(const service_path& path);

}  // namespace udppump::detail

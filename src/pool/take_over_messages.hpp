#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pool/earlier_pid_file.hpp"
#include "pool/listening.hpp"
#include "pool/peer.hpp"
#include "udppump/descriptor.hpp"

namespace udppump::detail {

// How a new parent takes the sockets over from an old one, over a SOCK_SEQPACKET Unix socket, in words:
//
//   new: "udppump 1 hello PID stays pid-file"
//   old: "udppump 1 sockets NAME..."   with the descriptors (SCM_RIGHTS), or "udppump 1 no WHY"
//   new: "udppump 1 ready"             its workers serve; the old one's now finish and end
//   old: hangs up                      it has heard that
//
// A NAME that begins with "+" is of a socket that a service manager opened, and NAME:LANE of a lane of one;
// "@take-over" is the Unix socket where successors connect. "@pid-file=DEVICE:NUMBER" has no descriptor: it is the pid
// file of the old one (st_dev and st_ino of stat(2)), or "@pid-file=none", and is told to who asks for it by
// "pid-file". Both serve the same sockets meanwhile, which is what sockets shared by workers are for.
//
// The two agree on who serves on, whatever happens in between, since the kernel decides it in one step: the moment in
// which "ready" is put into the old one's queue. Until then the old one may give the new one up, and does it by taking
// nothing more (stop_receiving()), looking what it has, and only then saying "no": "ready" either was in the queue, and
// holds, or cannot be sent any more. If the connection ends without a "no", the other process has ended, and who is
// left serves on. So neither waits for the other, who may be stopped.
//
// PID is what the new one says of itself, which earlier versions believed; it is not looked at. "stays" says that the
// new one does not close the connection before the old one does, unless it ends.

/// Sockets that a pool hands on at most: the kernel passes 253 in one message (SCM_MAX_FD, unix(7)).
constexpr std::size_t most_passed = 250;

/// What one of the two said.
struct take_over_message {
  enum class kind : char {
    nothing,  // nothing has come yet
    hello,
    sockets,
    no,
    ready,
    other_version,  // of udppump, or nothing of udppump's at all
    unknown,        // of this version, and no sense in it
    cut_off,        // descriptors did not all arrive, or came where there are none
    hung_up,
  };
  kind what = kind::nothing;
  bool stays = false;                       // hello
  bool asks_pid_file = false;               // hello
  std::vector<passed_socket> sockets = {};  // sockets
  descriptor listener = {};                 // sockets: where successors connect; may be empty
  earlier_pid_file pid_file = {};           // sockets
  std::string why = {};                     // no; other_version: which, in words
  int error = 0;                            // hung_up: -errno, or 0 if the other end was closed
  peer from = {};                           // who sent it, by the kernel

  /// Of words and descriptors that came together. Anything may be in both.
  static take_over_message of(std::string_view words, std::vector<descriptor> descriptors);
};

/// What is handed on; the descriptors stay the sender's.
struct handed_sockets {
  struct named {
    int fd;
    listening as;
  };
  std::vector<named> sockets;
  int listener = -1;
  std::optional<file_identity> pid_file = {};

  std::size_t size() const noexcept { return sockets.size() + (listener >= 0 ? 1 : 0); }
};

/// One end of the connection. Nothing blocks. The calls that say something return 0 or -errno.
class take_over_connection {
 public:
  /// Which end: the old parent takes few words and no descriptor at all, not even to close it.
  enum class end : char { old_parents, new_parents };

  take_over_connection(descriptor connection, end which) noexcept;

  int fd() const noexcept { return socket_.fd(); }
  void close() noexcept { socket_.reset(); }

  int say_hello() const;
  /// At most most_passed.
  int hand_on(const handed_sockets& sockets, bool tells_pid_file = false) const;
  int say_no(const std::string& why) const;
  int say_ready() const;
  /// From now on the other end cannot say anything. What it said before can still be heard.
  void stop_receiving() const noexcept;

  take_over_message hear() const;
  /// Whether the other end is closed, although it may have said something before.
  bool is_hung_up() const noexcept;

 private:
  descriptor socket_;
  end which_;
};

/// A Unix socket for one end; `flags` as socket(2) has them. Throws std::system_error.
descriptor make_take_over_socket(int flags);

}  // namespace udppump::detail

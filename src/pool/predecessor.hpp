#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "pool/take_over_messages.hpp"
#include "udppump/address.hpp"

namespace udppump::detail {

/// The pool whose sockets a new parent takes over, as that one sees it. Made in the constructor of its pool.
class predecessor {
 public:
  using clock = std::chrono::steady_clock;
  static constexpr uid_t nobody = static_cast<uid_t>(-1);

  /// Whoever serves at `path`; nothing if nobody does. Sockets are taken only from processes of this one's user and of
  /// root, and of the user to `become` if root had the path made. Throws std::system_error if it does not hand over.
  static std::optional<predecessor> at(const std::string& path, uid_t become = nobody);
  /// The parent that executed this program for that, by the environment; nothing if none did. Throws as at().
  static std::optional<predecessor> inherited(uid_t become = nobody);

  /// Asks for the sockets.
  explicit predecessor(descriptor connection, uid_t become = nobody);
  /// Whether it has handed them on by now. Throws std::system_error if it does not.
  bool has_answered();

  std::vector<passed_socket> take_sockets() noexcept { return std::move(sockets_); }
  /// The Unix socket where successors connect; empty if the old parent has none.
  descriptor take_listener() noexcept { return std::move(listener_); }
  /// Which pid file it has, if it tells.
  const earlier_pid_file& its_pid_file() const noexcept { return pid_file_; }
  /// Who handed them on.
  const peer& who() const noexcept { return who_; }

  enum class verdict : char {
    open,   // both serve
    ours,   // this pool serves on: the other one knows that it is to end, or has ended
    theirs  // the other one serves on
  };
  /// The old workers may go.
  void say_ready() noexcept;
  /// Whether what was said, or that the other has ended, decides.
  verdict hear();
  bool is_ours() const noexcept { return verdict_ == verdict::ours; }
  /// If it is theirs.
  const std::string& why() const noexcept { return why_; }
  /// That it has not heard for long that it is to end, for the log; once, and empty if there is nothing to tell.
  std::string overdue(clock::time_point now);
  /// Readable when hear() has something; -1 once the old parent is gone.
  int fd() const noexcept { return connection_.fd(); }
  /// When hear() or overdue() has something all the same.
  clock::time_point wakes_at() const noexcept;

 private:
  void await_answer();
  void try_ready() noexcept;

  take_over_connection connection_;
  uid_t become_;
  std::vector<passed_socket> sockets_;
  descriptor listener_;
  earlier_pid_file pid_file_;
  peer who_;
  verdict verdict_ = verdict::open;
  std::string why_;
  enum class ready : char { not_yet, wanted, said, refused } ready_ = ready::not_yet;
  clock::time_point tries_again_at_ = {};
  clock::time_point overdue_at_ = clock::time_point::max();
};

/// In the environment of an execution that is to take over: the descriptor of its connection.
constexpr char take_over_variable[] = "UDPPUMP_TAKE_OVER";

/// The path of a Unix socket as an address. Throws std::system_error.
address take_over_address(const std::string& path);

}  // namespace udppump::detail

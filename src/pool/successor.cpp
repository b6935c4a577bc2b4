#include "pool/successor.hpp"

#include "pool/predecessor.hpp"
#include "sys/failure.hpp"
#include "sys/service_path.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_user.hpp"
#include "udppump/address.hpp"

namespace udppump::detail {

void successor::refuse(const std::string& why) const noexcept { static_cast<void>(connection_.say_no(why)); }

successor::news successor::listen(const handed_sockets& sockets) {
  using kind = take_over_message::kind;
  const take_over_message came = connection_.hear();
  const auto turn_away = [this](const std::string& why) {
    refuse(why);
    return news::gone;
  };
  switch (came.what) {
    case kind::nothing:
      return news::nothing;
    case kind::hello:
      pid_ = came.pid;
      if (sockets.size() > most_passed) {
        return turn_away("more than " + std::to_string(most_passed) +
                         " sockets cannot be handed over; restart instead");
      }
      return connection_.hand_on(sockets) < 0 ? news::gone : news::took_sockets;
    case kind::ready:
      return news::ready;
    case kind::other_version:
      return turn_away("other versions of udppump cannot take over; restart");
    default:
      return news::gone;
  }
}

bool successor::is_trusted() const noexcept {
  ucred who{};
  if (sys::getsockopt(connection_.fd(), SOL_SOCKET, SO_PEERCRED, who) < 0) return false;
  return who.uid == sys::effective_user() || who.uid == 0;
}

descriptor listen_for_successors(const std::string& path, uid_t user, gid_t group) {
  static_cast<void>(take_over_address(path));  // one that is too long is refused
  const service_path there{"take-over socket", path, {user, group}};
  descriptor listener = make_take_over_socket(SOCK_NONBLOCK);
  if (const int bound = there.bind(listener, 0600); bound < 0) {
    fail(bound, there.what() + (there.is_in_the_way() ? ": what is there is no socket: remove it or choose another path"
                                : bound == -EADDRINUSE ? ": another start is under way there; wait for it, or choose "
                                                         "another path"
                                                       : ": its folder must be writable"));
  }
  try {
    there.give_socket();
    // Nobody could connect before that.
    if (const int failed = sys::listen(listener.fd(), 4); failed < 0) fail_with_cure(failed, there.what() + ": listen");
  } catch (...) {
    static_cast<void>(there.remove_socket());
    throw;
  }
  return listener;
}

}  // namespace udppump::detail

#include "pool/successor.hpp"

#include "pool/predecessor.hpp"
#include "sys/failure.hpp"
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
  const address where = take_over_address(path);
  descriptor listener = make_take_over_socket(SOCK_NONBLOCK);
  const std::string what = "take-over socket \"" + path + "\"";
  int bound = sys::bind(listener.fd(), where.data(), where.size());
  struct stat there {};
  if (bound == -EADDRINUSE && sys::link_status(path.c_str(), there) == 0 && S_ISSOCK(there.st_mode)) {
    static_cast<void>(sys::unlink(path.c_str()));  // of a pool that is gone: connecting was refused
    bound = sys::bind(listener.fd(), where.data(), where.size());
  }
  if (bound < 0) {
    fail(bound, what + (bound == -EADDRINUSE ? ": what is there is no socket: remove it or choose another path"
                                             : ": its directory must exist and be writable"));
  }
  // Nobody else can connect before listen().
  int failed = sys::set_mode(path.c_str(), 0600);
  if (failed == 0) failed = sys::set_owner(path.c_str(), user, group);
  if (failed == 0) failed = sys::listen(listener.fd(), 4);
  if (failed < 0) {
    static_cast<void>(sys::unlink(path.c_str()));
    fail(failed, what + ": choose a path on a file system where sockets can be owned");
  }
  return listener;
}

}  // namespace udppump::detail

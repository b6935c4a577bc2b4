#include "pool/socket_check.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <system_error>

#include "address/raw_address.hpp"
#include "sys/failure.hpp"
#include "sys/service_path.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

using std::chrono::seconds;

constexpr seconds interval{5};
constexpr std::chrono::milliseconds between_looks{100};  // though workers die without end
constexpr std::chrono::minutes period{1};                // in which so many lines at most are written of a socket
constexpr unsigned most_lines = 5;
constexpr std::size_t most_refused = 16;
constexpr seconds longest_pause{300};  // between two new sockets

}  // namespace

socket_check::socket_check(pool_sockets& sockets, socket_state::sharers who, const socket_options& options,
                           const pool_log& log)
    : sockets_{sockets}, who_{who}, options_{options}, log_{log}, next_{clock::now() + interval} {
  for (const datagram_socket& socket : sockets.all()) watched_.push_back({.state = socket_state{socket}});
}

void socket_check::worker_died(clock::time_point now) noexcept {
  next_ = std::min(next_, std::max(now, looked_ + between_looks));
}

bool socket_check::look(clock::time_point now) {
  looked_ = now;
  next_ = now + interval;
  bool is_new = false;
  for (std::size_t at = 0; at < watched_.size(); ++at) {
    watched& one = watched_[at];
    std::string hopeless;
    for (const socket_state::change& what : one.state.restore(sockets_.all()[at].fd(), who_)) {
      if (what.outcome == socket_state::change::result::needs_new_socket) {
        hopeless = what.what;
      } else {
        tell(one, what, now);
      }
    }
    if (!hopeless.empty() && now >= one.binds_from) is_new |= bind_anew(at, hopeless, now);
  }
  return is_new;
}

void socket_check::tell(watched& one, const socket_state::change& what, clock::time_point now) const {
  const bool is_undone = what.outcome == socket_state::change::result::undone;
  if (!is_undone) {  // it is found again at each look
    if (one.refused.size() == most_refused || std::ranges::count(one.refused, what.what) != 0) return;
    one.refused.push_back(what.what);
  }
  const unsigned untold = one.untold;
  if (now - one.told_from >= period) one.told_from = now, one.told = one.untold = 0;
  if (one.told == most_lines) {
    ++one.untold;
    return;
  }
  ++one.told;
  const std::string name = one.state.local().to_string();
  std::string text = "socket " + name + " was " + what.what + " by a worker; ";
  text += is_undone ? "undone" : "undoing that was refused: " + what.why + "; restart the pool";
  if (one.told == 1 && untold != 0) text += "; " + std::to_string(untold) + " changes before this one were not told";
  pool_log::fields fields{{"socket", name}, {"change", what.what}};
  is_undone ? log_.warning("socket-changed", text, std::move(fields))
            : log_.error("socket-changed", text, std::move(fields));
}

bool socket_check::bind_anew(std::size_t at, const std::string& why, clock::time_point now) {
  watched& one = watched_[at];
  // A worker may do it again at once; each time costs a reload.
  one.pause = std::min(one.pause.count() == 0 ? interval : 2 * one.pause, longest_pause);
  one.binds_from = now + one.pause;
  const std::string name = one.state.local().to_string();
  const std::string what = "socket " + name + " was " + why + " by a worker, which only a new socket cures; ";
  try {
    if (!one.state.is_replaceable()) fail(EADDRNOTAVAIL, "it was passed to the pool, and is not bound");
    replace(sockets_.all()[at].fd(), one);
    one.state = socket_state{sockets_.all()[at]};  // a buffer that only root could make so large is smaller now
  } catch (const std::system_error& refused) {
    log_.error("socket-lost",
               what + "binding one was refused: " + refused.what() + "; restart the pool" +
                   (sockets_.called()[at].from_service_manager ? " and who passed the socket" : ""),
               {{"socket", name}, {"change", why}});
    return false;
  }
  log_.warning("socket-replaced", what + "one was bound, and workers that have it are started",
               {{"socket", name}, {"change", why}});
  return true;
}

/// The new one gets the descriptor of the old one, of which workers have duplicates until they end.
void socket_check::replace(int fd, const watched& one) const {
  const address& local = one.state.local();
  const std::string path = local.unix_path();
  if (!path.empty() && path[0] != '@') {
    const service_path there{"socket", path, {}, sticky_folder::accepted};
    if (const int gone = there.remove_socket(); gone < 0 && gone != -ENOENT) fail_with_cure(gone, there.what());
  }
  // Both sockets are of one user, or the kernel refuses the second (udp(7), SO_REUSEPORT).
  static_cast<void>(sys::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, 1));
  const auto fresh = datagram_socket::bind(local, one.state.for_new_socket(options_));
  static_cast<void>(one.state.restore(fresh.fd(), who_));
  // Takes the old one out of the way of what arrives: a socket that is connected receives from its peer alone.
  const address nowhere = local.is_ipv4() ? address_of(raw_ipv4({htonl(INADDR_LOOPBACK)}, 9))
                                          : address_of(raw_ipv6(in6addr_loopback, 0, 9));
  if (!local.is_unix()) static_cast<void>(sys::connect(fd, nowhere.data(), nowhere.size()));
  if (const int done = sys::duplicate_onto(fresh.fd(), fd); done < 0) fail_with_cure(done, "dup2");
  static_cast<void>(sys::set_close_on_exec(fd, true));
}

}  // namespace udppump::detail

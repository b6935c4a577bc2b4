#include "pool/socket_check.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <cstdint>
#include <system_error>

#include "address/raw_address.hpp"
#include "pool/counted.hpp"
#include "socket/address_owner.hpp"
#include "socket/arrival_signal.hpp"
#include "socket/interfaces.hpp"
#include "socket/socket_error.hpp"
#include "sys/failure.hpp"
#include "sys/service_path.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

using std::chrono::seconds;

constexpr seconds interval{5};
constexpr seconds longest_postponed{30};
constexpr std::chrono::milliseconds between_looks{100};  // though workers die without end
constexpr std::chrono::minutes period{1};                // in which so many lines at most are written of a socket
constexpr unsigned most_lines = 5;
constexpr std::size_t most_refused = 16;
constexpr std::size_t most_named = 4;  // in one line
constexpr std::size_t most_former = 64;
constexpr seconds longest_pause{300};  // between two new sockets

ino_t inode_of(int fd) noexcept { return file_identity::of(fd).value_or(file_identity{}).number; }

constexpr file_identity no_file{};

/// What a Unix socket's path leads to, or no_file; nothing if the socket has no path, or its folder is not to be seen.
std::optional<file_identity> file_of(const address& local) {
  const std::string path = path_of(local);
  if (path.empty()) return {};
  try {
    const service_path there{"socket", path, {}, sticky_folder::accepted};
    struct stat about {};
    const int known = sys::status_at(there.folder(), path.substr(path.rfind('/') + 1).c_str(), about);
    if (known == -ENOENT) return no_file;
    if (known == 0) return file_identity::of(about);
  } catch (const std::system_error&) {  // such as a folder where everybody may write
  }
  return {};
}

/// Takes a socket out of the way of what arrives: one that is connected receives from its peer alone, and one that is
/// bound to a device that is not there receives nothing. The former everybody can undo who has it; the latter, if that
/// is not refused, only who has CAP_NET_RAW.
void park(int fd) noexcept {
  int family = AF_INET;
  static_cast<void>(sys::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, family));
  const address nowhere = family == AF_INET ? address_of(raw_ipv4({htonl(INADDR_LOOPBACK)}, 9))
                                            : address_of(raw_ipv6(in6addr_loopback, 0, 9));
  static_cast<void>(sys::connect(fd, nowhere.data(), nowhere.size()));
  static_cast<void>(sys::setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, no_such_device));
}

}  // namespace

socket_check::socket_check(pool_sockets& sockets, socket_state::sharers who, const socket_options& options,
                           const pool_log& log)
    : sockets_{sockets}, who_{who}, options_{options}, log_{log}, next_{clock::now() + interval} {
  for (std::size_t at = 0; at < sockets.size(); ++at) {
    const socket_state& state = sockets.states()[at];
    const auto file = file_of(state.local());
    watched_.push_back(
        {.state = state, .name = sockets.description(at), .file = file == no_file ? std::nullopt : file});
  }
  if (sockets.lanes() != nullptr) next_ = clock::now();
  for (std::size_t at = 0; at < watched_.size(); ++at) {
    follow_interfaces(at, clock::now());
    if (who == socket_state::sharers::programs) {
      tell_what_is_left(at);
      watched_[at].left = watched_[at].state.harmful_to_programs(sockets.all()[at].fd());  // told with the rest
      continue;
    }
    take_signal_back(at, {}, clock::now());
    bool is_changed = false;
    for (const socket_state::change& what : watched_[at].state.restore(sockets.all()[at].fd(), who)) {
      if (what.outcome == socket_state::change::result::needs_new_socket) {
        next_ = clock::now();
      } else {
        tell(watched_[at], what, clock::now());
        is_changed |= what.outcome == socket_state::change::result::undone;
      }
    }
    if (is_changed) sockets.reread(at);
  }
}

/// A program may have set it for itself, and others may depend on it by now; or an attacker has.
void socket_check::tell_what_is_left(std::size_t at) const {
  const std::string what = watched_[at].state.left_to_programs(sockets_.all()[at].fd());
  if (what.empty()) return;
  const std::string& name = watched_[at].name;
  log_.notice("socket-as-left",
              "socket " + name + " has " + what +
                  ", as the pool before this one, or a program, left it; if no program of yours sets that, stop the "
                  "pool and start it",
              {{"socket", name}, {"change", what}});
}

void socket_check::look_soon(clock::time_point now) noexcept {
  next_ = std::min(next_, std::max(now, looked_ + between_looks));
}

bool socket_check::postpone(clock::time_point now) noexcept {
  if (now - looked_ >= longest_postponed) return false;
  next_ = std::max(next_, now + seconds{1});
  return true;
}

bool socket_check::may_look(clock::time_point now) const noexcept { return now - looked_ >= between_looks; }

bool socket_check::look(clock::time_point now, std::span<const pid_t> sessions) {
  looked_ = now;
  next_ = now + interval;
  bool is_new = false;
  for (std::size_t at = 0; at < watched_.size(); ++at) {
    watched& one = watched_[at];
    if (leaves_receive_buffers_) one.state.leave_receive_buffer();
    take_signal_back(at, sessions, now);
    if (who_ == socket_state::sharers::programs) tell_what_harms(at);
    follow_interfaces(at, now);
    std::string hopeless;
    for (const socket_state::change& what : one.state.restore(sockets_.all()[at].fd(), who_)) {
      if (what.outcome == socket_state::change::result::needs_new_socket) {
        hopeless = what.what;
      } else {
        tell(one, what, now);
      }
    }
    if (const auto file = file_of(one.state.local()); one.file && file && file != one.file) {
      hopeless = file == no_file ? "parted from its path, which is gone,"
                                 : "parted from its path, where something else is now,";
    }
    bool is_workers_doing = !hopeless.empty();
    if (hopeless.empty() && !is_sorted_again(at)) {
      hopeless = "taken out of the group of its port's lanes (connected, or bound to a device)";
      is_workers_doing = true;
    }
    if (!is_workers_doing) hopeless = one.state.refused_device();
    if (!hopeless.empty() && now >= one.binds_from) is_new |= bind_anew(at, hopeless, is_workers_doing, now);
  }
  look_beside(now);
  return is_new;
}

/// Who has a socket of lanes may give its group another program, and nobody can read which. False if it is not of the
/// group any more.
bool socket_check::is_sorted_again(std::size_t at) const {
  return sockets_.lanes() == nullptr || sockets_.sort(at) != -EINVAL;
}

void socket_check::be_as_at_first(clock::time_point now) {
  if (who_ != socket_state::sharers::programs) return;
  for (std::size_t at = 0; at < watched_.size(); ++at) {
    const int fd = sockets_.all()[at].fd();
    take_signal_back(at, {}, now);
    follow_interfaces(at, now);
    for (const socket_state::change& what : watched_[at].state.restore(fd, who_)) {
      if (what.outcome == socket_state::change::result::undone) tell(watched_[at], what, now);
    }
    watched_[at].state.forget_programs(fd);
  }
}

/// Of options that programs may want and that others, who do not know of them, are harmed by.
void socket_check::tell_what_harms(std::size_t at) {
  watched& one = watched_[at];
  for (std::string& what : one.state.harmful_to_programs(sockets_.all()[at].fd())) {
    if (one.left.size() == most_refused || std::ranges::count(one.left, what) != 0) continue;
    const std::string& name = one.name;
    log_.notice("socket-as-left",
                "socket " + name + " has " + what +
                    ", which a program set for all that share it; if none of yours means to, stop the pool and start "
                    "it",
                {{"socket", name}, {"change", what}});
    one.left.push_back(std::move(what));
  }
}

/// So that no datagram kills the parent, or whoever else has that process id later.
void socket_check::take_signal_back(std::size_t at, std::span<const pid_t> sessions, clock::time_point now) {
  const int fd = sockets_.all()[at].fd();
  const arrival_signal found = arrival_signal_of(fd);
  if (!found.is_sent && !found.is_prepared()) return;
  // A signal that nobody sends to himself is an attack on whoever gets it.
  const bool is_for_this = found.number == 0 || found.number == SIGIO || found.number >= SIGRTMIN;
  const bool is_programs_own = who_ == socket_state::sharers::programs && is_for_this && !found.is_for_group &&
                               found.receiver != 0 &&
                               std::ranges::count(sessions, sys::session_of(found.receiver)) != 0;
  if (is_programs_own) return;
  const int done = clear_arrival_signal(fd);
  if (!found.is_sent) return;
  using result = socket_state::change::result;
  const std::string what = "made to send " + found.to_string() + " whenever something arrives (O_ASYNC)";
  tell(watched_[at],
       done < 0 ? socket_state::change{what, result::refused, code_of(done).message()}
                : socket_state::change{what, result::undone},
       now);
}

/// Whether nobody else may share the port; the sockets of lanes share it with each other.
bool socket_check::has_port_alone(const watched& one) const noexcept {
  return one.state.has_port_alone() || sockets_.lanes() != nullptr;
}

/// Who bound another socket to a port while SO_REUSEPORT was set keeps it, though the flag is gone.
void socket_check::look_beside(clock::time_point now) {
  std::vector<std::uint16_t> ports;
  for (const watched& one : watched_) {
    if (has_port_alone(one)) ports.push_back(one.state.local().port());
  }
  const auto listed = udp_sockets_on(ports);  // once for all, as it is work for the kernel
  std::vector<ino_t> own = former_;
  for (const datagram_socket& each : sockets_.all()) own.push_back(inode_of(each.fd()));
  for (std::size_t at = 0; at < watched_.size(); at = sockets_.port_of(at).second) {
    watched& one = watched_[at];
    if (!has_port_alone(one)) continue;
    const address& local = one.state.local();
    bound_place here = place_of(sockets_.all()[at]);
    here.local = local;  // also if a worker has connected it
    const auto beside = sharers_of(here, listed, own);
    std::vector<ino_t> now_there;
    std::vector<listed_socket> not_told;
    for (const listed_socket& other : beside) {
      if (std::binary_search(one.beside.begin(), one.beside.end(), other.inode)) {
        now_there.push_back(other.inode);
      } else {
        not_told.push_back(other);
      }
    }
    if (!not_told.empty() && one.neighbours.take(now)) {
      tell_of(not_told, local);
      for (const listed_socket& other : not_told) now_there.push_back(other.inode);
    }
    std::sort(now_there.begin(), now_there.end());
    one.beside = std::move(now_there);
  }
}

void socket_check::tell_of(std::span<const listed_socket> beside, const address& local) const {
  const auto names = names_of(beside.first(std::min(beside.size(), most_named)));
  std::string who, inodes;
  for (std::size_t at = 0; at < names.size(); ++at) {
    who += (at == 0 ? "" : ", ") + names[at];
    if (local.unmapped().is_ipv4() && beside[at].local.is_ipv6() && !beside[at].takes_ipv4) {
      who += ", unless it is for IPv6 only,";
    }
    inodes += (at == 0 ? "" : ", ") + std::to_string(beside[at].inode);
  }
  const std::size_t more = beside.size() - names.size();
  if (more != 0) who += " and " + counted(more, "other");
  const bool is_one = beside.size() == 1;
  std::string text = "socket " + local.to_string() + ": " + who + (is_one ? " is" : " are") + " bound there as well";
  if (sockets_.lanes() != nullptr) {
    text += ", by this pool's user, whose sockets may join those of lanes; no lane is put there, but " +
            std::string{is_one ? "it" : "they"} + " could change that";
  } else {
    text += ", and may receive part of what arrives; " + std::string{is_one ? "it" : "they"} +
            " can only since a worker has set SO_REUSEPORT";
  }
  log_.error("socket-shared", text + ": end " + (is_one ? "its process" : "their processes"),
             {{"socket", local.to_string()}, {"inodes", inodes}});
}

bool socket_check::allowance::take(clock::time_point now) noexcept {
  if (now - from >= period) from = now, taken = 0;
  if (taken == most_lines) return false;
  ++taken;
  return true;
}

/// Once, as the next program does it again, and nothing comes of it. If somebody makes use of it meanwhile,
/// look_beside() tells.
void socket_check::tell_of_habit(const watched& one, const socket_state::change& what) {
  if (std::exchange(has_told_of_habit_, true)) return;
  log_.notice("socket-changed",
              "socket " + one.name + " was " + what.what +
                  " by a worker; undone, and not told again: libuv, which Node's dgram uses, and others do so to each "
                  "socket that they are given; nothing needs to be done",
              {{"socket", one.name}, {"change", what.what}});
}

void socket_check::tell(watched& one, const socket_state::change& what, clock::time_point now) {
  const bool is_undone = what.outcome == socket_state::change::result::undone;
  if (is_undone && what.is_habit) return tell_of_habit(one, what);
  if (!is_undone) {  // it is found again at each look
    if (one.refused.size() == most_refused || std::ranges::count(one.refused, what.what) != 0) return;
    one.refused.push_back(what.what);
  }
  if (!one.changes.take(now)) {
    ++one.untold;
    return;
  }
  const unsigned untold = std::exchange(one.untold, 0);
  const std::string& name = one.name;
  std::string text = "socket " + name + " was " + what.what + " by a worker; ";
  text += is_undone ? "undone" : "undoing that was refused: " + what.why + "; restart the pool";
  if (untold != 0)
    text += "; " + counted(untold, "change") + " before this one " + (untold == 1 ? "was" : "were") + " not told";
  pool_log::fields fields{{"socket", name}, {"change", what.what}};
  is_undone ? log_.warning("socket-changed", text, std::move(fields))
            : log_.error("socket-changed", text, std::move(fields));
}

/// Pumps see for themselves that an interface went or came, and tell; what they may not mend, the parent may.
void socket_check::follow_interfaces(std::size_t at, clock::time_point now) {
  watched& one = watched_[at];
  for (const interface_change& what : one.state.follow_interfaces(sockets_.all()[at].fd())) {
    const bool is_told_elsewhere = who_ == socket_state::sharers::pumps && !what.is_mended_now;
    // A new socket is bound, and told.
    const bool is_refused = what.code == std::errc::operation_not_permitted && !one.state.refused_device().empty();
    if (is_told_elsewhere || is_refused || !one.interfaces.take(now)) continue;
    const std::string& name = one.name;
    const std::string text = "socket " + name + ": " + what.text;
    pool_log::fields fields{{"socket", name}, {"code", std::to_string(what.code.value())}};
    what.code ? log_.warning("interface", text, std::move(fields)) : log_.notice("interface", text, std::move(fields));
  }
}

bool socket_check::bind_anew(std::size_t at, const std::string& why, bool is_workers_doing, clock::time_point now) {
  const auto [first, end] = sockets_.port_of(at);
  // A worker may do it again at once; each time costs a reload.
  watched& one = watched_[at];
  one.pause = std::min(one.pause.count() == 0 ? interval : 2 * one.pause, longest_pause);
  for (std::size_t each = first; each < end; ++each) watched_[each].binds_from = now + one.pause;
  const std::string& name = one.name;
  const bool is_one = end - first == 1;
  const std::string what =
      "socket " + name + (is_workers_doing ? " was " + why + " by a worker" : ' ' + why) +
      (is_one ? ", which only a new socket cures; " : ", which only new sockets of its port cure; ");
  try {
    for (std::size_t each = first; each < end; ++each) {
      if (!watched_[each].state.is_replaceable()) fail(EADDRNOTAVAIL, "it was passed to the pool, and is not bound");
      if (former_.size() == most_former) former_.erase(former_.begin());
      former_.push_back(inode_of(sockets_.all()[each].fd()));
    }
    replace(first, end);
    for (std::size_t each = first; each < end; ++each) {
      watched& renewed = watched_[each];
      const int fd = sockets_.all()[each].fd();
      renewed.state.be_content_with_buffers(fd);
      static_cast<void>(renewed.state.follow_interfaces(fd));  // told below
      if (renewed.file) renewed.file = file_of(renewed.state.local());
    }
  } catch (const std::system_error& refused) {
    log_.error("socket-lost",
               what + "binding " + (is_one ? "one" : "them") + " was refused: " + refused.what() +
                   "; restart the pool" +
                   (sockets_.called()[at].from_service_manager ? " and who passed the socket" : ""),
               {{"socket", name}, {"change", why}});
    return false;
  }
  log_.warning("socket-replaced",
               what + (is_one ? "one was bound, and workers that have it are started"
                              : "they were bound, and workers that have them are started"),
               {{"socket", name}, {"change", why}});
  return true;
}

/// The new ones get the descriptors of the old ones, of which workers have duplicates until they end.
void socket_check::replace(std::size_t first, std::size_t end) const {
  const socket_state& state = watched_[first].state;
  const address& local = state.local();
  const std::string path = local.unix_path();
  if (!path.empty() && path[0] != '@') {
    const service_path there{"socket", path, {}, sticky_folder::accepted};
    if (const int gone = there.remove_socket(); gone < 0 && gone != -ENOENT) fail_with_cure(gone, there.what());
  }
  // The old and the new are of one user, or the kernel refuses the new (udp(7), SO_REUSEPORT).
  for (std::size_t at = first; at < end; ++at) {
    static_cast<void>(sys::setsockopt(sockets_.all()[at].fd(), SOL_SOCKET, SO_REUSEPORT, 1));
  }
  std::vector<datagram_socket> fresh;
  if (const lane_group* const lanes = sockets_.lanes()) {
    // The group begins anew, so the old ones have to leave it first; what comes meanwhile is refused.
    // Who is in the group would be its first member, and each lane's datagrams would come to the one after it.
    sockets_.expect_port_alone(first, local, former_);
    for (std::size_t at = first; at < end; ++at) park(sockets_.all()[at].fd());
    const socket_options last = sockets_.options_at(end - 1, options_);
    fresh = lanes->join(datagram_socket::bind(local, state.for_new_socket(last)), state.for_new_socket(options_));
  } else {
    fresh.push_back(datagram_socket::bind(local, state.for_new_socket(options_)));
  }
  for (std::size_t at = first; at < end; ++at) {
    const int old = sockets_.all()[at].fd();
    const int own = fresh[at - first].fd();
    static_cast<void>(watched_[at].state.restore(own, who_));
    if (sockets_.lanes() == nullptr && !local.is_unix()) park(old);
    if (const int done = sys::duplicate_onto(own, old); done < 0) fail_with_cure(done, "dup2");
    static_cast<void>(sys::set_close_on_exec(old, true));
  }
}

}  // namespace udppump::detail

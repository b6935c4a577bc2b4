#include "pool/pool_sockets.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "pool/counted.hpp"
#include "pool/is_blank.hpp"
#include "pool/passed_socket.hpp"
#include "socket/address_owner.hpp"
#include "socket/port_table.hpp"
#include "socket/socket_error.hpp"
#include "socket/socket_name.hpp"
#include "sys/failure.hpp"
#include "sys/file_identity.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_process.hpp"
#include "sys/sys_user.hpp"

namespace udppump::detail {

namespace {

/// Whether two addresses of one port exclude each other: a wildcard has all of its family, and IPv6's has IPv4's too.
bool collide(const address& one, const address& other, bool v6only) noexcept {
  const auto is_ip = [](const address& each) { return each.family() == AF_INET || each.family() == AF_INET6; };
  if (!is_ip(one) || !is_ip(other) || one.port() != other.port()) return false;
  if (one.unmapped().family() == other.unmapped().family()) return one.is_wildcard() || other.is_wildcard();
  return !v6only && (one.family() == AF_INET6 ? one : other).is_wildcard();
}

/// Of several sockets, IPv6 only is of those of IPv6.
socket_options options_for(socket_options options, int family) {
  if (family == AF_INET) options.v6only = setting::automatic;
  return options;
}

bool has_ipv6() { return descriptor{sys::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)}.fd() != -EAFNOSUPPORT; }

/// A port alone means IPv6 and IPv4 in one socket. A kernel, a unit or a container may have IPv4 only.
void leave_ipv6(std::vector<wanted_address>& wanted, const std::vector<passed_group>& passed, const pool_log& log) {
  for (wanted_address& one : wanted) {
    const auto is_there = [&](const passed_group& other) { return other.local == one.where; };
    if (!one.is_port_alone || std::any_of(passed.begin(), passed.end(), is_there) || has_ipv6()) continue;
    const address both = std::exchange(one.where, address::parse("0.0.0.0:0").with_port(one.where.port()));
    log.notice("no-ipv6",
               "there is no IPv6 here (switched off in the kernel, by RestrictAddressFamilies= or by a seccomp "
               "profile): " +
                   one.where.to_string() + " is served in place of " + both.to_string());
  }
}

}  // namespace

pool_sockets::pool_sockets(const socket_options& options, std::span<const lane> lanes)
    : options_{options}, lane_options_{lanes} {
  if (!lanes.empty()) lanes_.emplace(lanes);
}

socket_options pool_sockets::options_at(std::size_t at, const socket_options& options) const {
  const socket_options own = lanes_ ? lanes_->options_of(all_[at].lane(), options) : options;
  return options_for(own, all_[at].family());
}

std::string pool_sockets::description(std::size_t at) const {
  const std::string local = all_[at].local().to_string();
  return called_[at].lane.empty() ? local : local + " (" + called_[at].lane + ')';
}

passed_socket pool_sockets::duplicate_of(int fd) {
  const std::string what = "adopt: descriptor " + std::to_string(fd);
  int type = 0;
  const int asked = sys::getsockopt(fd, SOL_SOCKET, SO_TYPE, type);
  if (asked < 0) fail(asked, what + " is no open socket; give one that is");
  if (type != SOCK_DGRAM && type != SOCK_RAW) fail(EPROTOTYPE, what + " is a stream socket; give a datagram socket");
  const int duplicate = sys::duplicate(fd, 3);
  if (duplicate < 0) fail_with_cure(duplicate, what);
  // Kept as the service manager's are, which no address of `bind` asks for either.
  return {descriptor{duplicate}, {.name = default_socket_name, .from_service_manager = true}};
}

void pool_sockets::adopt(passed_socket passed) {
  std::string& name = passed.as.name;
  std::replace_if(name.begin(), name.end(), is_blank, '_');
  if (name.empty()) name = default_socket_name;
  int listening = 0;
  int type = 0;
  const int fd = passed.socket.fd();
  const std::string what = "descriptor " + std::to_string(fd) + " (" + name + ") that was passed";
  const int asked = sys::getsockopt(fd, SOL_SOCKET, SO_TYPE, type);
  if (asked < 0) fail(asked, what + " is no socket; check LISTEN_FDS and the socket unit");
  static_cast<void>(sys::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, listening));
  if (type == SOCK_STREAM || listening != 0) {
    fail(EPROTOTYPE, what + " is a stream socket; in the socket unit, write ListenDatagram= instead of ListenStream=");
  }
  const auto is_its = [&](const lane& one) { return one.name == passed.as.lane; };
  const auto of_lane = std::ranges::find_if(lane_options_, is_its) - lane_options_.begin();
  if (!passed.as.lane.empty() && of_lane == std::ssize(lane_options_)) {
    fail(EPROTO, what + " is of lane " + passed.as.lane + ", which this program does not have; restart the pool");
  }
  int family = AF_UNSPEC;
  static_cast<void>(sys::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, family));
  all_.push_back(datagram_socket::adopt(fd, options_for(options_, family)));
  static_cast<void>(passed.socket.release());
  if (!passed.as.lane.empty()) lane_group::mark(all_.back(), static_cast<std::size_t>(of_lane));
  called_.push_back(std::move(passed.as));
}

/// Throws if a socket that is here already is what has the address; else another process has it.
void pool_sockets::check_against_own(const address& where) const {
  for (const datagram_socket& socket : all_) {
    const address local = socket.local();
    if (local == where) throw std::invalid_argument{where.to_string() + " is given twice; name it once"};
    if (!collide(local, where, options_.v6only == setting::on)) continue;
    throw std::invalid_argument{where.to_string() + " and " + local.to_string() +
                                " are both given, and each takes the port of the other; name one of them"};
  }
}

/// As adopt(), of a socket that was passed by whom `of_a_pool` says.
void pool_sockets::take(passed_socket passed, bool of_a_pool, const pool_log& log) {
  if (of_a_pool) {
    if (const std::string fault = fault_of(passed); !fault.empty()) {
      address local;
      static_cast<void>(local_name(passed.socket.fd(), local));
      fail(EPROTO, "taking the sockets over: " + local.to_string() + " (" + passed.as.full_name() + ") " + fault +
                       "; a worker or another process may have done that: stop the pool that has it, and start this " +
                       "one then");
    }
  }
  adopt(std::move(passed));
  const listening& as = called_.back();
  if (!of_a_pool || as.from_service_manager) {
    states_.emplace_back(all_.back());
    tell_what_is_odd(log);
    return;
  }
  states_.push_back(socket_state::as_asked(all_.back(), options_at(all_.size() - 1, options_)));
  clean(log);
}

void pool_sockets::take(passed_group group, bool of_a_pool, const pool_log& log) {
  if (lanes_) lane_group::check_sortable(group.local, options_);
  const bool has_lanes = group.has_lanes();
  // Nothing odd of what had no lanes.
  if (lanes_ && !has_lanes)
    static_cast<void>(sys::setsockopt(group.members[0].socket.fd(), SOL_SOCKET, SO_REUSEPORT, 1));
  for (passed_socket& one : group.members) take(std::move(one), of_a_pool, log);
  if (!lanes_) return;
  if (!has_lanes) return add_lanes_to_last(of_a_pool);
  const int sorted = lanes_->sort(all_.back().fd());
  // Not of the group any more: a worker may have connected it. The first look of socket_check sees to that.
  if (sorted < 0 && sorted != -EINVAL) fail_with_cure(sorted, "lanes of " + group.local.to_string());
}

void pool_sockets::expect_port_alone(std::size_t at, const address& local, std::vector<ino_t> known) const {
  for (const datagram_socket& each : all_) {
    known.push_back(file_identity::of(each.fd()).value_or(file_identity{}).number);
  }
  bound_place here = place_of(all_[at]);
  here.local = local;  // also if a worker has connected it
  const auto others = sharers_of(here, udp_sockets_on(std::vector{local.port()}), known);
  if (others.empty()) return;
  fail(EADDRINUSE, "lanes of " + local.to_string() + ": their socket shares its port with " +
                       names_of(std::span{others}.first(1)).front() +
                       (others.size() > 1 ? " and " + counted(others.size() - 1, "other") : "") +
                       ", which would get what is for a lane: end its process; of a socket unit, omit ReusePort=");
}

/// The socket that is the last here has its port alone until now: it becomes that of the last lane.
void pool_sockets::add_lanes_to_last(bool of_a_pool) {
  expect_port_alone(all_.size() - 1, all_.back().local());
  gathers_ |= of_a_pool;
  const listening as = called_.back();
  const bool is_known = !as.from_service_manager;
  const int family = all_.back().family();
  const std::string where = all_.back().local().to_string();
  // A port's sockets are all of one user, or the kernel refuses. Root may make it so.
  static_cast<void>(sys::set_owner(all_.back().fd(), sys::effective_user(), static_cast<gid_t>(-1)));
  auto last = std::move(all_.back());
  all_.pop_back();
  called_.pop_back();
  states_.pop_back();
  std::vector<datagram_socket> made;
  try {
    made = lanes_->join(std::move(last), options_for(options_, family),
                        of_a_pool ? lane_group::begin::gathered : lane_group::begin::sorted);
  } catch (const std::system_error& refused) {
    // Who has the port is this process itself.
    const bool is_taken = refused.code() == std::errc::address_in_use;
    fail(refused.code().value(),
         "lanes of " + where + ": sockets beside the one that was passed were refused" +
             (is_taken ? std::string{} : std::string{": "} + refused.what()) +
             "; only the user who opened that one, with the right to its port, or root can add lanes: start as root, "
             "with the user to become, or give the address in bind and not by a socket unit");
  }
  for (std::size_t at = 0; at < made.size(); ++at) {
    const bool is_last = at + 1 == made.size();
    all_.push_back(std::move(made[at]));
    called_.push_back({as.name, as.from_service_manager, lane_options_[at].name});
    if (!is_last) {
      states_.push_back(socket_state::as_made(all_.back()));
    } else if (is_known) {
      states_.push_back(socket_state::as_asked(all_.back(), options_at(all_.size() - 1, options_)));
    } else {
      states_.emplace_back(all_.back());
    }
  }
}

/// Nobody knows how it should be: whoever opened it may have meant it so, or a worker of a pool that had it before.
void pool_sockets::tell_what_is_odd(const pool_log& log) const {
  const datagram_socket& socket = all_.back();
  std::string odd;
  try {
    odd = socket_state::odd_in(socket, options_);
  } catch (const std::system_error&) {  // such as without memory for another socket
  }
  if (odd.empty()) return;
  const std::string name = description(all_.size() - 1);
  log.notice(
      "socket-as-passed",
      "socket " + name + " (" + called_.back().name + ") was passed with " + odd +
          ", and is kept so; if who opened it did not mean that, a worker of a pool that had it before did: have "
          "it opened anew (of systemd, restart the socket unit)",
      {{"socket", name}, {"change", odd}});
}

/// What is of no use to any worker goes at once, while this process may still be root; the rest once it is known who
/// the workers are (socket_check).
void pool_sockets::clean(const pool_log& log) {
  const datagram_socket& socket = all_.back();
  const std::string name = description(all_.size() - 1);
  bool is_changed = false;
  for (const auto& [what, outcome, why, is_habit] :
       states_.back().restore(socket.fd(), socket_state::sharers::programs)) {
    if (outcome != socket_state::change::result::undone) continue;  // found again, and told, later
    is_changed = true;
    const std::string text = "socket " + name + " (" + called_.back().name + ") was " + what +
                             ", when the pool before this one handed it on, unlike what this start asks; undone";
    pool_log::fields fields{{"socket", name}, {"change", what}};
    is_habit ? log.notice("socket-changed", text, std::move(fields))
             : log.warning("socket-changed", text, std::move(fields));
  }
  if (is_changed) reread(all_.size() - 1);
}

int pool_sockets::sort(std::size_t at) const noexcept {
  return gathers_ ? lane_group::gather(all_[at].fd()) : lanes_->sort(all_[at].fd());
}

void pool_sockets::begin_to_sort() noexcept {
  if (!std::exchange(gathers_, false)) return;
  for (std::size_t at = 0; at < all_.size(); at = port_of(at).second) static_cast<void>(sort(at));
}

void pool_sockets::reread(std::size_t at) {
  const int family = all_[at].family();
  const std::size_t lane = all_[at].lane();
  all_[at] = datagram_socket::adopt(all_[at].release(), options_for(options_, family));
  lane_group::mark(all_[at], lane);
}

void pool_sockets::bind(const wanted_address& wanted, heir who) {
  if (lanes_) lane_group::check_sortable(wanted.where, options_);
  if (const std::string path = path_of(wanted.where); !path.empty()) {
    // In /tmp as well: it harms nobody, whoever may make it, and who has made one there keeps it.
    static_cast<void>(service_path{"socket", path, who, sticky_folder::accepted}.remove_dead_socket());
  }
  std::vector<datagram_socket> made;
  try {
    const socket_options options = options_for(options_, wanted.where.family());
    if (lanes_) {
      made = lanes_->bind(wanted.where, options);
    } else {
      made.push_back(datagram_socket::bind(wanted.where, options));
    }
  } catch (const std::system_error& refused) {
    if (refused.code() == std::errc::address_in_use) check_against_own(wanted.where);
    throw;
  }
  for (datagram_socket& one : made) {
    states_.push_back(socket_state::as_made(one));
    called_.push_back({.name = wanted.name, .lane = lanes_ ? lane_options_[one.lane()].name : ""});
    all_.push_back(std::move(one));
  }
}

void pool_sockets::open(std::vector<wanted_address> wanted, std::vector<passed_socket> passed, bool of_a_pool, heir who,
                        const pool_log& log) {
  auto groups = passed_group::of(std::move(passed));
  check_lanes_of(groups, lane_options_);
  if (options_.v6only != setting::on) leave_ipv6(wanted, groups, log);
  const auto given = match(wanted, groups, of_a_pool);
  for (passed_group& one : groups) {
    if (wanted.empty() || one.as().from_service_manager) take(std::exchange(one, {}), of_a_pool, log);
  }
  for (std::size_t at = 0; at < wanted.size(); ++at) {
    if (!given[at]) {
      bind(wanted[at], who);
    } else if (passed_group& one = groups[*given[at]]; !one.is_taken()) {
      for (passed_socket& each : one.members) each.as.name = wanted[at].name;
      take(std::exchange(one, {}), of_a_pool, log);
    }
  }
  for (const passed_group& one : groups) {
    if (one.is_taken()) continue;
    log.notice("not-wanted", one.local.to_string() + " (" + one.as().name +
                                 "), which the pool before this one serves, is not asked for here: this pool does not "
                                 "serve it");
  }
  for (std::size_t at = 0; at < all_.size(); ++at) {
    const std::pair<const char*, const buffer_size&> buffers[] = {{"receive-buffer", all_[at].receive_buffer()},
                                                                  {"send-buffer", all_[at].send_buffer()}};
    for (const auto& [event, size] : buffers) {
      const std::string shortfall = size.shortfall();
      if (!shortfall.empty()) log.warning(event, description(at) + ": " + shortfall);
    }
  }
  if (all_.empty()) {
    throw std::invalid_argument{"nothing to listen on: give an address to bind, or start by a socket unit of systemd"};
  }
  const auto is_v6 = [](const datagram_socket& socket) { return socket.family() == AF_INET6; };
  if (options_.v6only == setting::on && std::none_of(all_.begin(), all_.end(), is_v6)) {
    throw std::invalid_argument{
        "v6only (--v6only): no address here is of IPv6; omit it, or bind one such as [::]:PORT"};
  }
}

void pool_sockets::give_to(uid_t user) const noexcept {
  if (user == static_cast<uid_t>(-1)) return;
  for (std::size_t at = 0; at < all_.size(); ++at) {
    if (!called_[at].from_service_manager) {
      static_cast<void>(sys::set_owner(all_[at].fd(), user, static_cast<gid_t>(-1)));
    }
  }
}

}  // namespace udppump::detail

#include "pool/pool_sockets.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "pool/passed_socket.hpp"
#include "socket/socket_error.hpp"
#include "socket/socket_name.hpp"
#include "sys/failure.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

constexpr char default_name[] = "udppump";

bool is_blank(char one) noexcept { return static_cast<unsigned char>(one) <= ' '; }

/// None if it cannot be told.
address local_address(int fd) {
  address local;
  static_cast<void>(local_name(fd, local));
  return local;
}

/// Which of those that were passed each address asks for. Whose port is 0 stands for the one that a pool before this
/// one was given, best under the same name.
std::vector<std::optional<std::size_t>> match(const std::vector<wanted_address>& wanted,
                                              const std::vector<passed_socket>& passed, bool of_a_pool) {
  std::vector<std::optional<std::size_t>> given(wanted.size());
  std::vector<bool> is_given(passed.size());
  std::vector<address> locals;
  for (const passed_socket& one : passed) locals.push_back(local_address(one.socket.fd()));
  const auto give = [&](auto fits) {
    for (std::size_t at = 0; at < wanted.size(); ++at) {
      for (std::size_t from = 0; from < passed.size() && !given[at]; ++from) {
        if (is_given[from] || !fits(wanted[at], from)) continue;
        given[at] = from;
        is_given[from] = true;
      }
    }
  };
  give([&](const wanted_address& one, std::size_t from) { return one.where == locals[from]; });
  if (!of_a_pool) return given;
  const auto differs_by_port = [&](const wanted_address& one, std::size_t from) {
    return one.where.port() == 0 && one.where == locals[from].with_port(0);
  };
  give([&](const wanted_address& one, std::size_t from) {
    return differs_by_port(one, from) && one.name == passed[from].as.name;
  });
  give(differs_by_port);
  return given;
}

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
void leave_ipv6(std::vector<wanted_address>& wanted, const std::vector<passed_socket>& passed, const pool_log& log) {
  for (wanted_address& one : wanted) {
    const auto is_there = [&](const passed_socket& other) { return local_address(other.socket.fd()) == one.where; };
    if (!one.is_port_alone || std::any_of(passed.begin(), passed.end(), is_there) || has_ipv6()) continue;
    const address both = std::exchange(one.where, address::parse("0.0.0.0:0").with_port(one.where.port()));
    log.notice("no-ipv6",
               "there is no IPv6 here (switched off in the kernel, by RestrictAddressFamilies= or by a seccomp "
               "profile): " +
                   one.where.to_string() + " is served in place of " + both.to_string());
  }
}

}  // namespace

/// A name has no colon, as LISTEN_FDNAMES separates by it, and no '[' or '/': these begin addresses.
wanted_address wanted_address::parse(const std::string& text) {
  const auto at = text.find('=');
  if (at == std::string::npos || text.find_first_of(":[/ ") < at) {
    return {default_name, address::parse(text), text.starts_with(':')};
  }
  const std::string name = text.substr(0, at);
  // A pool that takes over hears "@" and "+" as marks (pool/take_over_messages.cpp).
  if (name.empty() || std::any_of(name.begin(), name.end(), is_blank) || name[0] == '@' || name[0] == '+') {
    throw std::invalid_argument{'"' + text +
                                "\": the name before \"=\" must not be empty, begin with @ or +, or have a space"};
  }
  return {name, address::parse(text.substr(at + 1)), text[at + 1] == ':'};
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
  return {descriptor{duplicate}, {.name = default_name, .from_service_manager = true}};
}

void pool_sockets::adopt(passed_socket passed) {
  std::string& name = passed.as.name;
  std::replace_if(name.begin(), name.end(), is_blank, '_');
  if (name.empty()) name = default_name;
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
  all_.push_back(datagram_socket::adopt(fd, options_for(options_, local_address(fd).family())));
  static_cast<void>(passed.socket.release());
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
      fail(EPROTO, "taking the sockets over: " + local_address(passed.socket.fd()).to_string() + " (" + passed.as.name +
                       ") " + fault + "; a worker or another process may have done that: stop the pool that has it, " +
                       "and start this one then");
    }
  }
  adopt(std::move(passed));
  const listening& as = called_.back();
  if (!of_a_pool || as.from_service_manager) {
    states_.emplace_back(all_.back());
    tell_what_is_odd(log);
    return;
  }
  states_.push_back(socket_state::as_asked(all_.back(), options_));
  clean(as, log);
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
  const std::string name = socket.local().to_string();
  log.notice(
      "socket-as-passed",
      "socket " + name + " (" + called_.back().name + ") was passed with " + odd +
          ", and is kept so; if who opened it did not mean that, a worker of a pool that had it before did: have "
          "it opened anew (of systemd, restart the socket unit)",
      {{"socket", name}, {"change", odd}});
}

/// What is of no use to any worker goes at once, while this process may still be root; the rest once it is known who
/// the workers are (socket_check).
void pool_sockets::clean(const listening& as, const pool_log& log) {
  datagram_socket& socket = all_.back();
  const std::string name = socket.local().to_string();
  bool is_changed = false;
  for (const auto& [what, outcome, why] : states_.back().restore(socket.fd(), socket_state::sharers::programs)) {
    if (outcome != socket_state::change::result::undone) continue;  // found again, and told, later
    is_changed = true;
    log.warning("socket-changed",
                "socket " + name + " (" + as.name + ") was " + what +
                    ", when the pool before this one handed it on, unlike what this start asks; undone",
                {{"socket", name}, {"change", what}});
  }
  if (is_changed) reread(all_.size() - 1);
}

void pool_sockets::reread(std::size_t at) {
  const int family = all_[at].family();
  all_[at] = datagram_socket::adopt(all_[at].release(), options_for(options_, family));
}

void pool_sockets::bind(const wanted_address& wanted, heir who) {
  if (const std::string path = path_of(wanted.where); !path.empty()) {
    // In /tmp as well: it harms nobody, whoever may make it, and who has made one there keeps it.
    static_cast<void>(service_path{"socket", path, who, sticky_folder::accepted}.remove_dead_socket());
  }
  try {
    all_.push_back(datagram_socket::bind(wanted.where, options_for(options_, wanted.where.family())));
  } catch (const std::system_error& refused) {
    if (refused.code() == std::errc::address_in_use) check_against_own(wanted.where);
    throw;
  }
  called_.push_back({wanted.name});
  states_.push_back(socket_state::as_made(all_.back()));
}

void pool_sockets::open(std::vector<wanted_address> wanted, std::vector<passed_socket> passed, bool of_a_pool, heir who,
                        const pool_log& log) {
  if (options_.v6only != setting::on) leave_ipv6(wanted, passed, log);
  const auto given = match(wanted, passed, of_a_pool);
  for (passed_socket& one : passed) {
    if (wanted.empty() || one.as.from_service_manager) take(std::move(one), of_a_pool, log);
  }
  for (std::size_t at = 0; at < wanted.size(); ++at) {
    if (!given[at]) {
      bind(wanted[at], who);
    } else if (passed_socket& one = passed[*given[at]]; one.socket) {
      one.as.name = wanted[at].name;
      take(std::move(one), of_a_pool, log);
    }
  }
  for (const passed_socket& one : passed) {
    if (!one.socket) continue;
    log.notice("not-wanted", local_address(one.socket.fd()).to_string() + " (" + one.as.name +
                                 "), which the pool before this one serves, is not asked for here: this pool does not "
                                 "serve it");
  }
  for (const datagram_socket& socket : all_) {
    const std::pair<const char*, const buffer_size&> buffers[] = {{"receive-buffer", socket.receive_buffer()},
                                                                  {"send-buffer", socket.send_buffer()}};
    for (const auto& [event, size] : buffers) {
      const std::string shortfall = size.shortfall();
      if (!shortfall.empty()) log.warning(event, socket.local().to_string() + ": " + shortfall);
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

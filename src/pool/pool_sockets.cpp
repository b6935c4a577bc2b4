#include "pool/pool_sockets.hpp"

#include <algorithm>
#include <stdexcept>

#include "socket/socket_error.hpp"
#include "socket/socket_name.hpp"
#include "sys/failure.hpp"
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

}  // namespace

/// A name has no colon, as LISTEN_FDNAMES separates by it, and no '[' or '/': these begin addresses.
wanted_address wanted_address::parse(const std::string& text) {
  const auto at = text.find('=');
  if (at == std::string::npos || text.find_first_of(":[/ ") < at) return {default_name, address::parse(text)};
  const std::string name = text.substr(0, at);
  // A pool that takes over hears "@" and "+" as marks (pool/take_over_messages.cpp).
  if (name.empty() || std::any_of(name.begin(), name.end(), is_blank) || name[0] == '@' || name[0] == '+') {
    throw std::invalid_argument{'"' + text +
                                "\": the name before \"=\" must not be empty, begin with @ or +, or have a space"};
  }
  return {name, address::parse(text.substr(at + 1))};
}

passed_socket pool_sockets::duplicate_of(int fd) {
  const std::string what = "adopt: descriptor " + std::to_string(fd);
  int type = 0;
  const int asked = sys::getsockopt(fd, SOL_SOCKET, SO_TYPE, type);
  if (asked < 0) fail(asked, what + " is no open socket");
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
  all_.push_back(datagram_socket::adopt(fd, options_));
  static_cast<void>(passed.socket.release());
  called_.push_back(std::move(passed.as));
}

void pool_sockets::open(std::vector<wanted_address> wanted, std::vector<passed_socket> passed, bool of_a_pool, heir who,
                        const pool_log& log) {
  const bool chosen = !wanted.empty();
  for (passed_socket& one : passed) {
    const address local = local_address(one.socket.fd());
    const auto match = std::find_if(wanted.begin(), wanted.end(), [&](const wanted_address& each) {
      return each.where == local || (of_a_pool && each.where.port() == 0 && each.where == local.with_port(0));
    });
    // What the pool before this one had bound, and this one is not to serve, is closed.
    if (match == wanted.end() && chosen && !one.as.from_service_manager) continue;
    if (match != wanted.end()) wanted.erase(match);
    adopt(std::move(one));
  }
  for (const auto& [name, where] : wanted) {
    if (const std::string path = path_of(where); !path.empty()) {
      // In /tmp as well: it harms nobody, whoever may make it, and who has made one there keeps it.
      static_cast<void>(service_path{"socket", path, who, sticky_folder::accepted}.remove_dead_socket());
    }
    all_.push_back(datagram_socket::bind(where, options_));
    called_.push_back({name});
    if (const std::string shortfall = all_.back().receive_buffer().shortfall(); !shortfall.empty()) {
      log.warning("receive-buffer", all_.back().local().to_string() + ": " + shortfall);
    }
  }
  if (all_.empty()) {
    throw std::invalid_argument{"nothing to listen on: give an address to bind, or start by a socket unit of systemd"};
  }
}

}  // namespace udppump::detail

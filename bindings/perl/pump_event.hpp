// A udppump::pump as an event of Event::Lib's loop, or of any other; in a worker of a pool, one of the worker's group.
#pragma once

#include <sys/socket.h>

#include <charconv>
#include <stdexcept>
#include <string>
#include <string_view>
#include <udppump/printable.hpp>
#include <udppump/pump.hpp>
#include <udppump/worker_pool.hpp>

#include "event_object.hpp"

namespace perl_events {

/// Leaves udppump's dispatch(): the callback died without a handler or exited (`how`), or this is now a forked child.
struct left {
  outcome how;
};

/// What a loop watches: a pump by itself, or the group of a pool's worker.
struct source : std::enable_shared_from_this<source> {
  std::optional<udppump::pump> own;
  udppump::pump_group* group = nullptr;
  event* watch = nullptr;   // on the loop, while a pump of it is added
  SV* error = nullptr;      // what dispatch() is to die with
  std::size_t members = 0;  // pumps of the group
  bool stops = false;       // a pump of it was told to stop
  unsigned fork = 0;

  int wake_fd() const { return own ? own->wake_fd() : group->wake_fd(); }
  std::error_code dispatch() { return own ? own->dispatch() : group->dispatch(); }
};

struct pump_event : event_object {
  pump_event(int fd, SV* given) : socket{udppump::datagram_socket::adopt(fd)}, handle{given} {}
  ~pump_event() {
    stop();
    static_cast<void>(socket.release());  // the handle's
  }

  udppump::pump_stats stats() const {
    return !through ? udppump::pump_stats{} : through->own ? through->own->stats() : grouped.stats();
  }
  bool stopped() const { return through && (through->own ? through->own->stopped() : grouped.stopped()); }
  void stop() {
    grouped = {};
    if (through && through->own) through->own.reset();
    if (through && through->group != nullptr) --through->members;
    through.reset();
  }

  void drop(pTHX) {
    event_object::drop(aTHX);
    SvREFCNT_dec(std::exchange(on_expired, nullptr));
    SvREFCNT_dec(std::exchange(on_limited, nullptr));
  }

  udppump::datagram_socket socket;
  SV* handle;
  std::shared_ptr<source> through;  // from add() or wake_fd() on, until remove()
  udppump::grouped_pump grouped;    // in a worker
  bool added = false;
  bool stops = false;  // stop() was called, and not heeded yet
  udppump::source_filter ignore_from;
  std::chrono::nanoseconds max_age{0};
  udppump::client_limit client_limit;
  udppump::client_share client_share;
  SV* on_expired = nullptr;  // null: none
  SV* on_limited = nullptr;
  udppump::pump_stats before;  // of the pumps that were removed
};

/// The worker that this process is.
struct worker_state {
  udppump::worker* self = nullptr;  // while its body runs
  std::shared_ptr<source> group;
  SV* on_stop = nullptr;
  bool told = false;  // its pumps have stopped, and nobody here has heard of it
  unsigned fork = 0;
};

extern event_lib_api const* lib;  // null: Event::Lib is another implementation
extern unsigned forks;            // this process's depth in forks since the module was loaded
extern worker_state worker;

/// What ignore_from() was given. Nothing here may die, but for the exceptions.
inline udppump::source_filter filter_of(pTHX_ SV* const* first, SSize_t count) {
  udppump::source_filter filter;
  const auto add = [&filter](const udppump::source_filter& more) {
    filter.ports.insert(filter.ports.end(), more.ports.begin(), more.ports.end());
    filter.own_port |= more.own_port;
    filter.own_address |= more.own_address;
  };
  for (SSize_t i = 0; i < count; ++i) {
    STRLEN size = 0;
    const char* const bytes = SvOK(first[i]) && !SvROK(first[i]) ? SvPV_nomg(first[i], size) : "";
    const std::string_view word{bytes, size};
    unsigned port = 0;
    const auto read = std::from_chars(bytes, bytes + size, port);
    if (word == "loops") {
      add(udppump::source_filter::against_loops());
    } else if (word == "own_port") {
      filter.own_port = true;
    } else if (word == "own_address") {
      filter.own_address = true;
    } else if (size != 0 && read.ec == std::errc{} && read.ptr == bytes + size && port <= 65535) {
      filter.ports.push_back(static_cast<std::uint16_t>(port));
    } else {
      throw std::invalid_argument{"\"" + udppump::printable(word) +
                                  "\" is no port (0 to 65535), and none of 'loops', " +
                                  "'own_port', 'own_address'; senders' addresses are for a firewall"};
    }
  }
  return filter;
}

/// What client_limit() and client_share() were given: pairs of a name and a number, which take(name, number) may refuse
/// by returning false. Nothing here may die, but for the exceptions.
template <class Take>
void read_pairs(pTHX_ SV* const* first, SSize_t count, const char* names, Take take) {
  if (count % 2 != 0) throw std::invalid_argument{std::string{"give pairs of a name and a number; names are "} + names};
  for (SSize_t i = 0; i < count; i += 2) {
    STRLEN size = 0;
    const char* const bytes = SvOK(first[i]) && !SvROK(first[i]) ? SvPV_nomg(first[i], size) : "";
    const std::string_view name{bytes, size};
    SV* const value = first[i + 1];
    const NV number = SvOK(value) && !SvROK(value) && looks_like_number(value) ? SvNV_nomg(value) : -1;
    if (!(number >= 0 && number <= 1e9)) {
      throw std::invalid_argument{"\"" + udppump::printable(name) + "\" is not given a number from 0 to 1e9"};
    }
    if (!take(name, number)) {
      throw std::invalid_argument{"there is no option \"" + udppump::printable(name) + "\"; there are: " + names};
    }
  }
}

inline udppump::client_limit client_limit_of(pTHX_ SV* const* first, SSize_t count) {
  if (count == 0) return {};
  udppump::client_rate rule;
  read_pairs(aTHX_ first, count, "burst, ipv4_prefix, ipv6_prefix, rate", [&](std::string_view name, NV number) {
    if (name == "rate") {
      rule.rate = number;
    } else if (name == "burst") {
      rule.burst = static_cast<std::size_t>(number);
    } else if (name == "ipv4_prefix" || name == "ipv6_prefix") {
      (name == "ipv4_prefix" ? rule.ipv4_prefix : rule.ipv6_prefix) = static_cast<unsigned>(number);
    } else {
      return false;
    }
    return true;
  });
  return rule;
}

inline udppump::client_share client_share_of(pTHX_ SV* const* first, SSize_t count) {
  if (count == 1 && !SvTRUE_nomg(first[0])) return {};
  udppump::client_prefixes clients;
  const SSize_t skipped = count == 1 ? 1 : 0;
  read_pairs(aTHX_ first + skipped, count - skipped, "ipv4_prefix, ipv6_prefix", [&](std::string_view name, NV number) {
    if (name != "ipv4_prefix" && name != "ipv6_prefix") return false;
    (name == "ipv4_prefix" ? clients.ipv4 : clients.ipv6) = static_cast<unsigned>(number);
    return true;
  });
  return udppump::client_share::equal(clients);
}

/// Calls `work`; what it throws becomes a croak, once no C++ object is left.
template <class Work>
void guarded(pTHX_ const char* name, Work work) {
  SV* message = nullptr;
  try {
    work();
  } catch (const std::exception& failed) {
    message = sv_2mortal(newSVpvf("%s: %s", name, failed.what()));
  }
  if (message != nullptr) Perl_croak(aTHX_ "%" SVf, SVfARG(message));
}

}  // namespace perl_events

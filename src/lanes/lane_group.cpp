#include "lanes/lane_group.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "lanes/bpf_program.hpp"
#include "sys/failure.hpp"
#include "sys/sys.hpp"

namespace udppump {

struct detail::lane_mark {
  static void set(datagram_socket& socket, std::size_t lane) noexcept {
    socket.lane_ = static_cast<std::uint8_t>(lane);
  }
};

namespace detail {

namespace {

[[noreturn]] void refuse(const std::string& why) { throw std::invalid_argument{"lanes: " + why}; }

bool is_name(const std::string& text) {
  return !text.empty() && text.size() <= 32 && std::all_of(text.begin(), text.end(), [](unsigned char one) {
    return (one >= 'a' && one <= 'z') || (one >= 'A' && one <= 'Z') || (one >= '0' && one <= '9') || one == '-' ||
           one == '_';
  });
}

/// Throws std::invalid_argument for lanes that make no sense by themselves.
void check(std::span<const lane> lanes) {
  if (lanes.size() < 2 || lanes.size() > most_lanes) {
    refuse(std::to_string(lanes.size()) + " of them; give 2 to " + std::to_string(most_lanes));
  }
  for (std::size_t at = 0; at < lanes.size(); ++at) {
    const lane& one = lanes[at];
    if (!is_name(one.name)) {
      refuse("the name \"" + one.name + "\" is not 1 to 32 letters, digits, '-' and '_'; give one that is");
    }
    const auto is_same = [&](const lane& other) { return other.name == one.name; };
    if (std::count_if(lanes.begin(), lanes.end(), is_same) > 1) refuse("two are called " + one.name + "; rename one");
    const bool is_last = at + 1 == lanes.size();
    if (is_last && !one.match.takes_all()) {
      refuse(one.name + " is the last, and has a match: what it does not take would have no lane; omit the match, or " +
             "add a lane without one");
    }
    if (!is_last && one.match.takes_all()) {
      refuse(one.name + " takes every datagram, and lanes after it get none; give it a match, or put it last");
    }
  }
}

/// Returns whose datagram it is, by the number in the kernel's group.
std::vector<sock_filter> sorter_of(std::span<const lane> lanes) {
  bpf_program program;
  for (std::size_t at = 0; at + 1 < lanes.size(); ++at) {
    const auto next = program.new_label();
    for (const auto& match : lanes[at].match.programs()) {
      const auto taken = program.new_label();
      add_match(program, match, taken, next);
      program.place(taken);
    }
    program.add(BPF_RET | BPF_K, static_cast<std::uint32_t>(at + 1));
    program.place(next);
  }
  program.add(BPF_RET | BPF_K, 0);
  return program.finish();
}

int attach(int member, std::span<const sock_filter> sorter) noexcept {
  // The kernel reads the program, and takes a pointer that is not const.
  const sock_fprog program{static_cast<unsigned short>(sorter.size()), const_cast<sock_filter*>(sorter.data())};
  return sys::setsockopt(member, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, program);
}

}  // namespace

lane_group::lane_group(std::span<const lane> lanes) : lanes_{lanes.begin(), lanes.end()} {
  check(lanes);
  sorter_ = sorter_of(lanes);
}

/// bind() says what is wrong with no address at all.
void lane_group::check_sortable(const address& local, const socket_options& options) {
  if (!local.is_none() && !local.is_ipv4() && !local.is_ipv6()) {
    refuse(local.to_string() + " is not of UDP, and the kernel sorts UDP alone; give an address with a port");
  }
  constexpr char every[] = "the kernel gives what comes to a group to every socket of the port, so to every lane; ";
  if (local.is_multicast()) refuse(local.to_string() + ": " + every + "bind an address of this machine");
  if (!options.join.empty()) refuse("join: " + std::string{every} + "omit join, or lanes");
  if (options.receive_offload) {
    refuse("receive_offload: the kernel joins datagrams before it sorts them; omit it, or lanes");
  }
}

socket_options lane_group::options_of(std::size_t lane, socket_options options) const {
  options.reuse_port = true;
  if (lanes_[lane].receive_buffer != 0) options.receive_buffer = lanes_[lane].receive_buffer;
  return options;
}

/// The last, which is first, has the port alone as it binds: so one that somebody has is refused, also if that is a
/// group of the same user.
std::vector<datagram_socket> lane_group::bind(const address& local, const socket_options& options) const {
  check_sortable(local, options);
  auto alone = options_of(lanes_.size() - 1, options);
  alone.reuse_port = false;
  return join(datagram_socket::bind(local, alone), options);
}

std::vector<datagram_socket> lane_group::join(datagram_socket last, const socket_options& options, begin now) const {
  const int shared = sys::setsockopt(last.fd(), SOL_SOCKET, SO_REUSEPORT, 1);
  if (shared < 0) fail_with_cure(shared, "lanes: setsockopt SO_REUSEPORT");
  const address where = last.local();
  std::vector<datagram_socket> made;
  for (std::size_t at = 0; at + 1 < lanes_.size(); ++at) {
    made.push_back(datagram_socket::bind(where, options_of(at, options)));
    // Until the group has a program, for some microseconds, the kernel hashes.
    if (at == 0 && now == begin::gathered) static_cast<void>(gather(last.fd()));
  }
  made.push_back(std::move(last));
  const int begun = now == begin::gathered ? gather(made.back().fd()) : sort(made.back().fd());
  if (begun == -EINVAL) {
    fail(begun,
         "lanes: the kernel refuses a match (Documentation/networking/filter.rst says what it takes); write another");
  }
  if (begun < 0) fail_with_cure(begun, "lanes: setsockopt SO_ATTACH_REUSEPORT_CBPF");
  for (std::size_t at = 0; at < made.size(); ++at) mark(made[at], at);
  return made;
}

int lane_group::sort(int member) const noexcept { return attach(member, sorter_); }

int lane_group::gather(int member) noexcept {
  static constexpr sock_filter to_last[] = {{BPF_RET | BPF_K, 0, 0, 0}};
  return attach(member, to_last);
}

void lane_group::mark(datagram_socket& socket, std::size_t lane) noexcept { lane_mark::set(socket, lane); }

}  // namespace detail

std::vector<datagram_socket> bind_lanes(const address& local, std::span<const lane> lanes,
                                        const socket_options& options) {
  return detail::lane_group{lanes}.bind(local, options);
}

}  // namespace udppump

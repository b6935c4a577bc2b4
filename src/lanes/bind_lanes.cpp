#include <linux/filter.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <utility>

#include "lanes/bpf_program.hpp"
#include "sys/failure.hpp"
#include "sys/sys.hpp"
#include "udppump/lanes.hpp"

namespace udppump {

struct detail::lane_mark {
  static void set(datagram_socket& socket, std::size_t lane) noexcept {
    socket.lane_ = static_cast<std::uint8_t>(lane);
  }
};

namespace {

using detail::bpf_program;
using detail::fail;
using detail::fail_with_cure;

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

/// Throws for what the kernel cannot sort; bind() says what is wrong with no address at all.
void check_sortable(const address& local, const socket_options& options) {
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

/// Has the kernel sort what comes to the group.
void sort(const datagram_socket& member, std::vector<sock_filter> instructions) {
  const sock_fprog program{static_cast<unsigned short>(instructions.size()), instructions.data()};
  const int attached = sys::setsockopt(member.fd(), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, program);
  if (attached == -EINVAL) {
    fail(attached,
         "lanes: the kernel refuses a match (Documentation/networking/filter.rst says what it takes); write another");
  }
  if (attached < 0) fail_with_cure(attached, "lanes: setsockopt SO_ATTACH_REUSEPORT_CBPF");
}

}  // namespace

/// In the kernel's group the last lane is the first member: what no program can sort, such as a datagram that ends too
/// early, is put there (net/core/sock_reuseport.c: run_bpf_filter). The others follow in their order.
std::vector<datagram_socket> bind_lanes(const address& local, std::span<const lane> lanes,
                                        const socket_options& options) {
  check(lanes);
  check_sortable(local, options);
  auto sorter = sorter_of(lanes);
  const std::size_t last = lanes.size() - 1;
  // The last, which is first, has the port alone as it binds: so one that somebody has is refused, also if that is a
  // group of the same user.
  const auto options_of = [&](std::size_t at) {
    socket_options own = options;
    own.reuse_port = at != last;
    if (lanes[at].receive_buffer != 0) own.receive_buffer = lanes[at].receive_buffer;
    return own;
  };
  std::vector<datagram_socket> made;
  made.push_back(datagram_socket::bind(local, options_of(last)));
  const int shared = sys::setsockopt(made[0].fd(), SOL_SOCKET, SO_REUSEPORT, 1);
  if (shared < 0) fail_with_cure(shared, "lanes: setsockopt SO_REUSEPORT");
  const address where = local.with_port(made[0].local().port());
  for (std::size_t at = 0; at < last; ++at) made.push_back(datagram_socket::bind(where, options_of(at)));
  sort(made[0], std::move(sorter));
  std::rotate(made.begin(), made.begin() + 1, made.end());
  for (std::size_t at = 0; at < made.size(); ++at) detail::lane_mark::set(made[at], at);
  return made;
}

}  // namespace udppump

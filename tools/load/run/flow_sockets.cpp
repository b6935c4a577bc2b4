#include "load/run/flow_sockets.hpp"

#include <fmt/format.h>
#include <linux/sock_diag.h>
#include <sys/resource.h>

#include <array>
#include <stdexcept>

#include "load/run/system.hpp"

namespace udppump::load {
namespace {

constexpr std::size_t wanted_receive_buffer = 1 << 20;
constexpr rlim_t other_descriptors = 64;

void make_room_for_descriptors(std::uint32_t count) {
  rlimit limit{};
  check_call(::getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  const rlim_t needed = count + other_descriptors;
  if (limit.rlim_cur >= needed) return;
  if (limit.rlim_max < needed) {
    throw failure{
        code_of_errno(EMFILE),
        fmt::format("{} flows take a descriptor each, and {} are allowed; raise ulimit -Hn", count, limit.rlim_max)};
  }
  limit.rlim_cur = needed;
  check_call(::setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

datagram_socket connected(const address& target, const address& source) {
  const socket_options options{.receive_buffer = wanted_receive_buffer, .receive_time = true};
  if (source.is_none()) return datagram_socket::connect(target, options);
  if (source.family() != target.family()) {
    throw failure{code_of_errno(EAFNOSUPPORT),
                  fmt::format("from {} to {}: source and target must be of the same family", source.to_string(),
                              target.to_string())};
  }
  auto socket = datagram_socket::bind(source, options);
  if (::connect(socket.fd(), target.data(), target.size()) < 0) {
    throw failure{code_of_errno(errno), fmt::format("connect {} to {}", source.to_string(), target.to_string()),
                  "give the address of one host, to which a way leads from that source: see `ip route get`"};
  }
  return socket;
}

/// What a socket without a port of its own meets if every port is taken: EAGAIN of connect(2), EADDRINUSE of bind(2).
bool are_ports_used_up(const std::system_error& error, const address& source) noexcept {
  return error.code() == std::errc::resource_unavailable_try_again ||
         (error.code() == std::errc::address_in_use && source.port() == 0 && !source.is_unix());
}

datagram_socket open_flow(const address& target, const address& source, std::uint32_t flow) {
  try {
    auto socket = connected(target, source);
    // What the two are once connected: the target may be a wildcard, and so may the source.
    const bool is_target = socket.local() == socket.peer();
    if (is_target && (source.is_unix() || source.port() != 0)) {
      throw std::invalid_argument{fmt::format("--source: {} is the target {}: it would answer itself; omit the port",
                                              source.to_string(), target.to_string())};
    }
    // The kernel may choose the target's own port, if nobody has it; it would then send to itself.
    if (is_target) {
      throw failure{
          code_of_errno(ECONNREFUSED),
          fmt::format("{}: nothing listens there; start the server, or correct the address", target.to_string())};
    }
    return socket;
  } catch (const std::system_error& error) {
    // The server's own path is not there: it does not run, which is no fault of the command line.
    if (source.is_none() && error.code() == std::errc::no_such_file_or_directory)
      throw std::runtime_error{error.what()};
    if (!are_ports_used_up(error, source)) throw;
    throw failure{error.code(),
                  fmt::format("flow {} to {}: no port is free; take fewer --flows or more --source addresses, or widen "
                              "net.ipv4.ip_local_port_range",
                              flow + 1, target.to_string())};
  }
}

}  // namespace

flow_sockets::flow_sockets(const address& target, std::span<const address> sources, std::uint32_t count) {
  make_room_for_descriptors(count);
  sockets_.reserve(count);
  for (std::uint32_t flow = 0; flow < count; ++flow) {
    sockets_.push_back(open_flow(target, sources.empty() ? address{} : sources[flow % sources.size()], flow));
  }
}

std::uint64_t flow_sockets::drops() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& socket : sockets_) {
    std::array<std::uint32_t, SK_MEMINFO_VARS> memory{};
    socklen_t size = sizeof memory;
    if (::getsockopt(socket.fd(), SOL_SOCKET, SO_MEMINFO, memory.data(), &size) == 0) sum += memory[SK_MEMINFO_DROPS];
  }
  return sum;
}

}  // namespace udppump::load

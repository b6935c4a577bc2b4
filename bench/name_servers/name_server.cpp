#include "name_servers/name_server.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <cstdint>
#include <random>
#include <stdexcept>
#include <thread>

#include "name_servers/answer.hpp"
#include "support/system.hpp"

namespace bench {
namespace {

using namespace std::chrono_literals;

/// For UDP, and for TCP, which name servers want on the same port. Below the ports that the kernel gives to those who
/// ask for any (ip(7), ip_local_port_range): other programs on this machine would take it before the server does.
udppump::address free_address() {
  std::random_device random;
  std::uniform_int_distribution<unsigned> ports{10'000, 32'000};
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const auto candidate = udppump::address::parse("127.0.0.1:0").with_port(static_cast<std::uint16_t>(ports(random)));
    const descriptor datagrams{check_call(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};
    const descriptor stream{check_call(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
    if (bind(datagrams.fd(), candidate.data(), candidate.size()) != 0) continue;
    if (bind(stream.fd(), candidate.data(), candidate.size()) == 0) return candidate;
  }
  throw std::runtime_error{"no port of 127.0.0.1 is free for both UDP and TCP"};
}

}  // namespace

name_server::name_server(const server_setup& setup, const sample_zone& zone) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    address_ = free_address();
    program_.emplace(setup.command(setup, zone, directory_.path(), address_.port()), directory_.path() / "output");
    for (const auto deadline = wall_time() + 10s; !program_->has_ended() && wall_time() < deadline;) {
      if (!answer_of(address_, zone.questions.front()).empty()) return;
      std::this_thread::sleep_for(5ms);
    }
  }
  throw std::runtime_error{fmt::format("{} does not come to answer; it printed:\n{}", setup.name, program_->printed())};
}

}  // namespace bench

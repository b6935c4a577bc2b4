#include "name_servers/name_server.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <stdexcept>
#include <thread>

#include "name_servers/answer.hpp"
#include "support/client.hpp"
#include "support/system.hpp"

namespace bench {
namespace {

using namespace std::chrono_literals;

/// Free for TCP as well, which name servers want on the same port.
udppump::address free_address() {
  for (int attempt = 0; attempt < 100; ++attempt) {
    const auto bound = bind_loopback();
    const auto candidate = bound.local();
    const descriptor stream{check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
    if (bind(stream.fd(), candidate.data(), candidate.size()) == 0) return candidate;
  }
  throw std::runtime_error{"no port of 127.0.0.1 is free for both UDP and TCP"};
}

}  // namespace

name_server::name_server(const server_setup& setup, const sample_zone& zone)
    : address_{free_address()},
      program_{setup.command(setup, zone, directory_.path(), address_.port()), directory_.path() / "output"} {
  for (const auto deadline = wall_time() + 10s; answer_of(address_, zone.questions.front()).empty();) {
    if (program_.has_ended() || wall_time() > deadline) {
      throw std::runtime_error{
          fmt::format("{} does not come to answer; it printed:\n{}", setup.name, program_.printed())};
    }
    std::this_thread::sleep_for(5ms);
  }
}

}  // namespace bench

// udppump: run(), and on libevent, with each waiter.
#include <fmt/format.h>

#include "peers/udppump_loops.hpp"
#include "support/contenders.hpp"
#include "support/peer_program.hpp"

int main(int argc, char** argv) {
  using namespace bench;
  std::vector<serving> ways;
  for (const auto waiter : {udppump::waiter_kind::epoll, udppump::waiter_kind::uring, udppump::waiter_kind::thread,
                            udppump::waiter_kind::poll}) {
    ways.push_back({fmt::format("udppump-run-{}", udppump::to_string(waiter)),
                    [waiter](std::span<udppump::datagram_socket> sockets, const peer_handler& handler) {
                      const auto& without = handler.without();
                      udppump_run<peer_handler>{
                          sockets, handler, waiter, without.max_age, without.client_limit, without.client_share}
                          .serve();
                    }});
    if (!serves_event_loops(waiter)) continue;
    ways.push_back(
        serves_by<udppump_on_libevent>(fmt::format("udppump-libevent-{}", udppump::to_string(waiter)), waiter));
  }
  return peer_main(argc, argv, ways);
}

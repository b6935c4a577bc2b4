// epoll(7): on a shared socket a herd, exclusively, or on a socket of each worker's own (SO_REUSEPORT).
#include "peers/epoll_loop.hpp"

#include "support/peer_program.hpp"

int main(int argc, char** argv) {
  using namespace bench;
  return peer_main(
      argc, argv,
      {serves_by<epoll_loop>("epoll"), serves_by<epoll_loop>("epoll-exclusive", std::uint32_t{EPOLLEXCLUSIVE}),
       serves_by<epoll_loop>("reuseport-epoll")});
}

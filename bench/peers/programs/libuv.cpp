// libuv: uv_udp_recv_start(), with and without UV_UDP_RECVMMSG.
#include "peers/libuv_loop.hpp"

#include "support/peer_program.hpp"

int main(int argc, char** argv) {
  using namespace bench;
  using receives_by = libuv_loop<peer_handler>::receives_by;
  return peer_main(argc, argv,
                   {serves_by<libuv_loop>("libuv", receives_by::recvmsg),
                    serves_by<libuv_loop>("libuv-recvmmsg", receives_by::recvmmsg)});
}

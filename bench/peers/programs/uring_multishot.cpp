// io_uring: multishot recvmsg into provided buffers.
#include "peers/uring_multishot_loop.hpp"

#include "support/peer_program.hpp"

int main(int argc, char** argv) {
  return bench::peer_main(argc, argv, {bench::serves_by<bench::uring_multishot_loop>("uring-multishot")});
}

// A bare loop around recvmmsg(2).
#include "peers/recvmmsg_loop.hpp"

#include "support/peer_program.hpp"

int main(int argc, char** argv) {
  return bench::peer_main(argc, argv, {bench::serves_by<bench::recvmmsg_loop>("recvmmsg")});
}

// libevent: a persistent read event.
#include "peers/libevent_loop.hpp"

#include "support/peer_program.hpp"

int main(int argc, char** argv) {
  return bench::peer_main(argc, argv, {bench::serves_by<bench::libevent_loop>("libevent")});
}

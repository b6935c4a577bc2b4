// The design of 2006: a receiving thread, a socketpair, a condition variable.
#include "peers/seed_2006_loop.hpp"

#include "support/peer_program.hpp"

int main(int argc, char** argv) {
  return bench::peer_main(argc, argv, {bench::serves_by<bench::seed_2006_loop>("seed-2006")});
}

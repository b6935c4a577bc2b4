// A bare loop around recvfrom(2).
#include "peers/recvfrom_loop.hpp"

#include "support/peer_program.hpp"

int main(int argc, char** argv) {
  using namespace bench;
  return peer_main(argc, argv,
                   {serves_by<recvfrom_loop>("recvfrom-blocked", waits_by::blocking),
                    serves_by<recvfrom_loop>("recvfrom", waits_by::polling)});
}

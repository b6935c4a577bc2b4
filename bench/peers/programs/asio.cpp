// Asio: callbacks, and a coroutine.
#include "peers/asio_coroutine_loop.hpp"
#include "peers/asio_loop.hpp"
#include "support/peer_program.hpp"

int main(int argc, char** argv) {
  using namespace bench;
  return peer_main(argc, argv, {serves_by<asio_loop>("asio"), serves_by<asio_coroutine_loop>("asio-coroutine")});
}

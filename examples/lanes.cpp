#include <iostream>
#include <udppump/pcap_match.hpp>
#include <udppump/worker_pool.hpp>

using namespace udppump;

int main(int argc, char** argv) try {
  // Requests that begin with "quick" have a queue of their own, and one worker that does nothing else.
  const auto is_quick = pcap_match("payload[0:4] = 0x71756963 and payload[4] = 0x6b");
  worker_pool pool{{.bind = {argc > 1 ? argv[1] : ":5000"},
                    .lanes = {{.name = "quick", .match = is_quick, .reserve = 1}, {.name = "rest"}},
                    .workers = 4}};
  return pool.serve([](datagram& received) { received.reply(received.lane() == 0 ? "at once" : "done"); },
                    {.ignore_from = source_filter::against_loops()});
} catch (const std::exception& error) {
  std::cerr << "lanes: " << error.what() << '\n';
  return 1;
}

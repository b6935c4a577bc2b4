#include <iostream>
#include <thread>
#include <udppump/lanes.hpp>
#include <udppump/pcap_match.hpp>
#include <udppump/pump_group.hpp>
#include <vector>

using namespace udppump;

int main(int argc, char** argv) try {
  // Requests that begin with "quick" have a queue of their own; all others are in the second one.
  const lane lanes[] = {{.name = "quick", .match = pcap_match("payload[0:4] = 0x71756963 and payload[4] = 0x6b")},
                        {.name = "rest"}};
  auto sockets = bind_lanes(address::parse(argc > 1 ? argv[1] : ":5000"), lanes);

  const auto serve = [&](std::size_t lanes_served) {
    pump_group group;
    std::vector<grouped_pump> pumps;
    for (std::size_t at = 0; at < lanes_served; ++at) {
      pumps.push_back(group.add(sockets[at],
                                [](datagram& received) { received.reply(received.lane() == 0 ? "at once" : "done"); },
                                {.ignore_from = source_filter::against_loops()}));
    }
    if (const auto error = group.run()) std::cerr << "lanes: " << error.message() << '\n';
  };
  std::vector<std::jthread> workers;
  workers.emplace_back(serve, 1);  // never busy with anything but quick requests
  for (int more = 0; more < 3; ++more) workers.emplace_back(serve, sockets.size());
} catch (const std::exception& error) {
  std::cerr << "lanes: " << error.what() << '\n';
  return 1;
}

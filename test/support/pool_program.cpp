// A pool as a program of its own, for tests that execute it anew: pool_program [key=value...], keys bind, workers,
// take-over, reexecute, slow. It answers each datagram with itself after half a millisecond, or after a second.

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <udppump/worker_pool.hpp>

int main(int argc, char** argv) {
  udppump::pool_options options{.socket = {.receive_buffer = 4 << 20}, .workers = 3};
  std::chrono::microseconds work{500};
  for (int at = 1; at < argc; ++at) {
    const std::string_view argument = argv[at];
    const auto equals = argument.find('=');
    const std::string_view key = argument.substr(0, equals);
    const std::string value{argument.substr(equals + 1)};
    if (key == "bind") options.bind.push_back(value);
    if (key == "workers") options.workers = static_cast<std::size_t>(std::atoi(value.c_str()));
    if (key == "take-over") options.take_over = value;
    if (key == "reexecute") options.reexecute = true;
    if (key == "slow") work = std::chrono::seconds{1};
  }
  try {
    udppump::worker_pool pool{options};
    return pool.serve([work](udppump::datagram& received) {
      std::this_thread::sleep_for(work);
      received.reply(received.payload);
    });
  } catch (const std::exception& refused) {
    std::fprintf(stderr, "pool_program: %s\n", refused.what());
    return 90;
  }
}

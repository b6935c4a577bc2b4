#include <iostream>
#include <udppump/worker_pool.hpp>

int main(int argc, char** argv) try {
  udppump::worker_pool pool{{.bind = {argc > 1 ? argv[1] : ":5000"}, .workers = 4}};
  return pool.serve([](udppump::datagram& received) { received.reply(received.payload); },
                    {.ignore_from = udppump::source_filter::against_loops()});
} catch (const std::exception& error) {
  std::cerr << "pool: " << error.what() << '\n';
  return 1;
}

// A pool as a program of its own, for tests that execute it anew: pool_program [key=value...], keys bind, workers,
// take-over, reexecute, slow, user. It answers each datagram with itself after half a millisecond, or after a second;
// each worker becomes the user first.

#include <unistd.h>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <udppump/worker_pool.hpp>

int main(int argc, char** argv) {
  udppump::pool_options options{.socket = {.receive_buffer = 4 << 20}, .workers = 3};
  std::chrono::microseconds work{500};
  std::string awaited = "/";
  uid_t user = ::getuid();
  for (int at = 1; at < argc; ++at) {
    const std::string_view argument = argv[at];
    const auto equals = argument.find('=');
    const std::string_view key = argument.substr(0, equals);
    const std::string value{argument.substr(equals + 1)};
    if (key == "bind") options.bind.push_back(value);
    if (key == "workers") options.workers = static_cast<std::size_t>(std::atoi(value.c_str()));
    if (key == "take-over") options.take_over = value;
    if (key == "reexecute") options.reexecute = true;
    if (key == "await") awaited = value;
    if (key == "slow") work = std::chrono::seconds{1};
    if (key == "user") user = static_cast<uid_t>(std::atoi(value.c_str()));
  }
  try {
    udppump::worker_pool pool{options};
    while (::access(awaited.c_str(), F_OK) != 0) std::this_thread::sleep_for(std::chrono::milliseconds{1});
    const auto handle = [work](udppump::datagram& received) {
      std::this_thread::sleep_for(work);
      received.reply(received.payload);
    };
    if (user == ::getuid()) return pool.serve(handle);
    return pool.run([user, handle](udppump::worker& self) {
      if (::setresuid(user, user, user) != 0) throw std::runtime_error{"setresuid"};
      static_cast<void>(self.serve(handle));
    });
  } catch (const std::exception& refused) {
    std::fprintf(stderr, "pool_program: %s\n", refused.what());
    return 90;
  }
}

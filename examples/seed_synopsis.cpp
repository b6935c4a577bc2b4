// The program of Event::Lib::UDPPump (2006), line by line: a socket, several processes, a pump in each, libevent's
// loop.
//
//   seed_synopsis [ADDRESS [PROCESSES]]
#include <event2/event.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <udppump/libevent.hpp>
#include <udppump/printable.hpp>
#include <udppump/pump.hpp>

int main(int argc, char** argv) try {
  // my $s = IO::Socket::INET->new(Proto => 'udp', LocalPort => 5000);
  auto socket = udppump::datagram_socket::bind(udppump::address::parse(argc > 1 ? argv[1] : ":5000"));
  std::printf("listening on %s\n", socket.local().to_string().c_str());
  std::fflush(stdout);

  // fork() foreach (1..($numchildren - 1));    In C and in Perl the children fork on, and 10 become 2^9. Meant was:
  const int processes = argc > 2 ? std::atoi(argv[2]) : 10;
  for (int child = 1; child < processes && fork() > 0; ++child) continue;

  // my $pump = udppump_new($s, \&callback, @args);
  const std::string args = "answered by " + std::to_string(getpid());
  udppump::pump pump{
      socket,
      [args](udppump::datagram& received) {
        // What a stranger sent commands no terminal of ours.
        std::printf("%d: %zu bytes from %s: %s\n", getpid(), received.payload.size(), received.from.to_string().c_str(),
                    udppump::printable(received.text()).c_str());
        std::fflush(stdout);
        if (const auto error = received.reply(args)) std::fprintf(stderr, "reply: %s\n", error.message().c_str());
      },
      {.ignore_from = udppump::source_filter::against_loops(), .on_error = [](const udppump::receive_error& error) {
         std::fprintf(stderr, "%d: error %d: %s\n", getpid(), error.code.value(), error.code.message().c_str());
       }}};

  // $pump->add();
  event_base* base = event_base_new();
  {
    udppump::libevent_watch watch{base, pump};
    // event_mainloop();
    event_base_dispatch(base);
  }
  event_base_free(base);
} catch (const std::exception& refused) {
  std::fprintf(stderr, "seed_synopsis: %s\n", refused.what());
  return 1;
}

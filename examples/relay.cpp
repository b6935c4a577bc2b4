// Workers with an event loop of their own (libevent). Each asks a backend, answers when that does, and gives up after a
// second. Told to stop, a worker takes no new requests, and ends when all that it has taken are answered.

#include <event2/event.h>

#include <charconv>
#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <udppump/libevent.hpp>
#include <udppump/worker_pool.hpp>
#include <utility>

namespace {

using clock_type = std::chrono::steady_clock;

/// What the backend has been asked, by the number that its answer begins with.
struct request {
  udppump::reply_path back;
  udppump::ticket held;  // while it is out, the worker does not end
  clock_type::time_point until;
};

class relay {
 public:
  relay(udppump::worker& self, const udppump::address& backend)
      : base_{event_base_new(), event_base_free}, backend_{udppump::datagram_socket::connect(backend)} {
    if (!base_) throw std::bad_alloc{};
    for (udppump::datagram_socket& socket : self.sockets()) {
      pumps_.push_back(
          self.pumps().add(socket, [this](udppump::datagram& asked) { ask(asked); },
                           {.max_in_flight = 10'000, .ignore_from = udppump::source_filter::against_loops()}));
    }
    // Of another role, so that it goes on while answers are due.
    pumps_.push_back(self.pumps().add(backend_, [this](udppump::datagram& answer) { pass_on(answer); },
                                      {.role = udppump::pump_role::answers}));
    self.on_stop([this] { event_base_loopbreak(base_.get()); });
  }

  void run(udppump::pump_group& group) {
    udppump::libevent_watch watch{base_.get(), group};
    const auto give_up = [](evutil_socket_t, short, void* self) { static_cast<relay*>(self)->give_up_late_ones(); };
    const std::unique_ptr<event, void (*)(event*)> timer{event_new(base_.get(), -1, EV_PERSIST, give_up, this),
                                                         event_free};
    const timeval pause{.tv_sec = 0, .tv_usec = 50'000};
    if (!timer || event_add(timer.get(), &pause) != 0) throw std::bad_alloc{};
    event_base_dispatch(base_.get());
    watch.rethrow();
    if (watch.error()) throw std::system_error{watch.error(), "serving"};
  }

 private:
  void ask(udppump::datagram& asked) {
    const unsigned number = next_++;
    // If that fails, the answer is late, and the client asks again.
    static_cast<void>(backend_.send(std::to_string(number) + ' ' + std::string{asked.text()}));
    waiting_.insert_or_assign(number, request{.back = asked.reply_path(),
                                              .held = asked.hold(),
                                              .until = clock_type::now() + std::chrono::seconds{1}});
  }

  void pass_on(udppump::datagram& answer) {
    const std::string_view text = answer.text();
    const auto space = text.find(' ');
    unsigned number = 0;
    if (space == text.npos || std::from_chars(text.data(), text.data() + space, number).ec != std::errc{}) return;
    const auto found = waiting_.find(number);
    if (found == waiting_.end()) return;  // too late
    static_cast<void>(found->second.back.send(text.substr(space + 1)));
    waiting_.erase(found);
  }

  void give_up_late_ones() {
    const auto now = clock_type::now();
    while (!waiting_.empty() && waiting_.begin()->second.until <= now) waiting_.erase(waiting_.begin());
  }

  std::unique_ptr<event_base, void (*)(event_base*)> base_;
  udppump::datagram_socket backend_;
  std::vector<udppump::grouped_pump> pumps_;
  std::map<unsigned, request> waiting_;  // the oldest first
  unsigned next_ = 0;
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) throw std::invalid_argument{"give two addresses: where to serve, and the backend's"};
  const auto backend = udppump::address::parse(argv[2]);
  udppump::worker_pool pool{{.bind = {argv[1]}, .workers = 2}};
  return pool.run([&backend](udppump::worker& self) { relay{self, backend}.run(self.pumps()); });
} catch (const std::exception& error) {
  std::cerr << "relay: " << error.what() << '\n';
  return 1;
}

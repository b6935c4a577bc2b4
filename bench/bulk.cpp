// What UDP_SEGMENT and UDP_GRO save if many datagrams go the same way: udppump's use of them, and plain system
// calls.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "peers/recvfrom_loop.hpp"
#include "peers/recvmmsg_loop.hpp"
#include "peers/udppump_loops.hpp"
#include "support/contenders.hpp"
#include "support/machine.hpp"
#include "support/options.hpp"
#include "support/summary.hpp"
#include "support/system.hpp"
#include "support/table.hpp"

namespace {

using namespace bench;

constexpr const char* method =
    "Messages of 44 datagrams of 1400 bytes and one of 700 are sent through loopback until a queue is nearly full,\n"
    "then the queue is drained, again and again, all in one thread on one processor. CPU time of either side for each\n"
    "datagram; datagrams a second of both together. udppump sends with or without segment_size (UDP_SEGMENT) and\n"
    "receives with or without receive_offload (UDP_GRO). The first round compares every byte and every size with what\n"
    "was sent, the others count datagrams and bytes. Every pair once in each repetition, in rotating order. Median\n"
    "[quartiles].";

constexpr std::size_t segment = 1400, last_segment = 700, segments = 45;
constexpr std::size_t message_size = (segments - 1) * segment + last_segment;
static_assert(message_size <= 65'507);

std::size_t size_of(std::size_t number) { return number % segments + 1 == segments ? last_segment : segment; }

/// A message; no two of its segments are alike.
std::vector<std::byte> random_message() {
  std::vector<std::byte> message(message_size);
  std::mt19937 random{2006};
  for (auto& each : message) each = static_cast<std::byte>(random());
  return message;
}

/// What arrives, in order.
struct arrivals {
  const std::vector<std::byte>* message;
  /// Datagrams that a round is to bring.
  std::size_t expected;
  bool comparing = true;
  std::size_t count = 0, bytes = 0;

  void begin() { count = bytes = 0; }
  /// False with the last one.
  bool take(std::span<const std::byte> payload) {
    if (comparing) compare(payload);
    bytes += payload.size();
    return ++count < expected;
  }
  void compare(std::span<const std::byte> payload) const {
    const auto* const sent = message->data() + count % segments * segment;
    if (payload.size() == size_of(count) && std::memcmp(payload.data(), sent, payload.size()) == 0) return;
    throw std::runtime_error{fmt::format("bulk: datagram {} arrived changed, with {} bytes", count, payload.size())};
  }
};

struct collector {
  arrivals* into;
  bool operator()(auto& received) const { return into->take(received.payload); }
};

/// Sends a message, as 45 datagrams.
using sender =
    std::function<void(const udppump::datagram_socket&, const std::vector<std::byte>&, const udppump::address& to)>;

void send_by_sendto(const udppump::datagram_socket& socket, const std::vector<std::byte>& message,
                    const udppump::address& to) {
  for (std::size_t i = 0; i < segments; ++i) {
    check_call(sendto(socket.fd(), &message[i * segment], size_of(i), 0, to.data(), to.size()), "sendto");
  }
}

void send_by_sendmmsg(const udppump::datagram_socket& socket, const std::vector<std::byte>& message,
                      const udppump::address& to) {
  std::array<iovec, segments> parts;
  std::array<mmsghdr, segments> messages{};
  for (std::size_t i = 0; i < segments; ++i) {
    parts[i] = {.iov_base = const_cast<std::byte*>(&message[i * segment]), .iov_len = size_of(i)};
    messages[i].msg_hdr.msg_name = const_cast<sockaddr*>(to.data());
    messages[i].msg_hdr.msg_namelen = to.size();
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  for (std::size_t sent = 0; sent < segments;) {
    sent += static_cast<std::size_t>(
        check_call(sendmmsg(socket.fd(), &messages[sent], static_cast<unsigned>(segments - sent), 0), "sendmmsg"));
  }
}

void send_one_by_one(const udppump::datagram_socket& socket, const std::vector<std::byte>& message,
                     const udppump::address& to) {
  for (std::size_t i = 0; i < segments; ++i) {
    throw_if(socket.send_to(std::span{&message[i * segment], size_of(i)}, to), "send_to");
  }
}

void send_in_segments(const udppump::datagram_socket& socket, const std::vector<std::byte>& message,
                      const udppump::address& to) {
  throw_if(socket.send_to(std::span{message}, to, {.segment_size = segment}), "send_to");
}

/// Calls send_round(), receives what that sent, and calls received(), as often as told.
using receiver = std::function<void(std::span<udppump::datagram_socket>, arrivals&, std::size_t rounds,
                                    const std::function<void()>& send_round, const std::function<void()>& received)>;

template <template <class> class Peer>
receiver by(auto... setup) {
  return [setup...](std::span<udppump::datagram_socket> sockets, arrivals& got, std::size_t rounds,
                    const std::function<void()>& send_round, const std::function<void()>& received) {
    Peer<collector> peer{sockets, collector{&got}, setup...};
    for (std::size_t round = 0; round < rounds; ++round) {
      got.begin();
      send_round();
      peer.serve();
      received();
    }
  };
}

struct side {
  const char* name;
  /// Of one sort only.
  sender send = {};
  receiver receive = {};
  bool offload = false;
};

std::vector<side> all_senders() {
  return {{.name = "sendto", .send = send_by_sendto},
          {.name = "sendmmsg", .send = send_by_sendmmsg},
          {.name = "udppump", .send = send_one_by_one},
          {.name = "udppump+segment", .send = send_in_segments}};
}

std::vector<side> all_receivers() {
  return {{.name = "recvfrom", .receive = by<recvfrom_loop>(waits_by::polling)},
          {.name = "recvmmsg", .receive = by<recvmmsg_loop>()},
          {.name = "udppump", .receive = by<udppump_dispatch>(udppump::waiter_kind::automatic)},
          {.name = "udppump+gro", .receive = by<udppump_dispatch>(udppump::waiter_kind::automatic), .offload = true}};
}

struct contender {
  std::string name;
  side from, to;
  /// ns of CPU for each datagram, on either side; datagrams a second.
  std::vector<double> sending = {}, receiving = {}, rate = {};
};

void measure(contender& each, const std::vector<std::byte>& message, std::size_t rounds) {
  give_up_after(std::chrono::seconds{30});
  const auto anywhere = udppump::address::parse("127.0.0.1:0");
  const auto source = udppump::datagram_socket::bind(anywhere);
  std::vector<udppump::datagram_socket> sockets;
  sockets.push_back(
      udppump::datagram_socket::bind(anywhere, {.receive_buffer = 4 << 20, .receive_offload = each.to.offload}));
  const auto server = sockets.front().local();
  // The kernel charges half as much again as a datagram has, and a quarter stays free.
  const std::size_t room = sockets.front().receive_buffer().granted;
  const std::size_t messages = std::clamp<std::size_t>(room / message_size * 3 / 4, 1, 20);

  arrivals got{.message = &message, .expected = messages * segments};
  nanoseconds sending{0}, receiving{0}, took{0}, cpu{0}, began{0};
  const auto send_round = [&] {
    began = wall_time();
    cpu = cpu_time();
    for (std::size_t i = 0; i < messages; ++i) each.from.send(source, message, server);
    const auto then = std::exchange(cpu, cpu_time());
    if (!got.comparing) sending += cpu - then;
  };
  const auto received = [&] {
    const auto then = std::exchange(cpu, cpu_time());
    if (got.bytes != messages * message_size) throw std::runtime_error{"bulk: bytes are missing"};
    if (!std::exchange(got.comparing, false)) {
      receiving += cpu - then;
      took += wall_time() - began;
    }
  };
  each.to.receive(sockets, got, rounds + 1, send_round, received);

  const auto datagrams = static_cast<double>(rounds * messages * segments);
  each.sending.push_back(static_cast<double>(sending.count()) / datagrams);
  each.receiving.push_back(static_cast<double>(receiving.count()) / datagrams);
  each.rate.push_back(datagrams * 1e6 / static_cast<double>(took.count()));
}

std::vector<contender> all_contenders() {
  std::vector<contender> all;
  for (const auto& from : all_senders()) {
    for (const auto& to : all_receivers()) all.push_back({fmt::format("{}:{}", from.name, to.name), from, to});
  }
  return all;
}

/// Senders are rows, receivers columns.
table table_of(const std::vector<contender>& contenders, const std::string& title, int precision,
               std::vector<double> contender::*figure) {
  std::vector<table::column> columns;
  for (const auto& to : all_receivers()) columns.push_back({fmt::format("to {}", to.name), precision});
  table result{title, columns};
  for (const auto& from : all_senders()) {
    std::vector<table::cell> cells;
    for (const auto& to : all_receivers()) {
      const auto found = std::ranges::find(contenders, fmt::format("{}:{}", from.name, to.name), &contender::name);
      cells.push_back(found == contenders.end() ? table::cell{} : summary_cell((*found).*figure));
    }
    result.add(from.name, cells);
  }
  return result;
}

int bulk(int argc, char** argv) {
  CLI::App app{"Cost of many datagrams that go the same way"};
  options chosen;
  std::size_t rounds = 10;
  add_options(app, chosen);
  add_repetitions(app, chosen, 21);
  app.add_option("--rounds", rounds, "How often the queue is filled in a repetition")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  settle(app, chosen, 3);

  print_heading("bulk: UDP_SEGMENT and UDP_GRO, on and off", method);
  auto contenders = all_contenders();
  select(contenders, chosen);
  if (contenders.empty()) return EXIT_SUCCESS;
  const int processor = pin_to_one_processor();
  print_run(fmt::format("{} repetitions, {} rounds in each, processor {}", chosen.repetitions, rounds, processor));

  const auto message = random_message();
  interleave(contenders, chosen.repetitions, [&](contender& each) { measure(each, message, rounds); });

  const std::vector<table> tables{
      table_of(contenders, "bulk, sending CPU ns/datagram", 0, &contender::sending),
      table_of(contenders, "bulk, receiving CPU ns/datagram", 0, &contender::receiving),
      table_of(contenders, "bulk, thousands a second on one processor", 0, &contender::rate)};
  for (const auto& each : tables) each.print();
  write_json(chosen.json, tables);
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(bulk, argc, argv); }

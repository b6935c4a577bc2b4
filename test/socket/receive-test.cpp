#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>
#include <thread>
#include <udppump/datagram_socket.hpp>

#include "support/fault.hpp"
#include "support/process.hpp"
#include "support/socket_setup.hpp"
#include "support/sockets.hpp"

namespace {

using namespace std::chrono_literals;
using udppump::address;
using udppump::datagram_socket;
using udppump::ecn;
using udppump::received_datagram;
using udppump::setting;

using buffer = std::array<std::byte, 2000>;

TEST(receive, tells_the_payload_and_the_sender) {
  const auto server = bound(), client = bound();
  ASSERT_FALSE(client.send_to("hello", server.local()));
  buffer space;
  const auto came = server.receive(space, patience);
  ASSERT_TRUE(came) << came.error.message();
  EXPECT_EQ(came.text(), "hello");
  EXPECT_EQ(came.payload.data(), space.data());
  EXPECT_EQ(came.real_size, 5u);
  EXPECT_FALSE(came.truncated());
  EXPECT_EQ(came.from, client.local());
  EXPECT_TRUE(came.to.is_none()) << "nobody asked to learn it";
  EXPECT_FALSE(came.receive_time);
  EXPECT_EQ(came.segment_size, 0u);
}

TEST(receive, tells_all_that_the_socket_learns_and_answers_leave_from_where_was_asked) {
  for (const char* where : available({"0.0.0.0:0", "[::]:0"})) {
    const auto server = bound({.receive_time = true, .receive_ecn = true}, where);
    const auto client = datagram_socket::connect(with_port_of("127.0.0.7", server), {.tos = 2});
    ASSERT_FALSE(client.send("ask"));
    buffer space;
    const auto came = server.receive(space, patience);
    ASSERT_TRUE(came) << came.error.message();
    EXPECT_EQ(came.from, client.local()) << "as plain IPv4";
    EXPECT_EQ(came.to, client.peer());
    EXPECT_EQ(came.interface_index, ::if_nametoindex("lo"));
    EXPECT_EQ(came.ecn, ecn::ect0);
    ASSERT_TRUE(came.receive_time);
    EXPECT_LT(std::chrono::abs(*came.receive_time - std::chrono::system_clock::now()), 1min);
    ASSERT_FALSE(server.send_from(came.source, udppump::as_bytes("answer"), came.from));
    EXPECT_EQ(received(client), "answer") << "the client takes it from that address only";
  }
}

TEST(receive, tells_of_ipv4_as_ipv4_on_a_dual_stack_socket_that_learns_nothing_else) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto server = bound({.local_address = setting::off}, "[::]:0");
  const auto client = datagram_socket::connect(with_port_of("127.0.0.1", server));
  ASSERT_FALSE(client.send("ask"));
  buffer space;
  const auto came = server.receive(space, patience);
  ASSERT_TRUE(came) << came.error.message();
  EXPECT_EQ(came.from, client.local());
}

TEST(receive, cuts_what_is_longer_than_the_buffer_and_says_so) {
  const auto server = bound();
  const auto client = datagram_socket::connect(server.local());
  ASSERT_FALSE(client.send(std::string(300, 'x')));
  std::array<std::byte, 100> space;
  const auto came = server.receive(space, patience);
  ASSERT_TRUE(came);
  EXPECT_EQ(came.payload.size(), 100u);
  EXPECT_EQ(came.real_size, 300u);
  EXPECT_TRUE(came.truncated());
}

TEST(receive, takes_an_empty_datagram_into_an_empty_buffer) {
  const auto server = bound();
  const auto client = datagram_socket::connect(server.local());
  ASSERT_FALSE(client.send(""));
  const auto came = server.receive({}, patience);
  EXPECT_TRUE(came) << came.error.message();
  EXPECT_TRUE(came.payload.empty());
  EXPECT_EQ(came.from, client.local());
}

TEST(receive, does_not_wait_unless_asked_to) {
  const auto server = bound();
  buffer space;
  const auto came = server.receive(space);
  EXPECT_EQ(came.error, std::errc::resource_unavailable_try_again);
  EXPECT_FALSE(came);
  EXPECT_EQ(server.receive(space, -1ms).error, std::errc::resource_unavailable_try_again);
}

TEST(receive, waits_as_long_as_asked_and_no_longer) {
  const auto server = bound();
  buffer space;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(server.receive(space, 30ms).error, std::errc::resource_unavailable_try_again);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 30ms);
}

TEST(receive, is_woken_by_a_datagram_that_comes_while_it_waits) {
  const auto server = bound();
  const auto client = datagram_socket::connect(server.local());
  std::jthread later{[&] {
    std::this_thread::sleep_for(20ms);
    EXPECT_FALSE(client.send("late"));
  }};
  EXPECT_EQ(received(server), "late");
}

TEST(receive, waits_without_end_if_asked_to) {
  const auto server = bound();
  const auto client = datagram_socket::connect(server.local());
  std::jthread later{[&] {
    std::this_thread::sleep_for(20ms);
    EXPECT_FALSE(client.send("late"));
  }};
  std::byte room[16];
  const auto came = server.receive(room, std::chrono::milliseconds::max());
  EXPECT_FALSE(came.error);
  EXPECT_EQ(came.payload.size(), 4u);
}

TEST(receive, looks_again_if_another_took_what_it_was_woken_for) {
  const auto server = bound();
  const auto client = datagram_socket::connect(server.local());
  ASSERT_FALSE(client.send("first"));
  buffer space;
  // As if it were gone between the wake-up and the look.
  const fault::injection taken{{.call = "recvfrom", .error = EAGAIN, .times = 3, .fd = server.fd()}};
  const auto came = server.receive(space, patience);
  EXPECT_EQ(came.text(), "first");
  EXPECT_EQ(taken.hits(), 3);
}

TEST(receive, is_repeated_after_a_signal) {
  const auto server = bound();
  const auto client = datagram_socket::connect(server.local());
  ASSERT_FALSE(client.send("x"));
  const fault::injection interrupted{{.call = "recvfrom", .error = EINTR, .times = 3, .fd = server.fd()}};
  EXPECT_EQ(received(server, 0ms), "x");
}

TEST(receive, returns_what_the_kernel_refuses_it_with) {
  const auto server = bound();
  buffer space;
  for (const int error : {EBADF, ENOMEM, EIO}) {
    const fault::injection refused{{.call = "recvfrom", .error = error, .fd = server.fd()}};
    EXPECT_EQ(server.receive(space, patience).error.value(), error);
  }
  const fault::injection refused{{.call = "poll", .error = ENOMEM, .fd = server.fd()}};
  EXPECT_EQ(server.receive(space, patience).error.value(), ENOMEM);
}

TEST(receive, of_a_socket_that_was_shut_down_says_so_instead_of_waiting) {
  const auto server = bound();
  const auto client = datagram_socket::connect(server.local());
  ASSERT_EQ(::shutdown(client.fd(), SHUT_RD), 0);
  buffer space;
  EXPECT_EQ(client.receive(space, patience).error.value(), ESHUTDOWN);
}

TEST(receive, of_a_unix_peer_without_a_name_tells_none) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  const auto one = datagram_socket::adopt(ends[0]), other = datagram_socket::adopt(ends[1]);
  ASSERT_FALSE(one.send("x"));
  buffer space;
  const auto came = other.receive(space, patience);
  EXPECT_EQ(came.text(), "x");
  EXPECT_TRUE(came.from.is_none());
}

TEST(receive, of_joined_datagrams_tells_their_size) {
  const auto server = bound_for_joined();
  if (!server.control().segments) GTEST_SKIP() << "this kernel has no UDP_GRO";
  const auto client = datagram_socket::connect(server.local());
  ASSERT_FALSE(client.send(std::string(250, 'x'), {.segment_size = 100}));
  std::string space(65'535, '\0');
  std::size_t all = 0;
  while (all < 250) {
    const auto came = server.receive(std::as_writable_bytes(std::span{space}), patience);
    ASSERT_TRUE(came);
    EXPECT_TRUE(came.segment_size == 100 || (came.segment_size == 0 && came.real_size <= 100)) << came.segment_size;
    all += came.real_size;
  }
  EXPECT_EQ(all, 250u);
}

// --- ICMP errors -----------------------------------------------------------------------------------------------------

TEST(icmp_errors, are_told_once_with_their_peer) {
  for (const auto& [local, host] : ways_to_a_dead_peer()) {
    const auto socket = bound({.icmp_errors = true}, local);
    const address dead = dead_peer(host);
    ASSERT_TRUE(provoke_icmp_error(socket, dead));
    buffer space;
    const auto told = socket.receive(space, patience);
    EXPECT_EQ(told.error, std::errc::connection_refused) << local << ": " << told.error.message();
    EXPECT_EQ(told.from, dead) << local;
    EXPECT_EQ(socket.receive(space).error, std::errc::resource_unavailable_try_again) << local << ": told twice";
  }
}

TEST(icmp_errors, of_two_peers_are_told_once_each) {
  const auto socket = bound({.icmp_errors = true});
  const auto one = bound(), other = bound();
  const address dead[] = {dead_peer(), dead_peer()};
  ASSERT_NE(dead[0], dead[1]);
  ASSERT_TRUE(provoke_icmp_error(socket, dead[0]));
  static_cast<void>(socket.send_to("x", dead[1]));
  buffer space;
  std::vector<address> told;
  while (told.size() < 2) {
    const auto error = socket.receive(space, patience);
    ASSERT_EQ(error.error, std::errc::connection_refused);
    told.push_back(error.from);
  }
  EXPECT_THAT(told, testing::ElementsAre(dead[0], dead[1]));
  EXPECT_EQ(socket.receive(space).error, std::errc::resource_unavailable_try_again);
}

TEST(icmp_errors, are_told_once_though_a_send_to_somebody_else_met_them_first) {
  for (const auto& [local, host] : ways_to_a_dead_peer()) {
    const auto socket = bound({.icmp_errors = true}, local);
    const auto alive = bound({}, host);
    const address dead = dead_peer(host);
    ASSERT_TRUE(provoke_icmp_error(socket, dead));
    EXPECT_FALSE(socket.send_to("x", alive.local())) << local;
    EXPECT_EQ(received(alive), "x");
    EXPECT_EQ(socket.send_errors(), 0u);
    buffer space;
    const auto told = socket.receive(space, patience);
    EXPECT_EQ(told.error, std::errc::connection_refused) << local;
    EXPECT_EQ(told.from, dead) << local;
    EXPECT_EQ(socket.receive(space).error, std::errc::resource_unavailable_try_again) << local;
  }
}

TEST(icmp_errors, do_not_hide_the_datagrams_behind_them) {
  const auto socket = bound({.icmp_errors = true});
  const auto client = datagram_socket::connect(socket.local());
  ASSERT_TRUE(provoke_icmp_error(socket, dead_peer()));
  ASSERT_FALSE(client.send("x"));
  buffer space;
  EXPECT_EQ(socket.receive(space, patience).error, std::errc::connection_refused);
  EXPECT_EQ(received(socket), "x");
}

TEST(icmp_errors, that_another_process_took_out_of_the_queue_are_not_told_again) {
  const auto socket = bound({.icmp_errors = true});
  const auto client = datagram_socket::connect(socket.local());
  ASSERT_FALSE(client.send("x"));
  const fault::injection theirs{{.call = "recvfrom", .error = ECONNREFUSED, .times = 1, .fd = socket.fd()}};
  EXPECT_EQ(received(socket, 0ms), "x");
}

TEST(icmp_errors, of_this_machine_itself_are_told_by_the_send_alone) {
  const auto socket = bound({.icmp_errors = true, .path_mtu = udppump::path_mtu_discovery::always});
  const auto peer = bound();
  // Larger than any packet on the loopback: refused at once, and queued as well (ip(7), IP_RECVERR).
  EXPECT_EQ(socket.send_to(std::string(65'507 - 8, 'x'), peer.local()).value(), 0)
      << "fits: an MTU of 65,536, less the headers";
  EXPECT_EQ(socket.send_to(std::string(65'508, 'x'), peer.local()), std::errc::message_size);
  EXPECT_EQ(socket.send_errors(), 1u);
  buffer space;
  EXPECT_EQ(socket.receive(space).error, std::errc::resource_unavailable_try_again);
}

TEST(icmp_errors, that_nobody_asked_for_fail_a_receive_of_a_connected_socket) {
  const auto socket = connected_to_dead_peer("127.0.0.1:0");
  ASSERT_FALSE(socket.send("x"));
  buffer space;
  const auto told = socket.receive(space, patience);
  EXPECT_EQ(told.error, std::errc::connection_refused);
  EXPECT_TRUE(told.from.is_none());
}

}  // namespace

#include "udppump/datagram_socket.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <netpacket/packet.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "support/fault.hpp"
#include "support/process.hpp"
#include "support/socket_setup.hpp"
#include "support/sockets.hpp"
#include "sys/sys.hpp"

namespace {

using testing::ElementsAre;
using udppump::address;
using udppump::as_bytes;
using udppump::datagram_socket;
using udppump::ecn;
using udppump::send_options;
using udppump::setting;

// --- sending ---------------------------------------------------------------------------------------------------------

TEST(send_to, takes_bytes_text_and_parts) {
  const auto server = bound();
  const auto client = bound();
  EXPECT_FALSE(client.send_to(std::string_view{"text"}, server.local()));
  EXPECT_FALSE(client.send_to(as_bytes("bytes"), server.local()));
  std::string first = "in ";
  std::string second = "parts";
  const std::array<iovec, 3> parts{{{first.data(), first.size()}, {nullptr, 0}, {second.data(), second.size()}}};
  EXPECT_FALSE(client.send_to(parts, server.local()));
  EXPECT_FALSE(client.send_to(std::span<const iovec>{}, server.local()));
  EXPECT_THAT(all_received(server, 4), ElementsAre("text", "bytes", "in parts", ""));
}

TEST(send_to, takes_every_size_that_fits_and_refuses_one_more) {
  const std::string most(65'507, 'x');  // 65,535 less the headers of IPv4 and UDP
  const auto server = bound({.receive_buffer = 200'000});
  const auto client = bound({.send_buffer = 200'000});
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{65'506}, most.size()}) {
    EXPECT_FALSE(client.send_to(most.substr(0, size), server.local())) << size;
    EXPECT_EQ(received(server), most.substr(0, size));
  }
  EXPECT_EQ(client.send_errors(), 0u);
  EXPECT_EQ(client.send_to(most + "x", server.local()), std::errc::message_size);
  EXPECT_EQ(client.send_errors(), 1u);
  EXPECT_FALSE(readable(server.fd()));
}

TEST(send_to, takes_1024_parts_and_refuses_one_more) {
  const auto server = bound();
  const auto client = bound();
  char letter = 'x';
  std::vector<iovec> parts(1024, iovec{&letter, 1});
  EXPECT_FALSE(client.send_to(parts, server.local()));
  EXPECT_EQ(received(server), std::string(1024, 'x'));
  parts.push_back({&letter, 1});
  EXPECT_EQ(client.send_to(parts, server.local()), std::errc::message_size);
  EXPECT_EQ(client.send_errors(), 1u);
  // Not even in segments, each of which the kernel would take.
  EXPECT_EQ(client.send_to(parts, server.local(), {.segment_size = 100}), std::errc::message_size);
  EXPECT_EQ(client.send_errors(), 2u);
  EXPECT_FALSE(readable(server.fd()));
}

TEST(send_to, returns_and_counts_what_the_kernel_says) {
  const auto server = bound();
  const auto client = bound();
  std::uint64_t counted = 0;
  for (const int error : {ENOBUFS, EPERM, EAGAIN, ENOMEM, EINVAL}) {
    const fault::injection refuser{{.call = "sendmsg", .error = error}};
    EXPECT_EQ(client.send_to("x", server.local()), (std::error_code{error, std::generic_category()}));
    EXPECT_EQ(refuser.seen(), 1);  // no second try
    EXPECT_EQ(client.send_errors(), ++counted);
  }
  EXPECT_FALSE(readable(server.fd()));
  EXPECT_FALSE(client.send_to("x", server.local()));
  EXPECT_EQ(client.send_errors(), counted);
}

TEST(send_to, port_0_is_refused_and_counted) {
  for (const char* host : available({"127.0.0.1:0", "[::1]:0"})) {
    const auto client = bound({}, host);
    EXPECT_EQ(client.send_to("x", address::parse(host)), std::errc::invalid_argument) << host;
    EXPECT_EQ(client.send_errors(), 1u);
  }
}

TEST(send_to, without_a_destination_needs_a_peer) {
  const auto client = bound();
  EXPECT_EQ(client.send("x"), std::errc::destination_address_required);
  EXPECT_EQ(client.send_errors(), 1u);
}

TEST(send_to, a_destination_of_another_kind_is_refused) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto four = bound();
  const auto six = bound({}, "[::1]:0");
  EXPECT_TRUE(four.send_to("x", six.local()));
  EXPECT_TRUE(four.send_to("x", address::parse("unix:@x")));
  EXPECT_TRUE(six.send_to("x", address::parse("unix:@x")));
}

TEST(send_to, a_source_of_another_kind_is_refused_and_not_passed_over) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto server = bound({}, "[::]:0");
  const auto four = bound({}, "0.0.0.0:0");
  const send_options from_six{.source = {.local = address::parse("[::1]:0")}};
  const send_options from_path{.source = {.local = address::parse("unix:@x")}};
  EXPECT_EQ(four.send_to("x", with_port_of("127.0.0.1", server), from_six), std::errc::address_family_not_supported);
  EXPECT_EQ(four.send_to("x", with_port_of("127.0.0.1", server), from_path), std::errc::address_family_not_supported);
  EXPECT_EQ(four.send_errors(), 2u);
  const auto six = bound({}, "[::]:0");
  EXPECT_EQ(six.send_to("x", with_port_of("[::1]", server), from_path), std::errc::address_family_not_supported);
  EXPECT_TRUE(six.send_to("x", with_port_of("127.0.0.1", server), from_six));
  EXPECT_FALSE(readable(server.fd()));
}

TEST(send_to, ipv4_from_an_ipv6_socket_is_mapped) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto server = bound();
  const auto client = bound({}, "[::]:0");
  EXPECT_FALSE(client.send_to("plain", server.local()));
  EXPECT_FALSE(client.send_to("mapped", server.local().mapped()));
  EXPECT_FALSE(client.send_to("aabb", server.local(), {.segment_size = 2}));
  EXPECT_THAT(all_received(server, 4), ElementsAre("plain", "mapped", "aa", "bb"));
  const auto six_only = bound({.v6only = setting::on}, "[::]:0");
  EXPECT_EQ(six_only.send_to("x", server.local()), std::errc::network_unreachable);
  EXPECT_EQ(six_only.send_errors(), 1u);
}

TEST(send_to, a_full_unix_peer_is_eagain_and_never_blocks) {
  const folder place;
  const auto server = datagram_socket::bind(place.socket("server"));
  const auto client = datagram_socket::bind(place.socket("client"));
  std::error_code last;
  std::size_t sent = 0;
  for (; !last && sent < 100'000; ++sent) last = client.send_to("x", server.local());
  EXPECT_EQ(last, std::errc::resource_unavailable_try_again);
  EXPECT_EQ(client.send_errors(), 1u);
  EXPECT_EQ(all_received(server, sent - 1).size(), sent - 1);
}

TEST(send_to, is_repeated_after_a_signal) {
  const auto server = bound();
  const auto client = bound();
  const fault::injection interrupted{{.call = "sendmsg", .error = EINTR, .times = 5}};
  EXPECT_FALSE(client.send_to("x", server.local()));
  EXPECT_EQ(interrupted.hits(), 5);
  EXPECT_EQ(client.send_errors(), 0u);
  EXPECT_EQ(received(server), "x");
}

TEST(send_to, goes_out_though_a_dead_peer_left_an_icmp_error) {
  for (const char* host : available({"127.0.0.1:0", "[::1]:0", "[::]:0"})) {
    const char* const there = std::string_view{host} == "[::]:0" ? "127.0.0.1:0" : host;
    const auto server = bound({}, there);
    const auto client = bound({.icmp_errors = true}, host);
    ASSERT_FALSE(client.send_to("lost", dead_peer(there)));
    ASSERT_TRUE(readable(client.fd(), patience)) << host;  // the error is there
    const fault::injection counter{{.call = "sendmsg", .error = EIO, .times = 0}};
    EXPECT_FALSE(client.send_to("arrives", server.local())) << host;
    EXPECT_EQ(counter.seen(), 2) << host;
    EXPECT_EQ(received(server), "arrives");
    EXPECT_EQ(client.send_errors(), 0u);
  }
}

TEST(send_to, tries_again_for_errors_that_may_be_anothers_and_not_for_ever) {
  const auto server = bound();
  const auto client = bound();
  for (const int error : {ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ENOPROTOOPT, EPROTO, EMSGSIZE, EACCES}) {
    {
      const fault::injection once{{.call = "sendmsg", .error = error, .times = 1}};
      EXPECT_FALSE(client.send_to("x", server.local())) << error;
      EXPECT_EQ(once.seen(), 2);
    }
    EXPECT_EQ(received(server), "x");
    // A datagram that is too large is so the second time, too; other errors may follow each other for a while.
    const int repeated = error == EMSGSIZE ? 1 : 4;
    {
      const fault::injection several{{.call = "sendmsg", .error = error, .times = repeated}};
      EXPECT_FALSE(client.send_to("x", server.local())) << error;
      EXPECT_EQ(several.seen(), repeated + 1);
    }
    EXPECT_EQ(received(server), "x");
    const fault::injection always{{.call = "sendmsg", .error = error}};
    EXPECT_EQ(client.send_to("x", server.local()), (std::error_code{error, std::generic_category()}));
    EXPECT_EQ(always.seen(), repeated + 1);
  }
  EXPECT_FALSE(readable(server.fd()));
}

TEST(send, to_a_connected_peer_that_is_dead_tells_so_at_the_next_send) {
  for (const char* host : available({"127.0.0.1:0", "[::1]:0"})) {
    const auto client = connected_to_dead_peer(host);
    ASSERT_FALSE(client.send("lost"));
    ASSERT_TRUE(readable(client.fd(), patience));
    EXPECT_EQ(client.send("not sent"), std::errc::connection_refused);
    EXPECT_EQ(client.send_errors(), 1u);
    EXPECT_FALSE(client.send("lost again"));
    ASSERT_TRUE(readable(client.fd(), patience));
    EXPECT_EQ(client.send("aabb", {.segment_size = 2}), std::errc::connection_refused);
  }
}

// --- several datagrams at once ---------------------------------------------------------------------------------------

TEST(segments, are_cut_by_the_kernel_in_one_call_and_the_last_may_be_shorter) {
  for (const char* host : available({"127.0.0.1:0", "[::1]:0"})) {
    const auto server = bound({}, host);
    const auto client = bound({}, host);
    const fault::injection counter{{.call = "sendmsg", .error = EIO, .times = 0}};
    EXPECT_FALSE(client.send_to("aaabbbcccd", server.local(), {.segment_size = 3}));
    EXPECT_EQ(counter.seen(), 1);
    EXPECT_THAT(all_received(server, 4), ElementsAre("aaa", "bbb", "ccc", "d")) << host;
  }
}

TEST(segments, as_large_as_the_payload_or_larger_are_one_datagram) {
  const auto server = bound();
  const auto client = bound();
  for (const std::size_t size : {std::size_t{4}, std::size_t{5}, std::size_t{100'000}, SIZE_MAX}) {
    EXPECT_FALSE(client.send_to("abcd", server.local(), {.segment_size = size}));
    EXPECT_EQ(received(server), "abcd");
  }
  EXPECT_FALSE(client.send_to("", server.local(), {.segment_size = 5}));
  EXPECT_EQ(received(server), "");
  EXPECT_FALSE(client.send_to("abcdef", server.local(), {.segment_size = 3}));  // no empty one behind
  EXPECT_THAT(all_received(server, 2), ElementsAre("abc", "def"));
}

// EIO: no checksum offload. EINVAL, EMSGSIZE: larger than the MTU.
TEST(segments, are_sent_one_by_one_where_the_kernel_cannot_cut) {
  for (const int error : {EIO, EINVAL, EMSGSIZE}) {
    for (const char* host : available({"127.0.0.1:0", "[::1]:0", "[::]:0"})) {
      const char* const there = std::string_view{host} == "[::]:0" ? "127.0.0.1:0" : host;
      const auto server = bound({.receive_ecn = true}, there);
      const auto client = bound({}, host);
      const fault::injection refuser{{.call = "sendmsg", .error = error, .times = error == EMSGSIZE ? 2 : 1}};
      EXPECT_FALSE(client.send_to("aaabbbcccd", server.local(), {.segment_size = 3})) << error;
      EXPECT_GT(refuser.hits(), 0);
      EXPECT_THAT(all_received(server, 4), ElementsAre("aaa", "bbb", "ccc", "d")) << host;
      EXPECT_EQ(client.send_errors(), 0u);
    }
  }
}

TEST(segments, that_are_refused_for_another_reason_are_not_tried_one_by_one) {
  const auto server = bound();
  const auto client = bound();
  for (const int error : {EPERM, ENOBUFS, EAGAIN}) {
    const fault::injection refuser{{.call = "sendmsg", .error = error, .times = 1}};
    EXPECT_EQ(client.send_to("aabb", server.local(), {.segment_size = 2}),
              (std::error_code{error, std::generic_category()}));
  }
  EXPECT_EQ(client.send_errors(), 3u);
  EXPECT_FALSE(readable(server.fd()));
}

TEST(segments, may_begin_and_end_anywhere_in_the_parts) {
  const std::string text = "abcdefghijklmnopqrstuvwxyz";
  std::string source = text;
  const auto server = bound();
  const auto client = bound();
  for (const bool cut_by_kernel : {true, false}) {
    for (std::size_t part = 1; part <= 7; ++part) {
      std::vector<iovec> parts{{nullptr, 0}};
      for (std::size_t at = 0; at < text.size(); at += part) {
        parts.push_back({source.data() + at, std::min(part, text.size() - at)});
        parts.push_back({source.data(), 0});
      }
      for (std::size_t segment = 1; segment <= 9; ++segment) {
        const fault::injection refuser{
            {.call = "sendmsg", .error = EIO, .times = cut_by_kernel ? 0 : INT_MAX, .fd = client.fd()}};
        ASSERT_FALSE(client.send_to(parts, server.local(), {.segment_size = segment}));
        std::vector<std::string> expected;
        for (std::size_t at = 0; at < text.size(); at += segment) expected.push_back(text.substr(at, segment));
        EXPECT_EQ(all_received(server, expected.size()), expected) << part << " in " << segment;
      }
    }
  }
}

TEST(segments, of_very_many_parts_each_are_sent_one_by_one_too) {
  const auto server = bound();
  const auto client = bound();
  std::string text(1024, 'x');
  for (std::size_t at = 0; at < text.size(); ++at) text[at] = static_cast<char>('a' + at % 26);
  std::vector<iovec> parts;
  for (char& letter : text) parts.push_back({&letter, 1});
  for (const std::size_t segment : {std::size_t{100}, std::size_t{1000}, std::size_t{1023}}) {
    const fault::injection refuser{{.call = "sendmsg", .error = EIO, .times = 1}};
    ASSERT_FALSE(client.send_to(parts, server.local(), {.segment_size = segment}));
    std::vector<std::string> expected;
    for (std::size_t at = 0; at < text.size(); at += segment) expected.push_back(text.substr(at, segment));
    EXPECT_EQ(all_received(server, expected.size()), expected);
  }
}

TEST(segments, more_than_the_kernel_takes_at_once_all_go_out) {
  const auto server = bound({.receive_buffer = 400'000});
  const auto client = bound({.send_buffer = 400'000});
  // 65 is one more than UDP_MAX_SEGMENTS was; 90,000 bytes are more than a UDP datagram holds.
  struct burst {
    std::size_t total;
    std::size_t segment;
  };
  for (const burst& one : {burst{64 * 10, 10}, burst{65 * 10, 10}, burst{130 * 10 - 1, 10}, burst{90'000, 1400},
                           burst{90'000, 60'000}, burst{65'508, 65'507}}) {
    std::string text(one.total, 'x');
    for (std::size_t at = 0; at < text.size(); ++at) text[at] = static_cast<char>('a' + at / one.segment % 26);
    ASSERT_FALSE(client.send_to(text, server.local(), {.segment_size = one.segment})) << one.total;
    std::vector<std::string> expected;
    for (std::size_t at = 0; at < text.size(); at += one.segment) expected.push_back(text.substr(at, one.segment));
    EXPECT_EQ(all_received(server, expected.size()), expected) << one.total;
  }
  EXPECT_EQ(client.send_to(std::string(70'000, 'x'), server.local(), {.segment_size = 65'508}),
            std::errc::message_size);
}

TEST(segments, go_over_unix_sockets_as_datagrams) {
  const folder place;
  const auto server = datagram_socket::bind(place.socket("server"));
  const auto client = datagram_socket::connect(server.local());
  EXPECT_FALSE(client.send("aaabbbc", {.segment_size = 3}));
  EXPECT_THAT(all_received(server, 3), ElementsAre("aaa", "bbb", "c"));
}

TEST(segments, carry_their_source_each) {
  const auto server = bound();
  const auto client = bound({}, "0.0.0.0:0");
  const send_options options{.source = {.local = address::parse("127.0.0.5:0")}, .segment_size = 2};
  const fault::injection refuser{{.call = "sendmsg", .error = EIO, .times = 1}};
  ASSERT_FALSE(client.send_to("aabb", server.local(), options));
  for (int datagram = 0; datagram < 2; ++datagram) {
    address from;
    ASSERT_TRUE(received(server, &from));
    EXPECT_EQ(from.with_port(0), address::parse("127.0.0.5:0"));
  }
}

TEST(segments, sent_before_an_error_are_kept) {
  // A Unix receiver that is full after some, and a call of sendmmsg that fails after others went well.
  const folder place;
  const auto server = datagram_socket::bind(place.socket("server"));
  const auto client = datagram_socket::connect(server.local());
  EXPECT_EQ(client.send(std::string(5000, 'x'), {.segment_size = 1}), std::errc::resource_unavailable_try_again);
  EXPECT_EQ(client.send_errors(), 1u);
  const auto before = all_received(server, 1);
  EXPECT_GE(before.size(), 1u);
  EXPECT_LT(before.size(), 5000u);

  const auto udp_server = bound();
  const auto udp_client = bound();
  const fault::injection refuser{{.call = "sendmmsg", .error = EPERM, .after = 1}};
  EXPECT_EQ(udp_client.send_to(std::string(70, 'x'), udp_server.local(), {.segment_size = 1}),
            std::errc::operation_not_permitted);
  EXPECT_EQ(all_received(udp_server, 64).size(), 64u);
}

// Each datagram to a dead peer leaves an ICMP error, at which sendmmsg stops short before the next.
TEST(segments, go_on_with_the_tail_after_a_short_sendmmsg) {
  const auto client = bound({.icmp_errors = true});
  const address gone = dead_peer();
  const fault::injection no_cutting{{.call = "sendmsg", .error = EIO}};
  const fault::injection counter{{.call = "sendmmsg", .error = EIO, .times = 0}};
  EXPECT_FALSE(client.send_to("abcdefgh", gone, {.segment_size = 1}));
  if (counter.seen() < 2) GTEST_SKIP() << "no ICMP error came in between";
  std::string failed;  // as the error queue gives them back
  while (failed.size() < 8 && readable(client.fd(), patience)) {
    char letter = 0;
    if (::recv(client.fd(), &letter, 1, MSG_ERRQUEUE | MSG_DONTWAIT) == 1) failed += letter;
  }
  EXPECT_EQ(failed, "abcdefgh");
}

TEST(segments, go_on_after_each_short_count_of_sendmmsg) {
  const auto server = bound();
  const auto client = bound();
  const fault::injection no_cutting{{.call = "sendmsg", .error = EIO}};
  for (const unsigned at_most : {1U, 2U, 3U}) {
    const fault::injection few{{.call = "sendmmsg", .at_most = at_most}};
    EXPECT_FALSE(client.send_to("abcdefg", server.local(), {.segment_size = 1}));
    EXPECT_EQ(few.hits(), static_cast<int>((7 + at_most - 1) / at_most));
    EXPECT_THAT(all_received(server, 7), ElementsAre("a", "b", "c", "d", "e", "f", "g"));
  }
}

TEST(segments, sent_one_by_one_go_out_though_a_dead_peer_left_an_icmp_error) {
  const auto server = bound();
  const auto client = bound({.icmp_errors = true});
  ASSERT_FALSE(client.send_to("lost", dead_peer()));
  ASSERT_TRUE(readable(client.fd(), patience));
  const fault::injection no_cutting{{.call = "sendmsg", .error = EIO}};
  EXPECT_FALSE(client.send_to("aabbc", server.local(), {.segment_size = 2}));
  EXPECT_THAT(all_received(server, 3), ElementsAre("aa", "bb", "c"));

  const fault::injection always{{.call = "sendmmsg", .error = ECONNREFUSED}};
  EXPECT_EQ(client.send_to("aabb", server.local(), {.segment_size = 2}), std::errc::connection_refused);
  EXPECT_EQ(always.seen(), 5);
}

TEST(segments, sent_one_by_one_meet_errors_of_others_again_and_again_and_all_go_out) {
  const auto server = bound();
  const auto client = bound();
  const fault::injection no_cutting{{.call = "sendmsg", .error = EIO}};
  const fault::injection first{{.call = "sendmmsg", .error = ECONNREFUSED, .times = 1}};
  const fault::injection second{{.call = "sendmmsg", .error = ECONNREFUSED, .times = 1, .after = 1}};
  const fault::injection few{{.call = "sendmmsg", .at_most = 1}};
  EXPECT_FALSE(client.send_to("aabbc", server.local(), {.segment_size = 2}));
  EXPECT_EQ(first.hits() + second.hits(), 2);
  EXPECT_THAT(all_received(server, 3), ElementsAre("aa", "bb", "c"));
}

TEST(segments, sent_one_by_one_are_repeated_after_a_signal) {
  const auto server = bound();
  const auto client = bound();
  const fault::injection no_cutting{{.call = "sendmsg", .error = EIO}};
  const fault::injection interrupted{{.call = "sendmmsg", .error = EINTR, .times = 3}};
  EXPECT_FALSE(client.send_to("aabbc", server.local(), {.segment_size = 2}));
  EXPECT_EQ(interrupted.hits(), 3);
  EXPECT_THAT(all_received(server, 3), ElementsAre("aa", "bb", "c"));
}

/// Gives this process a network of its own, whose loopback interface has the MTU.
bool enter_network_with_mtu(int mtu) {
  if (::unshare(CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return false;
  const descriptor control{udp_descriptor()};
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");  // NOLINT(clang-analyzer-security.insecureAPI.strcpy)
  request.ifr_mtu = mtu;
  if (::ioctl(control.fd(), SIOCSIFMTU, &request) != 0) return false;
  request.ifr_flags = IFF_UP;
  return ::ioctl(control.fd(), SIOCSIFFLAGS, &request) == 0;
}

TEST(segments, larger_than_the_mtu_go_out_in_fragments) {
  constexpr int refused = 77;
  child_process child{[] {
    if (!enter_network_with_mtu(1500)) return refused;
    const auto server = bound();
    const auto client = bound();
    const std::string text = std::string(2000, 'a') + std::string(2000, 'b') + "c";
    if (client.send_to(text, server.local(), {.segment_size = 2000})) return 1;
    const std::vector<std::string> expected{text.substr(0, 2000), text.substr(2000, 2000), "c"};
    return all_received(server, 3) == expected ? 0 : 2;
  }};
  const int status = child.join();
  if (status == refused) GTEST_SKIP() << "no network of its own to be had";
  EXPECT_EQ(status, 0);
}

}  // namespace

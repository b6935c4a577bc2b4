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

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using udppump::address;
using udppump::buffer_size;
using udppump::datagram_socket;
using udppump::ecn;
using udppump::send_options;
using udppump::setting;
using udppump::socket_options;

// --- options ---------------------------------------------------------------------------------------------------------

/// What the kernel's ordinary limit makes of a wish for a buffer.
std::size_t limited(int option, std::size_t asked) {
  const descriptor made{udp_descriptor()};
  const int wish = static_cast<int>(std::min<std::size_t>(asked, INT32_MAX / 2));
  if (::setsockopt(made.fd(), SOL_SOCKET, option, &wish, sizeof wish) != 0) fail("setsockopt");
  return static_cast<std::size_t>(option_of(made.fd(), SOL_SOCKET, option)) / 2;
}

TEST(options, buffers_within_the_limit_are_granted_as_asked) {
  const auto socket = bound({.receive_buffer = 65'536, .send_buffer = 32'768});
  EXPECT_EQ(socket.receive_buffer().asked, 65'536u);
  EXPECT_EQ(socket.receive_buffer().granted, 65'536u);
  EXPECT_EQ(socket.receive_buffer().shortfall(), "");
  EXPECT_EQ(socket.send_buffer().asked, 32'768u);
  EXPECT_EQ(socket.send_buffer().granted, 32'768u);
  EXPECT_EQ(socket.send_buffer().shortfall(), "");
  EXPECT_EQ(option_of(socket, SOL_SOCKET, SO_RCVBUF), 2 * 65'536);
}

TEST(options, buffers_that_nobody_asked_for_are_told_all_the_same) {
  const auto socket = bound();
  EXPECT_EQ(socket.receive_buffer().asked, 0u);
  EXPECT_EQ(socket.receive_buffer().granted * 2, static_cast<std::size_t>(option_of(socket, SOL_SOCKET, SO_RCVBUF)));
  EXPECT_EQ(socket.send_buffer().granted * 2, static_cast<std::size_t>(option_of(socket, SOL_SOCKET, SO_SNDBUF)));
  EXPECT_EQ(socket.receive_buffer().shortfall(), "");
}

TEST(options, buffers_beyond_the_limit_are_capped_without_privilege_and_say_what_to_raise) {
  constexpr std::size_t much = 1 << 30;
  const std::size_t receive_limit = limited(SO_RCVBUF, much);
  const std::size_t send_limit = limited(SO_SNDBUF, much);
  {
    const fault::injection unprivileged{{.call = "setsockopt", .error = EPERM, .after = 1}};  // SO_RCVBUFFORCE
    const auto socket = bound({.receive_buffer = much});
    ASSERT_EQ(unprivileged.hits(), 1);
    EXPECT_EQ(socket.receive_buffer().granted, receive_limit);
    EXPECT_THAT(socket.receive_buffer().shortfall(),
                AllOf(StartsWith("receive buffer: asked 1 GiB, granted "), HasSubstr("raise net.core.rmem_max")));
  }
  const fault::injection unprivileged{{.call = "setsockopt", .error = EPERM, .after = 1}};  // SO_SNDBUFFORCE
  const auto socket = bound({.send_buffer = much});
  ASSERT_EQ(unprivileged.hits(), 1);
  EXPECT_EQ(socket.send_buffer().granted, send_limit);
  EXPECT_THAT(socket.send_buffer().shortfall(),
              AllOf(StartsWith("send buffer: asked 1 GiB, granted "), HasSubstr("raise net.core.wmem_max")));
}

TEST(options, buffers_beyond_the_limit_are_granted_with_privilege) {
  constexpr std::size_t much = 64 << 20;
  const descriptor probe{udp_descriptor()};
  const int wish = much;
  if (::setsockopt(probe.fd(), SOL_SOCKET, SO_RCVBUFFORCE, &wish, sizeof wish) != 0) {
    GTEST_SKIP() << "SO_RCVBUFFORCE: " << std::strerror(errno);
  }
  const auto socket = bound({.receive_buffer = much, .send_buffer = much});
  EXPECT_EQ(socket.receive_buffer().granted, much);
  EXPECT_EQ(socket.send_buffer().granted, much);
  EXPECT_EQ(socket.receive_buffer().shortfall() + socket.send_buffer().shortfall(), "");
}

TEST(options, buffers_of_absurd_size_do_no_harm) {
  const fault::injection unprivileged{{.call = "setsockopt", .error = EPERM, .after = 1}};
  const auto socket = bound({.receive_buffer = SIZE_MAX});
  EXPECT_EQ(socket.receive_buffer().asked, SIZE_MAX);
  EXPECT_NE(socket.receive_buffer().shortfall(), "");
  const auto small = bound({.receive_buffer = 1});
  EXPECT_GE(small.receive_buffer().granted, 1u);  // the kernel's least
  EXPECT_EQ(small.receive_buffer().shortfall(), "");
}

TEST(options, a_shortfall_is_written_in_the_unit_that_fits) {
  EXPECT_EQ((buffer_size{.asked = 8 << 20, .granted = 416 << 10}).shortfall(),
            "receive buffer: asked 8 MiB, granted 416 KiB; raise net.core.rmem_max");
  EXPECT_EQ((buffer_size{.asked = 212'993, .granted = 212'992, .limit = "net.core.wmem_max"}).shortfall(),
            "send buffer: asked 212993 bytes, granted 208 KiB; raise net.core.wmem_max");
  EXPECT_EQ((buffer_size{.asked = 1024, .granted = 0}).shortfall(),
            "receive buffer: asked 1 KiB, granted 0 bytes; raise net.core.rmem_max");
  EXPECT_EQ((buffer_size{.asked = 1024, .granted = 1024}).shortfall(), "");
}

TEST(options, a_buffer_larger_than_any_kernel_gives_has_another_cure_than_the_limit) {
  constexpr std::size_t gib = 1 << 30, most = gib - 1;  // half of INT_MAX
  EXPECT_EQ((buffer_size{.asked = 2 * gib, .granted = most}).shortfall(),
            "receive buffer: asked 2 GiB, granted 1073741823 bytes; ask for less than 1 GiB: the kernel gives no more");
  EXPECT_EQ((buffer_size{.asked = 3 * gib, .granted = 208 << 10, .limit = "net.core.wmem_max"}).shortfall(),
            "send buffer: asked 3 GiB, granted 208 KiB; raise net.core.wmem_max, and ask for less than 1 GiB: the "
            "kernel gives no more");
  EXPECT_EQ((buffer_size{.asked = most, .granted = most}).shortfall(), "");
  for (const std::size_t much : {2 * gib, 4 * gib + 1, SIZE_MAX}) {
    const auto socket = bound({.receive_buffer = much, .send_buffer = much});
    EXPECT_EQ(socket.receive_buffer().asked, much);
    EXPECT_EQ(socket.send_buffer().asked, much);
    EXPECT_LE(socket.receive_buffer().granted, most);
    EXPECT_GT(socket.receive_buffer().granted, 0u);
    EXPECT_THAT(socket.receive_buffer().shortfall(), HasSubstr("ask for less than 1 GiB"));
    EXPECT_THAT(socket.send_buffer().shortfall(), HasSubstr("ask for less than 1 GiB"));
  }
}

TEST(options, reuse_port_lets_sockets_share_a_port_and_only_those_that_say_so) {
  const auto first = bound({.reuse_port = true});
  EXPECT_EQ(option_of(first, SOL_SOCKET, SO_REUSEPORT), 1);
  const auto second = datagram_socket::bind(first.local(), {.reuse_port = true});
  EXPECT_EQ(second.local(), first.local());
  EXPECT_THAT(refused_bind(first.local()).what(), HasSubstr("has the port"));
  EXPECT_EQ(option_of(bound(), SOL_SOCKET, SO_REUSEPORT), 0);
}

TEST(options, none_sets_so_reuseaddr) {
  const std::vector<udppump::multicast_membership> join{{.group = address::parse("239.255.77.2:0"), .interface = "lo"}};
  EXPECT_EQ(option_of(bound(), SOL_SOCKET, SO_REUSEADDR), 0);
  EXPECT_EQ(option_of(bound({.reuse_port = true}), SOL_SOCKET, SO_REUSEADDR), 0);
  EXPECT_EQ(option_of(bound({.broadcast = true, .join = join}, "0.0.0.0:0"), SOL_SOCKET, SO_REUSEADDR), 0);
  for (const char* where : available({"0.0.0.0:0", "[::]:0"})) {
    EXPECT_EQ(option_of(bound({.reuse_port = true}, where), SOL_SOCKET, SO_REUSEADDR), 0) << where;
  }
  EXPECT_EQ(option_of(datagram_socket::connect(dead_peer()), SOL_SOCKET, SO_REUSEADDR), 0);
  EXPECT_EQ(option_of(datagram_socket::adopt(udp_descriptor()), SOL_SOCKET, SO_REUSEADDR), 0);
}

TEST(options, v6only_is_off_for_the_wildcard_and_can_be_said) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto v6only = [](const char* where, setting wish) {
    return option_of(bound({.v6only = wish}, where), IPPROTO_IPV6, IPV6_V6ONLY);
  };
  EXPECT_EQ(v6only("[::]:0", setting::automatic), 0);
  EXPECT_EQ(v6only("[::]:0", setting::on), 1);
  EXPECT_EQ(v6only("[::]:0", setting::off), 0);
  EXPECT_EQ(v6only("[::1]:0", setting::on), 1);
  EXPECT_EQ(v6only("[::ffff:127.0.0.1]:0", setting::automatic), 0);
  EXPECT_EQ(v6only("[::ffff:127.0.0.1]:0", setting::off), 0);
  EXPECT_THAT(refused_bind(address::parse("[::ffff:127.0.0.1]:0"), {.v6only = setting::on}).what(),
              StartsWith("bind [::ffff:127.0.0.1]:0"));
}

TEST(options, v6only_leaves_ipv4_to_another_socket) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto six = bound({.v6only = setting::on}, "[::]:0");
  const auto four = datagram_socket::bind(with_port_of("0.0.0.0", six));
  const auto client = bound();
  ASSERT_FALSE(client.send_to("hello", with_port_of("127.0.0.1", six)));
  EXPECT_EQ(received(four), "hello");
  EXPECT_FALSE(readable(six.fd()));
}

TEST(options, local_address_is_learnt_where_bound_to_a_wildcard_or_said) {
  for (const char* wildcard : available({"0.0.0.0:0", "[::]:0"})) {
    EXPECT_TRUE(bound({}, wildcard).control().local_address) << wildcard;
  }
  for (const char* host : available({"127.0.0.1:0", "[::1]:0"})) EXPECT_FALSE(bound({}, host).control().any()) << host;
  for (const char* where : available({"0.0.0.0:0", "[::]:0", "127.0.0.1:0", "[::1]:0"})) {
    EXPECT_TRUE(bound({.local_address = setting::on}, where).control().local_address) << where;
    EXPECT_FALSE(bound({.local_address = setting::off}, where).control().local_address) << where;
  }
}

TEST(options, what_is_received_along_is_read_back_from_the_socket) {
  for (const char* where : available({"127.0.0.1:0", "[::1]:0"})) {
    const auto nothing = bound({}, where).control();
    EXPECT_FALSE(nothing.any() || nothing.icmp_errors) << where;
    EXPECT_TRUE(bound({.receive_time = true}, where).control().receive_time) << where;
    EXPECT_TRUE(bound({.receive_ecn = true}, where).control().ecn) << where;
    EXPECT_TRUE(bound({.receive_offload = true}, where).control().segments) << where;
    const auto errors = bound({.icmp_errors = true}, where).control();
    EXPECT_TRUE(errors.icmp_errors) << where;
    EXPECT_FALSE(errors.any()) << where;  // that is another queue
  }
}

TEST(options, tos_is_set_for_both_protocols_and_must_be_a_byte) {
  const auto four = bound({.tos = 0xb8});
  EXPECT_EQ(option_of(four, IPPROTO_IP, IP_TOS), 0xb8);
  EXPECT_EQ(option_of(bound({.tos = 0}), IPPROTO_IP, IP_TOS), 0);
  for (const int wrong : {-1, 256}) {
    const auto refused = refused_bind(address::parse("127.0.0.1:0"), {.tos = wrong});
    EXPECT_EQ(refused.code(), std::errc::invalid_argument);
    EXPECT_THAT(refused.what(), StartsWith("type of service " + std::to_string(wrong) + ": give 0 to 255"));
  }
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto both = bound({.tos = 0xb8}, "[::]:0");
  EXPECT_EQ(option_of(both, IPPROTO_IP, IP_TOS), 0xb8);
  EXPECT_EQ(option_of(both, IPPROTO_IPV6, IPV6_TCLASS), 0xb8);
}

TEST(options, broadcast_must_be_said) {
  const auto server = bound({}, "0.0.0.0:0");
  const auto everybody = with_port_of("127.255.255.255", server);
  EXPECT_EQ(bound().send_to("x", everybody), std::errc::permission_denied);
  EXPECT_FALSE(bound({.broadcast = true}).send_to("x", everybody));
  EXPECT_EQ(received(server), "x");
}

TEST(options, device_binds_to_an_interface) {
  const int allowed = ::setsockopt(descriptor{udp_descriptor()}.fd(), SOL_SOCKET, SO_BINDTODEVICE, "lo", 3);
  if (allowed != 0) GTEST_SKIP() << "SO_BINDTODEVICE: " << std::strerror(errno);  // before Linux 5.7
  const auto socket = bound({.device = "lo"}, "0.0.0.0:0");
  std::array<char, IF_NAMESIZE> name{};
  socklen_t size = name.size();
  ASSERT_EQ(::getsockopt(socket.fd(), SOL_SOCKET, SO_BINDTODEVICE, name.data(), &size), 0);
  EXPECT_STREQ(name.data(), "lo");
  ASSERT_FALSE(bound().send_to("x", with_port_of("127.0.0.1", socket)));
  EXPECT_EQ(received(socket), "x");
}

TEST(options, device_that_is_refused_is_named_with_the_cure) {
  const auto here = address::parse("127.0.0.1:0");
  const auto unknown = refused_bind(here, {.device = "nonesuch0"});
  EXPECT_EQ(unknown.code(), std::errc::no_such_device);
  EXPECT_THAT(unknown.what(), AllOf(StartsWith("binding to the interface \"nonesuch0\""), HasSubstr("ip link")));
  const fault::injection unprivileged{{.call = "setsockopt", .error = EPERM}};
  const auto denied = refused_bind(here, {.device = "lo"});
  EXPECT_EQ(denied.code(), std::errc::operation_not_permitted);
  EXPECT_THAT(denied.what(),
              StartsWith("binding to the interface \"lo\": Operation not permitted; it needs CAP_NET_RAW"));
}

TEST(options, join_takes_a_group_on_an_interface_by_name) {
  const auto group = address::parse("239.255.77.3:0");
  const send_options through_loopback{.source = {.interface_index = ::if_nametoindex("lo")}};
  for (const char* where : available({"0.0.0.0:0", "[::]:0"})) {
    const auto server = bound({.join = {{.group = group, .interface = "lo"}}}, where);
    ASSERT_FALSE(bound().send_to("hello", group.with_port(server.local().port()), through_loopback));
    EXPECT_EQ(received(server), "hello") << where;
  }
}

TEST(options, join_takes_a_link_local_group_on_the_interface_of_its_scope) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto group = address::parse("[ff02::1:4711%lo]:0");
  const auto server = bound({.join = {{.group = group}}}, "[::]:0");
  ASSERT_EQ(server.memberships().size(), 1u);
  EXPECT_EQ(server.memberships()[0].interface, "lo");
  std::ifstream groups{"/proc/net/igmp6"};  // "index interface group ..."
  bool joined = false;
  for (std::string line; std::getline(groups, line);) {
    joined = joined || (line.find(" lo ") != line.npos && line.find("ff020000000000000000000000014711") != line.npos);
  }
  EXPECT_TRUE(joined);
}

TEST(options, join_takes_several_groups_of_both_protocols) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const std::string index = std::to_string(::if_nametoindex("lo"));
  EXPECT_NO_THROW(bound({.join = {{.group = address::parse("239.255.77.4:0"), .interface = "lo"},
                                  {.group = address::parse("239.255.77.5:1234"), .interface = "lo"},
                                  {.group = address::parse("[ff11::77:6]:0"), .interface = "lo"},
                                  {.group = address::parse("[ff12::77:7%" + index + "]:0")}}},
                        "[::]:0"));
}

TEST(options, join_that_is_refused_is_named_with_the_cure) {
  const auto here = address::parse("0.0.0.0:0");
  const auto group = address::parse("239.255.77.8:0");
  const auto unknown = refused_bind(here, {.join = {{.group = group, .interface = "nonesuch0"}}});
  EXPECT_EQ(unknown.code(), std::errc::no_such_device);
  EXPECT_THAT(unknown.what(),
              AllOf(StartsWith("joining 239.255.77.8:0: no interface \"nonesuch0\""), HasSubstr("ip link")));
  for (const char* other : {"127.0.0.1:0", "[::1]:0", "unix:@x"}) {
    const auto refused = refused_bind(here, {.join = {{.group = address::parse(other), .interface = "lo"}}});
    EXPECT_THAT(refused.what(),
                StartsWith("joining " + address::parse(other).to_string() + ": not a multicast address"));
  }
  EXPECT_THAT(refused_bind(here, {.join = {{}}}).what(), StartsWith("joining none: not a multicast address"));
  const udppump::multicast_membership twice{.group = group, .interface = "lo"};
  EXPECT_THAT(refused_bind(here, {.join = {twice, twice}}).what(), StartsWith("joining 239.255.77.8:0"));
  EXPECT_THAT(refused_bind(here, {.join = {{.group = address::parse("[ff11::77:9]:0"), .interface = "lo"}}}).what(),
              StartsWith("joining [ff11::77:9]:0"));
  const fault::injection no_route{{.call = "setsockopt", .error = ENODEV, .after = 1}};  // after IP_PKTINFO
  EXPECT_THAT(refused_bind(here, {.join = {{.group = group}}}).what(),
              AllOf(StartsWith("joining 239.255.77.8:0"), HasSubstr("name the interface")));
}

TEST(options, join_of_the_other_protocol_is_refused) {
  const socket_options six{.join = {{.group = address::parse("[ff11::77:b]:0"), .interface = "lo"}}};
  const socket_options four{.join = {{.group = address::parse("239.255.77.11:0"), .interface = "lo"}}};
  const auto refused = refused_bind(address::parse("0.0.0.0:0"), six);
  EXPECT_EQ(refused.code(), std::errc::invalid_argument);
  EXPECT_THAT(refused.what(), StartsWith("joining [ff11::77:b]:0: a group of IPv6 needs an IPv6 socket"));
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  EXPECT_NO_THROW(bound(six, "[::]:0"));
  for (const char* dual : {"[::]:0", "[::ffff:0.0.0.0]:0"}) EXPECT_NO_THROW(bound(four, dual)) << dual;
  EXPECT_THAT(refused_bind(address::parse("[::1]:0"), four).what(), HasSubstr("needs a socket of IPv4"));
  socket_options six_only = four;
  six_only.v6only = setting::on;
  EXPECT_THAT(refused_bind(address::parse("[::]:0"), six_only).what(), HasSubstr("needs a socket of IPv4"));
}

TEST(options, v6only_is_refused_on_an_ipv4_socket) {
  const auto refused = refused_bind(address::parse("127.0.0.1:0"), {.v6only = setting::on});
  EXPECT_EQ(refused.code(), std::errc::invalid_argument);
  EXPECT_THAT(refused.what(), StartsWith("IPv6 only: this is a socket of IPv4; omit"));
  EXPECT_NO_THROW(bound({.v6only = setting::off}, "127.0.0.1:0"));
}

TEST(options, interfaces_with_a_zero_byte_are_refused) {
  const std::string name{"lo\0x", 4};
  EXPECT_THAT(refused_bind(address::parse("127.0.0.1:0"), {.device = name}).what(), HasSubstr("zero byte"));
  const auto group = address::parse("239.255.77.12:0");
  EXPECT_EQ(refused_bind(address::parse("0.0.0.0:0"), {.join = {{.group = group, .interface = name}}}).code(),
            std::errc::no_such_device);
}

TEST(options, of_ip_are_refused_on_another_socket) {
  const auto elsewhere = address::parse("unix:@udppump-options-test-" + std::to_string(::getpid()));
  const std::vector<std::pair<const char*, socket_options>> wishes{
      {"IPv6 only", {.v6only = setting::on}},
      {"interface", {.device = "lo"}},
      {"local address", {.local_address = setting::on}},
      {"ECN", {.receive_ecn = true}},
      {"ICMP errors", {.icmp_errors = true}},
      {"path MTU discovery", {.path_mtu = udppump::path_mtu_discovery::want}},
      {"type of service", {.tos = 8}},
      {"broadcast", {.broadcast = true}},
      {"multicast groups", {.join = {{.group = address::parse("239.255.77.1:0")}}}},
      {"ECN, broadcast", {.receive_ecn = true, .broadcast = true}}};
  for (const auto& [names, wish] : wishes) {
    const auto refused = refused_bind(elsewhere, wish);
    EXPECT_EQ(refused.code(), std::errc::address_family_not_supported);
    EXPECT_THAT(refused.what(),
                StartsWith(std::string{"this socket is not of IP, and these options are: "} + names + "; omit them"));
  }
  EXPECT_THAT(refused_bind(elsewhere, {.receive_offload = true}).what(), StartsWith("setsockopt UDP_GRO = 1"));
  EXPECT_NO_THROW(datagram_socket::bind(elsewhere, {.receive_buffer = 65'536, .receive_time = true}));
}

socket_options all_options() {
  return {.receive_buffer = 65'536,
          .send_buffer = 65'536,
          .reuse_port = true,
          .v6only = setting::on,
          .local_address = setting::on,
          .receive_time = true,
          .receive_ecn = true,
          .receive_offload = true,
          .icmp_errors = true,
          .tos = 8,
          .broadcast = true,
          .join = {{.group = address::parse("[ff11::77:a]:0"), .interface = "lo"}}};
}

TEST(options, are_all_set_before_bind) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto settings_with = [](int bind_error) {
    const fault::injection counter{{.call = "setsockopt", .error = EIO, .times = 0}};
    const fault::injection refuser{{.call = "bind", .error = bind_error, .times = bind_error == 0 ? 0 : 1}};
    try {
      static_cast<void>(bound(all_options(), "[::]:0"));
    } catch (const std::system_error& refused) {
      EXPECT_THAT(refused.what(), StartsWith("bind [::]:0"));
    }
    EXPECT_EQ(refuser.seen(), 1);
    return counter.seen();
  };
  const int until_bind = settings_with(EIO);
  EXPECT_GT(until_bind, 10);
  EXPECT_EQ(settings_with(0), until_bind);
}

TEST(options, each_that_the_kernel_refuses_is_named_or_does_without_and_nothing_leaks) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  int refusals = 0;
  for (int nth = 0;; ++nth) {
    const fault::injection refuser{{.call = "setsockopt", .error = ENOMEM, .times = 1, .after = nth}};
    const std::size_t before = open_descriptors();
    try {
      static_cast<void>(bound(all_options(), "[::]:0"));
      if (refuser.hits() == 0) break;
    } catch (const std::system_error& refused) {
      ++refusals;
      EXPECT_EQ(refused.code(), std::errc::not_enough_memory);
      EXPECT_THAT(refused.what(), testing::AnyOf(StartsWith("setsockopt "), StartsWith("joining ")));
    }
    EXPECT_EQ(open_descriptors(), before);
  }
  // All but the two buffers, which tell in shortfall(), and IPv4's form of four of them on the IPv6 socket.
  EXPECT_EQ(refusals, 10);
}

}  // namespace

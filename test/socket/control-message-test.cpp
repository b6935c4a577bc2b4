#include "socket/control_message.hpp"

#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>

#include <array>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "address/raw_address.hpp"
#include "support/sockets.hpp"

namespace {

using namespace std::chrono_literals;
using udppump::address;
using udppump::datagram_socket;
using udppump::ecn;
using udppump::send_options;
using udppump::setting;
using udppump::socket_options;
using udppump::detail::control_builder;
using udppump::detail::control_capacity;
using udppump::detail::parse_queued_error;
using udppump::detail::raw_address;
using udppump::detail::received_by;
using udppump::detail::received_control;

/// What the kernel told along with a message that this process received.
received_control parse_control(const msghdr& message) {
  received_control told;
  udppump::detail::parse_control(message, received_by::this_process, told);
  return told;
}

/// One datagram, and what the kernel told about it.
struct arrival {
  std::string payload;
  address from;
  received_control told;
  std::size_t control_size = 0;
  bool control_cut = false;
  int queued_error = 0;
  int traffic_class = -1;
};

/// Nothing if none comes in time. `room` is what is offered for control data.
std::optional<arrival> next_arrival(const datagram_socket& socket, std::size_t room = control_capacity, int flags = 0) {
  if (!readable(socket.fd(), patience)) return {};
  // On the heap and no larger, so that a sanitizer sees who reads past it.
  std::vector<std::byte> control(room);
  std::vector<char> payload(70'000);
  arrival came;
  iovec part{payload.data(), payload.size()};
  msghdr message{};
  message.msg_name = raw_address::buffer(came.from);
  message.msg_namelen = address::capacity;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = ::recvmsg(socket.fd(), &message, MSG_DONTWAIT | flags);
  if (size < 0) return {};
  raw_address::resize(came.from, message.msg_namelen);
  came.payload.assign(payload.data(), static_cast<std::size_t>(size));
  came.told = parse_control(message);
  came.control_size = message.msg_controllen;
  came.control_cut = (message.msg_flags & MSG_CTRUNC) != 0;
  came.queued_error = parse_queued_error(message);
  for (cmsghdr* entry = CMSG_FIRSTHDR(&message); entry != nullptr; entry = CMSG_NXTHDR(&message, entry)) {
    const bool mark = (entry->cmsg_level == IPPROTO_IPV6 && entry->cmsg_type == IPV6_TCLASS) ||
                      (entry->cmsg_level == IPPROTO_IP && entry->cmsg_type == IP_TOS);
    // An int or a byte; on a big-endian machine an int's first byte is another.
    const std::size_t length = entry->cmsg_len - CMSG_LEN(0);
    if (mark && length >= 1)
      came.traffic_class = CMSG_DATA(entry)[std::endian::native == std::endian::big ? length - 1 : 0];
  }
  return came;
}

address loopback(const char* host, const datagram_socket& socket) {
  return address::parse(std::string{host} + ":0").with_port(socket.local().port());
}

std::string host_of(const address& a) { return a.with_port(0).to_string(); }

unsigned loopback_index() { return ::if_nametoindex("lo"); }

/// Control data made by hand, part by part.
class handmade {
 public:
  template <class Value>
  handmade& add(int level, int type, const Value& value) {
    return add_with_length(CMSG_LEN(sizeof value), level, type, value);
  }
  /// A part that claims another length than it has.
  template <class Value>
  handmade& add_with_length(std::size_t length, int level, int type, const Value& value) {
    cmsghdr header{};
    header.cmsg_len = length;
    header.cmsg_level = level;
    header.cmsg_type = type;
    const std::size_t at = bytes_.size();
    bytes_.resize(at + CMSG_SPACE(sizeof value));
    std::memcpy(bytes_.data() + at, &header, sizeof header);
    std::memcpy(bytes_.data() + at + CMSG_LEN(0), &value, sizeof value);
    return *this;
  }
  /// Without the last bytes.
  handmade& cut(std::size_t bytes) {
    bytes_.resize(bytes_.size() - bytes);
    return *this;
  }

  /// `shift`: so many bytes behind where a buffer would be aligned.
  received_control parsed(std::size_t shift = 0) const { return asked(parse_control, shift); }
  int queued_error() const { return asked(parse_queued_error); }
  std::size_t size() const { return bytes_.size(); }

 private:
  template <class Result>
  Result asked(Result (*parse)(const msghdr&), std::size_t shift = 0) const {
    // Of the exact size, so that a sanitizer sees who reads past it.
    const std::unique_ptr<std::byte[]> exact{new std::byte[shift + bytes_.size()]};
    if (!bytes_.empty()) std::memcpy(exact.get() + shift, bytes_.data(), bytes_.size());
    msghdr message{};
    message.msg_control = exact.get() + shift;
    message.msg_controllen = bytes_.size();
    return parse(message);
  }

  std::vector<std::byte> bytes_;
};

in_pktinfo asked_at(std::uint32_t host, int interface_index = 1) {
  in_pktinfo info{};
  info.ipi_ifindex = interface_index;
  info.ipi_addr.s_addr = htonl(host);
  info.ipi_spec_dst.s_addr = htonl(host);
  return info;
}

constexpr std::uint32_t some_host = 0x7f000002;  // 127.0.0.2

// --- through the kernel ----------------------------------------------------------------------------------------------

TEST(control_message, a_socket_that_asks_for_nothing_is_told_nothing) {
  const auto server = bound();
  const auto client = bound();
  ASSERT_FALSE(client.send_to("x", server.local()));
  const auto came = next_arrival(server);
  ASSERT_TRUE(came);
  EXPECT_EQ(came->control_size, 0u);
  EXPECT_TRUE(came->told.to.is_none());
  EXPECT_TRUE(came->told.source.local.is_none());
  EXPECT_EQ(came->told.interface_index, 0u);
  EXPECT_FALSE(came->told.time);
  EXPECT_EQ(came->told.ecn, ecn::not_ect);
  EXPECT_EQ(came->told.segment_size, 0u);
}

TEST(control_message, the_address_asked_comes_with_an_ipv4_datagram) {
  const auto server = bound({}, "0.0.0.0:0");
  const auto client = bound();
  for (const char* host : {"127.0.0.1", "127.0.0.2", "127.255.0.1"}) {
    ASSERT_FALSE(client.send_to("x", loopback(host, server)));
    const auto came = next_arrival(server);
    ASSERT_TRUE(came);
    EXPECT_EQ(host_of(came->told.to), std::string{host} + ":0");
    EXPECT_EQ(came->told.source.local, came->told.to);
    EXPECT_EQ(came->told.interface_index, loopback_index());
  }
}

TEST(control_message, the_address_asked_comes_with_an_ipv6_datagram) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto server = bound({.v6only = setting::on}, "[::]:0");
  const auto client = bound({}, "[::1]:0");
  ASSERT_FALSE(client.send_to("x", loopback("[::1]", server)));
  const auto came = next_arrival(server);
  ASSERT_TRUE(came);
  EXPECT_EQ(came->told.to, address::parse("[::1]:0"));
  EXPECT_EQ(came->told.source.local, came->told.to);
  EXPECT_EQ(came->told.source.interface_index, 0u);
  EXPECT_EQ(came->told.interface_index, loopback_index());
}

TEST(control_message, a_dual_stack_socket_is_told_of_ipv4_as_plain_ipv4) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto server = bound({}, "[::]:0");
  const auto client = bound();
  ASSERT_FALSE(client.send_to("x", loopback("127.0.0.2", server)));
  const auto came = next_arrival(server);
  ASSERT_TRUE(came);
  EXPECT_EQ(came->told.to, address::parse("127.0.0.2:0"));
  EXPECT_EQ(came->told.source.local, address::parse("127.0.0.2:0"));
  EXPECT_EQ(came->told.interface_index, loopback_index());
}

/// One that this host has on an interface that is up; none if there is none.
address link_local_address() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner{list, ::freeifaddrs};
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET6 || (one->ifa_flags & IFF_UP) == 0) continue;
    const auto found = address::from_sockaddr(one->ifa_addr, sizeof(sockaddr_in6));
    if (found.scope_id() != 0) return found;
  }
  return {};
}

TEST(control_message, a_link_local_address_comes_with_its_scope) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto here = link_local_address();
  if (here.is_none()) GTEST_SKIP() << "no interface that is up has a link-local address";

  const auto server = bound({}, "[::]:0");
  const auto client = datagram_socket::bind(here);
  ASSERT_FALSE(client.send_to("x", here.with_port(server.local().port())));
  const auto came = next_arrival(server);
  ASSERT_TRUE(came);
  EXPECT_EQ(came->told.to, here);
  EXPECT_EQ(came->told.source.local, here);
  EXPECT_EQ(came->told.source.interface_index, here.scope_id());
  // Back to the link-local client, from the link-local address.
  ASSERT_FALSE(server.send_to("y", came->from, {.source = came->told.source}));
  const auto back = next_arrival(client);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->from, here.with_port(server.local().port()));
}

TEST(control_message, an_ipv4_broadcast_is_answered_from_the_interfaces_own_address) {
  const auto client = bound({.broadcast = true});
  for (const char* where : available({"0.0.0.0:0", "[::]:0"})) {
    const auto server = bound({}, where);
    ASSERT_FALSE(client.send_to("x", loopback("127.255.255.255", server)));
    const auto came = next_arrival(server);
    ASSERT_TRUE(came);
    EXPECT_EQ(came->told.to, address::parse("127.255.255.255:0")) << where;
    EXPECT_EQ(came->told.source.local, address::parse("127.0.0.1:0")) << where;
    ASSERT_FALSE(server.send_to("y", came->from, {.source = came->told.source})) << where;
    EXPECT_TRUE(next_arrival(client)) << where;
  }
}

TEST(control_message, an_ipv4_group_is_answered_from_the_interfaces_own_address) {
  const auto group = address::parse("239.255.77.1:0");
  for (const char* where : available({"0.0.0.0:0", "[::]:0"})) {
    const auto server = bound({.join = {{.group = group, .interface = "lo"}}}, where);
    const auto client = bound();
    const send_options through_loopback{.source = {.interface_index = loopback_index()}};
    ASSERT_FALSE(client.send_to("x", group.with_port(server.local().port()), through_loopback));
    const auto came = next_arrival(server);
    ASSERT_TRUE(came);
    EXPECT_EQ(came->told.to, group) << where;
    EXPECT_EQ(came->told.source.local, address::parse("127.0.0.1:0")) << where;
    ASSERT_FALSE(server.send_to("y", came->from, {.source = came->told.source})) << where;
    EXPECT_TRUE(next_arrival(client)) << where;
  }
}

TEST(control_message, an_ipv6_group_is_answered_through_the_interface_it_came_by) {
  const auto group = address::parse("[ff11::77:1]:0");  // interface-local: never leaves this host
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto here = link_local_address();
  if (here.is_none()) GTEST_SKIP() << "no interface that is up has a link-local address";
  std::array<char, IF_NAMESIZE> name{};
  ASSERT_NE(::if_indextoname(here.scope_id(), name.data()), nullptr);
  const auto server = bound({.join = {{.group = group, .interface = name.data()}}}, "[::]:0");
  const auto client = datagram_socket::bind(here);
  const send_options there{.source = {.interface_index = here.scope_id()}};
  if (const auto failed = client.send_to("x", group.with_port(server.local().port()), there)) {
    GTEST_SKIP() << "no IPv6 multicast through " << name.data() << ": " << failed.message();
  }
  const auto came = next_arrival(server);
  ASSERT_TRUE(came);
  EXPECT_TRUE(came->told.to.is_multicast());
  EXPECT_EQ(came->told.to.scope_id(), here.scope_id());
  EXPECT_TRUE(came->told.source.local.is_none());
  EXPECT_EQ(came->told.source.interface_index, here.scope_id());
  ASSERT_FALSE(server.send_to("y", came->from, {.source = came->told.source}));
  EXPECT_TRUE(next_arrival(client));
}

TEST(control_message, ecn_arrives_over_ipv4_ipv6_and_ipv4_on_a_dual_stack_socket) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  struct route {
    const char* server;
    const char* asked;
    const char* client;
  };
  for (const route& way : {route{"127.0.0.1:0", "127.0.0.1", "127.0.0.1:0"}, route{"[::1]:0", "[::1]", "[::1]:0"},
                           route{"[::]:0", "[::1]", "[::]:0"}, route{"[::]:0", "127.0.0.1", "127.0.0.1:0"},
                           route{"127.0.0.1:0", "127.0.0.1", "[::]:0"}}) {
    const auto server = bound({.receive_ecn = true}, way.server);
    const auto client = bound({}, way.client);
    for (const ecn codepoint : {ecn::not_ect, ecn::ect1, ecn::ect0, ecn::ce}) {
      ASSERT_FALSE(client.send_to("x", loopback(way.asked, server), {.ecn = codepoint}));
      const auto came = next_arrival(server);
      ASSERT_TRUE(came);
      EXPECT_EQ(came->told.ecn, codepoint) << way.client << " to " << way.asked;
    }
  }
}

TEST(control_message, ecn_arrives_from_a_connected_ipv6_socket_whose_peer_is_ipv4) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto server = bound({.receive_ecn = true});
  const auto client = datagram_socket::connect(server.local().mapped());
  ASSERT_FALSE(client.send("x", {.ecn = ecn::ce}));
  const auto came = next_arrival(server);
  ASSERT_TRUE(came);
  EXPECT_EQ(came->told.ecn, ecn::ce);

  const auto server6 = bound({.receive_ecn = true}, "[::1]:0");
  const auto client6 = datagram_socket::connect(server6.local());
  ASSERT_FALSE(client6.send("x", {.ecn = ecn::ect0}));
  const auto came6 = next_arrival(server6);
  ASSERT_TRUE(came6);
  EXPECT_EQ(came6->told.ecn, ecn::ect0);
}

TEST(control_message, the_socket_option_tos_gives_the_codepoint_where_a_send_names_none) {
  for (const char* host : available({"127.0.0.1:0", "[::1]:0"})) {
    const auto server = bound({.receive_ecn = true}, host);
    const auto client = bound({.tos = 0xb8 | 2}, host);
    ASSERT_FALSE(client.send_to("x", server.local()));
    const auto came = next_arrival(server);
    ASSERT_TRUE(came);
    EXPECT_EQ(came->told.ecn, ecn::ect0) << host;
  }
}

TEST(control_message, a_codepoint_leaves_the_rest_of_the_traffic_class_as_the_socket_has_it) {
  struct route {
    const char* server;
    const char* client;
  };
  for (const route& way :
       {route{"127.0.0.1:0", "127.0.0.1:0"}, route{"[::1]:0", "[::]:0"}, route{"127.0.0.1:0", "[::]:0"}}) {
    if (!has_ipv6() && *way.client == '[') continue;
    const auto server = bound({.receive_ecn = true}, way.server);
    auto made = bound({.tos = 0xb8}, way.client);
    const datagram_socket client = std::move(made);
    ASSERT_FALSE(client.send_to("x", server.local(), {.ecn = ecn::ect0}));
    const auto came = next_arrival(server);
    ASSERT_TRUE(came);
    EXPECT_EQ(came->traffic_class, 0xb8 | 2) << way.client << " to " << way.server;
  }
}

TEST(control_message, the_receive_time_is_between_before_and_after) {
  for (const char* host : available({"127.0.0.1:0", "[::1]:0"})) {
    const auto server = bound({.receive_time = true}, host);
    const auto client = bound({}, host);
    // Generous: the wall clock may be adjusted meanwhile.
    const auto before = std::chrono::system_clock::now() - 10s;
    ASSERT_FALSE(client.send_to("x", server.local()));
    const auto came = next_arrival(server);
    ASSERT_TRUE(came);
    ASSERT_TRUE(came->told.time);
    EXPECT_GE(*came->told.time, before);
    EXPECT_LE(*came->told.time, std::chrono::system_clock::now() + 10s);
  }
}

TEST(control_message, the_segment_size_of_joined_datagrams_arrives) {
  for (const char* host : available({"127.0.0.1:0", "[::1]:0"})) {
    const auto server = bound({.receive_offload = true}, host);
    const auto client = bound({}, host);
    ASSERT_FALSE(client.send_to(std::string(1050, 'x'), server.local(), {.segment_size = 500}));
    const auto came = next_arrival(server);
    ASSERT_TRUE(came);
    if (came->payload.size() == 500) GTEST_SKIP() << "this kernel does not join datagrams on the loopback interface";
    EXPECT_EQ(came->payload.size(), 1050u) << host;
    EXPECT_EQ(came->told.segment_size, 500u) << host;
  }
}

TEST(control_message, a_datagram_leaves_from_the_source_that_is_built_in) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto server = bound({}, "0.0.0.0:0");
  const auto server6 = bound({}, "[::1]:0");
  struct choice {
    const char* client;
    const datagram_socket& server;
    const char* asked;
    const char* source;
    const char* seen;
  };
  for (const choice& one : {choice{"0.0.0.0:0", server, "127.0.0.1", "127.0.0.3:0", "127.0.0.3:0"},
                            choice{"0.0.0.0:0", server, "127.0.0.1", "[::ffff:127.0.0.4]:9", "127.0.0.4:0"},
                            choice{"[::]:0", server, "127.0.0.1", "127.0.0.5:0", "127.0.0.5:0"},
                            choice{"[::]:0", server, "127.0.0.1", "[::ffff:127.0.0.6]:0", "127.0.0.6:0"},
                            choice{"[::]:0", server6, "[::1]", "[::1]:0", "[::1]:0"}}) {
    const auto client = bound({}, one.client);
    const send_options options{.source = {.local = address::parse(one.source)}};
    ASSERT_FALSE(client.send_to("x", loopback(one.asked, one.server), options)) << one.seen;
    const auto came = next_arrival(one.server);
    ASSERT_TRUE(came);
    EXPECT_EQ(host_of(came->from), one.seen);
    EXPECT_EQ(came->from.port(), client.local().port());
  }
}

TEST(control_message, an_interface_alone_is_a_source_and_leaves_the_bound_address_as_it_is) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto server = bound({}, "[::]:0");
  const send_options through_loopback{.source = {.interface_index = loopback_index()}};
  for (const char* host : available({"127.0.0.9:0", "0.0.0.0:0", "[::]:0", "[::ffff:127.0.0.9]:0"})) {
    const auto client = bound({}, host);
    for (const address& to : {loopback("127.0.0.1", server), loopback("127.0.0.1", server).mapped()}) {
      if (to.is_ipv6() && client.family() != AF_INET6) continue;
      ASSERT_FALSE(client.send_to("x", to, through_loopback)) << host;
      const auto came = next_arrival(server);
      ASSERT_TRUE(came);
      if (!client.local().is_wildcard()) {
        EXPECT_EQ(came->from.unmapped(), client.local().unmapped());
      }
    }
  }
  const auto client = bound({}, "[::1]:0");
  ASSERT_FALSE(client.send_to("x", loopback("[::1]", server), through_loopback));
  const auto came = next_arrival(server);
  ASSERT_TRUE(came);
  EXPECT_EQ(came->from, client.local());
  const auto connected = datagram_socket::connect(loopback("[::ffff:127.0.0.1]", server));
  ASSERT_FALSE(connected.send("x", through_loopback));
  EXPECT_TRUE(next_arrival(server));
}

TEST(control_message, a_source_that_is_not_this_hosts_is_refused) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto server = bound({}, "[::]:0");
  const send_options from_elsewhere{.source = {.local = address::parse("203.0.113.7:0")}};
  for (const char* host : available({"0.0.0.0:0", "[::]:0"})) {
    const auto client = bound({}, host);
    EXPECT_TRUE(client.send_to("x", loopback("127.0.0.1", server), from_elsewhere)) << host;
  }
  EXPECT_FALSE(readable(server.fd()));
}

/// With class, packet info, segment size and time, all of which the kernel sends at once.
const socket_options everything{
    .local_address = setting::on, .receive_time = true, .receive_ecn = true, .receive_offload = true};

TEST(control_message, all_ipv6_control_data_together_is_120_bytes_and_fits) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  static_assert(control_capacity >= 120);
  const auto server = bound(everything, "[::1]:0");
  const auto client = bound({}, "[::1]:0");
  const send_options marked{.segment_size = 400, .ecn = ecn::ce};
  ASSERT_FALSE(client.send_to(std::string(1000, 'x'), server.local(), marked));
  const auto came = next_arrival(server);
  ASSERT_TRUE(came);
  EXPECT_FALSE(came->control_cut);
  EXPECT_EQ(came->told.to, address::parse("[::1]:0"));
  EXPECT_EQ(came->told.ecn, ecn::ce);
  EXPECT_TRUE(came->told.time);
  if (came->payload.size() == 400) GTEST_SKIP() << "this kernel does not join datagrams on the loopback interface";
  EXPECT_EQ(came->control_size, 120u);
  EXPECT_EQ(came->told.segment_size, 400u);
}

TEST(control_message, all_control_data_of_ipv4_on_a_dual_stack_socket_fits) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto server = bound(everything, "[::]:0");
  const auto client = bound();
  const send_options marked{.segment_size = 400, .ecn = ecn::ect1};
  ASSERT_FALSE(client.send_to(std::string(1000, 'x'), loopback("127.0.0.2", server), marked));
  const auto came = next_arrival(server);
  ASSERT_TRUE(came);
  EXPECT_FALSE(came->control_cut);
  EXPECT_EQ(came->told.to, address::parse("127.0.0.2:0"));
  EXPECT_EQ(came->told.ecn, ecn::ect1);
  EXPECT_TRUE(came->told.time);
  EXPECT_LE(came->control_size + CMSG_SPACE(sizeof(int)), control_capacity);
}

TEST(control_message, control_data_that_does_not_fit_is_noticed_and_the_rest_is_read) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto server = bound(everything, "[::1]:0");
  const auto client = bound({}, "[::1]:0");
  const auto fits = CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(timespec));
  for (std::size_t room = 0; room <= fits; ++room) {
    ASSERT_FALSE(client.send_to("x", server.local(), {.ecn = ecn::ce}));
    const auto came = next_arrival(server, room);
    ASSERT_TRUE(came);
    EXPECT_EQ(came->payload, "x");
    // The padding of the last part is not missed.
    if (room < fits - alignof(cmsghdr)) {
      EXPECT_TRUE(came->control_cut) << room;
    }
    EXPECT_TRUE(came->told.to.is_none() || came->told.to == address::parse("[::1]:0")) << room;
    if (room == fits) {
      EXPECT_FALSE(came->control_cut);
      EXPECT_TRUE(came->told.time && came->told.ecn == ecn::ce && !came->told.to.is_none());
    }
  }
}

/// An address where nobody listens any more. Sockets that are made before it have another port for certain.
address dead_peer(const char* host) { return bound({}, host).local(); }

TEST(control_message, the_error_queue_tells_what_went_wrong_and_for_whom) {
  for (const char* host : available({"127.0.0.1:0", "[::1]:0"})) {
    socket_options options = everything;
    options.icmp_errors = true;
    const auto client = bound(options, host);
    const address gone = dead_peer(host);
    ASSERT_FALSE(client.send_to("x", gone));
    const auto report = next_arrival(client, control_capacity, MSG_ERRQUEUE);
    ASSERT_TRUE(report) << host;
    EXPECT_EQ(report->queued_error, ECONNREFUSED) << host;
    EXPECT_EQ(report->from, gone);
    EXPECT_FALSE(report->control_cut) << host;
  }
}

TEST(control_message, the_time_of_transmission_in_the_error_queue_is_no_error) {
  const auto server = bound();
  const auto client = bound();
  const int stamps = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
  ASSERT_EQ(::setsockopt(client.fd(), SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof stamps), 0);
  ASSERT_FALSE(client.send_to("x", server.local()));
  const auto report = next_arrival(client, control_capacity, MSG_ERRQUEUE);
  ASSERT_TRUE(report);
  EXPECT_GT(report->control_size, 0u);
  EXPECT_EQ(report->queued_error, 0);
}

// --- made by hand ----------------------------------------------------------------------------------------------------

TEST(parse_control, no_buffer_or_an_empty_one_tells_nothing) {
  msghdr message{};
  EXPECT_TRUE(parse_control(message).to.is_none());
  EXPECT_EQ(parse_queued_error(message), 0);
  message.msg_controllen = 64;  // and no buffer
  EXPECT_TRUE(parse_control(message).to.is_none());
  EXPECT_EQ(parse_queued_error(message), 0);
  EXPECT_TRUE(handmade{}.parsed().to.is_none());
}

TEST(parse_control, a_buffer_cut_at_any_byte_tells_only_what_is_there_as_a_whole) {
  handmade whole;
  whole.add(IPPROTO_IP, IP_TOS, 3).add(IPPROTO_IP, IP_PKTINFO, asked_at(some_host)).add(IPPROTO_UDP, UDP_GRO, 1200);
  const std::size_t first = CMSG_LEN(sizeof(int));
  const std::size_t second = CMSG_SPACE(sizeof(int)) + CMSG_LEN(sizeof(in_pktinfo));
  const std::size_t third = CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(in_pktinfo)) + CMSG_LEN(sizeof(int));
  for (std::size_t left = 0; left <= whole.size(); ++left) {
    handmade part = whole;
    part.cut(whole.size() - left);
    const auto told = part.parsed();
    EXPECT_EQ(told.ecn, left >= first ? ecn::ce : ecn::not_ect) << left;
    EXPECT_EQ(told.to.is_none(), left < second) << left;
    EXPECT_EQ(told.segment_size, left >= third ? 1200u : 0u) << left;
    EXPECT_EQ(part.queued_error(), 0);
  }
}

TEST(parse_control, lengths_that_cannot_be_end_it) {
  constexpr auto largest = std::numeric_limits<std::size_t>::max();
  for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{15}, std::size_t{1000}, largest / 2 + 1,
                                   largest - 15, largest - 7, largest - 6, largest - 1, largest}) {
    // As the first part, whose length CMSG_FIRSTHDR believes, and after one that is right.
    handmade alone;
    alone.add_with_length(length, IPPROTO_IP, IP_PKTINFO, asked_at(some_host)).add(IPPROTO_UDP, UDP_GRO, 1200);
    EXPECT_TRUE(alone.parsed().to.is_none()) << length;
    EXPECT_EQ(alone.parsed().segment_size, 0u) << length;

    handmade second;
    second.add(IPPROTO_IP, IP_TOS, 1).add_with_length(length, IPPROTO_IP, IP_PKTINFO, asked_at(some_host));
    EXPECT_EQ(second.parsed().ecn, ecn::ect1) << length;
    EXPECT_TRUE(second.parsed().to.is_none()) << length;

    sock_extended_err report{};
    report.ee_errno = ECONNREFUSED;
    EXPECT_EQ(handmade{}.add_with_length(length, IPPROTO_IP, IP_RECVERR, report).queued_error(), 0) << length;
  }
}

TEST(parse_control, a_value_too_short_for_its_kind_is_passed_over) {
  const auto told = handmade{}
                        .add(IPPROTO_IP, IP_PKTINFO, std::uint16_t{7})
                        .add(IPPROTO_IPV6, IPV6_PKTINFO, std::uint64_t{7})
                        .add(SOL_SOCKET, SCM_TIMESTAMPNS, std::uint64_t{7})
                        .add(IPPROTO_UDP, UDP_GRO, std::uint16_t{7})
                        .add(IPPROTO_IP, IP_TOS, std::uint8_t{2})
                        .add_with_length(CMSG_LEN(0), IPPROTO_IPV6, IPV6_TCLASS, std::uint8_t{3})
                        .parsed();
  EXPECT_TRUE(told.to.is_none());
  EXPECT_FALSE(told.time);
  EXPECT_EQ(told.segment_size, 0u);
  EXPECT_EQ(told.ecn, ecn::ect0);  // what is behind them is read
  EXPECT_EQ(handmade{}.add(IPPROTO_IP, IP_RECVERR, std::uint64_t{7}).queued_error(), 0);
}

TEST(parse_control, unknown_levels_and_kinds_are_passed_over) {
  handmade buffer;
  buffer.add(4711, IP_PKTINFO, asked_at(some_host))
      .add(SOL_SOCKET, SCM_CREDENTIALS, 5)
      .add(IPPROTO_IP, 4711, 5)
      .add(IPPROTO_IPV6, 4711, 5)
      .add(IPPROTO_UDP, 4711, 5)
      .add(-1, -1, std::uint8_t{1});
  EXPECT_TRUE(buffer.parsed().to.is_none());
  EXPECT_EQ(buffer.queued_error(), 0);
  buffer.add(IPPROTO_IP, IP_PKTINFO, asked_at(some_host));
  EXPECT_EQ(buffer.parsed().to, address::parse("127.0.0.2:0"));
}

TEST(parse_control, alignment_does_not_matter) {
  handmade buffer;
  buffer.add(IPPROTO_IP, IP_PKTINFO, asked_at(some_host)).add(SOL_SOCKET, SCM_TIMESTAMPNS, timespec{1, 2});
  const auto told = buffer.parsed(1);
  EXPECT_EQ(told.to, address::parse("127.0.0.2:0"));
  ASSERT_TRUE(told.time);
  EXPECT_EQ(told.time->time_since_epoch(), 1'000'000'002ns);
}

TEST(parse_control, the_codepoint_is_the_low_two_bits_as_byte_or_int) {
  for (int tos = 0; tos < 256; ++tos) {
    const auto expected = static_cast<ecn>(tos & 3);
    EXPECT_EQ(handmade{}.add(IPPROTO_IP, IP_TOS, static_cast<std::uint8_t>(tos)).parsed().ecn, expected);
    EXPECT_EQ(handmade{}.add(IPPROTO_IP, IP_TOS, tos).parsed().ecn, expected);
    EXPECT_EQ(handmade{}.add(IPPROTO_IPV6, IPV6_TCLASS, tos).parsed().ecn, expected);
  }
}

TEST(parse_control, a_segment_size_that_is_not_positive_is_none) {
  for (const int size : {0, -1, std::numeric_limits<int>::min()}) {
    EXPECT_EQ(handmade{}.add(IPPROTO_UDP, UDP_GRO, size).parsed().segment_size, 0u);
  }
  EXPECT_EQ(handmade{}.add(IPPROTO_UDP, UDP_GRO, 65'507).parsed().segment_size, 65'507u);
}

TEST(parse_control, absurd_times_do_no_harm) {
  using limits = std::numeric_limits<std::int64_t>;
  for (const std::int64_t seconds : {limits::min(), limits::max(), std::int64_t{-1}, std::int64_t{0}}) {
    for (const std::int64_t nanoseconds : {limits::min(), limits::max(), std::int64_t{-1}}) {
      const timespec at{static_cast<time_t>(seconds), static_cast<long>(nanoseconds)};
      EXPECT_TRUE(handmade{}.add(SOL_SOCKET, SCM_TIMESTAMPNS, at).parsed().time);
    }
  }
}

TEST(parse_control, nothing_of_the_message_before_is_told_again) {
  handmade full;
  full.add(IPPROTO_IP, IP_PKTINFO, asked_at(some_host, 7)).add(IPPROTO_IP, IP_TOS, std::uint8_t{3});
  full.add(SOL_SOCKET, SCM_TIMESTAMPNS, timespec{1, 2}).add(IPPROTO_UDP, UDP_GRO, 1200);
  received_control told = full.parsed();
  ASSERT_TRUE(told.time && told.segment_size == 1200 && !told.to.is_none() && !told.source.local.is_none());
  told.source.interface_index = 7;
  udppump::detail::parse_control(msghdr{}, received_by::this_process, told);
  EXPECT_TRUE(told.to.is_none());
  EXPECT_TRUE(told.source.local.is_none());
  EXPECT_EQ(told.source.interface_index, 0u);
  EXPECT_EQ(told.interface_index, 0u);
  EXPECT_FALSE(told.time);
  EXPECT_EQ(told.ecn, ecn::not_ect);
  EXPECT_EQ(told.segment_size, 0u);
}

TEST(parse_control, an_ipv4_group_asked_on_a_dual_stack_socket_is_answered_from_an_address_and_no_interface) {
  in6_pktinfo by_ipv6{};
  by_ipv6.ipi6_ifindex = 5;
  by_ipv6.ipi6_addr = reinterpret_cast<const sockaddr_in6*>(address::parse("[::ffff:239.1.2.3]:0").data())->sin6_addr;
  in_pktinfo by_ipv4 = asked_at(0xef010203, 5);  // 239.1.2.3
  by_ipv4.ipi_spec_dst.s_addr = htonl(some_host);
  const auto told = handmade{}.add(IPPROTO_IPV6, IPV6_PKTINFO, by_ipv6).add(IPPROTO_IP, IP_PKTINFO, by_ipv4).parsed();
  EXPECT_EQ(told.to, address::parse("239.1.2.3:0"));
  EXPECT_EQ(told.source.local, address::parse("127.0.0.2:0"));
  EXPECT_EQ(told.source.interface_index, 0u);
}

TEST(parse_control, a_group_asked_by_ipv6_is_no_source) {
  in6_pktinfo info{};
  info.ipi6_ifindex = 5;
  const auto group = address::parse("[ff05::1]:0");
  info.ipi6_addr = reinterpret_cast<const sockaddr_in6*>(group.data())->sin6_addr;
  const auto told = handmade{}.add(IPPROTO_IPV6, IPV6_PKTINFO, info).parsed();
  EXPECT_EQ(told.to, group);
  EXPECT_TRUE(told.source.local.is_none());
  EXPECT_EQ(told.source.interface_index, 5u);
  EXPECT_EQ(told.interface_index, 5u);
}

TEST(parse_queued_error, the_first_report_counts) {
  sock_extended_err refused{};
  refused.ee_errno = ECONNREFUSED;
  refused.ee_origin = SO_EE_ORIGIN_ICMP;
  sock_extended_err unreachable{};
  unreachable.ee_errno = EHOSTUNREACH;
  unreachable.ee_origin = SO_EE_ORIGIN_ICMP6;
  EXPECT_EQ(handmade{}.add(IPPROTO_IP, IP_RECVERR, refused).queued_error(), ECONNREFUSED);
  EXPECT_EQ(handmade{}.add(IPPROTO_IPV6, IPV6_RECVERR, unreachable).queued_error(), EHOSTUNREACH);
  EXPECT_EQ(handmade{}
                .add(IPPROTO_IP, IP_TOS, 1)
                .add(IPPROTO_IP, IP_RECVERR, refused)
                .add(IPPROTO_IPV6, IPV6_RECVERR, unreachable)
                .queued_error(),
            ECONNREFUSED);
}

TEST(control_builder, nothing_built_attaches_nothing) {
  control_builder builder;
  builder.add_source({}, AF_INET);
  builder.add_source({.local = address::parse("127.0.0.1:0")}, AF_UNIX);
  msghdr message{};
  builder.attach(message);
  EXPECT_EQ(message.msg_control, nullptr);
  EXPECT_EQ(message.msg_controllen, 0u);
}

TEST(control_builder, a_source_is_an_address_and_an_interface_for_both_protocols) {
  const udppump::send_source source{.local = address::parse("127.0.0.2:0"), .interface_index = 7};
  for (const int family : {AF_INET, AF_INET6}) {
    control_builder builder;
    builder.add_source(source, family);
    msghdr message{};
    builder.attach(message);
    const auto told = parse_control(message);
    EXPECT_EQ(told.interface_index, 7u) << family;
    EXPECT_EQ(told.source.local, source.local) << family;
  }
}

TEST(control_builder, nothing_of_what_was_in_memory_before_goes_along) {
  alignas(control_builder) std::array<std::byte, sizeof(control_builder)> memory;
  for (volatile std::byte& each : memory) each = std::byte{0xa5};
  auto& builder = *new (memory.data()) control_builder;  // which leaves its room for control data as it is
  builder.add_traffic_class(3, AF_INET);
  builder.add_segment_size(1200);
  msghdr message{};
  builder.attach(message);
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    const auto* const begin = reinterpret_cast<const std::byte*>(part);
    const std::size_t size = CMSG_SPACE(part->cmsg_len - CMSG_LEN(0));
    for (std::size_t at = part->cmsg_len; at < size; ++at) EXPECT_EQ(begin[at], std::byte{0}) << at;
  }
}

TEST(control_builder, what_it_builds_walks_as_the_kernel_walks_it) {
  control_builder builder;
  builder.add_source({.local = address::parse("[::1]:0"), .interface_index = 7}, AF_INET6);
  builder.add_traffic_class(3, AF_INET);
  builder.add_traffic_class(2, AF_INET6);
  builder.add_segment_size(1200);
  msghdr message{};
  builder.attach(message);
  std::vector<std::pair<int, int>> kinds;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    kinds.emplace_back(part->cmsg_level, part->cmsg_type);
  }
  const std::vector<std::pair<int, int>> expected{
      {IPPROTO_IPV6, IPV6_PKTINFO}, {IPPROTO_IP, IP_TOS}, {IPPROTO_IPV6, IPV6_TCLASS}, {IPPROTO_UDP, UDP_SEGMENT}};
  EXPECT_EQ(kinds, expected);
  EXPECT_EQ(parse_control(message).to, address::parse("[::1]:0"));
}

}  // namespace

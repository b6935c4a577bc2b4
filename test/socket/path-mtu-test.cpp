// socket_options::path_mtu, over a router whose next link takes less than the server's.
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <system_error>
#include <udppump/datagram_socket.hpp>

#include "support/network.hpp"
#include "support/socket_setup.hpp"
#include "support/sockets.hpp"

namespace {

using namespace std::chrono_literals;
using udppump::address;
using udppump::datagram_socket;
using udppump::path_mtu_discovery;

TEST(path_mtu, is_set_for_both_protocols_as_the_kernel_names_it) {
  const std::pair<path_mtu_discovery, int> choices[] = {
      {path_mtu_discovery::omit, IP_PMTUDISC_OMIT}, {path_mtu_discovery::interface, IP_PMTUDISC_INTERFACE},
      {path_mtu_discovery::dont, IP_PMTUDISC_DONT}, {path_mtu_discovery::want, IP_PMTUDISC_WANT},
      {path_mtu_discovery::always, IP_PMTUDISC_DO}, {path_mtu_discovery::probe, IP_PMTUDISC_PROBE},
  };
  for (const auto& [choice, value] : choices) {
    EXPECT_EQ(option_of(bound({.path_mtu = choice}), IPPROTO_IP, IP_MTU_DISCOVER), value);
    if (!has_ipv6()) continue;
    const auto dual = bound({.path_mtu = choice}, "[::]:0");
    const bool still_learns = choice == path_mtu_discovery::omit;  // routers do not cut IPv6
    EXPECT_EQ(option_of(dual, IPPROTO_IPV6, IPV6_MTU_DISCOVER), still_learns ? IPV6_PMTUDISC_WANT : value);
    EXPECT_EQ(option_of(dual, IPPROTO_IP, IP_MTU_DISCOVER), value) << "for the IPv4 that it speaks";
  }
}

TEST(path_mtu, is_the_kernels_choice_unless_asked_for) {
  const descriptor untouched{udp_descriptor()};
  EXPECT_EQ(option_of(bound(), IPPROTO_IP, IP_MTU_DISCOVER), option_of(untouched.fd(), IPPROTO_IP, IP_MTU_DISCOVER));
}

/// server (MTU 1500) - router - client (MTU 1400).
struct narrow_path {
  network server, router, client;

  narrow_path() {
    lay(server, "s", "1", 1500);
    lay(client, "c", "2", 1400);
    for (const char* to : {"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"}) {
      ok = ok && router.run(std::string{"echo 1 > "} + to);
    }
  }
  /// A link between the router, which is .1, and `end`, which is .2 of it.
  void lay(const network& end, const std::string& name, const std::string& number, int mtu) {
    const auto size = std::to_string(mtu);
    ok = ok && router.run("ip link add " + name + "r mtu " + size + " type veth peer name " + name + " mtu " + size +
                          " netns " + end.path() + " && ip addr add 10.9." + number + ".1/24 dev " + name +
                          "r && ip -6 addr add fd09:" + number + "::1/64 dev " + name + "r nodad; ip link set " + name +
                          "r up");
    ok =
        ok && end.run("ip addr add 10.9." + number + ".2/24 dev " + name + " && ip -6 addr add fd09:" + number +
                      "::2/64 dev " + name + " nodad && ip link set " + name + " up && ip route add default via 10.9." +
                      number + ".1 && ip -6 route add default via fd09:" + number + "::1");
  }
  bool ok = true;
};

/// What becomes of the first and the second datagram of some size.
struct outcome {
  std::string first, second;
  bool operator==(const outcome&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const outcome& it) {
    return out << it.first << ", then " << it.second;
  }
};

class path_mtu_over_a_router : public testing::Test {
 protected:
  void SetUp() override {
    try {
      path = std::make_unique<narrow_path>();
    } catch (const std::system_error& refused) {
      GTEST_SKIP() << refused.what();
    }
    ASSERT_TRUE(path->ok) << "the network could not be made";
  }

  /// Of a server that answers so. Each has a socket of its own, and the kernel has forgotten what it learnt before.
  outcome send_twice(path_mtu_discovery choice, std::size_t size, bool ipv6) const {
    EXPECT_TRUE(path->server.run("ip route flush cache; ip -6 route flush cache"));
    outcome result;
    std::optional<datagram_socket> server, client;
    path->client.inside([&] { client = bound({}, ipv6 ? "[fd09:2::2]:0" : "10.9.2.2:0"); });
    path->server.inside(
        [&] { server = bound({.icmp_errors = true, .path_mtu = choice}, ipv6 ? "[fd09:1::2]:0" : "10.9.1.2:0"); });
    // The way carries, however long the kernel takes to find its neighbours.
    EXPECT_TRUE(eventually([&] { return !server->send_to("x", client->local()) && received(*client, 50ms); }));
    for (std::string* each : {&result.first, &result.second}) {
      const auto refused = server->send_to(std::string(size, 'x'), client->local());
      if (refused) {
        *each = refused == std::errc::message_size ? "EMSGSIZE" : refused.message();
        continue;
      }
      std::byte space[70'000];
      const auto deadline = std::chrono::steady_clock::now() + patience;
      while (each->empty() && std::chrono::steady_clock::now() < deadline) {
        const auto came = client->receive(space, 20ms);
        if (came && came.real_size != 1) *each = came.real_size == size ? "arrives" : "is cut";
        // The router says why it dropped a packet: it is lost.
        const auto told = server->receive(space);
        if (told.error == std::errc::message_size) *each = told.from == client->local() ? "told" : "told of another";
        if (told.error == std::errc::resource_unavailable_try_again) continue;
      }
    }
    return result;
  }

  std::unique_ptr<narrow_path> path;
};

TEST_F(path_mtu_over_a_router, decides_what_becomes_of_a_large_ipv4_datagram) {
  constexpr std::size_t fits_the_interface = 1450, fits_nothing = 3000;
  const outcome all{"arrives", "arrives"}, learns{"told", "arrives"};
  EXPECT_EQ(send_twice(path_mtu_discovery::omit, fits_the_interface, false), all);
  EXPECT_EQ(send_twice(path_mtu_discovery::omit, fits_nothing, false), all);
  EXPECT_EQ(send_twice(path_mtu_discovery::dont, fits_the_interface, false), all);
  EXPECT_EQ(send_twice(path_mtu_discovery::want, fits_the_interface, false), learns);
  EXPECT_EQ(send_twice(path_mtu_discovery::want, fits_nothing, false), all);
  EXPECT_EQ(send_twice(path_mtu_discovery::kernel_default, fits_the_interface, false), learns);
  EXPECT_EQ(send_twice(path_mtu_discovery::always, fits_the_interface, false), (outcome{"told", "EMSGSIZE"}));
  EXPECT_EQ(send_twice(path_mtu_discovery::always, fits_nothing, false), (outcome{"EMSGSIZE", "EMSGSIZE"}));
  EXPECT_EQ(send_twice(path_mtu_discovery::probe, fits_the_interface, false), (outcome{"told", "told"}));
  EXPECT_EQ(send_twice(path_mtu_discovery::interface, fits_the_interface, false), all);
  EXPECT_EQ(send_twice(path_mtu_discovery::interface, fits_nothing, false), (outcome{"EMSGSIZE", "EMSGSIZE"}));
}

TEST_F(path_mtu_over_a_router, decides_what_becomes_of_a_large_ipv6_datagram) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  constexpr std::size_t fits_the_interface = 1430, fits_nothing = 3000;
  const outcome all{"arrives", "arrives"}, learns{"told", "arrives"};
  EXPECT_EQ(send_twice(path_mtu_discovery::omit, fits_the_interface, true), learns);
  EXPECT_EQ(send_twice(path_mtu_discovery::omit, fits_nothing, true), all);
  EXPECT_EQ(send_twice(path_mtu_discovery::want, fits_the_interface, true), learns);
  EXPECT_EQ(send_twice(path_mtu_discovery::want, fits_nothing, true), learns);
  EXPECT_EQ(send_twice(path_mtu_discovery::kernel_default, fits_the_interface, true), learns);
  EXPECT_EQ(send_twice(path_mtu_discovery::always, fits_the_interface, true), (outcome{"told", "EMSGSIZE"}));
  EXPECT_EQ(send_twice(path_mtu_discovery::always, fits_nothing, true), (outcome{"EMSGSIZE", "EMSGSIZE"}));
  EXPECT_EQ(send_twice(path_mtu_discovery::interface, fits_nothing, true), (outcome{"EMSGSIZE", "EMSGSIZE"}));
}

}  // namespace

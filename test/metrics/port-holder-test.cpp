// Who listens where Prometheus is to be told, of real listeners.

#include "metrics/port_holder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/sockets.hpp"
#include "udppump/descriptor.hpp"

namespace {

using namespace udppump;
using metrics::port_holder;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

enum class ipv6_only : int { no, yes };

/// A TCP socket that listens there; nothing if it cannot.
detail::descriptor listener(const address& where, ipv6_only only = ipv6_only::yes) {
  detail::descriptor one{::socket(where.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const int value = static_cast<int>(only);
  if (where.is_ipv6()) ::setsockopt(one.fd(), IPPROTO_IPV6, IPV6_V6ONLY, &value, sizeof value);
  if (::bind(one.fd(), where.data(), where.size()) != 0 || ::listen(one.fd(), 1) != 0) return {};
  return one;
}

std::uint16_t port_of(const detail::descriptor& one) {
  sockaddr_storage raw{};
  socklen_t size = sizeof raw;
  ::getsockname(one.fd(), reinterpret_cast<sockaddr*>(&raw), &size);
  return address::from_sockaddr(reinterpret_cast<const sockaddr*>(&raw), size).port();
}

std::string inode_of(const detail::descriptor& one) {
  struct stat found {};
  ::fstat(one.fd(), &found);
  return "(inode " + std::to_string(found.st_ino) + ")";
}

/// Listeners at several hosts of one port.
struct listeners {
  std::vector<detail::descriptor> all;
  std::uint16_t port = 0;

  explicit listeners(const std::vector<const char*>& hosts, ipv6_only only = ipv6_only::yes) {
    for (int tries = 0; tries < 100 && all.size() < hosts.size(); ++tries) {
      all.clear();
      port = 0;
      for (const char* const host : hosts) {
        auto one = listener(address::parse(std::string{host} + ":0").with_port(port), only);
        if (!one) break;  // somebody has the port there
        port = port_of(one);
        all.push_back(std::move(one));
      }
    }
    if (all.size() < hosts.size()) throw std::runtime_error{"no port is free at all of them"};
  }
  std::string told_at(const char* host) const {
    return port_holder(address::parse(std::string{host} + ":0").with_port(port));
  }
};

TEST(port_holder, names_the_process_that_listens) {
  const listeners here{{"127.0.0.1"}};
  const std::string who = "(pid " + std::to_string(::getpid()) + ")";
  const std::string user = " of user " + std::to_string(::getuid()) + " ";
  EXPECT_THAT(here.told_at("127.0.0.1"), AllOf(HasSubstr(who), HasSubstr(user + inode_of(here.all[0]))));
  EXPECT_THAT(here.told_at("0.0.0.0"), HasSubstr(inode_of(here.all[0])));
  EXPECT_EQ(here.told_at("127.0.0.2"), "");
}

TEST(port_holder, is_not_who_only_speaks_with_a_client_from_there) {
  const listeners here{{"127.0.0.1"}};
  const auto where = address::parse("127.0.0.1:0").with_port(here.port);
  const detail::descriptor client{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  ASSERT_EQ(::connect(client.fd(), where.data(), where.size()), 0);
  const detail::descriptor accepted{::accept4(here.all[0].fd(), nullptr, nullptr, SOCK_CLOEXEC)};
  ASSERT_TRUE(accepted);
  EXPECT_THAT(port_holder(where), AllOf(HasSubstr(inode_of(here.all[0])), Not(HasSubstr(inode_of(accepted)))));
}

TEST(port_holder, of_an_address_of_ipv6_is_not_who_has_all_of_ipv4) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const listeners both{{"0.0.0.0", "[::1]"}};
  EXPECT_THAT(both.told_at("[::1]"), AllOf(HasSubstr(inode_of(both.all[1])), Not(HasSubstr(inode_of(both.all[0])))));
  EXPECT_THAT(both.told_at("127.0.0.1"),
              AllOf(HasSubstr(inode_of(both.all[0])), Not(HasSubstr(inode_of(both.all[1])))));
  const listeners ipv4{{"0.0.0.0"}};
  EXPECT_EQ(ipv4.told_at("[::1]"), "");
  EXPECT_THAT(ipv4.told_at("[::]"), HasSubstr(inode_of(ipv4.all[0])));
  const listeners one{{"[::1]"}};
  EXPECT_EQ(one.told_at("127.0.0.1"), "");
  EXPECT_EQ(one.told_at("0.0.0.0"), "");
}

TEST(port_holder, of_an_address_of_ipv4_may_be_who_has_all_of_ipv6) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const listeners all{{"[::]"}, ipv6_only::no};
  EXPECT_THAT(all.told_at("127.0.0.1"), HasSubstr(inode_of(all.all[0])));
  EXPECT_THAT(all.told_at("[::1]"), HasSubstr(inode_of(all.all[0])));
  const listeners both{{"[::]", "0.0.0.0"}};
  EXPECT_THAT(both.told_at("127.0.0.1"), AllOf(HasSubstr(inode_of(both.all[1])), Not(HasSubstr(inode_of(both.all[0])))))
      << "two that go together, so the one of IPv6 takes no IPv4";
}

TEST(port_holder, of_ipv4_is_also_who_listens_there_with_a_socket_of_ipv6) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const listeners mapped{{"[::ffff:127.0.0.1]"}, ipv6_only::no};
  for (const char* host : {"127.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]"}) {
    EXPECT_THAT(mapped.told_at(host), HasSubstr(inode_of(mapped.all[0]))) << host;
  }
  EXPECT_EQ(mapped.told_at("[::1]"), "");
}

TEST(port_holder, names_all_who_may_be_in_the_way_three_at_most) {
  const listeners two{{"127.0.0.1", "127.0.0.2"}};
  EXPECT_THAT(two.told_at("0.0.0.0"),
              AllOf(HasSubstr(inode_of(two.all[0])), HasSubstr(inode_of(two.all[1])), HasSubstr(") or ")));
  const listeners five{{"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"}};
  const std::string told = five.told_at("0.0.0.0");
  EXPECT_THAT(told, HasSubstr(") or 2 more"));
  EXPECT_EQ(std::ranges::count_if(five.all, [&](const auto& one) { return told.find(inode_of(one)) != told.npos; }), 3);
}

}  // namespace

#include "udppump/address.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <system_error>
#include <unordered_set>
#include <vector>

#include "address/raw_address.hpp"
#include "support/fault.hpp"

namespace {

using namespace std::string_literals;
using udppump::address;
using udppump::detail::raw_address;

/// Closes its descriptor.
class descriptor {
 public:
  explicit descriptor(int fd) : fd_{fd} {}
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

/// A folder that is gone, with one socket in it, at the end.
class folder {
 public:
  folder() : path_{testing::TempDir() + "address-XXXXXX"} {
    if (mkdtemp(path_.data()) == nullptr) throw std::system_error{errno, std::generic_category(), "mkdtemp " + path_};
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  ~folder() {
    unlink(inside().c_str());
    rmdir(path_.c_str());
  }
  std::string inside() const { return path_ + "/x.sock"; }

 private:
  std::string path_;
};

address local_of(int fd) {
  address a;
  socklen_t size = address::capacity;
  if (getsockname(fd, raw_address::buffer(a), &size) != 0)
    throw std::system_error{errno, std::generic_category(), "getsockname"};
  raw_address::resize(a, size);
  return a;
}

/// What the kernel says of a new socket bound to `a`; none if it refuses, with errno set.
address bound_to(const address& a) {
  const descriptor socket{::socket(a.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (socket.fd() < 0 || bind(socket.fd(), a.data(), a.size()) != 0) return {};
  return local_of(socket.fd());
}

template <typename Raw>
address made_of(const Raw& raw, std::size_t size = sizeof(Raw)) {
  return address::from_sockaddr(reinterpret_cast<const sockaddr*>(&raw), static_cast<socklen_t>(size));
}

/// As the kernel writes one: `name` begins at sun_path, and only that is counted in the size.
address unix_address(const std::string& name) {
  sockaddr_storage raw{};
  raw.ss_family = AF_UNIX;
  std::memcpy(reinterpret_cast<char*>(&raw) + offsetof(sockaddr_un, sun_path), name.data(), name.size());
  return made_of(raw, offsetof(sockaddr_un, sun_path) + name.size());
}

/// The message parse() throws; fails the test where it throws none.
std::string mistake_in(const std::string& text, std::errc expected = std::errc::invalid_argument) {
  try {
    ADD_FAILURE() << text << " was read as " << address::parse(text);
    return {};
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::make_error_code(expected)) << text;
    return error.what();
  }
}

void expect_same(const address& a, const address& b) {
  EXPECT_EQ(a, b);
  EXPECT_EQ(a.hash(), b.hash()) << a;
  EXPECT_FALSE(a < b || a > b) << a;
}

/// One of each kind, in the order that <=> promises for families; no two the same.
std::vector<address> one_of_each() {
  std::vector<address> all{address{}, unix_address(""), unix_address(std::string(1, '\0'))};
  for (const auto* text :
       {"unix:/run/x.sock", "unix:/run/x.sock2", "unix:x", "unix:@x", "unix:@x\\x00", "unix:\\x40x", "0.0.0.0:0",
        "192.0.2.1:53", "192.0.2.1:54", "192.0.2.2:53", "224.0.0.1:53", "[::]:0", "[::1]:53", "[::1]:54",
        "[::ffff:192.0.2.1]:53", "[fe80::1]:53", "[fe80::1%7]:53", "[fe80::1%lo]:53", "[ff02::1%lo]:53"}) {
    all.push_back(address::parse(text));
  }
  sockaddr_nl netlink{};
  netlink.nl_family = AF_NETLINK;
  netlink.nl_pid = 4711;
  all.push_back(made_of(netlink));
  sockaddr_ll packet{};
  packet.sll_family = AF_PACKET;
  packet.sll_ifindex = 1;
  all.push_back(made_of(packet));
  return all;
}

// --- parsing and printing --------------------------------------------------------------------------------------------

TEST(address, canonical_forms_print_back_the_same) {
  for (const auto* text : {"192.0.2.1:53",
                           "0.0.0.0:0",
                           "255.255.255.255:65535",
                           "127.0.0.1:1",
                           "[::]:0",
                           "[::1]:53",
                           "[2001:db8::1]:53",
                           "[2001:db8:1:2:3:4:5:6]:53",
                           "[2001:db8:0:1:1:1:1:1]:53",
                           "[2001:0:0:1::1]:53",
                           "[::ffff:192.0.2.1]:53",
                           "[fe80::1]:53",
                           "[fe80::1%lo]:53",
                           "[ff02::1%lo]:53",
                           "[ff01::1%lo]:53",
                           "unix:/run/x.sock",
                           "unix:x",
                           "unix:./with space and : colon",
                           "unix:@name",
                           "unix:@",
                           "unix:@@",
                           "unix:@a/b",
                           "unix:\\x40name",
                           "unix:@\\x00\\x01\\xff",
                           "unix:/tmp/line\\x0abreak",
                           "unix:/tmp/back\\x5cslash",
                           "unix:unix:x"}) {
    SCOPED_TRACE(text);
    const auto a = address::parse(text);
    EXPECT_EQ(a.to_string(), text);
    const auto numeric = address::parse_numeric(text);
    ASSERT_TRUE(numeric);
    expect_same(*numeric, a);
    EXPECT_EQ(address::resolve(text), std::vector{a});
  }
}

TEST(address, other_spellings_print_in_the_canonical_form) {
  const std::map<std::string, std::string> canonical{
      {":53", "[::]:53"},
      {":0", "[::]:0"},
      {"[2001:DB8:0:0:0:0:0:1]:53", "[2001:db8::1]:53"},
      {"[2001:0db8::0001]:53", "[2001:db8::1]:53"},
      {"[::FFFF:c000:0201]:53", "[::ffff:192.0.2.1]:53"},
      {"[fe80::1%1]:53", "[fe80::1%lo]:53"},
      {"[fe80::1%0]:53", "[fe80::1]:53"},
      {"unix:\\x2frun\\x2Fx.sock", "unix:/run/x.sock"},
      {"unix:@\\x6eame", "unix:@name"},
      {"unix:/tmp/\n", "unix:/tmp/\\x0a"},
      {"unix:/tmp/\xc3\xbc", "unix:/tmp/\\xc3\\xbc"},
  };
  for (const auto& [text, printed] : canonical) {
    SCOPED_TRACE(text);
    const auto a = address::parse(text);
    EXPECT_EQ(a.to_string(), printed);
    expect_same(address::parse(printed), a);
  }
}

TEST(address, printed_only_forms) {
  EXPECT_EQ(address{}.to_string(), "none");
  EXPECT_EQ(unix_address("").to_string(), "unix:");
  sockaddr_nl netlink{};
  netlink.nl_family = AF_NETLINK;
  netlink.nl_pid = 4294967295;
  EXPECT_EQ(made_of(netlink).to_string(), "netlink:4294967295");
  sockaddr_ll packet{};
  packet.sll_family = AF_PACKET;
  EXPECT_EQ(made_of(packet).to_string(), "family 17");
}

TEST(address, a_stream_takes_what_to_string_gives) {
  std::ostringstream out;
  out << address::parse("[fe80::1%lo]:53") << ' ' << address{};
  EXPECT_EQ(out.str(), "[fe80::1%lo]:53 none");
}

TEST(address, a_mistake_is_quoted_and_explained_with_its_cure) {
  const std::string any = "write HOST:PORT, [IPV6]:PORT, :PORT, unix:PATH or unix:@NAME";
  const std::string port = "write a number from 0 to 65535";
  const std::string ipv4 = "write four numbers from 0 to 255";
  const std::string ipv6 = "write one as in [2001:db8::1]:53";
  struct row {
    std::string text, cause, cure;
  };
  const std::vector<row> table{
      {"", "empty", any},
      {"10.0.0.1", "no port", any},
      {"localhost", "no port", any},
      {"none", "no port", any},
      {"10.0.0.1:", "wrong port", port},
      {"10.0.0.1:x", "wrong port", port},
      {"10.0.0.1:domain", "wrong port", port},
      {"10.0.0.1:65536", "wrong port", port},
      {"10.0.0.1:99999999999999999999", "wrong port", port},
      {"10.0.0.1:-1", "wrong port", port},
      {"10.0.0.1:+1", "wrong port", port},
      {"10.0.0.1: 1", "wrong port", port},
      {"10.0.0.1:1 ", "wrong port", port},
      {"10.0.0.1:0x35", "wrong port", port},
      {"10.0.0.1:053", "wrong port", port},
      {":", "wrong port", port},
      {"[::1]:", "wrong port", port},
      {"[::1]:65536", "wrong port", port},
      {"[::1]", "no port after ']'", "write [IPV6]:PORT"},
      {"[::1]53", "no port after ']'", "write [IPV6]:PORT"},
      {"[::1:53", "no ']'", "write [IPV6]:PORT"},
      {"[", "no ']'", "write [IPV6]:PORT"},
      {"::1", "IPv6 without brackets", "write [IPV6]:PORT"},
      {"::", "IPv6 without brackets", "write [IPV6]:PORT"},
      {"::1:5000", "IPv6 without brackets", "write [IPV6]:PORT"},
      {"2001:db8:1:2:3:4:5:6:53", "IPv6 without brackets", "write [IPV6]:PORT"},
      {"fe80::1%lo:53", "IPv6 without brackets", "write [IPV6]:PORT"},
      {"fe80::1%lo", "IPv6 without brackets", "write [IPV6]:PORT"},
      {"::ffff:192.0.2.1", "IPv6 without brackets", "write [IPV6]:PORT"},
      {"udp://example.com:53", "more than one ':'", any},
      {"[]:53", "no IPv6 address in the brackets", ipv6},
      {"[192.0.2.1]:53", "no IPv6 address in the brackets", ipv6},
      {"[localhost]:53", "no IPv6 address in the brackets", ipv6},
      {"[::1::]:53", "no IPv6 address in the brackets", ipv6},
      {"[12345::]:53", "no IPv6 address in the brackets", ipv6},
      {"[ ::1]:53", "no IPv6 address in the brackets", ipv6},
      {"[%lo]:53", "no IPv6 address in the brackets", ipv6},
      {"[" + std::string(1000, '1') + "]:53", "no IPv6 address in the brackets", ipv6},
      {"[fe80::1%]:53", "no such interface", "\"ip link\""},
      {"[fe80::1%nosuch0]:53", "no such interface", "\"ip link\""},
      {"[fe80::1%a-name-of-more-than-15-bytes]:53", "no such interface", "\"ip link\""},
      {"[fe80::1%4294967296]:53", "no such interface", "\"ip link\""},
      {"[fe80::1%01]:53", "no such interface", "\"ip link\""},
      {"[::1%lo]:53", "only a link-local address has a scope", "leave out '%'"},
      {"[2001:db8::1%1]:53", "only a link-local address has a scope", "leave out '%'"},
      {"256.0.0.1:53", "wrong IPv4 address", ipv4},
      {"10.1:53", "wrong IPv4 address", ipv4},
      {"010.0.0.1:53", "wrong IPv4 address", ipv4},
      {"1.2.3.4.5:53", "wrong IPv4 address", ipv4},
      {"0x7f.0.0.0x1:53", "wrong IPv4 address", ipv4},
      {"53:53", "wrong IPv4 address", ipv4},
      {"unix:", "no path or name", "write unix:PATH or unix:@NAME"},
      {"unix:" + std::string(108, 'x'), "longer than 107 bytes", "choose a shorter one"},
      {"unix:@" + std::string(108, 'x'), "longer than 107 bytes", "choose a shorter one"},
      {"unix:/tmp/a\\x00b", "a path holds no zero byte", "write unix:@NAME"},
      {"unix:\\x00name", "a path holds no zero byte", "write unix:@NAME"},
      {"unix:/tmp/a\\b", "a backslash without two hexadecimal digits", "write \\x5c"},
      {"unix:/tmp/\\", "a backslash without two hexadecimal digits", "write \\x5c"},
      {"unix:/tmp/\\x", "a backslash without two hexadecimal digits", "write \\x5c"},
      {"unix:/tmp/\\x5", "a backslash without two hexadecimal digits", "write \\x5c"},
      {"unix:/tmp/\\x5g", "a backslash without two hexadecimal digits", "write \\x5c"},
      {"unix:/tmp/\\x-5", "a backslash without two hexadecimal digits", "write \\x5c"},
      {"unix:/tmp/\\X5c", "a backslash without two hexadecimal digits", "write \\x5c"},
  };
  for (const auto& [text, cause, cure] : table) {
    SCOPED_TRACE(text);
    EXPECT_EQ(address::parse_numeric(text), std::nullopt);
    const auto message = mistake_in(text);
    EXPECT_EQ(message.find("address \"" + text + "\": "), 0) << message;
    EXPECT_NE(message.find("\": " + cause), message.npos) << message;
    EXPECT_NE(message.find("; "), message.npos) << message;
    EXPECT_NE(message.find(cure, message.find("; ")), message.npos) << message;
    EXPECT_THROW((void)address::resolve(text), std::system_error);
  }
}

TEST(address, a_zero_byte_in_the_text_is_refused_and_printed_readably) {
  for (const auto& text : {"localhost\0:53"s, "192.0.2.1\0:53"s, "[::1\0]:53"s, "[fe80::1%lo\0]:53"s, "unix:/tmp/a\0b"s,
                           "unix:@a\0b"s, "192.0.2.1:53\0"s, "\0"s}) {
    const auto message = mistake_in(text);
    EXPECT_NE(message.find("holds a zero byte; omit it"), message.npos) << message;
    EXPECT_NE(message.find("\\x00"), message.npos) << message;
    EXPECT_EQ(message.find('\0'), message.npos);
    EXPECT_EQ(address::parse_numeric(text), std::nullopt);
  }
}

TEST(address, control_characters_of_a_wrong_text_do_not_reach_the_message) {
  const auto message = mistake_in("10.0.0.1\n\x1b[2J");
  EXPECT_NE(message.find("\"10.0.0.1\\x0a\\x1b[2J\""), message.npos) << message;
}

TEST(address, unix_names_up_to_the_limit_are_accepted) {
  const folder place;
  auto path = place.inside();
  path.resize(107, 'x');
  for (const auto& name : {path, "@" + std::string(107, 'x')}) {
    const auto a = address::parse("unix:" + name);
    EXPECT_EQ(a.size(), sizeof(sockaddr_un));
    EXPECT_EQ(a.unix_path(), name);
    EXPECT_EQ(a.to_string(), "unix:" + name);
    EXPECT_EQ(bound_to(a), a) << std::strerror(errno);
  }
  unlink(path.c_str());
  const auto escaped = "unix:@" + [] {
    std::string name;
    for (int i = 0; i < 107; ++i) name += "\\xfe";
    return name;
  }();
  EXPECT_EQ(address::parse(escaped).to_string(), escaped);
}

// --- the resolver ----------------------------------------------------------------------------------------------------

TEST(address, localhost_is_resolved_to_loopback_without_repeats) {
  const auto all = address::resolve("localhost:5000");
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(std::set<address>(all.begin(), all.end()).size(), all.size());
  for (const auto& a : all) {
    EXPECT_EQ(a.port(), 5000);
    EXPECT_TRUE(a.with_port(0) == address::parse("127.0.0.1:0") || a.with_port(0) == address::parse("[::1]:0")) << a;
  }
  EXPECT_EQ(address::parse("localhost:5000"), all.front());
}

TEST(address, an_address_that_the_resolver_names_twice_comes_once) {
  const auto once = address::resolve("localhost:5000");
  const fault::injection twice{{.call = "getaddrinfo"}};
  EXPECT_EQ(address::resolve("localhost:5000"), once);
  EXPECT_EQ(twice.hits(), 1);
}

TEST(address, parse_numeric_does_not_ask_the_resolver) {
  EXPECT_EQ(address::parse_numeric("localhost:5000"), std::nullopt);
  EXPECT_EQ(address::parse_numeric("netlink:1"), std::nullopt);
  EXPECT_EQ(address::parse_numeric("localhost.:5000"), std::nullopt);
}

TEST(address, a_name_that_does_not_resolve_is_named_with_the_resolvers_reason) {
  // A label of 64 bytes cannot be asked for (RFC 1035, 2.3.4), so this fails at once, with any resolver.
  const std::string host = std::string(64, 'x') + ".invalid";
  try {
    const auto a = address::parse(host + ":53");
    FAIL() << a;
  } catch (const std::system_error& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find("address \"" + host + ":53\": cannot resolve \"" + host + "\": "), 0) << message;
    EXPECT_NE(message.find("; check the name and the resolver, or write a numeric address"), message.npos) << message;
    EXPECT_TRUE(error.code()) << message;
  }
}

// --- scopes ----------------------------------------------------------------------------------------------------------

TEST(address, a_scope_is_read_by_name_and_by_number) {
  const auto lo = if_nametoindex("lo");
  ASSERT_NE(lo, 0);
  const auto named = address::parse("[fe80::1%lo]:53");
  EXPECT_EQ(named.scope_id(), lo);
  expect_same(named, address::parse("[fe80::1%" + std::to_string(lo) + "]:53"));
  EXPECT_NE(named, address::parse("[fe80::1]:53"));
  EXPECT_EQ(address::parse("[fe80::1]:53").scope_id(), 0);
  EXPECT_EQ(address::parse("192.0.2.1:53").scope_id(), 0);
}

TEST(address, a_scope_without_an_interface_is_printed_as_its_number) {
  const auto* text = "[fe80::1%4294967295]:53";
  const auto a = address::parse(text);
  EXPECT_EQ(a.scope_id(), 4294967295);
  EXPECT_EQ(a.to_string(), text);
}

TEST(address, a_scope_that_the_kernel_ignores_is_ignored) {
  sockaddr_in6 raw{};
  raw.sin6_family = AF_INET6;
  raw.sin6_port = htons(53);
  raw.sin6_addr = in6addr_loopback;
  raw.sin6_scope_id = 1;
  const auto a = made_of(raw);
  EXPECT_EQ(a.scope_id(), 0);
  EXPECT_EQ(a.to_string(), "[::1]:53");
  expect_same(a, address::parse("[::1]:53"));
}

TEST(address, without_a_free_descriptor_a_scope_needs_its_number) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  const auto a = address::parse("[fe80::1%lo]:53");
  const auto by_number = "[fe80::1%" + std::to_string(a.scope_id()) + "]:53";

  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto message = mistake_in("[fe80::1%lo]:53", std::errc::resource_unavailable_try_again);
  const auto numeric = address::parse_numeric(by_number);
  const auto printed = a.to_string();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);

  EXPECT_NE(message.find("could not be looked up; write its number instead"), message.npos) << message;
  EXPECT_EQ(numeric, a);
  EXPECT_EQ(printed, by_number);
}

// --- IPv4 in IPv6 ----------------------------------------------------------------------------------------------------

TEST(address, mapped_and_unmapped_undo_each_other) {
  const auto v4 = address::parse("192.0.2.1:53");
  const auto v6 = address::parse("[::ffff:192.0.2.1]:53");
  EXPECT_FALSE(v4.is_v4_mapped());
  EXPECT_TRUE(v6.is_v4_mapped());
  EXPECT_TRUE(v6.is_ipv6());
  EXPECT_NE(v4, v6);
  expect_same(v4.mapped(), v6);
  expect_same(v6.unmapped(), v4);
  EXPECT_EQ(v4.mapped().size(), sizeof(sockaddr_in6));
  EXPECT_EQ(v6.unmapped().size(), sizeof(sockaddr_in));
  EXPECT_EQ(v6.unmapped().port(), 53);
}

TEST(address, mapped_and_unmapped_leave_the_others_alone) {
  for (const auto& a : one_of_each()) {
    if (!a.is_v4_mapped()) {
      expect_same(a.unmapped(), a);
    }
    if (!a.is_ipv4()) {
      expect_same(a.mapped(), a);
    }
  }
  EXPECT_FALSE(address::parse("[::192.0.2.1]:53").is_v4_mapped());
}

// --- questions -------------------------------------------------------------------------------------------------------

TEST(address, none_is_empty_in_every_way) {
  const address none;
  EXPECT_TRUE(none.is_none());
  EXPECT_EQ(none.size(), 0);
  EXPECT_EQ(none.family(), AF_UNSPEC);
  EXPECT_FALSE(none.is_ipv4() || none.is_ipv6() || none.is_unix());
  EXPECT_FALSE(none.is_wildcard() || none.is_multicast() || none.is_v4_mapped());
  EXPECT_EQ(none.port(), 0);
  EXPECT_EQ(none.scope_id(), 0);
  EXPECT_EQ(none.unix_path(), "");
  expect_same(none.with_port(53), none);
  expect_same(none, address{});
}

TEST(address, wildcards_of_every_form_are_known) {
  for (const auto* text : {"0.0.0.0:0", "0.0.0.0:53", "[::]:0", ":53", "[::ffff:0.0.0.0]:53"}) {
    EXPECT_TRUE(address::parse(text).is_wildcard()) << text;
  }
  for (const auto* text : {"0.0.0.1:0", "127.0.0.1:0", "[::1]:0", "[::ffff:127.0.0.1]:0", "unix:@", "unix:x"}) {
    EXPECT_FALSE(address::parse(text).is_wildcard()) << text;
  }
}

TEST(address, multicast_groups_are_known) {
  for (const auto* text : {"224.0.0.0:0", "239.255.255.255:53", "[ff02::1]:53", "[ff00::]:0"}) {
    EXPECT_TRUE(address::parse(text).is_multicast()) << text;
  }
  for (const auto* text : {"223.255.255.255:0", "240.0.0.0:0", "255.255.255.255:0", "[fe80::1]:0", "unix:x"}) {
    EXPECT_FALSE(address::parse(text).is_multicast()) << text;
  }
}

TEST(address, with_port_changes_the_port_and_nothing_else) {
  EXPECT_EQ(address::parse("192.0.2.1:53").with_port(65535), address::parse("192.0.2.1:65535"));
  EXPECT_EQ(address::parse("[fe80::1%lo]:53").with_port(0), address::parse("[fe80::1%lo]:0"));
  for (const auto& a : one_of_each()) {
    const bool has_port = a.is_ipv4() || a.is_ipv6();
    EXPECT_EQ(a.with_port(4711).port(), has_port ? 4711 : 0) << a;
    expect_same(a.with_port(4711).with_port(a.port()), a);
    EXPECT_EQ(a.with_port(4711).size(), a.size()) << a;
  }
}

TEST(address, unix_path_tells_paths_and_abstract_names) {
  EXPECT_EQ(address::parse("unix:/run/x.sock").unix_path(), "/run/x.sock");
  EXPECT_EQ(address::parse("unix:@name").unix_path(), "@name");
  EXPECT_EQ(address::parse("unix:@a\\x00b").unix_path(), "@a\0b"s);
  EXPECT_EQ(unix_address("").unix_path(), "");
  EXPECT_EQ(address::parse("192.0.2.1:53").unix_path(), "");
}

// --- the kernel's form -----------------------------------------------------------------------------------------------

TEST(address, from_sockaddr_makes_none_of_sizes_that_hold_no_address) {
  sockaddr_in raw{};
  raw.sin_family = AF_INET;
  EXPECT_TRUE(made_of(raw, 0).is_none());
  EXPECT_TRUE(made_of(raw, 1).is_none());
  EXPECT_TRUE(address::from_sockaddr(nullptr, 0).is_none());
  const std::array<sockaddr_storage, 2> large{};
  EXPECT_TRUE(made_of(large, sizeof(sockaddr_storage) + 1).is_none());
  EXPECT_TRUE(made_of(large, socklen_t(-1)).is_none());
}

TEST(address, a_family_alone_is_an_address_of_zeros) {
  for (const int family : {AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET}) {
    const auto a = made_of(static_cast<sa_family_t>(family));
    EXPECT_FALSE(a.is_none());
    EXPECT_EQ(a.family(), family);
    EXPECT_EQ(a.port(), 0);
    EXPECT_NE(a, address{});
  }
  expect_same(made_of(sa_family_t{AF_INET}), address::parse("0.0.0.0:0"));
  expect_same(made_of(sa_family_t{AF_INET6}), address::parse("[::]:0"));
  EXPECT_EQ(made_of(sa_family_t{AF_UNIX}).to_string(), "unix:");
  EXPECT_EQ(made_of(sa_family_t{AF_NETLINK}).to_string(), "netlink:0");
  EXPECT_EQ(made_of(sa_family_t{AF_UNSPEC}).to_string(), "family 0");
}

TEST(address, what_a_longer_address_left_in_the_buffer_does_not_count) {
  auto reused = address::parse("unix:/run/a-longer-name-than-the-next-one.sock");
  const auto next = address::parse("unix:@short");
  std::memcpy(raw_address::buffer(reused), next.data(), next.size());
  raw_address::resize(reused, next.size());
  expect_same(reused, next);
  EXPECT_EQ(reused.to_string(), "unix:@short");
  raw_address::resize(reused, sizeof(sa_family_t));
  expect_same(reused, unix_address(""));
  for (const char* const text : {"192.0.2.1:53", "[2001:db8::1]:53"}) {
    reused = address::parse(text);
    raw_address::resize(reused, sizeof(sa_family_t));
    expect_same(reused, address::parse(reused.is_ipv4() ? "0.0.0.0:0" : "[::]:0"));
  }
  raw_address::resize(reused, 0);
  expect_same(reused, address{});
  raw_address::resize(reused, address::capacity + 1);
  expect_same(reused, address{});
}

TEST(address, the_zero_that_ends_a_path_may_or_may_not_be_counted) {
  const auto bare = unix_address("/run/x.sock");
  for (const auto& name : {"/run/x.sock\0"s, "/run/x.sock\0\0\0"s, "/run/x.sock\0left over"s}) {
    expect_same(unix_address(name), bare);
    EXPECT_EQ(unix_address(name).to_string(), "unix:/run/x.sock");
  }
  expect_same(address::parse("unix:/run/x.sock"), bare);
}

TEST(address, a_zero_in_an_abstract_name_counts) {
  EXPECT_NE(unix_address("\0x"s), unix_address("\0x\0"s));
  EXPECT_NE(unix_address("\0"s), unix_address(""));
  EXPECT_EQ(unix_address("\0x\0"s).to_string(), "unix:@x\\x00");
}

TEST(address, a_path_that_fills_sun_path_without_a_zero_is_read_to_its_end) {
  // Linux binds it, and reports one byte more than sockaddr_un holds (unix(7), BUGS).
  const std::string path(sizeof(sockaddr_un::sun_path), 'x');
  EXPECT_EQ(unix_address(path).unix_path(), path);
  expect_same(unix_address(path), unix_address(path + '\0'));
}

TEST(address, flow_information_does_not_count) {
  sockaddr_in6 raw{};
  raw.sin6_family = AF_INET6;
  raw.sin6_flowinfo = htonl(0x12345);
  raw.sin6_addr = in6addr_loopback;
  raw.sin6_port = htons(53);
  expect_same(made_of(raw), address::parse("[::1]:53"));
}

TEST(address, padding_after_an_ipv4_address_does_not_count) {
  sockaddr_in raw{};
  raw.sin_family = AF_INET;
  std::memset(raw.sin_zero, 0xff, sizeof raw.sin_zero);
  expect_same(made_of(raw), address::parse("0.0.0.0:0"));
}

// --- order and hash --------------------------------------------------------------------------------------------------

TEST(address, different_addresses_differ_and_equal_ones_hash_alike) {
  const auto all = one_of_each();
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = 0; j < all.size(); ++j) {
      EXPECT_EQ(all[i] == all[j], i == j) << all[i] << ' ' << all[j];
      EXPECT_EQ(all[i].hash() == all[j].hash(), i == j) << all[i] << ' ' << all[j];
    }
  }
}

TEST(address, the_order_is_total_with_none_first_and_families_together) {
  auto all = one_of_each();
  for (const auto& a : all) {
    for (const auto& b : all) {
      EXPECT_EQ((a < b) + (a == b) + (a > b), 1) << a << ' ' << b;
      for (const auto& c : all) {
        if (a < b && b < c) {
          EXPECT_LT(a, c) << b;
        }
      }
    }
  }
  std::reverse(all.begin(), all.end());
  std::sort(all.begin(), all.end());
  EXPECT_TRUE(all.front().is_none());
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end(), [](auto& a, auto& b) { return a.family() < b.family(); }));
}

TEST(address, containers_find_an_address_again) {
  const auto all = one_of_each();
  std::unordered_set<address> hashed(all.begin(), all.end());
  std::set<address> ordered(all.begin(), all.end());
  hashed.insert(all.begin(), all.end());
  EXPECT_EQ(hashed.size(), all.size());
  EXPECT_EQ(ordered.size(), all.size());
  for (const auto& a : all) {
    EXPECT_TRUE(hashed.contains(a)) << a;
    EXPECT_TRUE(ordered.contains(a)) << a;
  }
  EXPECT_TRUE(hashed.contains(unix_address("/run/x.sock")));
}

TEST(address, neighbouring_ports_and_hosts_spread_over_the_hash) {
  std::unordered_set<std::size_t> low;
  for (unsigned i = 0; i < 4096; ++i) {
    sockaddr_in raw{};
    raw.sin_family = AF_INET;
    raw.sin_addr.s_addr = htonl(0xc0000200 + i / 64);
    raw.sin_port = htons(static_cast<std::uint16_t>(1024 + i % 64));
    low.insert(made_of(raw).hash() % 4096);
  }
  EXPECT_GT(low.size(), 4096 / 2);  // by chance 63 %
}

// --- what a real kernel says -----------------------------------------------------------------------------------------

TEST(address, bound_sockets_report_what_was_asked) {
  for (const auto* text : {"127.0.0.1:0", "0.0.0.0:0", "[::1]:0", ":0", "[::ffff:127.0.0.1]:0"}) {
    SCOPED_TRACE(text);
    const auto asked = address::parse(text);
    const auto got = bound_to(asked);
    if (got.is_none() && asked.is_ipv6() && (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT)) {
      GTEST_SKIP() << "no IPv6 on this machine";
    }
    ASSERT_FALSE(got.is_none()) << std::strerror(errno);
    EXPECT_NE(got.port(), 0);
    expect_same(got.with_port(0), asked);
    EXPECT_EQ(got.size(), asked.size());
    expect_same(address::parse(got.to_string()), got);
  }
}

TEST(address, link_local_sockets_report_their_scope) {
  ifaddrs* list = nullptr;
  ASSERT_EQ(getifaddrs(&list), 0);
  std::vector<address> link_local;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET6) continue;
    const auto a = address::from_sockaddr(entry->ifa_addr, sizeof(sockaddr_in6));
    if (a.scope_id() == 0) continue;
    EXPECT_EQ(a.scope_id(), if_nametoindex(entry->ifa_name));
    EXPECT_NE(a.to_string().find(std::string{"%"} + entry->ifa_name + "]"), std::string::npos) << a;
    link_local.push_back(a);
  }
  freeifaddrs(list);
  if (link_local.empty()) GTEST_SKIP() << "no interface has a link-local IPv6 address";
  for (const auto& a : link_local) {
    expect_same(address::parse(a.to_string()), a);
    const auto got = bound_to(a);
    if (got.is_none()) continue;  // tentative, or its interface just went away
    expect_same(got.with_port(0), a);
  }
}

TEST(address, unix_paths_come_back_from_the_kernel) {
  const folder place;
  const auto asked = address::parse("unix:" + place.inside());
  const auto got = bound_to(asked);
  ASSERT_FALSE(got.is_none()) << std::strerror(errno);
  expect_same(got, asked);
  EXPECT_EQ(got.unix_path(), place.inside());
  // Bound without counting the terminating zero.
  unlink(place.inside().c_str());
  expect_same(bound_to(unix_address(place.inside())), asked);
}

TEST(address, abstract_names_come_back_from_the_kernel) {
  const auto asked = address::parse("unix:@udppump-test-" + std::to_string(getpid()) + "\\x00\\xff\\x0a");
  const auto got = bound_to(asked);
  ASSERT_FALSE(got.is_none()) << std::strerror(errno);
  expect_same(got, asked);
  EXPECT_EQ(got.size(), asked.size());
  EXPECT_EQ(got.to_string(), asked.to_string());
  // A name of the kernel's choice: bound with the family alone (unix(7), autobind).
  const auto chosen = bound_to(unix_address(""));
  ASSERT_FALSE(chosen.is_none()) << std::strerror(errno);
  EXPECT_TRUE(chosen.unix_path().starts_with('@')) << chosen;
  expect_same(address::parse(chosen.to_string()), chosen);
}

TEST(address, unnamed_unix_peers_are_none_and_their_sockets_unnamed) {
  std::array<int, 2> pair{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair.data()), 0);
  const descriptor one{pair[0]}, other{pair[1]};
  EXPECT_EQ(local_of(one.fd()).to_string(), "unix:");
  EXPECT_TRUE(local_of(one.fd()).is_unix());

  ASSERT_EQ(send(one.fd(), "x", 1, 0), 1);
  char byte = 0;
  address from;
  socklen_t size = address::capacity;
  ASSERT_EQ(recvfrom(other.fd(), &byte, 1, 0, raw_address::buffer(from), &size), 1);
  raw_address::resize(from, size);
  EXPECT_TRUE(from.is_none());
  EXPECT_EQ(from.to_string(), "none");
}

TEST(address, netlink_sockets_report_their_port_id) {
  const descriptor socket{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)};
  if (socket.fd() < 0) GTEST_SKIP() << "no netlink: " << std::strerror(errno);
  sockaddr_nl raw{};
  raw.nl_family = AF_NETLINK;
  ASSERT_EQ(bind(socket.fd(), reinterpret_cast<const sockaddr*>(&raw), sizeof raw), 0);
  const auto got = local_of(socket.fd());
  EXPECT_EQ(got.family(), AF_NETLINK);
  EXPECT_EQ(got.port(), 0);
  socklen_t size = sizeof raw;
  ASSERT_EQ(getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&raw), &size), 0);
  EXPECT_EQ(got.to_string(), "netlink:" + std::to_string(raw.nl_pid));
}

TEST(address, an_ipv4_sender_on_a_dual_stack_socket_is_mapped_and_can_be_unmapped) {
  const descriptor server{socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  const descriptor client{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (server.fd() < 0) GTEST_SKIP() << "no IPv6: " << std::strerror(errno);
  const int off = 0;
  ASSERT_EQ(setsockopt(server.fd(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), 0);
  const auto wildcard = address::parse(":0");
  ASSERT_EQ(bind(server.fd(), wildcard.data(), wildcard.size()), 0);
  const auto loopback = address::parse("127.0.0.1:0");
  ASSERT_EQ(bind(client.fd(), loopback.data(), loopback.size()), 0);
  const auto target = loopback.with_port(local_of(server.fd()).port());
  ASSERT_EQ(sendto(client.fd(), "x", 1, 0, target.data(), target.size()), 1);

  char byte = 0;
  address from;
  socklen_t size = address::capacity;
  ASSERT_EQ(recvfrom(server.fd(), &byte, 1, 0, raw_address::buffer(from), &size), 1);
  raw_address::resize(from, size);
  EXPECT_TRUE(from.is_v4_mapped());
  EXPECT_EQ(from.to_string(), "[::ffff:127.0.0.1]:" + std::to_string(local_of(client.fd()).port()));
  expect_same(from.unmapped(), local_of(client.fd()));
}

}  // namespace

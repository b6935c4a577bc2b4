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
#include "sys/sys.hpp"

namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using udppump::address;
using udppump::as_bytes;
using udppump::buffer_size;
using udppump::datagram_socket;
using udppump::ecn;
using udppump::send_options;
using udppump::setting;
using udppump::socket_options;

[[noreturn]] void fail(const char* call) { throw std::system_error{errno, std::generic_category(), call}; }

/// A descriptor of the test's own. Closes it.
class descriptor {
 public:
  explicit descriptor(int fd) : fd_{fd} {
    if (fd_ < 0) fail("a descriptor of the test's own");
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  bool is_open() const { return ::fcntl(fd_, F_GETFD) >= 0; }

 private:
  int fd_;
};

/// A folder that is gone at the end, with all that is in it.
class folder {
 public:
  folder() : path_{testing::TempDir() + "datagram-socket-XXXXXX"} {
    if (::mkdtemp(path_.data()) == nullptr) fail("mkdtemp");
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  ~folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  address socket(const std::string& name) const { return address::parse("unix:" + file(name)); }

 private:
  std::string path_;
};

/// Whether there is IPv6 here; many containers are without.
bool has_ipv6() {
  static const bool has = [] {
    try {
      static_cast<void>(bound({}, "[::1]:0"));
      return true;
    } catch (const std::system_error&) {
      return false;
    }
  }();
  return has;
}

/// Of these places to bind to, those that this machine has.
std::vector<const char*> available(std::vector<const char*> places) {
  if (!has_ipv6()) std::erase_if(places, [](const char* place) { return *place == '['; });
  return places;
}

/// The next datagram's payload; nothing where none comes in time.
std::optional<std::string> received(int fd, address* from = nullptr) {
  if (!readable(fd, patience)) return {};
  std::string buffer(70'000, '\0');
  address sender;
  socklen_t size = address::capacity;
  const ssize_t got = ::recvfrom(fd, buffer.data(), buffer.size(), MSG_DONTWAIT, sender.buffer(), &size);
  if (got < 0) return {};
  sender.resize(size);
  if (from != nullptr) *from = sender;
  buffer.resize(static_cast<std::size_t>(got));
  return buffer;
}
std::optional<std::string> received(const datagram_socket& socket, address* from = nullptr) {
  return received(socket.fd(), from);
}

/// Everything that waits at a socket; at least `count` datagrams, or what came in time.
std::vector<std::string> all_received(const datagram_socket& socket, std::size_t count) {
  std::vector<std::string> all;
  while (all.size() < count || readable(socket.fd())) {
    auto one = received(socket);
    if (!one) break;
    all.push_back(std::move(*one));
  }
  return all;
}

/// The error that `make` throws. Whatever it opened is closed again.
template <class Make>
std::system_error refusal(Make make) {
  const std::size_t before = open_descriptors();
  try {
    make();
  } catch (const std::system_error& thrown) {
    EXPECT_EQ(open_descriptors(), before) << "open after: " << thrown.what();
    return thrown;
  }
  ADD_FAILURE() << "nothing was thrown";
  return std::system_error{std::error_code{}};
}
std::system_error refused_bind(const address& local, const socket_options& options = {}) {
  return refusal([&] { static_cast<void>(datagram_socket::bind(local, options)); });
}
std::system_error refused_connect(const address& peer, const socket_options& options = {}) {
  return refusal([&] { static_cast<void>(datagram_socket::connect(peer, options)); });
}

int option_of(int fd, int level, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  if (::getsockopt(fd, level, option, &value, &size) != 0) return -errno;
  return value;
}
int option_of(const datagram_socket& socket, int level, int option) { return option_of(socket.fd(), level, option); }

bool is_nonblocking(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

address with_port_of(const char* host, const datagram_socket& socket) {
  return address::parse(std::string{host} + ":0").with_port(socket.local().port());
}

/// An address where nobody listens any more. Sockets that are made before it have another port for certain.
address dead_peer(const char* host = "127.0.0.1:0") { return bound({}, host).local(); }

datagram_socket connected_to_dead_peer(const char* host) {
  for (;;) {
    auto socket = datagram_socket::connect(dead_peer(host));
    if (socket.local() != socket.peer()) return socket;  // not the very port that was given back
  }
}

// --- bind ------------------------------------------------------------------------------------------------------------

TEST(bind, over_ipv4_gets_a_free_port_and_exchanges) {
  const auto server = bound();
  EXPECT_EQ(server.family(), AF_INET);
  EXPECT_NE(server.local().port(), 0);
  EXPECT_EQ(server.local().with_port(0), address::parse("127.0.0.1:0"));
  EXPECT_TRUE(server.peer().is_none());
  const auto client = bound();
  ASSERT_FALSE(client.send_to("hello", server.local()));
  address from;
  EXPECT_EQ(received(server, &from), "hello");
  EXPECT_EQ(from, client.local());
  EXPECT_EQ(server.send_errors() + client.send_errors(), 0u);
}

TEST(bind, over_ipv6_exchanges) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto server = bound({}, "[::1]:0");
  const auto client = bound({}, "[::1]:0");
  EXPECT_EQ(server.family(), AF_INET6);
  ASSERT_FALSE(client.send_to("hello", server.local()));
  address from;
  EXPECT_EQ(received(server, &from), "hello");
  EXPECT_EQ(from, client.local());
}

TEST(bind, to_the_ipv6_wildcard_takes_ipv4_too) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto server = bound({}, ":0");
  EXPECT_EQ(option_of(server, IPPROTO_IPV6, IPV6_V6ONLY), 0);
  for (const char* host : available({"127.0.0.1", "[::1]"})) {
    const auto client = datagram_socket::connect(with_port_of(host, server));
    ASSERT_FALSE(client.send("hello"));
    address from;
    EXPECT_EQ(received(server, &from), "hello");
    EXPECT_EQ(from.unmapped(), client.local());
  }
}

// P15
TEST(bind, makes_a_blocking_descriptor_that_no_other_program_inherits) {
  const auto socket = bound();
  EXPECT_FALSE(is_nonblocking(socket.fd()));
  EXPECT_NE(::fcntl(socket.fd(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(bind, to_a_unix_path_exchanges) {
  const folder place;
  const auto server = datagram_socket::bind(place.socket("server"));
  const auto client = datagram_socket::bind(place.socket("client"));
  EXPECT_EQ(server.family(), AF_UNIX);
  EXPECT_EQ(server.local(), place.socket("server"));
  ASSERT_FALSE(client.send_to("hello", server.local()));
  address from;
  EXPECT_EQ(received(server, &from), "hello");
  EXPECT_EQ(from, client.local());
}

TEST(bind, replaces_a_unix_path_that_its_process_left_behind) {
  const folder place;
  for (const char* name : {"server", "@server"}) {  // a path, though it begins as an abstract name is written
    const auto here = address::parse("unix:" + place.file(name));
    datagram_socket::bind(here);
    ASSERT_TRUE(std::filesystem::exists(place.file(name)));
    const auto server = datagram_socket::bind(here);
    EXPECT_FALSE(datagram_socket::connect(here).send("hello"));
    EXPECT_EQ(received(server), "hello");
  }
}

TEST(bind, replaces_a_relative_path_that_begins_with_an_at_sign) {
  const folder place;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(place.file(""));
  const auto here = address::parse("unix:\\x40server");
  datagram_socket::bind(here);
  const auto server = datagram_socket::bind(here);
  std::filesystem::current_path(before);
  EXPECT_EQ(server.local(), here);
}

TEST(bind, refuses_a_unix_path_that_another_socket_serves) {
  const folder place;
  const auto here = place.socket("server");
  const auto server = datagram_socket::bind(here);
  const auto refused = refused_bind(here);
  EXPECT_EQ(refused.code(), std::errc::address_in_use);
  EXPECT_THAT(refused.what(), AllOf(StartsWith("bind " + here.to_string()), HasSubstr("another process serves it")));
  EXPECT_FALSE(datagram_socket::connect(here).send("still there"));
  EXPECT_EQ(received(server), "still there");

  const descriptor stream{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const auto there = place.socket("stream");
  ASSERT_EQ(::bind(stream.fd(), there.data(), there.size()), 0);
  ASSERT_EQ(::listen(stream.fd(), 1), 0);
  EXPECT_EQ(refused_bind(there).code(), std::errc::address_in_use);
  EXPECT_TRUE(std::filesystem::exists(place.file("stream")));
}

TEST(bind, never_removes_what_is_no_socket) {
  const folder place;
  std::ofstream{place.file("notes")} << "precious";
  std::filesystem::create_directory(place.file("folder"));
  datagram_socket::bind(place.socket("left"));
  std::filesystem::create_symlink(place.file("left"), place.file("link"));
  for (const char* name : {"notes", "folder", "link"}) {
    const auto refused = refused_bind(place.socket(name));
    EXPECT_EQ(refused.code(), std::errc::address_in_use) << name;
    EXPECT_THAT(refused.what(), HasSubstr("no socket")) << name;
    EXPECT_TRUE(std::filesystem::exists(std::filesystem::symlink_status(place.file(name)))) << name;
  }
  std::string text;
  std::getline(std::ifstream{place.file("notes")}, text);
  EXPECT_EQ(text, "precious");
}

TEST(bind, to_an_abstract_name_exchanges_and_refuses_a_second) {
  const auto here = address::parse("unix:@udppump-socket-test-" + std::to_string(::getpid()));
  const auto server = datagram_socket::bind(here);
  EXPECT_EQ(server.local(), here);
  EXPECT_FALSE(datagram_socket::connect(here).send("hello"));
  EXPECT_EQ(received(server), "hello");
  EXPECT_THAT(refused_bind(here).what(), HasSubstr(here.to_string() + "; another process serves it"));
}

TEST(bind, to_no_address_or_an_unknown_family_is_refused) {
  EXPECT_EQ(refused_bind(address{}).code(), std::errc::invalid_argument);
  EXPECT_THAT(refused_bind(address{}).what(), StartsWith("bind: no address given"));
  sockaddr_storage odd{};
  odd.ss_family = 250;
  const auto unknown = address::from_sockaddr(reinterpret_cast<const sockaddr*>(&odd), sizeof odd);
  EXPECT_EQ(refused_bind(unknown).code(), std::errc::address_family_not_supported);
  EXPECT_THAT(refused_bind(unknown).what(), StartsWith("socket for family 250"));
}

TEST(bind, says_who_has_the_port) {
  for (const char* where : {"127.0.0.1:0", "[::1]:0"}) {
    const auto holder = bound({}, where);
    const auto refused = refused_bind(holder.local());
    EXPECT_EQ(refused.code(), std::errc::address_in_use);
    EXPECT_THAT(refused.what(), AllOf(StartsWith("bind " + holder.local().to_string() + "; datagram-socket"),
                                      HasSubstr("(pid " + std::to_string(::getpid()) + ") has the port")));
  }
}

TEST(bind, says_what_to_do_about_each_refusal) {
  EXPECT_THAT(refused_bind(address::parse("203.0.113.1:0")).what(),
              AllOf(StartsWith("bind 203.0.113.1:0; no interface here has that address"), HasSubstr("ip address")));
  if (has_ipv6()) {
    EXPECT_THAT(refused_bind(address::parse("[fe80::1]:0")).what(), HasSubstr("needs its interface"));
  }
  EXPECT_THAT(refused_bind(address::parse("unix:/nowhere/at/all")).what(), StartsWith("bind unix:/nowhere/at/all"));
  const folder place;
  const fault::injection denied{{.call = "bind", .error = EACCES}};
  EXPECT_THAT(refused_bind(address::parse("127.0.0.1:53")).what(),
              AllOf(StartsWith("bind 127.0.0.1:53"), HasSubstr("CAP_NET_BIND_SERVICE")));
  EXPECT_THAT(refused_bind(place.socket("x")).what(), HasSubstr("no permission for that directory"));
}

TEST(bind, says_so_where_no_port_is_free) {
  const fault::injection exhausted{{.call = "bind", .error = EADDRINUSE}};
  EXPECT_THAT(refused_bind(address::parse("127.0.0.1:0")).what(), HasSubstr("net.ipv4.ip_local_port_range"));
}

TEST(bind, says_so_where_no_descriptor_is_left) {
  const fault::injection full{{.call = "socket", .error = EMFILE}};
  const auto refused = refused_bind(address::parse("127.0.0.1:0"));
  EXPECT_EQ(refused.code(), std::errc::too_many_files_open);
  EXPECT_THAT(refused.what(), StartsWith("socket for 127.0.0.1:0"));
  EXPECT_THAT(refused_connect(address::parse("127.0.0.1:9")).what(), StartsWith("socket for 127.0.0.1:9"));
}

// --- connect ---------------------------------------------------------------------------------------------------------

TEST(connect, receives_from_its_peer_only) {
  const auto peer = bound();
  const auto stranger = bound();
  const auto socket = datagram_socket::connect(peer.local());
  EXPECT_EQ(socket.peer(), peer.local());
  EXPECT_NE(socket.local().port(), 0);
  EXPECT_FALSE(socket.control().local_address);
  ASSERT_FALSE(stranger.send_to("noise", socket.local()));
  ASSERT_FALSE(peer.send_to("hello", socket.local()));
  EXPECT_EQ(received(socket), "hello");
  EXPECT_FALSE(readable(socket.fd()));
  ASSERT_FALSE(socket.send("back"));
  EXPECT_EQ(received(peer), "back");
}

TEST(connect, reaches_ipv6_and_ipv4_mapped_peers) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto peer6 = bound({}, "[::1]:0");
  EXPECT_FALSE(datagram_socket::connect(peer6.local()).send("six"));
  EXPECT_EQ(received(peer6), "six");
  const auto peer4 = bound();
  const auto mapped = datagram_socket::connect(peer4.local().mapped());
  EXPECT_EQ(mapped.family(), AF_INET6);
  EXPECT_FALSE(mapped.send("four"));
  EXPECT_EQ(received(peer4), "four");
}

TEST(connect, that_is_refused_names_the_peer) {
  EXPECT_THAT(refused_connect(address{}).what(), StartsWith("connect: no address given"));
  const folder place;
  const auto nobody = place.socket("nobody");
  EXPECT_THAT(refused_connect(nobody).what(), StartsWith("connect " + nobody.to_string()));
  datagram_socket::bind(nobody);
  EXPECT_EQ(refused_connect(nobody).code(), std::errc::connection_refused);
  EXPECT_THAT(refused_connect(address::parse("127.255.255.255:9")).what(),
              AllOf(StartsWith("connect 127.255.255.255:9"), HasSubstr("set socket_options::broadcast")));
  EXPECT_NO_THROW(datagram_socket::connect(address::parse("127.255.255.255:9"), {.broadcast = true}));
}

TEST(connect, is_repeated_after_a_signal) {
  const auto peer = bound();
  const fault::injection interrupted{{.call = "connect", .error = EINTR, .times = 3}};
  EXPECT_FALSE(datagram_socket::connect(peer.local()).send("x"));
  EXPECT_EQ(interrupted.hits(), 3);
  EXPECT_EQ(received(peer), "x");
}

// --- adopt -----------------------------------------------------------------------------------------------------------

int udp_descriptor(int family = AF_INET) { return ::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0); }

TEST(adopt, takes_over_udp_sockets_bound_and_connected) {
  const auto peer = bound();
  descriptor made{udp_descriptor()};
  const int fd = made.fd();
  ASSERT_EQ(::connect(fd, peer.local().data(), peer.local().size()), 0);
  {
    const auto socket = datagram_socket::adopt(made.release());
    EXPECT_EQ(socket.fd(), fd);
    EXPECT_EQ(socket.family(), AF_INET);
    EXPECT_EQ(socket.peer(), peer.local());
    ASSERT_FALSE(socket.send("hello"));
    EXPECT_EQ(received(peer), "hello");
  }
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);  // closed with it
}

// P15
TEST(adopt, leaves_blocking_as_it_was) {
  for (const int flags : {0, O_NONBLOCK}) {
    const int fd = udp_descriptor();
    ASSERT_GE(fd, 0);
    ASSERT_EQ(::fcntl(fd, F_SETFL, flags), 0);
    const auto socket = datagram_socket::adopt(fd, {.receive_time = true});
    EXPECT_EQ(is_nonblocking(fd), flags != 0);
    EXPECT_FALSE(socket.send_to("x", dead_peer()));
    EXPECT_EQ(is_nonblocking(fd), flags != 0);
  }
}

TEST(adopt, leaves_options_that_were_not_asked_for_as_they_are) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const int fd = udp_descriptor(AF_INET6);
  ASSERT_GE(fd, 0);
  const int on = 1;
  ASSERT_EQ(::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), 0);
  ASSERT_EQ(::setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on), 0);
  const int buffer = option_of(fd, SOL_SOCKET, SO_RCVBUF);
  const auto socket = datagram_socket::adopt(fd);
  EXPECT_EQ(option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
  EXPECT_TRUE(socket.control().receive_time);  // set by whoever made it
  EXPECT_TRUE(socket.control().local_address);
  EXPECT_FALSE(socket.control().ecn);
  EXPECT_EQ(option_of(fd, SOL_SOCKET, SO_RCVBUF), buffer);
}

TEST(adopt, applies_options_to_a_bound_socket_but_v6only_which_comes_too_late) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto bound_descriptor = [] { return bound({}, "[::]:0").release(); };
  const auto socket = datagram_socket::adopt(bound_descriptor(), {.v6only = setting::off, .receive_time = true});
  EXPECT_TRUE(socket.control().receive_time && socket.control().local_address);
  descriptor made{bound_descriptor()};
  const auto refused = refusal([&] { datagram_socket::adopt(made.fd(), {.v6only = setting::on}); });
  EXPECT_THAT(refused.what(), HasSubstr("IPV6_V6ONLY: set it before bind"));
  EXPECT_TRUE(made.is_open());
}

TEST(adopt, takes_a_socketpair) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  const auto near = datagram_socket::adopt(ends[0]);
  const auto far = datagram_socket::adopt(ends[1]);
  ASSERT_FALSE(near.send("hello"));
  address from;
  EXPECT_EQ(received(far, &from), "hello");
  EXPECT_TRUE(from.is_none());  // P9
  ASSERT_FALSE(far.send("back"));
  EXPECT_EQ(received(near), "back");
}

TEST(adopt, takes_a_netlink_socket) {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) GTEST_SKIP() << "no netlink socket to be had: " << std::strerror(errno);
  const auto socket = datagram_socket::adopt(fd);
  EXPECT_EQ(socket.family(), AF_NETLINK);
  struct {
    nlmsghdr header;
    rtgenmsg body;
  } request{};
  request.header.nlmsg_len = NLMSG_LENGTH(sizeof(rtgenmsg));
  request.header.nlmsg_type = RTM_GETLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body.rtgen_family = AF_UNSPEC;
  if (const auto failed = socket.send(std::as_bytes(std::span{&request, 1}).first(request.header.nlmsg_len))) {
    GTEST_SKIP() << "no question by netlink allowed: " << failed.message();
  }
  address from;
  const auto answer = received(socket, &from);
  ASSERT_TRUE(answer);
  EXPECT_GE(answer->size(), sizeof(nlmsghdr));
  EXPECT_EQ(from.to_string(), "netlink:0");  // the kernel
}

TEST(adopt, takes_raw_sockets) {
  constexpr int experiment = 253;  // RFC 3692
  for (const char* host : available({"127.0.0.1:0", "[::1]:0"})) {
    const auto here = address::parse(host);
    const int fd = ::socket(here.family(), SOCK_RAW | SOCK_CLOEXEC, experiment);
    if (fd < 0) GTEST_SKIP() << "no raw socket to be had: " << std::strerror(errno);
    const socket_options options{.receive_time = true, .receive_ecn = true, .icmp_errors = true, .tos = 8};
    const auto socket = datagram_socket::adopt(fd, options);
    EXPECT_TRUE(socket.control().ecn && socket.control().receive_time && socket.control().icmp_errors) << host;
    EXPECT_TRUE(socket.control().local_address) << host;
    ASSERT_FALSE(socket.send_to("hello", here)) << host;
    const auto packet = received(socket);
    ASSERT_TRUE(packet) << host;
    EXPECT_THAT(*packet, testing::EndsWith("hello"));
    // Cut into several, one by one: it is not UDP.
    ASSERT_FALSE(socket.send_to("aabb", here, {.segment_size = 2}));
    const auto cut = all_received(socket, 2);
    EXPECT_EQ(cut.size(), 2u) << host;
  }
}

TEST(adopt, takes_a_packet_socket) {
  const int fd = ::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_IP));
  if (fd < 0) GTEST_SKIP() << "no packet socket to be had: " << std::strerror(errno);
  const auto socket = datagram_socket::adopt(fd);
  EXPECT_EQ(socket.family(), AF_PACKET);
  const auto target = bound();
  ASSERT_FALSE(bound().send_to("hello", target.local()));
  EXPECT_TRUE(received(socket));
}

TEST(adopt, refuses_what_is_no_datagram_socket_and_leaves_it_open) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  descriptor pipe_end{ends[0]};
  descriptor other_end{ends[1]};
  descriptor tcp{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  descriptor stream{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  descriptor packets{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
  descriptor file{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  struct attempt {
    descriptor& what;
    std::errc code;
  };
  for (const attempt& one :
       {attempt{pipe_end, std::errc::not_a_socket}, attempt{other_end, std::errc::not_a_socket},
        attempt{tcp, std::errc::wrong_protocol_type}, attempt{file, std::errc::not_a_socket},
        attempt{stream, std::errc::wrong_protocol_type}, attempt{packets, std::errc::wrong_protocol_type}}) {
    const auto refused = refusal([&] { datagram_socket::adopt(one.what.fd()); });
    EXPECT_EQ(refused.code(), one.code);
    EXPECT_THAT(refused.what(), StartsWith("adopting descriptor " + std::to_string(one.what.fd())));
    EXPECT_TRUE(one.what.is_open());
  }
  EXPECT_THAT(refusal([&] { datagram_socket::adopt(tcp.fd()); }).what(), HasSubstr("not a datagram socket"));
}

TEST(adopt, refuses_a_descriptor_that_is_closed) {
  const int closed = bound().fd();
  for (const int fd : {closed, -1, 1'000'000}) {
    const auto refused = refusal([&] { datagram_socket::adopt(fd); });
    EXPECT_EQ(refused.code(), std::errc::bad_file_descriptor);
    EXPECT_THAT(refused.what(), StartsWith("adopting descriptor " + std::to_string(fd)));
  }
}

TEST(adopt, leaves_the_descriptor_to_the_caller_whatever_fails) {
  descriptor made{udp_descriptor()};
  const auto still_open_after = [&](const socket_options& options) {
    const auto refused = refusal([&] { datagram_socket::adopt(made.fd(), options); });
    EXPECT_TRUE(made.is_open()) << refused.what();
    return std::string{refused.what()};
  };
  EXPECT_THAT(still_open_after({.tos = 256}), HasSubstr("socket_options::tos"));
  EXPECT_THAT(still_open_after({.device = "no-such-device"}), HasSubstr("no-such-device"));
  EXPECT_THAT(still_open_after({.join = {{.group = address::parse("127.0.0.1:0")}}}), HasSubstr("not a multicast"));
  {
    const fault::injection unnamed{{.call = "getsockname", .error = ENOBUFS}};
    EXPECT_THAT(still_open_after({}), StartsWith("adopting descriptor"));
  }
  {
    const fault::injection untyped{{.call = "getsockopt", .error = ENOPROTOOPT}};
    EXPECT_THAT(still_open_after({}), StartsWith("adopting descriptor"));
  }
  const fault::injection refused{{.call = "setsockopt", .error = EPERM}};
  EXPECT_THAT(still_open_after({}), StartsWith("setsockopt IP_PKTINFO = 1"));
}

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
                AllOf(StartsWith("receive buffer: asked 1024 MiB, granted "), HasSubstr("raise net.core.rmem_max")));
  }
  const fault::injection unprivileged{{.call = "setsockopt", .error = EPERM, .after = 1}};  // SO_SNDBUFFORCE
  const auto socket = bound({.send_buffer = much});
  ASSERT_EQ(unprivileged.hits(), 1);
  EXPECT_EQ(socket.send_buffer().granted, send_limit);
  EXPECT_THAT(socket.send_buffer().shortfall(),
              AllOf(StartsWith("send buffer: asked 1024 MiB, granted "), HasSubstr("raise net.core.wmem_max")));
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

TEST(options, reuse_port_lets_sockets_share_a_port_and_only_those_that_say_so) {
  const auto first = bound({.reuse_port = true});
  EXPECT_EQ(option_of(first, SOL_SOCKET, SO_REUSEPORT), 1);
  const auto second = datagram_socket::bind(first.local(), {.reuse_port = true});
  EXPECT_EQ(second.local(), first.local());
  EXPECT_THAT(refused_bind(first.local()).what(), HasSubstr("has the port"));
  EXPECT_EQ(option_of(bound(), SOL_SOCKET, SO_REUSEPORT), 0);
}

// P18
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
    EXPECT_THAT(refused.what(), StartsWith("socket_options::tos is " + std::to_string(wrong) + "; 0 to 255"));
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
  EXPECT_THAT(unknown.what(), AllOf(StartsWith("SO_BINDTODEVICE \"nonesuch0\""), HasSubstr("ip link")));
  const fault::injection unprivileged{{.call = "setsockopt", .error = EPERM}};
  const auto denied = refused_bind(here, {.device = "lo"});
  EXPECT_EQ(denied.code(), std::errc::operation_not_permitted);
  EXPECT_THAT(denied.what(), StartsWith("SO_BINDTODEVICE \"lo\": needs CAP_NET_RAW"));
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
  EXPECT_THAT(unknown.what(), AllOf(HasSubstr("no interface \"nonesuch0\""), HasSubstr("ip link")));
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
              AllOf(StartsWith("joining 239.255.77.8:0"), HasSubstr("multicast_membership::interface")));
}

TEST(options, of_ip_are_refused_on_another_socket) {
  const auto elsewhere = address::parse("unix:@udppump-options-test-" + std::to_string(::getpid()));
  const std::vector<socket_options> wishes{{.v6only = setting::on},
                                           {.local_address = setting::on},
                                           {.receive_ecn = true},
                                           {.icmp_errors = true},
                                           {.tos = 8},
                                           {.broadcast = true},
                                           {.join = {{.group = address::parse("239.255.77.1:0")}}}};
  for (const auto& wish : wishes) {
    const auto refused = refused_bind(elsewhere, wish);
    EXPECT_EQ(refused.code(), std::errc::address_family_not_supported);
    EXPECT_THAT(refused.what(), StartsWith("socket_options: an option for IP"));
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

// P16
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
}

// P19
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

// P19
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

// P5
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

// P5
TEST(send_to, tries_again_once_for_errors_that_may_be_anothers_and_not_twice) {
  const auto server = bound();
  const auto client = bound();
  for (const int error : {ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ENOPROTOOPT, EPROTO, EMSGSIZE, EACCES}) {
    {
      const fault::injection once{{.call = "sendmsg", .error = error, .times = 1}};
      EXPECT_FALSE(client.send_to("x", server.local())) << error;
      EXPECT_EQ(once.seen(), 2);
    }
    EXPECT_EQ(received(server), "x");
    const fault::injection always{{.call = "sendmsg", .error = error}};
    EXPECT_EQ(client.send_to("x", server.local()), (std::error_code{error, std::generic_category()}));
    EXPECT_EQ(always.seen(), 2);
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

// P13
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

// P13. Each datagram to a dead peer leaves an ICMP error, at which sendmmsg stops short before the next.
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

// P5
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
  EXPECT_EQ(always.seen(), 2);
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

// --- ownership -------------------------------------------------------------------------------------------------------

static_assert(!std::is_copy_constructible_v<datagram_socket> && !std::is_copy_assignable_v<datagram_socket>);
static_assert(std::is_nothrow_move_constructible_v<datagram_socket>);

TEST(ownership, moves_with_all_it_knows) {
  auto first = bound({.receive_buffer = 65'536, .receive_time = true});
  const int fd = first.fd();
  EXPECT_TRUE(first.send("x"));
  const std::size_t before = open_descriptors();
  const datagram_socket second = std::move(first);
  EXPECT_EQ(first.fd(), -1);  // NOLINT(bugprone-use-after-move): that is the question
  EXPECT_EQ(second.fd(), fd);
  EXPECT_EQ(second.family(), AF_INET);
  EXPECT_EQ(second.send_errors(), 1u);
  EXPECT_EQ(second.receive_buffer().asked, 65'536u);
  EXPECT_TRUE(second.control().receive_time);
  EXPECT_FALSE(second.send_to("aabb", second.local(), {.segment_size = 2}));
  EXPECT_THAT(all_received(second, 2), ElementsAre("aa", "bb"));
  EXPECT_EQ(open_descriptors(), before);
}

TEST(ownership, assigned_over_closes_what_it_held) {
  const std::size_t before = open_descriptors();
  {
    auto one = bound();
    auto other = datagram_socket::bind(address::parse("unix:@udppump-move-test-" + std::to_string(::getpid())));
    const int fd = other.fd();
    one = std::move(other);
    EXPECT_EQ(one.fd(), fd);
    EXPECT_EQ(one.family(), AF_UNIX);
    EXPECT_EQ(open_descriptors(), before + 1);
    auto& same = one;
    one = std::move(same);
    EXPECT_EQ(one.fd(), fd);
    EXPECT_TRUE(one.local().is_unix());
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(ownership, released_is_the_callers) {
  int fd = -1;
  {
    auto socket = bound();
    fd = socket.release();
    EXPECT_EQ(socket.fd(), -1);
    EXPECT_EQ(socket.release(), -1);
  }
  descriptor mine{fd};
  EXPECT_TRUE(mine.is_open());
}

TEST(ownership, an_empty_object_says_so_and_does_no_harm) {
  auto socket = bound();
  const descriptor mine{socket.release()};
  EXPECT_TRUE(socket.local().is_none());
  EXPECT_TRUE(socket.peer().is_none());
  EXPECT_EQ(socket.send_to("x", address::parse("127.0.0.1:9")), std::errc::bad_file_descriptor);
  EXPECT_EQ(socket.send_to("aabb", address::parse("127.0.0.1:9"), {.segment_size = 2}), std::errc::bad_file_descriptor);
  EXPECT_EQ(socket.send_errors(), 2u);
}

// --- the seam --------------------------------------------------------------------------------------------------------

// close(2): repeating it could close another's descriptor.
TEST(close, is_not_repeated_after_a_signal) {
  std::optional socket{bound()};
  const int fd = socket->fd();
  const fault::injection interrupted{{.call = "close", .error = EINTR, .times = 1, .fd = fd}};
  socket.reset();
  EXPECT_EQ(interrupted.seen(), 1);
  ::close(fd);  // the fault kept it from the kernel
}

TEST(poll, is_repeated_after_a_signal) {
  const auto socket = bound();
  ASSERT_FALSE(socket.send_to("x", socket.local()));
  pollfd one{.fd = socket.fd(), .events = POLLIN, .revents = 0};
  const fault::injection interrupted{{.call = "poll", .error = EINTR, .times = 2}};
  EXPECT_EQ(udppump::sys::poll(&one, 1, -1), 1);
  EXPECT_EQ(interrupted.hits(), 2);
}

TEST(setting_up, is_not_repeated_after_a_signal_and_reports_it) {
  for (const char* call : {"socket", "bind", "setsockopt"}) {
    const fault::injection interrupted{{.call = call, .error = EINTR, .times = 1}};
    EXPECT_EQ(refused_bind(address::parse("127.0.0.1:0"), {.reuse_port = true}).code(), std::errc::interrupted) << call;
  }
}

}  // namespace

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
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
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
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using udppump::address;
using udppump::as_bytes;
using udppump::datagram_socket;
using udppump::ecn;
using udppump::setting;
using udppump::socket_options;

bool is_nonblocking(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

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
  EXPECT_THAT(refused.what(), AllOf(StartsWith("bind " + here.to_string()), HasSubstr(") serves it: stop it")));
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
  EXPECT_THAT(refused_bind(here).what(), HasSubstr(here.to_string() + ": Address already in use; socket-test (pid "));
}

TEST(bind, tells_the_name_that_a_process_gave_itself_without_what_a_terminal_would_obey) {
  const auto here = address::parse("unix:@udppump-named-test-" + std::to_string(::getpid()));
  std::optional<datagram_socket> held{datagram_socket::bind(here)};
  const child_process holder{[] {
    ::prctl(PR_SET_NAME, "\x1b]0;x\x07");
    ::pause();
  }};
  held.reset();  // the child has it
  std::string told;
  ASSERT_TRUE(eventually([&] {
    try {
      static_cast<void>(datagram_socket::bind(here));
    } catch (const std::system_error& refused) {
      told = refused.what();
    }
    return told.find("]0;x") != std::string::npos;
  })) << told;
  EXPECT_THAT(told, HasSubstr("\\x1b]0;x\\x07 (pid "));
  EXPECT_EQ(told.find('\x1b'), std::string::npos);
  ::kill(holder.pid(), SIGKILL);
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
    EXPECT_THAT(refused.what(), AllOf(StartsWith("bind " + holder.local().to_string() + ": Address already in use; " +
                                                 std::string{program_invocation_short_name}.substr(0, 15)),
                                      HasSubstr("(pid " + std::to_string(::getpid()) + ") has the port")));
  }
}

/// A process that has a port there.
class holder_of_port {
 public:
  explicit holder_of_port(const char* where)
      : process_{[this, where] {
          const auto held = bound({}, where);
          *port_ = held.local().port();
          std::this_thread::sleep_for(patience);
        }} {
    EXPECT_TRUE(eventually([this] { return *port_ != 0; }));
  }
  std::uint16_t port() const { return static_cast<std::uint16_t>(port_->load()); }
  pid_t pid() const { return process_.pid(); }

 private:
  const shared<std::atomic<unsigned>> port_;
  const child_process process_;
};

TEST(bind, does_not_name_who_has_the_port_on_another_address) {
  const holder_of_port other{"127.0.0.2:0"};
  const std::uint16_t number = other.port();
  const auto beside =
      datagram_socket::bind(address::parse("127.0.0.3:0").with_port(number));  // this process comes first
  const auto refused = refused_bind(address::parse("127.0.0.2:0").with_port(number));
  EXPECT_THAT(refused.what(), HasSubstr("(pid " + std::to_string(other.pid()) + ") has the port"));
}

TEST(bind, does_not_name_who_has_all_of_ipv4_for_an_address_of_ipv6) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const holder_of_port other{"[::1]:0"};
  const std::uint16_t number = other.port();
  const auto beside = datagram_socket::bind(address::parse("0.0.0.0:0").with_port(number));  // this process comes first
  const auto refused = refused_bind(address::parse("[::1]:0").with_port(number));
  EXPECT_THAT(refused.what(), HasSubstr("(pid " + std::to_string(other.pid()) + ") has the port"));
}

TEST(bind, says_what_to_do_about_each_refusal) {
  EXPECT_THAT(
      refused_bind(address::parse("203.0.113.1:0")).what(),
      AllOf(StartsWith("bind 203.0.113.1:0: Cannot assign requested address; no interface here has that address"),
            HasSubstr("ip address")));
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

/// A socket that no process has any more: it is in a message that nobody has taken (unix(7), SCM_RIGHTS).
class socket_in_a_message {
 public:
  explicit socket_in_a_message(const datagram_socket& sent) {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends_.data()), 0);
    char byte = 0;
    iovec data{&byte, 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr& rights = *CMSG_FIRSTHDR(&message);
    rights.cmsg_level = SOL_SOCKET;
    rights.cmsg_type = SCM_RIGHTS;
    rights.cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = sent.fd();
    std::memcpy(CMSG_DATA(&rights), &fd, sizeof fd);
    EXPECT_EQ(::sendmsg(ends_[0], &message, 0), 1);
  }
  socket_in_a_message(const socket_in_a_message&) = delete;
  socket_in_a_message& operator=(const socket_in_a_message&) = delete;
  ~socket_in_a_message() {
    for (const int end : ends_) ::close(end);
  }

 private:
  std::array<int, 2> ends_{};
};

TEST(bind, tries_again_what_is_taken_by_nobody) {
  const folder place;
  for (const auto& local : {bound().local(), place.socket("server"),
                            address::parse("unix:@udppump-nobodys-" + std::to_string(::getpid()))}) {
    const fault::injection taken{{.call = "bind", .error = EADDRINUSE, .times = 10}};
    EXPECT_EQ(datagram_socket::bind(local).local(), local);
  }
}

TEST(bind, says_that_nobody_can_be_seen_who_has_the_address) {
  const folder place;
  for (const auto& wanted : {address::parse("127.0.0.1:0"), place.socket("server"),
                             address::parse("unix:@udppump-unseen-" + std::to_string(::getpid()))}) {
    auto held = std::make_optional(datagram_socket::bind(wanted));
    const auto local = held->local();
    const socket_in_a_message holder{*held};
    held.reset();
    EXPECT_THAT(refused_bind(local).what(),
                AllOf(StartsWith("bind " + local.to_string()), HasSubstr("cannot be seen from here"),
                      HasSubstr(local.is_unix() ? "ss -xap" : "ss -uanp")));
  }
}

TEST(bind, says_who_serves_a_unix_address) {
  const folder place;
  for (const auto& local :
       {place.socket("a server"), address::parse("unix:@udppump-served-" + std::to_string(::getpid()))}) {
    const auto held = datagram_socket::bind(local);
    EXPECT_THAT(refused_bind(local).what(),
                HasSubstr("(pid " + std::to_string(::getpid()) + ") serves it: stop it, or choose another"));
  }
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
              AllOf(StartsWith("connect 127.255.255.255:9"), HasSubstr("a broadcast address"),
                    HasSubstr("or a route forbids it: see `ip route")));
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
  EXPECT_THAT(refused.what(), HasSubstr("IPV6_V6ONLY: the socket is bound; set it before bind"));
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
  EXPECT_TRUE(from.is_none());
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
  EXPECT_THAT(refusal([&] { datagram_socket::adopt(tcp.fd()); }).what(), HasSubstr("no datagram socket"));
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
  EXPECT_THAT(still_open_after({.tos = 256}), HasSubstr("type of service 256: give 0 to 255"));
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

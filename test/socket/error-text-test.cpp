// What a refused system call says when a socket is made: the call, its argument, the reason, and what helps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <udppump/datagram_socket.hpp>
#include <udppump/pump_group.hpp>
#include <vector>

#include "support/fault.hpp"
#include "support/socket_setup.hpp"
#include "support/sockets.hpp"
#include "sys/failure.hpp"

namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using udppump::address;
using udppump::datagram_socket;
using udppump::setting;
using udppump::socket_options;

struct refused_call {
  const char* call;
  int error;
  const char* cure;
  /// What the call was about.
  const char* names = "127.0.0.1:";
};

void PrintTo(const refused_call& it, std::ostream* out) { *out << it.call << ": " << std::strerror(it.error); }

class refused : public testing::TestWithParam<refused_call> {};

/// Every option that a UDP socket can have on any machine.
const socket_options all_options{.reuse_port = true,
                                 .local_address = setting::on,
                                 .receive_time = true,
                                 .receive_ecn = true,
                                 .icmp_errors = true,
                                 .path_mtu = udppump::path_mtu_discovery::omit,
                                 .tos = 0,
                                 .broadcast = true};

TEST_P(refused, names_the_call_the_reason_and_the_cure) {
  const auto& [call, error, cure, names] = GetParam();
  const bool connects = std::strcmp(call, "connect") == 0;
  const fault::injection refusal_below{{.call = call, .error = error, .times = 1}};
  const auto thrown = refusal([&] {
    const auto where = address::parse("127.0.0.1:9");
    static_cast<void>(connects ? datagram_socket::connect(where, all_options)
                               : datagram_socket::bind(where.with_port(0), all_options));
  });
  EXPECT_EQ(thrown.code().value(), error);
  EXPECT_THAT(thrown.what(),
              AllOf(HasSubstr(names), HasSubstr(cure), testing::Not(testing::EndsWith(std::strerror(error)))));
  const std::string text = thrown.what();
  const auto reason = text.find(std::string{": "} + std::strerror(error) + "; ");
  EXPECT_LT(reason, text.find(cure)) << text;  // the cause first, the cure last
}

INSTANTIATE_TEST_SUITE_P(
    socket, refused,
    testing::Values(refused_call{"socket", EMFILE, "ulimit -n"}, refused_call{"socket", ENFILE, "fs.file-max"},
                    refused_call{"socket", ENOBUFS, "memory limit"}, refused_call{"socket", ENOMEM, "memory limit"},
                    refused_call{"socket", EACCES, "seccomp"}, refused_call{"socket", EPERM, "seccomp"},
                    refused_call{"socket", EAFNOSUPPORT, "RestrictAddressFamilies="},
                    refused_call{"socket", EPROTONOSUPPORT, "no datagram sockets"}));
INSTANTIATE_TEST_SUITE_P(bind, refused,
                         testing::Values(refused_call{"bind", EADDRINUSE, "no port is free"},
                                         refused_call{"bind", EADDRNOTAVAIL, "ip address"},
                                         refused_call{"bind", EACCES, "CAP_NET_BIND_SERVICE"},
                                         refused_call{"bind", EPERM, "seccomp"},
                                         refused_call{"bind", ENOMEM, "memory limit"},
                                         refused_call{"bind", ENOBUFS, "memory limit"}));
INSTANTIATE_TEST_SUITE_P(connect, refused,
                         testing::Values(refused_call{"connect", ENETUNREACH, "ip route get"},
                                         refused_call{"connect", EHOSTUNREACH, "ip route get"},
                                         refused_call{"connect", EAGAIN, "net.ipv4.ip_local_port_range"},
                                         refused_call{"connect", EADDRNOTAVAIL, "ip address"},
                                         refused_call{"connect", EPERM, "seccomp"},
                                         refused_call{"connect", ENOBUFS, "memory limit"}));
INSTANTIATE_TEST_SUITE_P(setsockopt, refused,
                         testing::Values(refused_call{"setsockopt", ENOPROTOOPT, "omit the option", "SO_REUSEPORT"},
                                         refused_call{"setsockopt", EPERM, "seccomp", "SO_REUSEPORT"},
                                         refused_call{"setsockopt", ENOBUFS, "memory limit", "SO_REUSEPORT"},
                                         refused_call{"setsockopt", EINVAL, "give another, or omit the option",
                                                      "SO_REUSEPORT"}));

TEST(refused, a_copy_as_the_standard_s_own_exception_says_the_same) {
  const fault::injection refusal_below{{.call = "socket", .error = EMFILE, .times = 1}};
  try {
    static_cast<void>(datagram_socket::bind(address::parse("127.0.0.1:0")));
    FAIL() << "bound";
  } catch (const std::system_error& thrown) {
    const std::string limit = "raise this process' limit of open files (ulimit -n, LimitNOFILE= in a unit of systemd)";
    EXPECT_EQ(thrown.what(), "socket for 127.0.0.1:0: Too many open files; " + limit);
    const std::system_error copy = thrown;  // NOLINT: cut down to its base, as std::system_error users may
    EXPECT_EQ(copy.what(), "socket for 127.0.0.1:0; " + limit + ": Too many open files");
  }
}

/// A cure says what to do: it has a verb that commands, or a command of the shell.
TEST(refused, every_error_of_the_kernel_has_a_cure_whatever_call_it_came_from) {
  const testing::Matcher<std::string> says_what_to_do =
      testing::ContainsRegex("\\b(raise|omit|take|give|name|try|make|choose|stop|see|allow)\\b");
  int with_one_of_their_own = 0;
  const std::string unexpected = udppump::detail::cure_of(ENOTRECOVERABLE);
  for (int error = 1; error < 134; ++error) {
    const std::string cure = udppump::detail::cure_of(error);
    EXPECT_THAT(cure, says_what_to_do) << std::strerror(error);
    EXPECT_EQ(cure, udppump::detail::cure_of(-error)) << std::strerror(error);
    if (cure != unexpected) ++with_one_of_their_own;
  }
  EXPECT_GE(with_one_of_their_own, 25);
  EXPECT_THAT(unexpected, HasSubstr("strace -f"));
}

TEST(refused, a_waiter_that_cannot_be_had_says_what_helps) {
  using udppump::waiter_kind;
  const struct {
    const char* call;
    int error;
    waiter_kind waiter;
    const char* cure;
  } cases[] = {
      {"epoll_create1", EMFILE, waiter_kind::thread, "ulimit -n"},
      {"epoll_create1", ENFILE, waiter_kind::thread, "fs.file-max"},
      {"epoll_create1", ENOMEM, waiter_kind::thread, "memory limit"},
      {"epoll_ctl", ENOSPC, waiter_kind::thread, "fs.epoll.max_user_watches"},
      {"epoll_ctl", ENOMEM, waiter_kind::thread, "memory limit"},
      {"pthread_create", EAGAIN, waiter_kind::thread, "ulimit -u"},
      {"pthread_create", EAGAIN, waiter_kind::poll, "ulimit -u"},
  };
  for (const auto& [call, error, waiter, cure] : cases) {
    const fault::injection refusal_below{{.call = call, .error = error}};
    const auto thrown = refusal([kind = waiter] { const udppump::pump_group group{{.waiter = kind}}; });
    EXPECT_EQ(thrown.code().value(), error) << call;
    EXPECT_THAT(thrown.what(),
                AllOf(StartsWith(std::string{call} + ": " + std::strerror(error) + "; "), HasSubstr(cure)))
        << call;
  }
  for (const int error : {EMFILE, ENFILE}) {
    const fault::injection no_eventfd{{.call = "eventfd", .error = error}}, no_pipe{{.call = "pipe2", .error = error}};
    const auto thrown = refusal([] { const udppump::pump_group group; });
    EXPECT_THAT(thrown.what(), AllOf(HasSubstr("eventfd and pipe"), HasSubstr("limit of open files")));
  }
}

TEST(refused, an_ipv6_address_where_there_is_no_ipv6_names_the_ipv4_one) {
  const fault::injection without{{.call = "socket", .error = EAFNOSUPPORT, .times = 1}};
  EXPECT_THAT(refused_bind(address::parse(":5300")).what(), AllOf(HasSubstr("no IPv6"), HasSubstr("0.0.0.0:5300")));
}

TEST(refused, a_wildcard_whose_port_another_has_on_one_address_says_to_bind_one) {
  // As systemd-resolved has 127.0.0.53:53.
  const auto resolver = bound({}, "127.0.0.53:0");
  const auto port = std::to_string(resolver.local().port());
  for (const char* wildcard : available({"0.0.0.0:", "[::]:"})) {
    EXPECT_THAT(refused_bind(address::parse(wildcard + port)).what(),
                AllOf(HasSubstr("has the port on 127.0.0.53:" + port), HasSubstr("bind one address")));
  }
}

TEST(refused, the_holder_of_another_address_is_not_blamed) {
  const auto beside = bound({}, "127.0.0.53:0");
  const auto holder = bound({}, address::parse("127.0.0.54:0").with_port(beside.local().port()).to_string().c_str());
  EXPECT_THAT(refused_bind(holder.local()).what(),
              AllOf(HasSubstr("has the port: stop it"), testing::Not(HasSubstr(" on 127"))));
}

TEST(refused, options_for_ip_on_another_socket_say_which_to_leave) {
  folder place;
  EXPECT_THAT(refused_bind(place.socket("x"), {.path_mtu = udppump::path_mtu_discovery::omit}).what(),
              HasSubstr("path MTU discovery"));
}

TEST(refused, unix_addresses_have_cures_of_their_own) {
  folder place;
  EXPECT_THAT(refused_bind(place.socket("none/x")).what(), HasSubstr("make it first"));
  EXPECT_THAT(refused_connect(place.socket("nobody")).what(), HasSubstr("start the server first"));
}

}  // namespace

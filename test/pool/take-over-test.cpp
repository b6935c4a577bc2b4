#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <set>
#include <string>

#include "pool/passed_socket.hpp"
#include "pool/pool_sockets.hpp"
#include "pool/predecessor.hpp"
#include "pool/socket_check.hpp"
#include "pool/successor.hpp"
#include "support/asking_client.hpp"
#include "support/pool_process.hpp"
#include "support/private_folder.hpp"

#include <netinet/udp.h>

using namespace udppump;
using namespace std::chrono_literals;
using detail::descriptor;
using detail::listening;
using detail::passed_socket;
using detail::predecessor;
using testing::AllOf;
using testing::HasSubstr;

namespace {

constexpr uid_t service = 65534;
constexpr uid_t stranger = 65533;

void become(uid_t user) {
  if (::setgroups(0, nullptr) != 0 || ::setresgid(user, user, user) != 0 || ::setresuid(user, user, user) != 0) {
    ::_exit(80);
  }
}

/// Wants the sockets, as a new parent does, and goes away without taking over: what it is given, or told.
std::string answer_at(const std::string& path, uid_t becomes = predecessor::nobody) {
  try {
    auto before = predecessor::at(path, becomes);
    return before ? "given " + std::to_string(before->take_sockets().size()) : "nobody is there";
  } catch (const std::system_error& refused) {
    return refused.what();
  }
}

descriptor connected_to(const std::string& path) {
  descriptor made{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
  const auto where = address::parse("unix:" + path);
  if (::connect(made.fd(), where.data(), where.size()) != 0) made.reset();
  return made;
}
bool say(const descriptor& connection, std::string_view words) {
  return ::send(connection.fd(), words.data(), words.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(words.size());
}

/// Listens at the path, as a pool does.
descriptor listening_at(const std::string& path) {
  descriptor made{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
  const auto where = address::parse("unix:" + path);
  EXPECT_EQ(::bind(made.fd(), where.data(), where.size()), 0) << std::strerror(errno);
  EXPECT_EQ(::listen(made.fd(), 8), 0);
  return made;
}
/// Takes one successor's connection, and gives it these sockets.
void hand_on(const descriptor& listener, const detail::handed_sockets& sockets) {
  descriptor accepted{::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC)};
  const detail::take_over_connection one{std::move(accepted), detail::take_over_connection::end::old_parents};
  EXPECT_TRUE(readable(one.fd(), patience));
  EXPECT_EQ(one.hear().what, detail::take_over_message::kind::hello);
  EXPECT_EQ(one.hand_on(sockets), 0);
  static_cast<void>(readable(one.fd(), patience));  // until it hangs up
}

class a_take_over_path : public testing::Test {
 protected:
  const private_folder folder{0711};
  const std::string path = folder / "take-over";
  const pool_options options{.workers = 1, .take_over = path};
};

// --- who may take over -----------------------------------------------------------------------------------------------

TEST_F(a_take_over_path, is_for_its_owner_alone_whatever_the_umask) {
  const mode_t before = ::umask(0);
  auto pool = pool_process::serving_with(options, echo);
  static_cast<void>(pool.address());
  ::umask(before);
  struct stat about {};
  ASSERT_EQ(::stat(path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
  EXPECT_EQ(pool.stop(), 0);
  EXPECT_NE(::stat(path.c_str(), &about), 0);
}

TEST_F(a_take_over_path, gives_nothing_to_a_process_of_another_user) {
  if (::geteuid() != 0) GTEST_SKIP() << "requires root, to become another user";
  for (const uid_t user : {stranger, service}) {
    auto options_of_one = options;
    options_of_one.become = {.user = std::to_string(service), .group = std::to_string(service)};
    auto pool = pool_process::serving_with(options_of_one, echo);
    const asking_client client{pool.address()};
    struct stat about {};
    ASSERT_EQ(::stat(path.c_str(), &about), 0);
    EXPECT_EQ(about.st_uid, 0u) << "whom root becomes has workers that are not trusted";
    // Somebody opens the path to all: what is behind it must still look who comes.
    ASSERT_EQ(::chmod(path.c_str(), 0666), 0);
    shared<pool_report> report;
    child_process other{[&] {
      become(user);
      report->note("answer", answer_at(path));
    }};
    ASSERT_EQ(other.join(), 0);
    EXPECT_THAT(report->log(), HasSubstr("it belongs to another user"));
    EXPECT_TRUE(pool.says("take-over-refused: a process of another user wanted the sockets, and was refused: pid "));
    EXPECT_TRUE(pool.has_said("of user " + std::to_string(user))) << pool.log();
    EXPECT_EQ(client.ask("still there"), "still there");
    EXPECT_EQ(answer_at(path, service), "given 1") << "to root";
    EXPECT_EQ(pool.stop(), 0) << pool.log();
    ::unlink(path.c_str());  // which the pool may not any more
  }
}

TEST_F(a_take_over_path, that_the_user_of_the_service_has_taken_gives_root_nothing_and_he_is_named) {
  if (::geteuid() != 0) GTEST_SKIP() << "requires root, to become another user";
  const std::string his_folder = folder / "run";
  ASSERT_EQ(::mkdir(his_folder.c_str(), 0755), 0);
  ASSERT_EQ(::chown(his_folder.c_str(), service, service), 0);
  const std::string taken = his_folder + "/take-over";
  const descriptor ready{::eventfd(0, EFD_CLOEXEC)};
  child_process squatter{[&] {
    become(service);
    const auto forged = bound();
    const descriptor listener = listening_at(taken);
    ::eventfd_write(ready.fd(), 1);
    for (;;) {
      const detail::take_over_connection one{descriptor{::accept(listener.fd(), nullptr, nullptr)},
                                             detail::take_over_connection::end::old_parents};
      static_cast<void>(one.hand_on({.sockets = {{forged.fd(), {.name = "udppump"}}}}));
    }
  }};
  ASSERT_TRUE(readable(ready.fd(), patience));
  auto options_of_start = options;
  options_of_start.take_over = taken;
  options_of_start.become = {.user = std::to_string(service), .group = std::to_string(service)};
  auto start = pool_process::serving_with(options_of_start, echo);
  EXPECT_EQ(start.join(), 90);
  const std::string who = "is served by pid " + std::to_string(squatter.pid()) + " of user " + std::to_string(service);
  EXPECT_TRUE(start.has_said(who + "; it runs /")) << start.log();
  EXPECT_TRUE(start.has_said("end that process")) << start.log();
}

TEST_F(a_take_over_path, that_a_stranger_has_taken_where_all_may_write_gives_nobody_else_anything) {
  if (::geteuid() != 0) GTEST_SKIP() << "requires root, to become another user";
  const private_folder for_all{01777};
  const std::string taken = for_all / "take-over";
  const descriptor ready{::eventfd(0, EFD_CLOEXEC)};
  child_process squatter{[&] {
    become(stranger);
    const descriptor listener = listening_at(taken);
    ::chmod(taken.c_str(), 0666);
    ::eventfd_write(ready.fd(), 1);
    ::pause();
  }};
  ASSERT_TRUE(readable(ready.fd(), patience));
  shared<pool_report> report;
  child_process start{[&] {
    become(service);
    report->note("answer", answer_at(taken));
  }};
  ASSERT_EQ(start.join(), 0);
  EXPECT_THAT(report->log(), HasSubstr("is served by pid " + std::to_string(squatter.pid()) + " of user 65533"));
  EXPECT_THAT(report->log(), HasSubstr("only processes of root and of user 65534"));
}

TEST_F(a_take_over_path, is_believed_of_whom_root_became_only_by_a_start_that_becomes_the_same) {
  if (::geteuid() != 0) GTEST_SKIP() << "requires root, to become another user";
  const descriptor listener = listening_at(path);
  child_process old_parent{[&] {
    const auto socket = bound();
    become(service);
    for (int often = 0; often < 3; ++often) hand_on(listener, {.sockets = {{socket.fd(), {.name = "udppump"}}}});
  }};
  EXPECT_THAT(answer_at(path), HasSubstr("which may not give sockets to this start"));
  EXPECT_THAT(answer_at(path, stranger), HasSubstr("which may not give sockets to this start"));
  EXPECT_EQ(answer_at(path, service), "given 1");
  EXPECT_EQ(old_parent.join(), 0);
}

TEST_F(a_take_over_path, that_is_a_link_to_the_path_of_another_pool_does_not_end_that_one) {
  auto pool = pool_process::serving_with(options, echo);
  const asking_client client{pool.address()};
  const std::string symbolic = folder / "symbolic";
  const std::string hard = folder / "hard";
  ASSERT_EQ(::symlink(path.c_str(), symbolic.c_str()), 0);
  EXPECT_EQ(answer_at(symbolic), "nobody is there");
  ASSERT_EQ(::link(path.c_str(), hard.c_str()), 0);
  EXPECT_THAT(answer_at(hard), HasSubstr("it has another name (a hard link); remove it"));
  ASSERT_EQ(::unlink(hard.c_str()), 0);
  EXPECT_FALSE(pool.has_said("take")) << pool.log();
  EXPECT_EQ(client.ask("still there"), "still there");
  EXPECT_EQ(pool.stop(), 0);
}

TEST_F(a_take_over_path, where_somebody_listens_and_is_silent_is_said_in_time) {
  const descriptor listener = listening_at(path);
  const auto began = std::chrono::steady_clock::now();
  EXPECT_THAT(answer_at(path), AllOf(HasSubstr("does not answer; is it stopped? Its path was made by pid " +
                                               std::to_string(::getpid()) + " of user "),
                                     HasSubstr("`ss -xlp` shows who has it now")));
  EXPECT_LT(std::chrono::steady_clock::now() - began, patience);
}

// --- which sockets are taken -----------------------------------------------------------------------------------------

/// What is found wrong with a socket that is passed.
std::string fault(int fd, bool from_service_manager = false) {
  passed_socket passed{descriptor{fd}, {.name = "x", .from_service_manager = from_service_manager}};
  std::string found = detail::fault_of(passed);
  static_cast<void>(passed.socket.release());
  return found;
}

TEST(a_socket_that_is_handed_on, is_served_only_if_it_is_what_pools_serve) {
  for (const bool managed : {false, true}) {
    const auto good = bound();
    EXPECT_EQ(fault(good.fd(), managed), "");
    const descriptor stream{::socket(AF_INET, SOCK_STREAM, 0)};
    const descriptor file{::memfd_create("file", MFD_CLOEXEC)};
    const descriptor unbound{::socket(AF_INET, SOCK_DGRAM, 0)};
    const descriptor unnamed{::socket(AF_UNIX, SOCK_DGRAM, 0)};
    for (const auto* no_kind : {&stream, &file}) {
      EXPECT_THAT(fault(no_kind->fd(), managed), HasSubstr("no socket that a pool serves"));
    }
    for (const auto* nowhere : {&unbound, &unnamed}) {
      EXPECT_THAT(fault(nowhere->fd(), managed), HasSubstr("bound to no address"));
    }
    for (const int type : {SOCK_DGRAM, SOCK_SEQPACKET}) {
      int ends[2];
      ASSERT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
      EXPECT_NE(fault(ends[0], managed), "");
      ::close(ends[0]);
      ::close(ends[1]);
    }
    const auto connected = bound();
    const auto other = bound();
    ASSERT_EQ(::connect(connected.fd(), other.local().data(), other.local().size()), 0);
    EXPECT_THAT(fault(connected.fd(), managed), HasSubstr("is connected, so that it hears 127.0.0.1:"));

    sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    const sock_fprog drop{.len = 1, .filter = nothing};
    ASSERT_EQ(::setsockopt(other.fd(), SOL_SOCKET, SO_ATTACH_FILTER, &drop, sizeof drop), 0);
    EXPECT_THAT(fault(other.fd(), managed), HasSubstr("has a filter"));
    const int on = 1;
    ASSERT_EQ(::setsockopt(good.fd(), SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on), 0);
    EXPECT_THAT(fault(good.fd(), managed), HasSubstr("is locked"));
  }
}

int option_of(int fd, int level, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, level, option, &value, &size) == 0 ? value : -errno;
}
void set(int fd, int level, int option, int value) {
  EXPECT_EQ(::setsockopt(fd, level, option, &value, sizeof value), 0) << std::strerror(errno);
}
/// What a worker may do before its pool is taken over.
void spoil(int fd) {
  set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  set(fd, SOL_SOCKET, SO_DONTROUTE, 1);
  set(fd, SOL_SOCKET, SO_RCVBUF, 1);
  set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
  set(fd, IPPROTO_IP, IP_TTL, 1);
  set(fd, IPPROTO_IP, IP_TOS, 0x10);
  set(fd, IPPROTO_UDP, UDP_CORK, 1);
}
/// What spoil() changes, as one text.
std::string looks_of(int fd) {
  std::string all;
  for (const auto& [level, option] : std::vector<std::pair<int, int>>{{SOL_SOCKET, SO_REUSEADDR},
                                                                      {SOL_SOCKET, SO_REUSEPORT},
                                                                      {SOL_SOCKET, SO_DONTROUTE},
                                                                      {SOL_SOCKET, SO_RCVBUF},
                                                                      {SOL_SOCKET, SO_TIMESTAMPNS},
                                                                      {SOL_SOCKET, SO_PRIORITY},
                                                                      {IPPROTO_IP, IP_TTL},
                                                                      {IPPROTO_IP, IP_TOS},
                                                                      {IPPROTO_UDP, UDP_CORK}}) {
    all += std::to_string(option_of(fd, level, option)) + ' ';
  }
  return all;
}

TEST_F(a_take_over_path, hands_on_no_socket_as_a_worker_has_spoilt_it) {
  const auto looks_and_spoils = [](worker_pool& made) {
    return made.serve([&made](datagram& received) {
      const int fd = made.sockets()[0].fd();
      const std::string looks = looks_of(fd);
      received.reply(looks);
      if (received.text() == "spoil") spoil(fd);
    });
  };
  auto pool = pool_process{options, looks_and_spoils};
  const asking_client client{pool.address()};
  const std::string good = client.ask("spoil");
  ASSERT_NE(good, "");
  auto next_options = options;
  next_options.bind = {pool.address().to_string()};
  auto next = pool_process{next_options, looks_and_spoils};
  static_cast<void>(next.address());
  EXPECT_EQ(pool.join(), 0) << pool.log() << next.log();
  EXPECT_EQ(client.ask("?"), good) << next.log();
  for (const char* told :
       {"was given SO_REUSEADDR = 1 instead of 0", "SO_REUSEPORT = 1 instead of 0", "IP_TTL = 1 instead of "}) {
    EXPECT_TRUE(next.has_said(told) || pool.has_said(told)) << told << '\n' << next.log() << pool.log();
  }
  EXPECT_EQ(next.stop(), 0) << next.log();
}

TEST(a_start_that_is_passed_a_socket, tells_what_it_has_that_no_unit_sets_and_keeps_it) {
  std::string told;
  const detail::pool_log log{
      [&told](const pool_event& event) { told += std::string{event.name} + ": " + event.text + '\n'; }};
  const socket_options wanted;
  for (const bool is_odd : {false, true}) {
    auto unit = bound();
    set(unit.fd(), IPPROTO_IP, IP_TTL, 9);                    // as IPTTL= does
    set(unit.fd(), SOL_SOCKET, SO_REUSEADDR, 1);              // as systemd does
    if (is_odd) set(unit.fd(), IPPROTO_UDP, UDP_SEGMENT, 1);  // as a worker does
    const int segment = is_odd ? 1 : 0;
    std::vector<passed_socket> passed;
    passed.push_back({descriptor{unit.release()}, {.name = "unit", .from_service_manager = true}});
    detail::pool_sockets sockets{wanted};
    sockets.open({}, std::move(passed), false, {}, log);
    if (!is_odd) {
      EXPECT_EQ(told, "");
    }
    EXPECT_EQ(option_of(sockets.all()[0].fd(), IPPROTO_UDP, UDP_SEGMENT), segment);
  }
  EXPECT_THAT(told, HasSubstr("socket-as-passed: socket "));
  EXPECT_THAT(told, HasSubstr(" (unit) was passed with UDP_SEGMENT = 1 instead of 0, and is kept so"));
}

TEST(a_start_that_takes_over, and_fails_leaves_what_waits_to_the_pool_that_serves_on) {
  pool_options options{.workers = 1, .restart = {.crash_limit = 2}, .take_over = temporary_path("fails")};
  auto pool = pool_process::serving_with(options, [](datagram& received) {
    std::this_thread::sleep_for(300ms);
    received.reply(received.payload);
  });
  const asking_client client{pool.address()};
  for (const char* text : {"1", "2", "3", "4", "5"}) client.send(text);
  options.bind = {pool.address().to_string()};
  pool_process failing{
      options, [](worker_pool& made) { return made.run([](worker&) { throw std::runtime_error{"cannot serve"}; }); }};
  EXPECT_EQ(failing.join(), 4) << failing.log();
  EXPECT_TRUE(failing.has_said("for whoever serves it next")) << failing.log();
  for (const char* text : {"1", "2", "3", "4", "5"}) EXPECT_EQ(client.receive(), text) << failing.log();
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(a_start_that_takes_over, has_sockets_as_its_own_options_make_them_and_tells_what_was_not_so) {
  for (const auto who : {detail::socket_state::sharers::pumps, detail::socket_state::sharers::programs}) {
    std::string told;
    const detail::pool_log log{
        [&told](const pool_event& event) { told += std::string{event.name} + ": " + event.text + '\n'; }};
    const socket_options wanted{.tos = 0x20};
    const auto made = datagram_socket::bind(address::parse("127.0.0.1:0"), wanted);
    const std::string good = looks_of(made.fd());
    auto spoilt = datagram_socket::bind(address::parse("127.0.0.1:0"), wanted);
    const detail::wanted_address where{"x", spoilt.local()};
    spoil(spoilt.fd());
    detail::pool_sockets sockets{wanted};
    std::vector<passed_socket> passed;
    passed.push_back({descriptor{spoilt.release()}, {.name = "x"}});
    sockets.open({where}, std::move(passed), true, {}, log);
    const int fd = sockets.all()[0].fd();
    EXPECT_EQ(option_of(fd, SOL_SOCKET, SO_REUSEPORT), 0);
    EXPECT_EQ(option_of(fd, SOL_SOCKET, SO_RCVBUF), option_of(made.fd(), SOL_SOCKET, SO_RCVBUF));
    EXPECT_THAT(told, HasSubstr("socket-changed: socket " + where.where.to_string() + " (x) was given SO_DONTROUTE"));
    detail::socket_check check{sockets, who, wanted, log};
    if (who == detail::socket_state::sharers::pumps) {
      EXPECT_EQ(looks_of(fd), good) << told;
      EXPECT_FALSE(sockets.all()[0].control().receive_time);
    } else {
      EXPECT_EQ(option_of(fd, IPPROTO_IP, IP_TTL), 1) << "which a program may want";
      EXPECT_THAT(told, HasSubstr("socket-as-left: "));
      EXPECT_THAT(told, HasSubstr("IP_TTL = 1 instead of "));
      told.clear();
      EXPECT_FALSE(check.look(detail::socket_check::clock::now()));
      EXPECT_EQ(told, "") << "once";
    }
  }
}

TEST(a_start_that_takes_over, keeps_the_options_of_a_socket_that_a_service_manager_opened) {
  const detail::pool_log log{[](const pool_event& event) { ADD_FAILURE() << event.text; }};
  auto unit = bound();
  set(unit.fd(), IPPROTO_IP, IP_TOS, 0x10);
  set(unit.fd(), SOL_SOCKET, SO_REUSEPORT, 1);
  std::vector<passed_socket> passed;
  passed.push_back({descriptor{unit.release()}, {.name = "unit", .from_service_manager = true}});
  const socket_options wanted;
  detail::pool_sockets sockets{wanted};
  sockets.open({}, std::move(passed), true, {}, log);
  detail::socket_check check{sockets, detail::socket_state::sharers::pumps, wanted, log};
  EXPECT_FALSE(check.look(detail::socket_check::clock::now()));
  EXPECT_EQ(option_of(sockets.all()[0].fd(), IPPROTO_IP, IP_TOS), 0x10);
  EXPECT_EQ(option_of(sockets.all()[0].fd(), SOL_SOCKET, SO_REUSEPORT), 1);
}

TEST(a_start_that_takes_over, is_in_its_groups_without_joining_them_again) {
  const detail::pool_log log{[](const pool_event& event) { ADD_FAILURE() << event.text; }};
  const socket_options wanted{.join = {{address::parse("239.255.7.9:0"), "lo"}}};
  auto before = datagram_socket::bind(address::parse("0.0.0.0:0"), wanted);
  const detail::wanted_address where{"x", before.local()};
  std::vector<passed_socket> passed;
  passed.push_back({descriptor{before.release()}, {.name = "x"}});
  detail::pool_sockets sockets{wanted};
  sockets.open({where}, std::move(passed), true, {}, log);
  EXPECT_EQ(sockets.all()[0].memberships().size(), 1u);
}

TEST_F(a_take_over_path, gives_a_socketpair_to_no_program_as_what_a_service_manager_opened) {
  const descriptor listener = listening_at(path);
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
  const descriptor mine{ends[0]};
  const descriptor his{ends[1]};
  auto start = pool_process::serving_with(options, echo);
  hand_on(listener, {.sockets = {{his.fd(), {.name = "unit", .from_service_manager = true}}}});
  EXPECT_EQ(start.join(), 90);
  EXPECT_TRUE(start.has_said("(unit) is bound to no address")) << start.log();
}

/// Sockets as a start that takes over has them in the end: "NAME ADDRESS", in their order.
std::vector<std::string> opened(const std::vector<std::string>& wanted, std::vector<passed_socket> passed,
                                std::string* log = nullptr) {
  const detail::pool_log sink{[log](const pool_event& event) {
    if (log != nullptr) *log += event.text + '\n';
  }};
  static const socket_options options;
  detail::pool_sockets sockets{options};
  std::vector<detail::wanted_address> parsed;
  for (const std::string& one : wanted) parsed.push_back(detail::wanted_address::parse(one));
  sockets.open(parsed, std::move(passed), true, {}, sink);
  std::vector<std::string> all;
  for (std::size_t at = 0; at < sockets.size(); ++at) {
    const std::string local = sockets.all()[at].local().to_string();
    all.push_back(sockets.called()[at].name + ' ' + local);
  }
  return all;
}
passed_socket passed_as(datagram_socket socket, listening as) { return {descriptor{socket.release()}, std::move(as)}; }

TEST(a_start_that_takes_over, has_its_own_order_and_its_own_names) {
  auto a = bound();
  auto b = bound();
  const std::string at_a = a.local().to_string();
  const std::string at_b = b.local().to_string();
  const std::string unused = bound().local().to_string();
  std::vector<passed_socket> passed;
  passed.push_back(passed_as(std::move(a), {.name = "old"}));
  passed.push_back(passed_as(std::move(b), {.name = "other"}));
  std::string log;
  EXPECT_EQ(opened({"new=" + unused, "a=" + at_a}, std::move(passed), &log),
            (std::vector<std::string>{"new " + unused, "a " + at_a}));
  EXPECT_THAT(log, HasSubstr(at_b + " (other), which the pool before this one serves, is not asked for here"));
}

TEST(a_start_that_takes_over, finds_what_port_0_was_by_name_or_in_order_and_never_takes_what_is_asked_for_by_number) {
  auto a = bound();
  auto b = bound();
  auto c = bound();
  const std::string at_a = a.local().to_string();
  const std::string at_b = b.local().to_string();
  const std::string at_c = c.local().to_string();
  std::vector<passed_socket> passed;
  passed.push_back(passed_as(std::move(a), {.name = "a"}));
  passed.push_back(passed_as(std::move(b), {.name = "b"}));
  passed.push_back(passed_as(std::move(c), {.name = "c"}));
  EXPECT_EQ(opened({"x=127.0.0.1:0", "b=127.0.0.1:0", "y=" + at_a}, std::move(passed)),
            (std::vector<std::string>{"x " + at_c, "b " + at_b, "y " + at_a}));
}

TEST(a_start_that_takes_over, keeps_what_a_service_manager_opened_before_the_rest) {
  auto a = bound();
  auto unit = bound();
  const std::string at_a = a.local().to_string();
  const std::string at_unit = unit.local().to_string();
  std::vector<passed_socket> passed;
  passed.push_back(passed_as(std::move(a), {.name = "a"}));
  passed.push_back(passed_as(std::move(unit), {.name = "unit", .from_service_manager = true}));
  EXPECT_EQ(opened({"a=" + at_a, "named=" + at_unit}, std::move(passed)),
            (std::vector<std::string>{"unit " + at_unit, "a " + at_a}));
}

TEST_F(a_take_over_path, leads_to_a_start_with_other_addresses_too) {
  auto first = pool_process::serving_with(options, echo);
  const address a = first.address();
  auto of_both = options;
  of_both.bind = {"b=127.0.0.1:0", "a=" + a.to_string()};
  auto second = pool_process::serving_with(of_both, echo);
  EXPECT_EQ(first.join(), 0) << first.log();
  const address b = second.address();
  EXPECT_NE(a, b);
  const asking_client client_of_a{a};
  const asking_client client_of_b{b};
  for (int asked = 0; asked < 10; ++asked) {
    EXPECT_EQ(client_of_a.ask("x"), "x");
    EXPECT_EQ(client_of_b.ask("x"), "x");
  }
  auto of_one = options;
  of_one.bind = {b.to_string()};
  auto third = pool_process::serving_with(of_one, echo);
  EXPECT_EQ(second.join(), 0) << second.log();
  EXPECT_TRUE(third.has_said("not-wanted: " + a.to_string() + " (a)")) << third.log();
  EXPECT_EQ(client_of_b.ask("x"), "x");
  EXPECT_EQ(bound({}, a.to_string().c_str()).local(), a) << "it is free";
  EXPECT_EQ(third.stop(), 0);
}

// --- what others say -------------------------------------------------------------------------------------------------

TEST_F(a_take_over_path, at_which_anything_is_said_in_any_order_leads_to_a_pool_that_serves_on) {
  auto pool = pool_process::serving_with(options, echo);
  const asking_client client{pool.address()};
  std::vector<descriptor> open;
  for (const std::string first : {"", "udppump 1 ready", "udppump 1 hello 1", "udppump 1 hello", "udppump 2 hello 1"}) {
    for (const std::string second : {"udppump 1 ready", "udppump 1 hello 1", "x", "udppump 1 sockets a"}) {
      open.push_back(connected_to(path));
      ASSERT_TRUE(open.back());
      static_cast<void>(say(open.back(), first));
      if (first == "udppump 1 hello 1" && second == "udppump 1 ready") open.back().reset();  // before it has them
      if (open.back()) static_cast<void>(say(open.back(), second));
      ASSERT_TRUE(eventually([&] { return !open.back() || readable(open.back().fd()); }));
    }
  }
  EXPECT_EQ(client.ask("still there"), "still there");
  EXPECT_FALSE(pool.has_said("has taken over")) << pool.log();
  open.clear();
  EXPECT_EQ(answer_at(path), "given 1");
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST_F(a_take_over_path, at_which_many_say_hello_again_and_again_lets_a_real_successor_in_and_says_little) {
  auto pool = pool_process::serving_with(options, echo);
  const address server = pool.address();
  const asking_client client{server};
  shared<std::atomic<std::size_t>> hellos;
  std::vector<std::unique_ptr<child_process>> flood;
  for (int one = 0; one < 3; ++one) {
    flood.push_back(std::make_unique<child_process>([&] {
      for (std::size_t at = 0;; ++at) {
        const descriptor connection = connected_to(path);
        if (!connection) return;  // the pool is gone
        if (say(connection, "udppump 1 hello 1 stays")) ++*hellos;
        if (at % 2 == 0) static_cast<void>(readable(connection.fd(), 100ms));  // has the sockets, maybe
      }
    }));
  }
  ASSERT_TRUE(eventually([&] { return hellos->load() > 300; })) << hellos->load() << pool.log();
  auto next_options = options;
  next_options.bind = {server.to_string()};
  auto next = pool_process::serving_with(next_options, echo);
  EXPECT_EQ(pool.join(), 0) << pool.log() << next.log();
  flood.clear();
  EXPECT_EQ(client.ask("still there"), "still there");
  EXPECT_LT(pool.count("\n"), 100u) << pool.log();
  EXPECT_EQ(next.stop(), 0) << next.log();
}

TEST_F(a_take_over_path, that_one_keeps_and_is_not_ready_leads_to_the_next_who_wants_it) {
  auto pool = pool_process::serving_with(options, echo);
  const address server = pool.address();
  const descriptor keeps = connected_to(path);
  ASSERT_TRUE(say(keeps, "udppump 1 hello 1 stays"));
  ASSERT_TRUE(readable(keeps.fd(), patience)) << "it has the sockets";
  child_process silent{[&] {
    const descriptor connection = connected_to(path);
    return readable(connection.fd(), patience) ? 0 : 1;
  }};
  auto next_options = options;
  next_options.bind = {server.to_string()};
  auto next = pool_process::serving_with(next_options, echo);
  EXPECT_EQ(pool.join(), 0) << pool.log() << next.log();
  EXPECT_TRUE(pool.has_said("another waits to take over; going on as before")) << pool.log();
  EXPECT_EQ(asking_client{server}.ask("x"), "x");
  EXPECT_EQ(next.stop(), 0) << next.log();
  EXPECT_EQ(silent.join(), 0);
}

// --- who serves in the end -------------------------------------------------------------------------------------------

TEST_F(a_take_over_path, is_gone_once_the_pool_is_told_to_stop_so_that_the_next_one_keeps_its_own) {
  auto pool = pool_process::serving_with(options, [](datagram& received) {
    std::this_thread::sleep_for(500ms);
    echo(received);
  });
  const asking_client client{pool.address()};
  client.send("held");
  ASSERT_TRUE(eventually([&] { return pool.status().workers.at(0).state == worker_state::handling; }));
  pool.signal(SIGTERM);
  ASSERT_TRUE(pool.says("stopping: SIGTERM"));
  auto next = pool_process::serving_with(options, echo);
  static_cast<void>(next.address());
  EXPECT_EQ(pool.join(), 0) << pool.log();
  EXPECT_EQ(::access(path.c_str(), F_OK), 0) << "the path is the next one's by now";
  EXPECT_EQ(answer_at(path), "given 1");
  EXPECT_EQ(next.stop(), 0);
}

TEST_F(a_take_over_path, stays_the_first_pools_if_the_second_ones_workers_never_serve) {
  auto pool = pool_process::serving_with(options, echo);
  const asking_client client{pool.address()};
  pool_process next{{.workers = 1, .restart = {.first_delay = 1ms, .crash_limit = 2}, .take_over = path},
                    [](worker_pool& made) { return made.run([](worker&) { ::_exit(3); }); }};
  EXPECT_NE(next.join(), 0);
  EXPECT_TRUE(next.has_said("crash-loop: ")) << next.log();
  EXPECT_TRUE(pool.says("going on as before")) << pool.log();
  EXPECT_EQ(answer_at(path), "given 1");
  EXPECT_EQ(client.ask("still there"), "still there");
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

/// Two pools, one that takes over from the other, and in between what a case does to them. The second has the sockets
/// once it is made, and its worker begins to serve when it is let.
class two_pools {
 public:
  explicit two_pools(const std::string& path)
      : old_{pool_process::serving_with({.workers = 1, .take_over = path}, echo)}, server_{old_.address()} {
    next_.emplace(pool_options{.bind = {server_.to_string()}, .workers = 1, .take_over = path},
                  [this](worker_pool& made) {
                    ++*has_sockets_;
                    return made.run([this](worker& self) {
                      static_cast<void>(eventually([&] { return *may_serve_ != 0 || self.stopping(); }));
                      static_cast<void>(self.serve(echo));
                    });
                  });
    EXPECT_TRUE(eventually([this] { return *has_sockets_ != 0; })) << old_.log() << next_->log();
    EXPECT_TRUE(old_.says("takes the sockets over")) << old_.log();
  }
  ~two_pools() {
    old_.signal(SIGCONT);
    next_->signal(SIGCONT);
  }
  two_pools(const two_pools&) = delete;
  two_pools& operator=(const two_pools&) = delete;

  pool_process& old_one() { return old_; }
  pool_process& next() { return *next_; }
  void let_serve() const { ++*may_serve_; }
  /// Datagrams that arrive now, and have to be answered in the end.
  void ask() {
    for (int more = 0; more < 5; ++more) client_.send(std::to_string(asked_++));
  }
  /// This one serves, and all that was asked is answered; the other has ended.
  void expect_alone(pool_process& one) {
    ask();
    std::set<std::string> answers;
    while (answers.size() < static_cast<std::size_t>(asked_)) {
      const std::string answer = client_.receive();
      ASSERT_NE(answer, "") << answers.size() << " of " << asked_ << " answered\n" << old_.log() << next_->log();
      answers.insert(answer);
    }
    EXPECT_EQ(one.status().parent, one.pid());
    EXPECT_EQ(one.stop(), 0) << one.log();
  }

 private:
  shared<std::atomic<int>> has_sockets_, may_serve_;
  pool_process old_;
  address server_;
  std::optional<pool_process> next_;
  asking_client client_{server_};
  int asked_ = 0;
};

TEST_F(a_take_over_path, has_one_who_serves_in_the_end_if_the_new_one_is_killed_before_it_is_ready) {
  two_pools both{path};
  both.ask();
  both.next().signal(SIGKILL);
  EXPECT_TRUE(both.old_one().says("going on as before"));
  EXPECT_EQ(answer_at(path), "given 1");
  both.expect_alone(both.old_one());
}

TEST_F(a_take_over_path, has_one_who_serves_in_the_end_if_the_old_one_is_killed_before_the_new_one_is_ready) {
  two_pools both{path};
  both.old_one().signal(SIGKILL);
  EXPECT_EQ(both.old_one().join(), 128 + SIGKILL);
  both.ask();
  both.let_serve();
  static_cast<void>(both.next().address());
  EXPECT_EQ(answer_at(path), "given 1");
  both.expect_alone(both.next());
  EXPECT_NE(::access(path.c_str(), F_OK), 0) << "it is the new one's to remove";
}

TEST_F(a_take_over_path, has_one_who_serves_in_the_end_if_the_old_one_is_stopped_meanwhile) {
  two_pools both{path};
  both.old_one().signal(SIGSTOP);
  both.ask();
  both.let_serve();
  static_cast<void>(both.next().address());
  both.ask();
  both.old_one().signal(SIGCONT);
  EXPECT_EQ(both.old_one().join(), 0) << both.old_one().log();
  EXPECT_TRUE(both.old_one().has_said("has taken over")) << both.old_one().log();
  both.expect_alone(both.next());
}

TEST_F(a_take_over_path, whose_old_pool_is_stopped_and_does_not_hear_of_the_new_one_has_that_told) {
  two_pools both{path};
  both.old_one().signal(SIGSTOP);
  both.let_serve();
  static_cast<void>(both.next().address());
  both.ask();
  descriptor third = connected_to(path);
  EXPECT_TRUE(say(third, "udppump 1 hello 1"));
  const std::string old = std::to_string(both.old_one().pid());
  EXPECT_TRUE(both.next().says("pid " + old + ", from which this pool has taken over, does not hear it"))
      << both.next().log();
  EXPECT_TRUE(both.next().has_said("It is stopped: kill -CONT " + old)) << both.next().log();
  EXPECT_FALSE(readable(third.fd(), 200ms)) << "the sockets may have to go back";
  third.reset();
  both.ask();
  both.old_one().signal(SIGCONT);
  EXPECT_EQ(both.old_one().join(), 0) << both.old_one().log();
  EXPECT_EQ(answer_at(path), "given 1");
  EXPECT_EQ(both.next().count("does not hear it"), 1u) << both.next().log();
  both.expect_alone(both.next());
  EXPECT_FALSE(both.next().has_said("serves on when this one has ended")) << both.next().log();
}

TEST_F(a_take_over_path, of_a_new_pool_that_stops_before_the_old_one_heard_of_it_has_that_told) {
  two_pools both{path};
  both.old_one().signal(SIGSTOP);
  both.let_serve();
  static_cast<void>(both.next().address());
  EXPECT_EQ(both.next().stop(), 0) << both.next().log();
  EXPECT_TRUE(both.next().has_said("pid " + std::to_string(both.old_one().pid()) +
                                   ", from which this pool took over, has not heard so yet, and serves on"))
      << both.next().log();
  both.ask();
  both.old_one().signal(SIGCONT);
  both.expect_alone(both.old_one());
}

TEST_F(a_take_over_path, has_one_who_serves_in_the_end_if_the_new_one_is_killed_before_the_old_one_heard_it) {
  two_pools both{path};
  both.old_one().signal(SIGSTOP);
  both.let_serve();
  static_cast<void>(both.next().address());
  both.next().signal(SIGKILL);
  EXPECT_EQ(both.next().join(), 128 + SIGKILL);
  both.ask();
  both.old_one().signal(SIGCONT);
  EXPECT_TRUE(both.old_one().says("it ended as soon as its workers served; going on as before"))
      << both.old_one().log();
  both.expect_alone(both.old_one());
}

TEST_F(a_take_over_path, has_one_who_serves_in_the_end_if_the_old_one_is_killed_before_it_heard_of_the_new_one) {
  two_pools both{path};
  both.old_one().signal(SIGSTOP);
  both.let_serve();
  static_cast<void>(both.next().address());
  both.ask();
  both.old_one().signal(SIGKILL);
  EXPECT_EQ(both.old_one().join(), 128 + SIGKILL);
  both.expect_alone(both.next());
}

TEST_F(a_take_over_path, has_one_who_serves_in_the_end_if_the_new_one_is_stopped_until_another_has_taken_over) {
  two_pools both{path};
  both.next().signal(SIGSTOP);
  both.ask();
  pool_process third{{.bind = {both.old_one().address().to_string()}, .workers = 1, .take_over = path},
                     [](worker_pool& made) { return made.serve(echo); }};
  EXPECT_EQ(both.old_one().join(), 0) << both.old_one().log() << third.log();
  both.let_serve();
  both.next().signal(SIGCONT);
  EXPECT_EQ(both.next().join(), static_cast<int>(pool_result::crash_loop)) << both.next().log();
  EXPECT_TRUE(both.next().has_said("another waits to take over")) << both.next().log();
  EXPECT_EQ(answer_at(path), "given 1");
  both.expect_alone(third);
}

TEST_F(a_take_over_path, has_one_who_serves_in_the_end_if_a_third_one_comes_before_the_second_is_ready) {
  two_pools both{path};
  both.ask();
  pool_process third{{.bind = {both.old_one().address().to_string()}, .workers = 1, .take_over = path},
                     [](worker_pool& made) { return made.serve(echo); }};
  EXPECT_EQ(both.next().join(), static_cast<int>(pool_result::crash_loop)) << both.next().log();
  EXPECT_TRUE(both.next().has_said("another waits to take over")) << both.next().log();
  EXPECT_EQ(both.old_one().join(), 0) << both.old_one().log() << third.log();
  EXPECT_EQ(answer_at(path), "given 1");
  both.expect_alone(third);
}

TEST_F(a_take_over_path, has_one_who_serves_in_the_end_if_the_old_one_is_told_to_stop_before_the_new_one_is_ready) {
  two_pools both{path};
  both.old_one().signal(SIGTERM);
  EXPECT_EQ(both.old_one().join(), 0) << both.old_one().log();
  EXPECT_TRUE(both.old_one().has_said("handed-over: pid " + std::to_string(both.next().pid()))) << both.old_one().log();
  both.ask();
  both.let_serve();
  static_cast<void>(both.next().address());
  EXPECT_EQ(answer_at(path), "given 1");
  both.expect_alone(both.next());
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
}

}  // namespace

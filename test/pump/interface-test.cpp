// An interface that is deleted and made again under a socket that is bound to it, or that joined a group on it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <udppump/pump.hpp>
#include <udppump/pump_group.hpp>
#include <vector>

#include "pump/worker_page.hpp"
#include "support/fault.hpp"
#include "support/network.hpp"
#include "support/process.hpp"
#include "support/serve.hpp"
#include "support/sockets.hpp"
#include "support/waiters.hpp"

using namespace udppump;
using namespace std::chrono_literals;
using testing::HasSubstr;

namespace {

struct told_change {
  std::error_code code;
  std::string text;
};

class interface_under : public every_waiter {
 protected:
  void SetUp() override {
    every_waiter::SetUp();
    if (IsSkipped()) return;
    try {
      laid = std::make_unique<wire>();
    } catch (const std::system_error& refused) {
      GTEST_SKIP() << refused.what();
    }
  }
  pump_options options() {
    return {.on_error = [this](const receive_error& error) {
      EXPECT_EQ(error.what, receive_error::kind::interface) << error.code.message();
      told.push_back({error.code, std::string{error.detail}});
    }};
  }
  handler counting() {
    return [this](datagram& received) { came.emplace_back(received.text()); };
  }
  /// Sends from the other end of the wire; refused as long as that is not up.
  void send(const std::string& text, const address& to) const {
    laid->there.inside([&] {
      const auto client = bound({}, to.is_ipv4() ? "0.0.0.0:0" : "[::]:0");
      static_cast<void>(client.send_to(text, to, {.source = {.interface_index = ::if_nametoindex("far")}}));
    });
  }
  /// Sends until something arrives: an interface that is up may still take a while until it carries.
  template <class Source>
  bool arrives(Source& source, const std::string& text, const address& to) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < until) {
      send(text, to);
      if (serve_until(
              source, [&] { return !came.empty() && came.back() == text; }, 10ms))
        return true;
    }
    return false;
  }

  std::unique_ptr<wire> laid;
  std::vector<told_change> told;
  std::vector<std::string> came;
};
UDPPUMP_UNDER_EVERY_WAITER(interface_under);

TEST_P(interface_under, that_a_socket_is_bound_to_is_bound_to_anew) {
  laid->here.inside([&] {
    auto socket = bound({.device = "near"}, "0.0.0.0:0");
    const address where = address::parse("10.9.0.1:0").with_port(socket.local().port());
    pump pump{socket, counting(), options(), GetParam()};
    ASSERT_TRUE(arrives(pump, "before", where));
    EXPECT_TRUE(told.empty());

    laid->cut();
    ASSERT_TRUE(serve_until(pump, [&] { return !told.empty(); }));
    EXPECT_EQ(told[0].code.value(), ENODEV);
    EXPECT_THAT(told[0].text, testing::AllOf(HasSubstr("\"near\""), HasSubstr("deleted")));

    laid->lay();
    ASSERT_TRUE(serve_until(pump, [&] { return told.size() == 2; }));
    EXPECT_FALSE(told[1].code) << told[1].code.message();
    EXPECT_THAT(told[1].text, HasSubstr("bound to the new one"));
    ASSERT_TRUE(arrives(pump, "after", where));
    EXPECT_EQ(told.size(), 2u);
    EXPECT_EQ(pump.stats().errors.size(), 1u) << "the mending is no error";
  });
}

TEST_P(interface_under, that_comes_and_goes_many_times_is_followed_each_time) {
  laid->here.inside([&] {
    auto socket = bound({.device = "near", .join = {{address::parse("239.9.9.9:0"), "near"}}}, "0.0.0.0:0");
    pump pump{socket, counting(), options(), GetParam()};
    settle(pump);
    for (std::size_t time = 0; time < 25; ++time) {  // a socket has room for 20 memberships (igmp_max_memberships)
      laid->cut(), laid->lay();
      ASSERT_TRUE(arrives(pump, std::to_string(time), address::parse("239.9.9.9:0").with_port(socket.local().port())));
    }
    for (const auto& each : told) EXPECT_TRUE(!each.code || each.code.value() == ENODEV) << each.text;
  });
}

TEST_P(interface_under, that_may_not_be_bound_to_anew_is_told_with_the_cure) {
  laid->here.inside([&] {
    give_up_net_raw();
    auto socket = bound({.device = "near"}, "0.0.0.0:0");  // the first time takes no privilege (Linux 5.7)
    pump pump{socket, counting(), options(), GetParam()};
    settle(pump);
    laid->cut(), laid->lay();
    ASSERT_TRUE(serve_until(pump, [&] { return !told.empty() && told.back().code.value() != ENODEV; }));
    EXPECT_EQ(told.back().code, std::errc::operation_not_permitted);
    EXPECT_THAT(told.back().text, testing::AllOf(HasSubstr("CAP_NET_RAW"), HasSubstr("restart")));
    // Whole in a pool's log, whatever the interface is called.
    EXPECT_LT(told.back().text.size() + IF_NAMESIZE, detail::told_errors::longest);
    EXPECT_FALSE(pump.stopped());
  });
}

TEST_P(interface_under, with_memberships_of_both_protocols_is_joined_again) {
  for (const char* group : {"239.9.9.9:0", "[ff05::9]:0"}) {
    told.clear(), came.clear();
    laid->here.inside([&] {
      auto socket = bound({.join = {{address::parse(group), "near"}}}, *group == '[' ? "[::]:0" : "0.0.0.0:0");
      const address where = address::parse(group).with_port(socket.local().port());
      pump pump{socket, counting(), options(), GetParam()};
      ASSERT_TRUE(arrives(pump, "before", where)) << group;
      laid->cut();
      ASSERT_TRUE(serve_until(pump, [&] { return !told.empty(); })) << group;
      EXPECT_EQ(told[0].code.value(), ENODEV);
      EXPECT_THAT(told[0].text, testing::AllOf(HasSubstr("\"near\""), HasSubstr("membership")));
      laid->lay();
      ASSERT_TRUE(serve_until(pump, [&] { return told.size() == 2; })) << group;
      EXPECT_FALSE(told[1].code) << told[1].text;
      ASSERT_TRUE(arrives(pump, "after", where)) << group;
    });
  }
}

TEST_P(interface_under, that_the_kernel_chose_for_a_group_is_joined_again_when_there_is_a_route) {
  ASSERT_TRUE(laid->here.run("ip route add 239.0.0.0/8 dev near"));
  laid->here.inside([&] {
    auto socket = bound({.join = {{address::parse("239.9.9.9:0")}}}, "0.0.0.0:0");
    const address where = address::parse("239.9.9.9:0").with_port(socket.local().port());
    pump pump{socket, counting(), options(), GetParam()};
    ASSERT_TRUE(arrives(pump, "before", where));
    laid->cut();
    ASSERT_TRUE(serve_until(pump, [&] { return !told.empty(); }));
    laid->lay();
    ASSERT_TRUE(laid->here.run("ip route add 239.0.0.0/8 dev near"));
    ASSERT_TRUE(arrives(pump, "after", where));
    EXPECT_FALSE(told.back().code) << told.back().text;
  });
}

TEST_P(interface_under, that_only_changes_its_name_is_still_the_same) {
  laid->here.inside([&] {
    auto socket = bound({.device = "near"}, "0.0.0.0:0");
    pump pump{socket, counting(), options(), GetParam()};
    settle(pump);
    ASSERT_TRUE(laid->here.run("ip link set near down && ip link set near name other && ip link set other up"));
    ASSERT_TRUE(arrives(pump, "x", address::parse("10.9.0.1:0").with_port(socket.local().port())));
    EXPECT_TRUE(told.empty());
  });
}

TEST_P(interface_under, is_told_by_each_worker_and_mended_once) {
  laid->here.inside([&] {
    auto one = bound({.device = "near"}, "0.0.0.0:0");
    auto other = datagram_socket::adopt(::dup(one.fd()));
    EXPECT_EQ(other.device(), "near");
    pump first{one, counting(), options(), GetParam()}, second{other, counting(), options(), GetParam()};
    settle(first), settle(second);
    laid->cut();
    ASSERT_TRUE(serve_until(first, [&] { return told.size() == 1; }));
    ASSERT_TRUE(serve_until(second, [&] { return told.size() == 2; }));
    laid->lay();
    ASSERT_TRUE(serve_until(first, [&] { return told.size() == 3; }));
    ASSERT_TRUE(serve_until(second, [&] { return told.size() == 4; }));
    EXPECT_FALSE(told[2].code || told[3].code);
  });
}

TEST_P(interface_under, is_watched_by_run_too_which_ends_with_the_last_pump) {
  laid->here.inside([&] {
    auto socket = bound({.device = "near"}, "0.0.0.0:0");
    pump* self = nullptr;
    pump_options chosen{.on_error = [&](const receive_error& error) {
      told.push_back({error.code, std::string{error.detail}});
      if (error.code) {
        laid->lay();
      } else {
        self->stop();
      }
    }};
    pump pump{socket, counting(), std::move(chosen), GetParam()};
    self = &pump;
    laid->cut();
    EXPECT_FALSE(pump.run());
    EXPECT_EQ(told.size(), 2u);
  });
}

TEST_P(interface_under, is_watched_as_long_as_its_pump_lives_and_by_nobody_else) {
  laid->here.inside([&] {
    auto plain = bound({}, "0.0.0.0:0"), tied = bound({.device = "near"}, "0.0.0.0:0");
    pump_group group{{.waiter = GetParam()}};
    EXPECT_FALSE(group.dispatch());  // settles the waiter
    const auto before = open_descriptors();
    {
      const grouped_pump one = group.add(plain, [](datagram&) {});
      EXPECT_EQ(open_descriptors(), before) << "costs nothing without a device or a group";
      grouped_pump two = group.add(tied, [](datagram&) {});
      EXPECT_EQ(open_descriptors(), before + 1);
      EXPECT_EQ(group.size(), 2u);
      settle(group);
      two = {};
      EXPECT_EQ(open_descriptors(), before);
      EXPECT_EQ(group.size(), 1u);
    }
    EXPECT_EQ(group.size(), 0u);
  });
}

TEST_P(interface_under, is_watched_in_a_forked_child_too) {
  laid->here.inside([&] {
    auto socket = bound({.device = "near"}, "0.0.0.0:0");
    pump pump{socket, counting(), options(), GetParam()};
    settle(pump);
    child_process child{[&] {
      pump.after_fork();
      settle(pump);
      // As cut() does, but without a thread: a sanitizer's locks may be held by one that is not in this process.
      if (std::system("ip link del near") != 0) return 2;  // NOLINT(concurrency-mt-unsafe)
      return serve_until(pump, [&] { return !told.empty(); }) ? 0 : 1;
    }};
    EXPECT_EQ(child.join(), 0);
    EXPECT_TRUE(serve_until(pump, [&] { return !told.empty(); })) << "the child took the parent's notice";
  });
}

TEST_P(interface_under, that_cannot_be_watched_is_told_and_the_socket_is_served) {
  laid->here.inside([&] {
    auto socket = bound({.device = "near"}, "0.0.0.0:0");
    const fault::injection refused{{.call = "socket", .error = EAFNOSUPPORT}};
    pump pump{socket, counting(), options(), GetParam()};
    ASSERT_TRUE(serve_until(pump, [&] { return !told.empty(); }));
    EXPECT_EQ(told[0].code, std::errc::address_family_not_supported);
    EXPECT_THAT(told[0].text, HasSubstr("RestrictAddressFamilies="));
  });
}

}  // namespace

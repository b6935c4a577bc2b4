// metrics_process: what the process that tells Prometheus says comes into the log, and the parent never waits for it.
#include "pool/metrics_process.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "support/asking_client.hpp"
#include "support/pool_process.hpp"

using namespace udppump;
using namespace std::chrono_literals;
using detail::metrics_process;
using testing::HasSubstr;

namespace {

/// A shell script that stands in for `udppump metrics`.
class stand_in {
 public:
  explicit stand_in(const std::string& script) {
    std::string folder = std::filesystem::temp_directory_path() / "udppump-XXXXXX";
    EXPECT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    std::ofstream{path()} << "#!/bin/sh\n" << script << '\n';
    ::chmod(path().c_str(), 0700);
  }
  ~stand_in() { std::filesystem::remove_all(folder_); }
  stand_in(const stand_in&) = delete;
  stand_in& operator=(const stand_in&) = delete;
  std::string path() const { return folder_ / "program"; }

 private:
  std::filesystem::path folder_;
};

struct told_of {
  explicit told_of(const std::string& script) : program{script} { process.look(metrics_process::clock::now()); }

  bool has(const std::string& name, const std::string& text) {
    return eventually([&] {
      process.look(metrics_process::clock::now());
      return std::ranges::any_of(
          events, [&](const pool_event& one) { return one.name == name && one.text.find(text) != std::string::npos; });
    });
  }
  const pool_event& the(const std::string& name) const { return *std::ranges::find(events, name, &pool_event::name); }
  std::size_t count(const std::string& name) const {
    return static_cast<std::size_t>(std::ranges::count(events, name, &pool_event::name));
  }
  std::string field(const std::string& event, const std::string& name) const {
    for (const auto& [called, value] : the(event).fields) {
      if (called == name) return value;
    }
    return "no such field";
  }

  stand_in program;
  std::vector<pool_event> events;
  detail::pool_log log{[this](const pool_event& event) { events.push_back(event); }};
  metrics_process process{{.where = "[::1]:9153",
                           .program = program.path(),
                           .memory = detail::descriptor{::open("/dev/null", O_RDONLY | O_CLOEXEC)},
                           .signal_mask = {}},
                          log};
};

TEST(metrics_process, is_said_to_tell_when_it_says_that_it_listens_and_with_the_address_that_it_has) {
  told_of one{"sleep 0.2; echo metrics at http://127.0.0.1:4242/metrics; exec sleep 100"};
  EXPECT_EQ(one.count("metrics"), 0u) << "it does not listen yet";
  ASSERT_TRUE(one.has("metrics", "tells Prometheus of this pool at 127.0.0.1:4242"));
  EXPECT_EQ(one.the("metrics").severity, pool_event::level::info);
  EXPECT_EQ(one.field("metrics", "address"), "127.0.0.1:4242");
  EXPECT_EQ(one.field("metrics", "pid"), std::to_string(one.process.pid()));
}

TEST(metrics_process, why_it_fails_is_an_event_before_that_of_its_end) {
  told_of one{"printf 'udppump: metrics at x: in use; \\033[2Jcure' >&2; exit 1"};
  ASSERT_TRUE(one.has("metrics-ended", "ended with code 1; another is started in 500 ms"));
  EXPECT_EQ(one.events[0].name, "metrics-says");
  EXPECT_EQ(one.events[0].severity, pool_event::level::warning);
  EXPECT_EQ(one.events[0].text, "the process that tells Prometheus of this pool: metrics at x: in use; \\x1b[2Jcure");
  EXPECT_EQ(one.field("metrics-says", "line"), "metrics at x: in use; \\x1b[2Jcure");
  EXPECT_EQ(one.field("metrics-ended", "code"), "1");
  EXPECT_EQ(one.field("metrics-ended", "pid"), one.field("metrics-says", "pid"));
  EXPECT_EQ(one.count("metrics"), 0u);
}

TEST(metrics_process, only_the_first_address_is_believed) {
  told_of one{"echo metrics at http://a:1/metrics; echo metrics at http://b:2/metrics; exec sleep 100"};
  ASSERT_TRUE(one.has("metrics-says", "metrics at http://b:2/metrics"));
  EXPECT_EQ(one.count("metrics"), 1u);
  EXPECT_EQ(one.field("metrics", "address"), "a:1");
}

TEST(metrics_process, one_that_says_something_without_end_is_heard_for_a_while_and_nobody_waits_for_it) {
  told_of one{"trap '' PIPE; while :; do echo much; done; exec sleep 100"};
  ASSERT_TRUE(one.has("metrics-says", "much"));
  EXPECT_TRUE(eventually([&] {
    one.process.look(metrics_process::clock::now());
    return one.process.fd() < 0;
  })) << "it is heard no more";
  EXPECT_LE(one.count("metrics-says"), 17u);
  told_of silent{"exec >&- 2>&-; exec sleep 100"};
  EXPECT_TRUE(eventually([&] {
    silent.process.look(metrics_process::clock::now());
    return silent.process.fd() < 0;
  })) << "or the parent would wake for ever";
  EXPECT_GT(silent.process.pid(), 0);
}

TEST(metrics_process, a_line_without_end_is_cut_off) {
  told_of one{"head -c 5000 /dev/zero | tr '\\0' x; echo; echo next; exec sleep 100"};
  ASSERT_TRUE(one.has("metrics-says", "next"));
  EXPECT_EQ(one.field("metrics-says", "line"), std::string(1021, 'x') + "...");
}

TEST(metrics_process, workers_do_not_have_what_it_speaks_through) {
  const stand_in program{"echo metrics at http://a:1/metrics; exec sleep 100"};
  const auto open_pipes = [](pool_options options) {
    auto pool = pool_process::serving_with(std::move(options), [](datagram& came) {
      std::size_t pipes = 0;
      for (const auto& each : std::filesystem::directory_iterator{"/proc/self/fd"}) {
        std::error_code gone;
        pipes += std::filesystem::read_symlink(each, gone).string().rfind("pipe:", 0) == 0 ? 1 : 0;
      }
      if (came.text() == "die") ::_exit(3);
      came.reply(std::to_string(pipes));
    });
    const asking_client client{pool.address()};
    EXPECT_TRUE(pool.status().name == "without" || pool.says("tells Prometheus of this pool at a:1"));
    client.send("die");  // the next one is started while the pipe is there
    EXPECT_TRUE(eventually([&] { return pool.status().restarts == 1; }));
    const std::string told = client.ask("how many");
    EXPECT_EQ(pool.stop(), 0) << pool.log();
    return told;
  };
  EXPECT_EQ(open_pipes({.name = "with", .workers = 1, .metrics = ":9153", .metrics_program = program.path()}),
            open_pipes({.name = "without", .workers = 1}));
}

}  // namespace

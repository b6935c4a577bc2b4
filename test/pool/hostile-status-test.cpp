#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <vector>

#include "pool/board.hpp"
#include "support/asking_client.hpp"
#include "support/pool_process.hpp"
#include "support/process.hpp"
#include "udppump/pool_status.hpp"
#include "udppump/printable.hpp"

using namespace udppump;
using namespace std::chrono_literals;
using testing::HasSubstr;

namespace {

/// A process that bears the memory that `fill` wrote, as a pool would. It has `pages` pages until that changes them.
class pretended_pool {
 public:
  explicit pretended_pool(const std::function<void(detail::board_header&, int memory)>& fill,
                          const std::function<void(int memory)>& then = {}) {
    const detail::descriptor memory{::memfd_create(detail::board_name, MFD_CLOEXEC)};
    const std::size_t size = detail::board_geometry{.pages = pages}.size();
    EXPECT_EQ(::ftruncate(memory.fd(), static_cast<off_t>(size)), 0);
    void* const at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd(), 0);
    auto& header = *static_cast<detail::board_header*>(at);
    std::memcpy(header.magic, detail::board_magic, sizeof header.magic);
    header.version = detail::layout_version;
    header.pages = pages;
    header.pages_used = ~std::uint32_t{0};  // as a worker could have it: all are looked at
    fill(header, memory.fd());
    ::munmap(at, size);
    process_.emplace([&] {
      while (then) then(memory.fd());
      for (;;) ::pause();
    });
    struct stat about {};
    const auto before = static_cast<off_t>(offsetof(detail::board_header, parent) + sizeof(pid_t));
    if (::fstat(memory.fd(), &about) == 0 && about.st_size >= before) be_of(pid(), memory.fd());
  }
  static void be_of(pid_t parent, int memory) {
    static_cast<void>(::pwrite(memory, &parent, sizeof parent, offsetof(detail::board_header, parent)));
  }
  pid_t pid() const { return process_->pid(); }
  pool_status status() const { return pool_status::of(process_->pid()); }
  std::string refusal() const {
    try {
      static_cast<void>(status());
    } catch (const std::system_error& refused) {
      return refused.code() == std::errc::protocol_error ? refused.what() : "another error";
    }
    return "accepted";
  }

  static constexpr std::uint32_t pages = 2;

 private:
  std::optional<child_process> process_;
};

detail::worker_page& page_of(detail::board_header& header, std::uint32_t index) {
  return *reinterpret_cast<detail::worker_page*>(reinterpret_cast<std::byte*>(&header) +
                                                 detail::board_geometry{.pages = pretended_pool::pages}.page_at(index));
}

TEST(hostile_status, what_a_pool_writes_is_read) {
  const pretended_pool pool{[](detail::board_header& header, int) {
    page_of(header, 1).state = detail::page_state::serving;
    page_of(header, 1).pid = 17;
  }};
  const auto told = pool.status();
  EXPECT_EQ(told.parent, pool.pid());
  ASSERT_EQ(told.workers.size(), 1u);
  EXPECT_EQ(told.workers[0].pid, 17);
}

TEST(hostile_status, a_worker_that_claims_to_be_another_parents_hides_nothing) {
  const pretended_pool pool{[](detail::board_header&, int) {}, [](int memory) { pretended_pool::be_of(1, memory); }};
  for (int look = 0; look < 100; ++look) EXPECT_EQ(pool.status().parent, pool.pid());
}

TEST(hostile_status, a_worker_is_not_taken_for_its_parent) {
  auto pool = pool_process::serving_with({.workers = 1}, echo);
  static_cast<void>(pool.address());
  const pid_t worker = pool.workers().at(0);
  try {
    static_cast<void>(pool_reader{worker});
    ADD_FAILURE() << "a signal to it would go to the worker";
  } catch (const std::system_error& refused) {
    EXPECT_EQ(refused.code(), std::errc::no_such_process);
    EXPECT_THAT(refused.what(), HasSubstr("is a worker of a pool, and not its parent; give the id of the parent, which "
                                          "is " +
                                          std::to_string(pool.pid())));
  }
  EXPECT_EQ(pool.stop(), 0);
}

TEST(hostile_status, what_no_pool_writes_is_refused_with_a_reason) {
  using filling = std::function<void(detail::board_header&, int)>;
  const std::vector<filling> bad{
      [](auto& header, int) { header.magic[0] = 'x'; },
      [](auto& header, int) { header.version = detail::layout_version + 1; },
      [](auto& header, int) { header.pages = 0; },
      [](auto& header, int) { header.pages = pretended_pool::pages + 1; },  // beyond the end
      [](auto& header, int) { header.pages = detail::board_geometry::most_pages; },
      [](auto& header, int) { header.pages = detail::board_geometry::most_pages + 1; },
      [](auto& header, int) { header.pages = std::numeric_limits<std::uint32_t>::max(); },
      [](auto& header, int) { header.sockets = 1 << 16; },
      [](auto& header, int) { header.sockets = std::numeric_limits<std::uint32_t>::max(); },
      [](auto& header, int) { header.payload_limit = std::numeric_limits<std::uint32_t>::max(); },
      [](auto& header, int) { page_of(header, 0).state = static_cast<detail::page_state>(3); },
      [](auto&, int memory) { EXPECT_EQ(::ftruncate(memory, 0), 0); },
      [](auto&, int memory) { EXPECT_EQ(::ftruncate(memory, 20), 0); },
      [](auto&, int memory) { EXPECT_EQ(::ftruncate(memory, 4096 + 100), 0); },
  };
  for (std::size_t at = 0; at < bad.size(); ++at) {
    EXPECT_THAT(pretended_pool{bad[at]}.refusal(), HasSubstr("or no pool's")) << "number " << at;
  }
}

TEST(hostile_status, numbers_without_end_are_the_most_that_their_types_hold) {
  const pretended_pool pool{[](detail::board_header& header, int) {
    auto& page = page_of(header, 0);
    std::memset(static_cast<void*>(&page), 0xff, sizeof page);
    page.state = detail::page_state::serving;
  }};
  const auto told = pool.status();
  ASSERT_EQ(told.workers.size(), 1u);
  const worker_status& one = told.workers[0];
  ASSERT_TRUE(one.traffic && one.traffic->ages);
  EXPECT_EQ(one.traffic->all.handler_time, std::chrono::nanoseconds::max());
  EXPECT_EQ(one.traffic->all.received, std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(one.traffic->all.in_flight, 0u) << "less than none";
  EXPECT_FALSE(one.waiter) << "there is no such kind";
  EXPECT_EQ(one.uptime, 0ns) << "it started in the future";
  EXPECT_EQ(told.traffic->all.received, std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(one.traffic->times.total(), std::numeric_limits<std::uint64_t>::max());
  for (const double part : {0.0, 0.5, 1.0, -1.0, 2.0}) {
    EXPECT_EQ(one.traffic->times.percentile(part), 8ns) << "the first bucket has that many already";
  }
  EXPECT_FALSE(one.traffic->times.percentile(std::numeric_limits<double>::quiet_NaN()));
}

TEST(hostile_status, memory_that_is_cut_off_and_written_to_meanwhile_ends_nobody) {
  std::mt19937 random{4711};
  const pretended_pool pool{
      [](auto&, int) {},
      [&random](int memory) {
        const auto word = static_cast<std::uint32_t>(random() % 6);
        static_cast<void>(::pwrite(memory, &word, sizeof word, offsetof(detail::board_header, sums)));
        static_cast<void>(::ftruncate(memory, static_cast<off_t>(random() % 3 * 6000)));
        static_cast<void>(::pwrite(memory, &word, sizeof word, static_cast<off_t>(random() % 3000 * 4)));
        const std::uint32_t start[] = {0,
                                       0,
                                       detail::layout_version,
                                       static_cast<std::uint32_t>(random() % 9000),
                                       0,
                                       static_cast<std::uint32_t>(random() % 100)};
        static_cast<void>(::pwrite(memory, start, sizeof start, 0));
        static_cast<void>(::pwrite(memory, detail::board_magic, sizeof detail::board_magic, 0));
        pretended_pool::be_of(::getpid(), memory);
      }};
  for (int round = 0; round < 500; ++round) {
    try {
      EXPECT_LE(pool.status().workers.size(), detail::board_geometry::most_pages);
    } catch (const std::system_error& refused) {
      EXPECT_EQ(refused.code(), std::errc::protocol_error) << refused.what();
    }
  }
}

TEST(hostile_status, any_bytes_are_refused_or_read) {
  std::mt19937 random{4711};
  for (int round = 0; round < 300; ++round) {
    const pretended_pool pool{[&random](detail::board_header& header, int) {
      auto* const bytes = reinterpret_cast<std::uint8_t*>(&page_of(header, 0));
      for (std::size_t at = 0; at < sizeof(detail::worker_page); ++at) bytes[at] = static_cast<std::uint8_t>(random());
      page_of(header, 0).state = static_cast<detail::page_state>(random() % 5);
    }};
    try {
      for (const auto& one : pool.status().workers) {
        EXPECT_GE(one.uptime, 0ns);
        EXPECT_GE(one.handling_for.value_or(0ns), 0ns);
        EXPECT_GE(one.traffic->all.handler_time, 0ns);
        EXPECT_GE(one.traffic->all.age_time, 0ns);
        EXPECT_GE(one.traffic->times.percentile(0.99).value_or(0ns), 0ns);
        EXPECT_EQ(printable(one.waiter_fallback), one.waiter_fallback);
      }
    } catch (const std::system_error& refused) {
      EXPECT_EQ(refused.code(), std::errc::protocol_error) << refused.what();
    }
  }
}

/// All of it but where things lie, which is looked at first.
TEST(hostile_status, any_bytes_in_what_a_pool_says_of_itself_are_printable_and_within_bounds) {
  std::mt19937 random{4711};
  for (int round = 0; round < 200; ++round) {
    const pretended_pool pool{[&random](detail::board_header& header, int memory) {
      header.sockets = 3;
      const detail::board_geometry geometry{.pages = pretended_pool::pages, .sockets = 3};
      EXPECT_EQ(::ftruncate(memory, static_cast<off_t>(geometry.size())), 0);
      const auto noise = [&random](void* to, std::size_t size) {
        for (std::size_t at = 0; at < size; ++at)
          static_cast<std::uint8_t*>(to)[at] = static_cast<std::uint8_t>(random());
      };
      noise(&header.shown, sizeof header.shown);
      noise(&header.before, sizeof header.before);
      noise(&header.sums, sizeof header.sums);
      detail::shown_socket socket{};
      for (std::uint32_t index = 0; index < 3; ++index) {
        noise(&socket, sizeof socket);
        EXPECT_EQ(::pwrite(memory, &socket, sizeof socket, static_cast<off_t>(geometry.socket_at(index))),
                  static_cast<ssize_t>(sizeof socket));
      }
    }};
    const pool_status told = pool.status();
    EXPECT_EQ(told.parent, pool.pid());
    EXPECT_EQ(told.user, ::geteuid()) << "the kernel says so";
    EXPECT_EQ(printable(told.name), told.name);
    EXPECT_EQ(printable(told.version), told.version);
    EXPECT_LE(told.lanes.size(), most_lanes);
    EXPECT_GE(told.uptime, 0ns);
    ASSERT_EQ(told.sockets.size(), 3u);
    for (const socket_status& each : told.sockets) {
      EXPECT_EQ(printable(each.address + each.name + each.lane), each.address + each.name + each.lane);
      EXPECT_LT(each.lane_index, most_lanes);
      EXPECT_GE(each.oldest_waits.value_or(0ns), 0ns);
      EXPECT_FALSE(each.queued) << "the kernel knows no such socket";
    }
    if (told.traffic) {
      EXPECT_GE(told.traffic->all.handler_time, 0ns);
      EXPECT_EQ(told.traffic->lanes.size(), told.lanes.size());
    }
  }
}

TEST(hostile_status, a_lease_on_the_memory_keeps_nobody_waiting) {
  detail::descriptor memory{::memfd_create(detail::board_name, MFD_CLOEXEC)};
  // A write lease takes that nothing else has it open (fcntl(2)).
  detail::descriptor alone{::open(("/proc/self/fd/" + std::to_string(memory.fd())).c_str(), O_RDWR | O_CLOEXEC)};
  memory.reset();
  const child_process owner{[&] {
    ::signal(SIGIO, SIG_IGN);
    for (;;) ::pause();
  }};
  ::signal(SIGIO, SIG_IGN);
  if (::fcntl(alone.fd(), F_SETLEASE, F_WRLCK) != 0) GTEST_SKIP() << "no leases on this file system";
  const auto began = std::chrono::steady_clock::now();
  EXPECT_THROW(static_cast<void>(pool_status::of(owner.pid())), std::system_error);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 20s) << "the kernel would break it after 45";
}

}  // namespace

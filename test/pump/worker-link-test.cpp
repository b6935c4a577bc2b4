// What a worker and its pool tell each other, by itself: the pools' own tests rarely see a moment as short as these.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "pump/worker_link.hpp"

using namespace udppump::detail;

namespace {

constexpr std::size_t payload_limit = 64;
constexpr std::size_t distance = (sizeof(kept_datagram) + payload_limit + 63) / 64 * 64;

/// The shared memory of a pool with one worker, which has a socket of the descriptor 7.
struct linked {
  alignas(64) std::byte memory[2 * distance]{};
  worker_page page{};
  std::atomic<std::uint32_t> offers{0};
  quarantine_list quarantined{};
  kept_datagram& own = *new (memory) kept_datagram{};
  kept_datagram& offered = *new (memory + distance) kept_datagram{};
  worker_link link{{.page = page,
                    .index = 3,
                    .offers = offers,
                    .quarantined = quarantined,
                    .tell_parent = -1,
                    .own = &own,
                    .offered = {memory + distance, distance, 1},
                    .payload_limit = payload_limit},
                   {7}};

  void offer() {
    offered.state = kept_datagram::offered;
    ++offers;
  }
  kept_datagram* take() {
    return link.take_offer([](int descriptor) { return descriptor == 7; });
  }
};

TEST(worker_link, an_order_to_look_is_heeded_once) {
  linked one;
  EXPECT_FALSE(one.link.told_to_look());
  for (int time = 0; time < 3; ++time) {
    one.page.looks += 2;  // two that came together are one
    EXPECT_TRUE(one.link.has_news());
    EXPECT_TRUE(one.link.told_to_look());
    EXPECT_FALSE(one.link.told_to_look());
    EXPECT_FALSE(one.link.has_news());
  }
}

TEST(worker_link, what_was_handled_is_kept_no_longer) {
  linked one;
  one.link.receive_into(7);
  EXPECT_EQ(one.own.header.msg_len, kept_datagram::nothing);
  EXPECT_EQ(one.own.socket, 0u);
  one.own.header.msg_len = 5;  // as the kernel does
  one.link.finished(one.own);
  EXPECT_EQ(one.own.header.msg_len, kept_datagram::nothing) << "who dies now has answered it";
}

TEST(worker_link, an_error_is_told_whole_or_ends_where_it_is_cut_in_dots) {
  linked one;
  constexpr std::size_t most = told_errors::longest - 1;
  for (const std::size_t size : {std::size_t{5}, most, most + 1, 2 * most}) {
    const std::string said(size, 'x');
    one.link.met({.what = udppump::receive_error::kind::interface, .code = {}, .peer = {}, .detail = said});
    const told_errors& told = one.page.errors[static_cast<std::size_t>(udppump::receive_error::kind::interface)];
    char kept[told_errors::longest];
    std::memcpy(kept, told.text, sizeof kept);
    const std::string read{kept, ::strnlen(kept, sizeof kept)};
    EXPECT_EQ(read, size <= most ? said : std::string(most - 3, 'x') + "...");
  }
}

TEST(worker_link, what_was_taken_is_had_until_it_is_handled) {
  linked one;
  EXPECT_EQ(one.take(), nullptr);
  one.offer();
  EXPECT_TRUE(one.link.has_offers());
  EXPECT_EQ(one.take(), &one.offered);
  EXPECT_EQ(one.offered.state, kept_datagram::taken + 3);
  one.link.finished(one.own);
  EXPECT_EQ(one.offered.state, kept_datagram::taken + 3) << "another one was handled";
  one.link.finished(one.offered);
  EXPECT_EQ(one.offered.state, kept_datagram::free);
  EXPECT_EQ(one.take(), nullptr);
  EXPECT_FALSE(one.link.has_offers());
}

}  // namespace

// What pools are called over restarts and take-overs.

#include "metrics/pool_labels.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using namespace udppump;
using namespace std::chrono_literals;
using metrics::pool_labels;
using testing::ElementsAre;

using named = std::vector<std::string>;

constexpr pool_labels::clock::time_point start{};

pool_status pool(pid_t parent, std::chrono::nanoseconds uptime, ino_t socket, std::string name = "dns") {
  pool_status one;
  one.parent = parent;
  one.user = 53;
  one.name = std::move(name);
  one.uptime = uptime;
  one.sockets = {{.inode = socket}};
  return one;
}

named of(pool_labels& labels, const std::vector<pool_status>& pools, pool_labels::clock::time_point now = start) {
  return labels.of(pools, now);
}

pool_status of_user(uid_t user, pool_status one) {
  one.user = user;
  return one;
}

TEST(pool_labels, are_the_names_of_pools_whatever_their_ids) {
  pool_labels labels;
  EXPECT_THAT(of(labels, {pool(7, 1s, 1), pool(8, 1s, 2, "ntp"), pool(9, 1s, 3, "")}),
              ElementsAre("dns", "ntp", "unnamed"));
  EXPECT_THAT(of(labels, {}), ElementsAre());
  EXPECT_THAT(of(labels, {pool(3, 1s, 4, ""), pool(4, 1s, 5)}), ElementsAre("unnamed", "dns")) << "after a restart";
}

TEST(pool_labels, of_several_with_a_name_the_one_that_has_run_longest_comes_first) {
  pool_labels labels;
  EXPECT_THAT(of(labels, {pool(7, 1s, 1), pool(8, 3s, 2), pool(9, 2s, 3)}), ElementsAre("dns#3", "dns", "dns#2"));
}

TEST(pool_labels, one_that_is_restarted_has_its_label_again_and_the_others_keep_theirs) {
  pool_labels labels;
  EXPECT_THAT(of(labels, {pool(7, 9s, 1), pool(8, 5s, 2)}), ElementsAre("dns", "dns#2"));
  EXPECT_THAT(of(labels, {pool(8, 6s, 2)}), ElementsAre("dns#2"));
  EXPECT_THAT(of(labels, {pool(6, 1s, 3), pool(8, 7s, 2)}), ElementsAre("dns", "dns#2"));
  EXPECT_THAT(of(labels, {pool(5, 0s, 4), pool(6, 2s, 3)}), ElementsAre("dns#2", "dns"));
}

TEST(pool_labels, the_pool_that_takes_over_has_the_label_of_the_one_that_ends) {
  for (const pid_t successor : {6, 8}) {
    pool_labels labels;
    EXPECT_THAT(of(labels, {pool(7, 9s, 1)}), ElementsAre("dns"));
    const bool is_first = successor < 7;
    const auto both = is_first ? std::vector{pool(successor, 1s, 1), pool(7, 10s, 1)}
                               : std::vector{pool(7, 10s, 1), pool(successor, 1s, 1)};
    EXPECT_THAT(of(labels, both), is_first ? ElementsAre("dns#2", "dns") : ElementsAre("dns", "dns#2"));
    EXPECT_THAT(of(labels, {pool(successor, 2s, 1)}), ElementsAre("dns"));
  }
}

TEST(pool_labels, a_take_over_that_nobody_saw_keeps_the_label_too) {
  pool_labels labels;
  EXPECT_THAT(of(labels, {pool(7, 9s, 1), pool(8, 5s, 2)}), ElementsAre("dns", "dns#2"));
  EXPECT_THAT(of(labels, {pool(7, 10s, 1), pool(9, 1s, 2)}), ElementsAre("dns", "dns#2"));
}

TEST(pool_labels, after_take_overs_in_a_row_the_last_pool_has_the_first_label) {
  pool_labels labels;
  EXPECT_THAT(of(labels, {pool(7, 9s, 1), pool(8, 2s, 1), pool(9, 1s, 1)}), ElementsAre("dns", "dns#2", "dns#3"));
  EXPECT_THAT(of(labels, {pool(9, 2s, 1)}), ElementsAre("dns"));
}

TEST(pool_labels, nobody_else_gets_the_label_of_a_pool_that_has_ended) {
  pool_labels labels;
  EXPECT_THAT(of(labels, {pool(7, 9s, 1), pool(8, 5s, 2), pool(9, 4s, 1, "ntp")}), ElementsAre("dns", "dns#2", "ntp"));
  EXPECT_THAT(of(labels, {pool(8, 6s, 2), pool(9, 5s, 1, "ntp")}), ElementsAre("dns#2", "ntp"));
  const auto anothers = of_user(54, pool(10, 1s, 2));
  EXPECT_THAT(of(labels, {pool(8, 7s, 2), anothers}), ElementsAre("dns#2", "dns#3"));
  EXPECT_THAT(of(labels, {anothers}), ElementsAre("dns#3")) << "it says that it has the same socket";
}

TEST(pool_labels, for_an_hour_nobody_else_has_the_label_of_a_pool_that_has_ended) {
  pool_labels labels;
  const auto anothers = of_user(54, pool(8, 2s, 2));
  EXPECT_THAT(of(labels, {pool(7, 9s, 1)}), ElementsAre("dns"));
  EXPECT_THAT(of(labels, {}), ElementsAre());
  EXPECT_THAT(of(labels, {anothers}, start + 59min), ElementsAre("dns#2")) << "it began in the gap of a restart";
  EXPECT_THAT(of(labels, {pool(9, 1s, 3), anothers}, start + 1h), ElementsAre("dns", "dns#2"));
  EXPECT_THAT(of(labels, {anothers}, start + 1h), ElementsAre("dns#2"));
  EXPECT_THAT(of(labels, {of_user(55, pool(9, 1s, 3)), anothers}, start + 2h + 1s), ElementsAre("dns", "dns#2"));
}

TEST(pool_labels, what_a_pool_was_called_until_it_had_taken_over_is_its_users_too) {
  pool_labels labels;
  EXPECT_THAT(of(labels, {pool(7, 9s, 1), pool(8, 1s, 1)}), ElementsAre("dns", "dns#2"));
  EXPECT_THAT(of(labels, {pool(8, 2s, 1), of_user(54, pool(9, 1s, 2))}), ElementsAre("dns", "dns#3"));
}

TEST(pool_labels, one_that_was_not_seen_for_a_while_has_its_own_again) {
  pool_labels labels;
  EXPECT_THAT(of(labels, {pool(7, 9s, 1), pool(8, 5s, 2)}), ElementsAre("dns", "dns#2"));
  EXPECT_THAT(of(labels, {}), ElementsAre());
  EXPECT_THAT(of(labels, {pool(8, 6s, 2)}), ElementsAre("dns#2"));
  EXPECT_THAT(of(labels, {pool(7, 11s, 1), pool(8, 7s, 2)}), ElementsAre("dns", "dns#2"));
  EXPECT_THAT(of(labels, {}), ElementsAre());
  EXPECT_THAT(of(labels, {pool(8, 1s, 2)}), ElementsAre("dns")) << "another that has got its id";
}

TEST(pool_labels, of_a_thousand_that_are_remembered_a_user_forgets_none_but_their_own) {
  pool_labels labels;
  std::vector<pool_status> flood;
  for (pid_t each = 0; each < 1000; ++each) {
    flood.push_back(of_user(54, pool(100 + each, 1s, 2, "n" + std::to_string(each))));
  }
  EXPECT_THAT(of(labels, {pool(7, 9s, 1), of_user(54, pool(8, 9s, 3, "ntp"))}), ElementsAre("dns", "ntp"));
  EXPECT_THAT(of(labels, {}), ElementsAre());
  of(labels, flood, start + 1s);
  of(labels, {}, start + 2s);
  EXPECT_THAT(of(labels, {of_user(55, pool(8, 1s, 4)), of_user(55, pool(9, 1s, 4, "ntp"))}, start + 3s),
              ElementsAre("dns#2", "ntp"))
      << "the oldest of who has most";
}

TEST(pool_labels, a_process_that_gets_the_id_of_an_ended_one_is_another_pool) {
  pool_labels labels;
  EXPECT_THAT(of(labels, {pool(7, 9s, 1), pool(8, 5s, 2)}), ElementsAre("dns", "dns#2"));
  EXPECT_THAT(of(labels, {pool(7, 9s, 1), pool(8, 1s, 3, "ntp")}), ElementsAre("dns", "ntp"));
  EXPECT_THAT(of(labels, {pool(8, 2s, 3, "ntp"), pool(9, 3s, 4)}), ElementsAre("ntp", "dns"));
}

TEST(pool_labels, no_two_are_alike_whatever_pools_say) {
  pool_labels labels;
  EXPECT_THAT(of(labels, {pool(7, 3s, 1, "dns#2"), pool(8, 2s, 1), pool(9, 1s, 1)}),
              ElementsAre("dns#2", "dns", "dns#3"));
  EXPECT_THAT(of(labels, {pool(6, 1s, 1, "unnamed"), pool(9, 3s, 1, "")}), ElementsAre("unnamed#2", "unnamed"));
}

}  // namespace

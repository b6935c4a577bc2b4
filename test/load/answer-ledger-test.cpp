#include "load/run/answer_ledger.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace {

using namespace std::chrono_literals;
using namespace udppump::load;
using answer = request_template::answer;

/// A ledger to which request i is told as sent on a flow at i milliseconds.
struct asked {
  explicit asked(ledger_options options) : ledger{options} {}
  void send(std::uint32_t flow = 0, std::optional<nanoseconds> at = {}) {
    ledger.sent({.plan = {.index = index, .intended = at.value_or(index * 1ms), .flow = flow, .asked = 1ms}});
    ++index;
  }
  void send_many(int count) {
    for (int i = 0; i < count; ++i) send();
  }
  answer_ledger ledger;
  std::uint64_t index = 0;
};

answer to(std::uint64_t sequence) { return {.sequence = sequence}; }

TEST(answer_ledger, answers_in_any_order_find_their_requests) {
  asked run{{}};
  run.send_many(4);
  EXPECT_EQ(run.ledger.came(0, to(2), 10ms), 8ms);
  EXPECT_EQ(run.ledger.came(0, to(0), 11ms), 11ms);
  EXPECT_EQ(run.ledger.came(0, to(3), 12ms), 9ms);
  EXPECT_EQ(run.ledger.open(), 1u);
  run.ledger.close();
  EXPECT_EQ(run.ledger.counts(), (request_counts{.sent = 4, .answered = 3, .lost = 1}));
  EXPECT_EQ(run.ledger.latencies().count(), 3u);
}

TEST(answer_ledger, a_second_answer_is_a_duplicate) {
  asked run{{}};
  run.send_many(2);
  EXPECT_TRUE(run.ledger.came(0, to(1), 5ms));
  EXPECT_FALSE(run.ledger.came(0, to(1), 6ms));
  EXPECT_FALSE(run.ledger.came(0, to(1), 7ms));
  EXPECT_EQ(run.ledger.counts(), (request_counts{.sent = 2, .answered = 1, .duplicates = 2}));
  EXPECT_EQ(run.ledger.latencies().max(), 4ms);
}

TEST(answer_ledger, what_was_never_asked_is_strange) {
  asked run{{}};
  run.send();
  EXPECT_FALSE(run.ledger.came(0, to(1), 5ms));
  EXPECT_FALSE(run.ledger.came(0, std::nullopt, 5ms));
  EXPECT_EQ(run.ledger.counts(), (request_counts{.sent = 1, .strange = 2}));
}

TEST(answer_ledger, an_answer_on_another_flow_is_not_the_requests) {
  asked run{{.flows = 2}};
  run.send(0);
  run.send(1);
  run.send(1);
  EXPECT_FALSE(run.ledger.came(0, to(1), 5ms));
  EXPECT_EQ(run.ledger.came(1, to(0), 5ms), 4ms);  // sequences are the flow's own
}

TEST(answer_ledger, late_answers_count_with_their_latency_but_not_as_answered) {
  asked run{{.timeout = 20ms}};
  run.send_many(2);
  EXPECT_EQ(run.ledger.came(0, to(0), 20ms), 20ms);
  EXPECT_EQ(run.ledger.came(0, to(1), 22ms), 21ms);
  EXPECT_EQ(run.ledger.counts(), (request_counts{.sent = 2, .answered = 1, .late = 1}));
  EXPECT_EQ(run.ledger.latencies().count(), 2u);
}

TEST(answer_ledger, what_has_been_given_up_is_lost_and_its_answer_strange) {
  asked run{{.timeout = 20ms}};
  run.send_many(2);
  run.ledger.forget(41ms);
  EXPECT_EQ(run.ledger.counts().lost, 1u);
  EXPECT_EQ(run.ledger.open(), 1u);
  EXPECT_FALSE(run.ledger.came(0, to(0), 41ms));
  EXPECT_EQ(run.ledger.came(0, to(1), 41ms), 40ms);
  EXPECT_EQ(run.ledger.counts(), (request_counts{.sent = 2, .late = 1, .lost = 1, .strange = 1}));
}

TEST(answer_ledger, the_warmup_is_matched_but_not_counted) {
  asked run{{.warmup = 2ms, .keep_records = true}};
  run.send_many(4);
  EXPECT_TRUE(run.ledger.came(0, to(0), 5ms));
  EXPECT_TRUE(run.ledger.came(0, to(2), 5ms));
  EXPECT_FALSE(run.ledger.came(0, to(0), 6ms));
  run.ledger.close();
  EXPECT_EQ(run.ledger.counts(), (request_counts{.sent = 2, .answered = 1, .lost = 1}));
  EXPECT_EQ(run.ledger.records().size(), 4u);
  EXPECT_EQ(run.ledger.records()[0].latency, 5ms);
}

TEST(answer_ledger, what_could_not_be_sent_is_neither_sent_nor_lost) {
  asked run{{}};
  run.send_many(2);
  run.ledger.unsent(0);
  EXPECT_EQ(run.ledger.open(), 1u);  // nobody waits for its answer
  run.send();
  EXPECT_EQ(run.ledger.came(0, to(2), 5ms), 3ms);  // it took its sequence all the same
  EXPECT_FALSE(run.ledger.came(0, to(1), 5ms));
  run.ledger.close();
  EXPECT_EQ(run.ledger.counts(), (request_counts{.sent = 2, .unsent = 1, .answered = 1, .lost = 1, .strange = 1}));
}

TEST(answer_ledger, what_was_given_up_before_it_was_known_to_be_unsent_stays_lost) {
  asked run{{.timeout = 1ms}};
  run.send();
  run.ledger.forget(1s);
  run.ledger.unsent(0);
  EXPECT_EQ(run.ledger.counts(), (request_counts{.sent = 1, .lost = 1}));
  EXPECT_EQ(run.ledger.open(), 0u);
}

TEST(answer_ledger, sixteen_bits_of_sequence_go_round) {
  asked run{{.sequence_bits = 16, .timeout = 1h}};
  for (std::uint64_t i = 0; i < 200'000; ++i) {
    run.send();
    if (i % 3 == 0) continue;  // lost
    EXPECT_EQ(run.ledger.came(0, to(i & 0xffff), i * 1ms + 1ms), 1ms);
  }
  // The last 65,536 are remembered, and what they are not is lost.
  EXPECT_EQ(run.ledger.counts().lost, (200'000u - 65'536u + 2) / 3);
  EXPECT_EQ(run.ledger.came(0, to(199'998 & 0xffff), 200s), 2ms);
  run.ledger.close();
  EXPECT_EQ(run.ledger.counts().lost, 66'667u - 1);
}

TEST(answer_ledger, memory_does_not_grow_with_the_run) {
  asked run{{.timeout = 10ms}};
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    run.send();
    if (i % 2 == 0) {
      EXPECT_TRUE(run.ledger.came(0, to(i), i * 1ms));
    }
    EXPECT_LE(run.ledger.open(), 11u);
  }
  EXPECT_TRUE(run.ledger.records().empty());
}

TEST(answer_ledger, without_an_id_the_oldest_request_of_the_flow_gets_the_answer) {
  asked run{{.flows = 2, .sequence_bits = 0, .timeout = 20ms}};
  run.send(0);
  run.send(1);
  run.send(0);
  EXPECT_EQ(run.ledger.came(0, answer{}, 5ms), 5ms);
  EXPECT_EQ(run.ledger.came(0, answer{}, 6ms), 4ms);
  EXPECT_FALSE(run.ledger.came(0, answer{}, 7ms));  // a duplicate, which it cannot know
  EXPECT_EQ(run.ledger.counts(), (request_counts{.sent = 3, .answered = 2, .strange = 1}));
}

TEST(answer_ledger, without_an_id_a_lost_request_is_out_of_the_way_when_it_has_timed_out) {
  asked run{{.sequence_bits = 0, .timeout = 20ms}};
  run.send(0, 0ms);  // lost
  run.send(0, 10ms);
  EXPECT_EQ(run.ledger.came(0, answer{}, 11ms), 11ms);  // of the second, taken for the first's
  run.send(0, 50ms);
  EXPECT_EQ(run.ledger.came(0, answer{}, 51ms), 1ms);
  run.ledger.close();
  EXPECT_EQ(run.ledger.counts(), (request_counts{.sent = 3, .answered = 2, .lost = 1}));
}

TEST(answer_ledger, records_tell_what_the_server_told) {
  asked run{{.keep_records = true}};
  run.send_many(2);
  const work_answer work{.used = 3ms, .waited = 2ms, .worker = 5};
  run.ledger.came(0, answer{.sequence = 1, .work = work}, 9ms);
  const auto records = run.ledger.take_records();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].latency, unanswered);
  EXPECT_EQ(records[0].used, -1ns);
  EXPECT_EQ(records[0].worker, -1);
  EXPECT_EQ(records[1].intended, 1ms);
  EXPECT_EQ(records[1].latency, 8ms);
  EXPECT_EQ(records[1].asked, 1ms);
  EXPECT_EQ(records[1].used, 3ms);
  EXPECT_EQ(records[1].waited, 2ms);
  EXPECT_EQ(records[1].worker, 5);
}

TEST(answer_ledger, an_id_that_is_needed_again_before_its_answer_is_told) {
  asked run{{.sequence_bits = 3, .timeout = 20ms}};
  run.send_many(8);
  EXPECT_TRUE(run.ledger.came(0, to(0), 8ms));
  run.send();  // id 0 once more, whose request was answered
  EXPECT_EQ(run.ledger.counts().reused, 0u);
  run.send();  // id 1 once more, whose request was not
  EXPECT_EQ(run.ledger.counts().reused, 1u);
  EXPECT_EQ(run.ledger.counts().lost, 1u);
  run.send(0, 30ms);  // id 2: its request, due at 2 ms, timed out before
  EXPECT_EQ(run.ledger.counts().reused, 1u);
  EXPECT_EQ(run.ledger.counts().lost, 2u);
}

TEST(answer_ledger, response_codes_are_counted_once_a_request_and_after_the_warmup) {
  asked run{{.warmup = 1ms}};
  run.send_many(4);
  const auto with_code = [](std::uint64_t sequence, std::uint8_t code, bool truncated = false) {
    return answer{.sequence = sequence, .dns = dns_verdict{.code = code, .truncated = truncated}};
  };
  run.ledger.came(0, with_code(0, 2), 5ms);  // of the warm-up
  run.ledger.came(0, with_code(1, 0, true), 5ms);
  run.ledger.came(0, with_code(1, 5), 5ms);  // a second answer
  run.ledger.came(0, with_code(2, 15), 5ms);
  run.ledger.came(0, with_code(9, 3), 5ms);  // answers nothing
  request_counts expected{.sent = 3, .answered = 2, .duplicates = 1, .strange = 1, .truncated = 1};
  expected.codes[0] = expected.codes[15] = 1;
  EXPECT_EQ(run.ledger.counts(), expected);
}

}  // namespace

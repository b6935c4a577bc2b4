#include "load/run/comparison.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "load/report/comparison_report.hpp"
#include "load/run/ideal_queue.hpp"

namespace {

using namespace std::chrono_literals;
using namespace udppump::load;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::StartsWith;

comparison_options small() {
  comparison_options options{.repetitions = 2, .load = 0.5, .limits = {.lag = 1000, .offered = 1000}};
  options.server = {.bind = udppump::address::parse("127.0.0.1:0"), .workers = 2};
  options.run = {.timeout = 10s, .keep_records = true};
  options.run.plan = {.length = 300ms, .flows = 16, .service = service_times::parse("exponential:2ms")};
  options.run.warmup = 50ms;
  return options;
}

TEST(comparison, runs_every_queue_under_the_same_trace_in_rotating_order) {
  auto options = small();
  options.queues = {queue_kind::shared, queue_kind::sharded, queue_kind::herd};
  const auto compared = compare(options);
  ASSERT_EQ(compared.runs.size(), 6u);
  const std::vector order{queue_kind::shared,  queue_kind::sharded, queue_kind::herd,
                          queue_kind::sharded, queue_kind::herd,    queue_kind::shared};
  EXPECT_EQ(compared.repetitions(), 2u);
  for (std::size_t i = 0; i < compared.runs.size(); ++i) {
    const auto& [queue, repetition, run] = compared.runs[i];
    EXPECT_EQ(queue, order[i]);
    EXPECT_EQ(repetition, i / 3);
    EXPECT_EQ(run.result.counts.answered, run.result.counts.sent);
    EXPECT_EQ(run.ideal.latency.count(), run.result.counts.sent);
    EXPECT_GT(run.switches_per_datagram, 0);
    const auto& trace = run.result.records;
    const auto& first = compared.runs[i / 3 * 3].work.result.records;
    ASSERT_EQ(trace.size(), first.size());
    for (std::size_t j = 0; j < trace.size(); ++j) {
      EXPECT_EQ(trace[j].intended, first[j].intended);
      EXPECT_EQ(trace[j].flow, first[j].flow);
      EXPECT_EQ(trace[j].asked, first[j].asked);
    }
  }
  EXPECT_NE(compared.runs[0].work.result.records[0].intended, compared.runs[3].work.result.records[0].intended);
}

TEST(comparison, one_worker_is_never_faster_than_the_ideal_on_what_it_really_did) {
  // With more workers, luck with the order may favour some requests; one serves them as they came.
  auto options = small();
  options.repetitions = 1;
  options.server.workers = 1;
  for (const auto& [queue, repetition, run] : compare(options).runs) {
    ideal_queue ideal{1};
    for (const auto& each : run.result.records) {
      ASSERT_GE(each.used, each.asked);
      EXPECT_GT(each.latency, ideal.serve(each.intended, each.used)) << to_string(queue);
    }
  }
}

TEST(comparison, a_run_whose_requests_left_late_is_not_valid) {
  auto options = small();
  options.repetitions = 1;
  options.queues = {queue_kind::shared};
  EXPECT_EQ(compare(options).valid_repetitions(), 1u);
  options.limits.lag = 0;
  EXPECT_EQ(compare(options).valid_repetitions(), 0u);
}

TEST(comparison, an_interrupt_leaves_whole_repetitions) {
  auto options = small();
  options.repetitions = 100;
  std::atomic<bool> interrupted{false};
  double furthest = 0;
  const auto compared = compare(options, {.report =
                                              [&](queue_kind, unsigned repetition, double done) {
                                                EXPECT_GE(done, furthest);
                                                furthest = done;
                                                if (repetition == 1) interrupted = true;
                                              },
                                          .interrupted = &interrupted});
  EXPECT_EQ(compared.runs.size(), 2u);
  EXPECT_LT(furthest, 0.1);
  EXPECT_TRUE(compared.interrupted);
  EXPECT_FALSE(compared.valid()) << "one repetition of a hundred is no result";
  EXPECT_EQ(to_json(compared)["interrupted"], true);
}

TEST(comparison, the_rate_follows_from_the_load) {
  auto options = small();
  options.load = 0.7;
  options.server.workers = 8;
  options.run.plan.service = service_times::parse("constant:500us");
  EXPECT_DOUBLE_EQ(rate_of(options), 11'200);
}

TEST(comparison, the_ideal_is_simulated_on_the_trace_and_what_was_used) {
  std::vector<request_record> records(4);
  const auto put = [&](std::size_t i, nanoseconds intended, nanoseconds asked, nanoseconds used) {
    records[i].intended = intended;
    records[i].asked = asked;
    records[i].used = used;
  };
  put(0, 0ns, 5ns, 10ns);
  put(1, 2ns, 5ns, -1ns);  // without an answer: waits until 10, then takes what it asked for
  put(2, 3ns, 5ns, 20ns);  // waits until 15
  put(3, 100ns, 1ns, 2ns);
  const auto latency = simulate_ideal({.records = records, .workers = 1, .warmup = 3ns}).latency;
  EXPECT_EQ(latency.count(), 2u);
  EXPECT_EQ(latency.min(), 2ns);
  EXPECT_EQ(latency.max(), 32ns);
}

TEST(comparison, the_ideal_lanes_are_simulated_with_short_requests_first) {
  const auto service = service_times::parse("bimodal:2ns,10ns,50%");
  std::vector<request_record> records(4);
  const auto put = [&](std::size_t i, nanoseconds intended, nanoseconds asked, nanoseconds used) {
    records[i].intended = intended;
    records[i].asked = asked;
    records[i].used = used;
  };
  put(0, 0ns, 10ns, 12ns);
  put(1, 1ns, 10ns, 10ns);  // waits for the short one: until 14
  put(2, 2ns, 2ns, 2ns);    // until 12
  put(3, 2ns, 2ns, -1ns);   // without an answer: until 14, then takes what it asked for
  const simulation served{.records = records, .service = service, .workers = 1, .warmup = 1ns};
  const auto lanes = simulate_ideal_lanes(served, 0);
  EXPECT_EQ(lanes.latency.count(), 3u);
  ASSERT_TRUE(lanes.classes);
  EXPECT_EQ(lanes.classes->short_ones().latency.min(), 12ns);
  EXPECT_EQ(lanes.classes->short_ones().latency.max(), 14ns);
  EXPECT_EQ(lanes.classes->long_ones().latency.max(), 25ns);
  EXPECT_DOUBLE_EQ(lanes.classes->long_ones().slowdown_percentile(50), 2.5);
  const auto in_order = simulate_ideal(served);
  EXPECT_EQ(in_order.classes->long_ones().latency.max(), 21ns);
  EXPECT_EQ(in_order.classes->short_ones().latency.max(), 24ns);
}

TEST(work_run, an_eighth_of_the_workers_is_reserved_but_none_that_long_requests_need) {
  struct {
    std::size_t workers;
    double load;
    const char* service;
    std::size_t reserve;
  } const cases[] = {
      {8, 0.7, "bimodal:500us,50ms,10%", 1},  {8, 0.9, "bimodal:500us,50ms,10%", 1},
      {8, 0.9, "bimodal:500us,50ms,50%", 0},  {32, 0.9, "bimodal:500us,50ms,10%", 4},
      {32, 0.9, "bimodal:500us,50ms,50%", 1}, {32, 0.7, "bimodal:500us,50ms,0.5%", 4},
      {1, 0.1, "bimodal:500us,50ms,10%", 0},  {2, 0.4, "bimodal:500us,50ms,10%", 1},
  };
  for (const auto& each : cases) {
    work_run_options options{.workers = each.workers, .load = each.load};
    options.run.plan.service = service_times::parse(each.service);
    EXPECT_EQ(usual_reserve(options), each.reserve) << each.workers << " at " << each.load << ", " << each.service;
  }
}

struct seconds_of_work {
  double asked = 0, used = 0;
};

seconds_of_work sum_of(const std::vector<request_record>& records) {
  seconds_of_work sum;
  for (const auto& each : records) {
    sum.asked += std::chrono::duration<double>{each.asked}.count();
    sum.used += std::chrono::duration<double>{each.used}.count();
  }
  return sum;
}

/// Two queues, `count` repetitions in which everything takes as long as `latency` says, the ideal 1 ms.
comparison made_up(unsigned count, const std::function<nanoseconds(queue_kind, unsigned)>& latency) {
  comparison made{.options = small(), .runs = {}};
  made.options.repetitions = count;
  for (unsigned repetition = 0; repetition < count; ++repetition) {
    for (const auto queue : made.options.queues) {
      work_run run;
      for (int i = 0; i < 1000; ++i) {
        run.ideal.latency.add(1ms);
        run.result.latency.add(latency(queue, repetition));
      }
      run.result.counts = {.sent = 1000, .answered = 1000};
      run.result.measured = run.result.planned = 1s;
      run.asked_load = 0.5;
      run.real_load = 0.52;
      made.runs.push_back({queue, repetition, std::move(run)});
    }
  }
  return made;
}

TEST(comparison, figures_are_medians_of_the_repetitions) {
  const auto compared = made_up(3, [](queue_kind queue, unsigned repetition) {
    return queue == queue_kind::shared ? 2ms : (repetition + 3) * 1ms;
  });
  const auto figure = compared.figure(queue_kind::sharded, [](const work_run& run) { return run.latency(99); });
  EXPECT_DOUBLE_EQ(figure.lowest, 0.003);
  EXPECT_DOUBLE_EQ(figure.median, 0.004);
  EXPECT_DOUBLE_EQ(figure.highest, 0.005);
  EXPECT_EQ(
      to_sentence(compared),
      "With 2 workers at 50% load (52% really offered), 99 of 100 requests were answered within 2.00 ms by shared "
      "(2.00 times the ideal queue's) and within 4.00 ms by sharded (2.00 times as long).");
  EXPECT_EQ(compared.latencies(queue_kind::sharded).count(), 3000u);
  EXPECT_THAT(to_table(compared), AllOf(HasSubstr("p99/ideal"), HasSubstr("\nideal "), HasSubstr("\nshared "),
                                        HasSubstr("\n  lowest "), HasSubstr("5.00 ms"), HasSubstr("load offered"),
                                        HasSubstr("52%"), HasSubstr("load asked for: 50%")));
}

/// One repetition of shared and lanes. Each has `count` short requests, and as many long ones; in the ideal queue short
/// ones take 40 ms and in the ideal lanes 2, and long ones take 100 and 120.
comparison made_up_of_classes(int count) {
  comparison made{.options = small(), .runs = {}};
  made.options.repetitions = 1;
  made.options.queues = {queue_kind::shared, queue_kind::lanes};
  made.options.run.plan.service = service_times::parse("bimodal:1ms,100ms,50%");
  made.options.server.reserve = 1;
  const auto seen = [&](nanoseconds short_ones, nanoseconds long_ones) {
    auto classes = *class_results::of(made.options.run.plan.service);
    for (int i = 0; i < count; ++i) {
      classes.add(1ms, short_ones, 1ms);
      classes.add(100ms, long_ones, 100ms);
    }
    return classes;
  };
  for (const auto queue : made.options.queues) {
    work_run run;
    run.result.classes = queue == queue_kind::lanes ? seen(4ms, 150ms) : seen(50ms, 125ms);
    run.ideal.classes = seen(40ms, 100ms);
    run.ideal_lanes = simulated{.classes = seen(2ms, 120ms)};
    run.asked_load = run.real_load = 0.5;
    made.runs.push_back({queue, 0, std::move(run)});
  }
  return made;
}

TEST(comparison, tells_what_short_and_long_requests_waited_beside_both_ideals) {
  const auto compared = made_up_of_classes(1000);
  EXPECT_THAT(to_class_table(compared),
              AllOf(StartsWith("short requests (1.00 ms) and long ones (100 ms), all repetitions together"),
                    ContainsRegex("\nshort, ideal +40.0 ms +40.0 ms +40.0 ms +40.0 *\n"),
                    ContainsRegex("\nshort, ideal lanes +2.00 ms +2.00 ms +2.00 ms +2.00 +0.05 +0.05\n"),
                    ContainsRegex("\nshort, lanes +4.00 ms +4.00 ms +4.00 ms +4.00 +0.10 +0.10\n"),
                    ContainsRegex("\nlong, shared +125 ms +125 ms +125 ms +1.25 +1.25 +1.25\n"),
                    ContainsRegex("\nall, lanes ")));
  EXPECT_EQ(
      to_class_sentence(compared),
      "Of the short requests, 99 of 100 were answered within 50.0 ms by shared (1.25 times the ideal queue's) and "
      "4.00 ms by lanes (0.10 times the ideal queue's).\n"
      "Of the long requests, 99 of 100 were answered within 125 ms by shared (1.25 times the ideal queue's) and "
      "150 ms by lanes (1.50 times the ideal queue's).\n");
  EXPECT_THAT(to_table(compared), HasSubstr("\nideal lanes "));
  EXPECT_THAT(method_of(compared.options),
              HasSubstr("lanes: requests of 1.00 ms before those of 100 ms; 1 of 2 workers"));
  const auto json = to_json(compared);
  EXPECT_EQ(json["reserve"], 1);
  EXPECT_EQ(json["runs"][1]["ideal_lanes_classes"]["short"]["slowdown"]["p99"], 2);
  EXPECT_EQ(json["runs"][1]["result"]["classes"]["short"]["slowdown"]["p99"], 4);
  EXPECT_EQ(to_class_sentence(made_up_of_classes(999)), "") << "999 are too few";
  EXPECT_EQ(to_class_table(made_up(1, [](queue_kind, unsigned) { return 1ms; })), "") << "there is one class";
}

TEST(comparison, runs_of_fewer_than_a_thousand_requests_make_no_sentence_about_99_of_100) {
  auto compared = made_up(3, [](queue_kind, unsigned) { return 1ms; });
  EXPECT_EQ(compared.fewest_requests(), 1000u);
  EXPECT_THAT(to_sentence(compared), StartsWith("With 2 workers"));
  EXPECT_THAT(to_table(compared), HasSubstr("note: runs of 1000 requests: fewer than ten of them exceed p99.9"));
  histogram one_less;
  for (int i = 0; i < 998; ++i) one_less.add(1ms);
  compared.runs[3].work.result.latency = one_less;
  compared.runs[3].work.result.counts.lost = 1;  // has its part in a percentile
  EXPECT_EQ(compared.fewest_requests(), 999u);
  EXPECT_EQ(to_sentence(compared),
            "Nothing is said of 99 in 100 requests: a run had only 999, and 1000 are needed, of which ten exceed the "
            "99th percentile; take a longer --duration or a shorter --work.");
  compared.runs[2].work.found = flaw::late;  // its repetition is left out
  EXPECT_EQ(compared.fewest_requests(), 1000u);
}

TEST(comparison, a_run_is_long_enough_for_its_percentile_if_nobody_says_how_long) {
  auto options = small();
  options.server.workers = 8;
  options.load = 0.7;
  const auto length_at = [&](const char* service) {
    options.run.plan.service = service_times::parse(service);
    return usual_length(options);
  };
  EXPECT_EQ(length_at("exponential:1ms"), 2500ms);
  EXPECT_EQ(length_at("exponential:20ms"), 3929ms);  // 280 a second
  EXPECT_EQ(length_at("exponential:1s"), 10s);
  EXPECT_EQ(length_at("bimodal:500us,50ms,10%"), 5353ms);  // in both repetitions together, a thousand long ones
}

TEST(comparison, repetitions_that_are_not_valid_are_left_out_whole) {
  auto compared = made_up(3, [](queue_kind, unsigned repetition) { return (repetition + 1) * 1ms; });
  compared.runs[1].work.found = flaw::late;  // the sharded one of the first repetition
  EXPECT_EQ(compared.valid_repetitions(), 2u);
  EXPECT_TRUE(compared.valid());
  const auto p50 = [](const work_run& run) { return run.latency(50); };
  EXPECT_DOUBLE_EQ(compared.figure(queue_kind::shared, p50).lowest, 0.002);
  compared.runs[2].work.found = flaw::other_load;
  EXPECT_FALSE(compared.valid());  // then all is shown, for what it is worth
  EXPECT_DOUBLE_EQ(compared.figure(queue_kind::shared, p50).lowest, 0.001);
}

TEST(comparison, a_repetition_whose_load_is_more_than_a_tenth_away_from_the_one_asked_for_is_left_out) {
  auto compared = made_up(5, [](queue_kind, unsigned) { return 1ms; });
  compared.options.limits = {};
  compared.runs[0].work.real_load = 0.549;
  compared.runs[3].work.real_load = 0.551;  // of one queue, in the second repetition
  compared.runs[4].work.real_load = 0.451;
  compared.runs[7].work.real_load = 0.449;  // of the other queue, in the fourth
  EXPECT_EQ(compared.flaw_in(0), flaw::none);
  EXPECT_EQ(compared.flaw_in(1), flaw::other_load);
  EXPECT_EQ(compared.flaw_in(2), flaw::none);
  EXPECT_EQ(compared.flaw_in(3), flaw::other_load);
  EXPECT_EQ(compared.valid_repetitions(), 3u);
  EXPECT_TRUE(compared.valid());
  EXPECT_EQ(left_out(compared), "in 2 the load really offered was too far from the one asked for");
}

TEST(comparison, with_too_few_valid_repetitions_it_says_what_was_seen_and_what_to_do) {
  auto compared = made_up(3, [](queue_kind, unsigned) { return 1ms; });
  compared.options.limits = {};
  for (const std::size_t run : {0u, 2u, 4u}) compared.runs[run].work.real_load = 1.7;
  EXPECT_FALSE(compared.valid());
  EXPECT_THAT(invalidity(compared),
              AllOf(HasSubstr("0 of 3 repetitions are valid, and 3 were wanted"),
                    HasSubstr("in 3 the load really offered was too far from the one asked for"),
                    HasSubstr("was 50% to 170% (asked for: 50%)"), HasSubstr("Quiet the machine, lower --load")));
}

TEST(comparison, as_many_repetitions_are_made_as_are_needed_within_a_time) {
  struct {
    unsigned made, valid, wanted;
    nanoseconds elapsed;
    next_step expected;
  } const cases[] = {
      {0, 0, 5, 0s, next_step::another},   {4, 4, 5, 24s, next_step::another},
      {5, 5, 5, 30s, next_step::enough},   {5, 4, 5, 30s, next_step::another},  // one in its place
      {6, 5, 5, 36s, next_step::enough},   {5, 0, 5, 30s, next_step::too_few},  // hopeless
      {4, 0, 5, 90s, next_step::another},  {4, 0, 5, 91s, next_step::too_few},  // each takes for ever
      {4, 3, 5, 91s, next_step::enough},   {5, 1, 5, 30s, next_step::another},
      {15, 2, 5, 90s, next_step::too_few},  // out of time
      {15, 3, 5, 90s, next_step::enough},   // out of time, but most of those wanted
      {14, 2, 5, 84s, next_step::another},  // ends at 90 s
      {14, 2, 5, 85s, next_step::too_few},  // would not
      {1, 0, 1, 6s, next_step::too_few},   {1, 1, 1, 6s, next_step::enough},
  };
  for (const auto& each : cases) {
    EXPECT_EQ(step_after(each.made, each.valid, each.wanted, each.elapsed, 90s), each.expected)
        << each.made << " made, " << each.valid << " valid of " << each.wanted << " after " << each.elapsed / 1s
        << " s";
  }
  EXPECT_FALSE(is_result(0, 1));
  EXPECT_FALSE(is_result(2, 5));
  EXPECT_TRUE(is_result(3, 5));
  EXPECT_TRUE(is_result(1, 2));
}

TEST(comparison, repetitions_that_are_not_valid_are_made_again_until_time_is_up) {
  auto options = small();
  options.run.plan.length = 100ms;
  options.limits.lag = 1e-9;  // no repetition is valid
  EXPECT_EQ(compare(options).repetitions(), 2u);
  EXPECT_EQ(longest_of(options), 3 * 2 * 2 * 150ms);
}

TEST(work_run, the_load_really_offered_counts_the_time_that_services_really_took) {
  auto options = small();
  options.server.workers = 4;
  options.run.plan.service = service_times::parse("constant:2ms");
  work_server server{options.server};
  auto wanted = work_of(options);
  wanted.run.target = server.local();
  wanted.workers = 8;  // so many are said to share the load, so each of the four has twice of it
  const auto run = run_work(wanted, [] { return std::uint64_t{0}; });
  seconds_of_work sum = sum_of(run.result.records);
  const auto& last = run.result.records.back();
  EXPECT_NEAR(run.asked_load, sum.asked / 8 / std::chrono::duration<double>{last.intended}.count(), 1e-9);
  EXPECT_NEAR(run.real_load, sum.used / 8 / std::chrono::duration<double>{last.intended + last.lag}.count(), 1e-6);
  EXPECT_GE(run.real_load, run.asked_load * 0.99);
}

TEST(work_run, tells_how_much_longer_short_services_took_than_asked_for) {
  auto options = small();
  options.run.plan.service = service_times::parse("bimodal:1ms,4ms,50%");
  work_server server{options.server};
  auto wanted = work_of(options);
  wanted.run.target = server.local();
  const auto run = run_work(wanted, [] { return std::uint64_t{0}; });
  double asked = 0, used = 0;
  for (const auto& each : run.result.records) {
    if (each.asked > 1ms) continue;
    asked += std::chrono::duration<double>{each.asked}.count();
    used += std::chrono::duration<double>{each.used}.count();
  }
  ASSERT_GT(asked, 0);
  EXPECT_NEAR(run.short_stretch, used / asked, 1e-9);
  EXPECT_GE(run.short_stretch, 1);
}

TEST(work_run, is_not_valid_if_services_took_longer_than_asked_for_by_more_than_a_tenth) {
  auto run = made_up(1, [](queue_kind, unsigned) { return 1ms; }).runs.front().work;
  run.asked_load = 0.7;
  run.real_load = 0.769;
  EXPECT_EQ(flaw_of(run, {}), flaw::none);
  run.real_load = 0.771;
  EXPECT_EQ(flaw_of(run, {}), flaw::other_load);
  EXPECT_EQ(flaw_of(run, {.offered = 0.2}), flaw::none);
  run.real_load = 0.629;
  EXPECT_EQ(flaw_of(run, {}), flaw::other_load);
  run.real_load = 0.7;
  run.short_stretch = 1.09;
  EXPECT_EQ(flaw_of(run, {}), flaw::none);
  run.short_stretch = 1.11;
  EXPECT_EQ(flaw_of(run, {}), flaw::slow_short_services);
  run.result.gave_up = true;
  EXPECT_EQ(flaw_of(run, {}), flaw::gave_up);
}

TEST(comparison, a_queue_that_lost_too_much_has_no_percentile) {
  auto compared = made_up(1, [](queue_kind, unsigned) { return 1ms; });
  compared.runs[1].work.result.counts = {.sent = 1070, .unsent = 30, .answered = 1000, .lost = 70};
  EXPECT_TRUE(std::isinf(compared.runs[1].work.latency(99)));
  EXPECT_EQ(compared.missing(queue_kind::sharded), 100u);
  EXPECT_THAT(to_sentence(compared), HasSubstr("and not within any time by sharded, which left more than one in 100"));
  EXPECT_THAT(to_table(compared), HasSubstr("lost"));
}

TEST(spread, of_odd_and_even_counts) {
  const auto odd = spread::of({3, 1, 2});
  EXPECT_EQ(odd.lowest, 1);
  EXPECT_EQ(odd.median, 2);
  EXPECT_EQ(odd.highest, 3);
  EXPECT_EQ(spread::of({4, 1, 2, 3}).median, 2.5);
  EXPECT_TRUE(std::isnan(spread::of({}).median));
  constexpr double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(spread::of({infinity, infinity}).median, infinity);
}

}  // namespace

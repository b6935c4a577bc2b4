#include "load/run/load_run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>
#include <thread>

#include "load/plan/dns_queries.hpp"
#include "load/plan/random_payload.hpp"
#include "load/plan/work_requests.hpp"
#include "load/report/text_report.hpp"
#include "load/run/knee_search.hpp"
#include "load/run/validity.hpp"
#include "support/mangling_server.hpp"

namespace {

using namespace std::chrono_literals;
using namespace udppump::load;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Short runs whose answers have time to come, however busy the machine is.
load_options to(const udppump::address& target) {
  return {.target = target, .plan = {.rate = 2000, .length = 500ms}, .timeout = 10s, .keep_records = true};
}

TEST(load_run, every_request_is_sent_and_its_answer_counted) {
  const mangling_server server{{}};
  auto options = to(server.local());
  options.plan.flows = 8;
  const auto result = run_load(options, work_requests{1});
  EXPECT_NEAR(static_cast<double>(result.counts.sent), 1000, 160);  // five standard deviations of a Poisson count
  EXPECT_EQ(result.counts, (request_counts{.sent = server.received(), .answered = server.received()}));
  EXPECT_EQ(result.latency.count(), server.received());
  EXPECT_EQ(result.lag.count(), server.received());
  EXPECT_EQ(result.receive_drops, 0u);
  EXPECT_GE(result.measured, 500ms);
  EXPECT_EQ(result.answer_bytes, server.received() * work_message_size);
  EXPECT_GT(result.latency.min(), 0ns);
}

TEST(load_run, what_is_sent_is_the_plan_and_nothing_else) {
  const mangling_server server{{}};
  auto options = to(server.local());
  options.plan.flows = 5;
  options.plan.service = service_times::parse("exponential:1ms");
  const auto result = run_load(options, work_requests{1});
  request_plan plan{options.plan};
  for (const auto& record : result.records) {
    const auto planned = plan.next();
    ASSERT_TRUE(planned);
    EXPECT_EQ(record.intended, planned->intended);
    EXPECT_EQ(record.flow, planned->flow);
    EXPECT_EQ(record.asked, planned->asked);
    EXPECT_GE(record.lag, 0ns);
    EXPECT_GE(record.latency, record.lag);  // measured from when it was meant to be sent
  }
  EXPECT_FALSE(plan.next());
}

/// That every answer of a server that loses, repeats and adds strange ones is counted as what it is.
void expect_told_apart(const load_result& result, const mangling_server& server) {
  const auto answered = server.received() - server.lost();
  EXPECT_EQ(result.counts.sent, server.received());
  EXPECT_EQ(result.counts.lost, server.lost());
  EXPECT_EQ(result.counts.answered + result.counts.late, answered);
  EXPECT_EQ(result.counts.duplicates, server.repeated());
  EXPECT_EQ(result.counts.strange, answered + server.repeated());
}

TEST(load_run, losses_repetitions_and_reordering_are_told_apart) {
  const mangling_server server{{.lose_every = 7, .repeat_every = 5, .reverse = 10, .strange = 1}};
  auto options = to(server.local());
  options.plan.flows = 3;
  options.timeout = 1s;
  const auto result = run_load(options, work_requests{1});
  expect_told_apart(result, server);
  EXPECT_EQ(result.percentile(50) == unanswered, false);
  EXPECT_EQ(result.percentile(99), unanswered);  // one in seven was never answered
}

TEST(load_run, echoes_are_matched_by_their_bytes_in_any_order) {
  const mangling_server server{{.lose_every = 10, .reverse = 7}};
  auto options = to(server.local());
  options.timeout = 1s;
  const auto result = run_load(options, random_payload{1, 1, 200, random_payload::matching::by_echo});
  EXPECT_EQ(result.counts.lost, server.lost());
  EXPECT_EQ(result.counts.answered + result.counts.late, server.received() - server.lost());
  EXPECT_EQ(result.counts.strange, 0u);
}

TEST(load_run, dns_answers_are_matched_by_id_whatever_the_network_does) {
  const mangling_server server{{.lose_every = 7, .repeat_every = 5, .reverse = 10, .strange = 1, .dns = true}};
  auto options = to(server.local());
  options.plan.flows = 2;
  options.timeout = 1s;
  std::istringstream lines{"www.example.com A\nwww.example.com AAAA\n"};
  const auto result = run_load(options, dns_queries{lines, "queries", 65'000});  // their ids go round
  expect_told_apart(result, server);
  EXPECT_EQ(result.counts.codes[0], result.counts.answered + result.counts.late);  // each once
}

TEST(load_run, bytes_of_answers_are_those_that_came_and_not_only_those_that_were_read) {
  const mangling_server server{{}};
  auto options = to(server.local());
  options.plan.length = 50ms;
  const auto result = run_load(options, random_payload{1, 1, 1000, random_payload::matching::by_echo});
  EXPECT_EQ(result.answer_bytes, 1000 * result.counts.answered);
  EXPECT_GT(result.counts.answered, 0u);
}

TEST(load_run, without_an_id_every_answer_finds_a_request) {
  const mangling_server server{{}};
  auto options = to(server.local());
  options.plan.flows = 4;
  const auto result = run_load(options, random_payload{1, 1, 100});
  EXPECT_EQ(result.counts, (request_counts{.sent = server.received(), .answered = server.received()}));
}

TEST(load_run, sending_goes_on_while_the_target_is_slow) {
  const mangling_server server{{.delay = 20ms}};  // answers fifty a second, and is asked two hundred
  auto options = to(server.local());
  options.plan.rate = 200;
  options.plan.length = 300ms;
  const auto result = run_load(options, work_requests{1});
  ASSERT_GT(result.counts.answered, 40u);
  // A closed loop would measure 20 ms for each; here each waits for all before it.
  EXPECT_GT(result.latency.max(), 20ms * (result.counts.answered - 20));
}

TEST(load_run, a_late_answer_is_late_and_not_lost) {
  const mangling_server server{{.delay = 30ms}};
  auto options = to(server.local());
  options.plan = {.arrivals = {.kind = arrival_kind::constant}, .rate = 100, .length = 200ms};
  options.timeout = 100ms;
  const auto result = run_load(options, work_requests{1});
  EXPECT_EQ(result.counts.sent, 19u);  // the first at 10 ms, none at 200
  EXPECT_EQ(result.counts.answered + result.counts.late + result.counts.lost, 19u);
  EXPECT_GT(result.counts.late, 0u);  // the eleventh is answered 230 ms after it was sent, a while before the end
}

TEST(load_run, the_last_request_has_as_long_for_its_answer_as_the_first) {
  const mangling_server server{{.delay = 60ms}};
  auto options = to(server.local());
  options.plan = {.arrivals = {.kind = arrival_kind::constant}, .rate = 10, .length = 600ms};
  options.timeout = 400ms;
  const auto result = run_load(options, work_requests{1});
  EXPECT_EQ(result.counts.sent, 5u);  // the last after 500 ms
  EXPECT_EQ(result.counts.lost, 0u);
}

TEST(load_run, the_warmup_is_sent_but_not_counted) {
  const mangling_server server{{}};
  auto options = to(server.local());
  options.warmup = 250ms;
  const auto result = run_load(options, work_requests{1});
  EXPECT_EQ(result.records.size(), server.received());
  EXPECT_GE(result.measured, 250ms);
  const auto counted = std::ranges::count_if(result.records, [](const auto& each) { return each.intended >= 250ms; });
  EXPECT_EQ(result.counts.sent, static_cast<std::uint64_t>(counted));
  EXPECT_EQ(result.latency.count(), result.counts.sent);
  EXPECT_EQ(result.lag.count(), result.counts.sent);
  EXPECT_LT(result.counts.sent, server.received());
  const nanoseconds last_sent = result.records.back().intended + result.records.back().lag;
  EXPECT_EQ(result.measured, std::max(500ms + 0ns, last_sent) - 250ms);
}

TEST(load_run, flows_take_several_source_addresses_in_turn) {
  std::set<std::string> seen;
  auto socket = bound({}, "127.0.0.1:0");
  udppump::pump pump{socket, [&](udppump::datagram& received) {
                       seen.insert(received.from.to_string());
                       received.reply(received.payload);
                     }};
  auto options = to(socket.local());
  options.plan.flows = 6;
  options.sources = {udppump::address::parse("127.0.0.2:0"), udppump::address::parse("127.0.0.3:0")};
  std::jthread serving{[&] { static_cast<void>(pump.run()); }};
  const auto result = run_load(options, random_payload{1, 1, 10});
  pump.request_stop();
  serving.join();
  EXPECT_EQ(result.counts.answered, result.counts.sent);
  EXPECT_EQ(seen.size(), 6u);
  const auto from = [&](const char* address) {
    return std::ranges::count_if(seen, [&](const std::string& each) { return each.starts_with(address); });
  };
  EXPECT_EQ(from("127.0.0.2:"), 3);
  EXPECT_EQ(from("127.0.0.3:"), 3);
}

std::string refusal(const load_options& options) {
  try {
    static_cast<void>(run_load(options, work_requests{1}));
  } catch (const std::system_error& why) {
    return why.what();
  }
  return {};
}

TEST(load_run, a_port_where_nobody_listens_is_named_at_once) {
  udppump::address nobody;
  {
    const auto gone = bound();
    nobody = gone.local();
  }
  auto options = to(nobody);
  options.plan.length = 60s;  // it does not take that long
  const auto began = std::chrono::steady_clock::now();
  EXPECT_THAT(refusal(options), ::testing::AllOf(HasSubstr(nobody.to_string()), HasSubstr("nothing listens there"),
                                                 HasSubstr("Connection refused")));
  EXPECT_LT(std::chrono::steady_clock::now() - began, patience);
}

TEST(load_run, what_the_kernel_does_not_take_is_not_sent_and_not_waited_for) {
  // Nobody reads this socket; Unix sockets, unlike UDP, then tell the sender (unix(7), net.unix.max_dgram_qlen).
  const auto unread = bound({}, ("unix:@udppump-load-run-test-" + std::to_string(::getpid())).c_str());
  auto options = to(unread.local());
  options.plan.length = 200ms;
  options.timeout = 100ms;
  const auto result = run_load(options, work_requests{1});
  EXPECT_GT(result.counts.lost, 0u);
  EXPECT_GT(result.counts.unsent, 0u);
  EXPECT_EQ(result.counts.sent, result.counts.lost);
  EXPECT_EQ(result.counts.sent + result.counts.unsent, result.records.size());
  EXPECT_EQ(result.send_error, EAGAIN);
  EXPECT_EQ(result.percentile(1), unanswered);
}

TEST(load_run, what_the_kernel_did_not_take_and_what_was_lost_waited_longer_than_all_that_was_answered) {
  for (const bool lost : {true, false}) {
    load_result result;
    for (int answered = 0; answered < 98; ++answered) result.latency.add(1ms);
    result.counts = {.sent = lost ? 100u : 98u, .unsent = lost ? 0u : 2u, .answered = 98, .lost = lost ? 2u : 0u};
    EXPECT_LT(result.percentile(98), 2ms);
    EXPECT_EQ(result.percentile(99), unanswered);
    EXPECT_EQ(result.percentile(100), unanswered);
  }
}

TEST(load_run, a_source_of_another_family_or_machine_is_refused) {
  const auto listening = bound();
  auto options = to(listening.local());
  options.sources = {udppump::address::parse("[::1]:0")};
  EXPECT_THAT(refusal(options), HasSubstr("same family"));
  options.sources = {udppump::address::parse("192.0.2.1:0")};
  EXPECT_THAT(refusal(options), HasSubstr("192.0.2.1"));
}

TEST(load_run, a_target_that_goes_away_leaves_losses_and_icmp_errors) {
  auto server = std::make_unique<mangling_server>(mangling_server::orders{});
  auto options = to(server->local());
  options.plan.length = 600ms;
  options.timeout = 200ms;
  bool gone = false;
  const auto result =
      run_load(options, work_requests{1}, {.every = 50ms, .report = [&](const load_progress& now) {
                                             if (now.since_start < 300ms || gone || now.p50 == unanswered) return;
                                             server.reset();
                                             gone = true;
                                           }});
  EXPECT_TRUE(gone);
  EXPECT_GT(result.counts.answered, 0u);
  EXPECT_GT(result.counts.lost, 0u);
  EXPECT_EQ(result.counts.unsent, 0u);  // an ICMP error is of the request before, and this one is sent again
  EXPECT_GT(result.icmp_errors, 0u);
}

TEST(load_run, an_answer_counts_from_when_it_came_and_not_from_when_it_was_read) {
  const mangling_server server{{}};
  auto options = to(server.local());
  options.plan.rate = 500;
  const auto slow_reader = [](const load_progress&) { std::this_thread::sleep_for(100ms); };
  const auto result = run_load(options, work_requests{1}, {.every = 1ms, .report = slow_reader});
  EXPECT_EQ(result.counts.answered, server.received());
  EXPECT_LT(result.latency.percentile(50), 25ms);  // most of them waited longer here
}

TEST(load_run, what_could_not_be_sent_waited_longest) {
  load_result result;
  for (int i = 0; i < 98; ++i) result.latency.add(1ms);
  EXPECT_LT(result.percentile(99), unanswered);
  result.counts.unsent = 2;
  EXPECT_EQ(result.percentile(99), unanswered);
}

TEST(load_run, progress_is_reported_and_an_interrupt_ends_it_early) {
  const mangling_server server{{}};
  auto options = to(server.local());
  options.plan.length = 60s;
  std::atomic<bool> interrupted{false};
  int reports = 0;
  double told = 0;  // answers in all reports together
  nanoseconds last{0};
  const auto result =
      run_load(options, work_requests{1},
               {.every = 50ms,
                .report =
                    [&](const load_progress& now) {
                      EXPECT_EQ(now.length, 60s);
                      told += now.answers_per_second * std::chrono::duration<double>{now.since_start - last}.count();
                      last = now.since_start;
                      interrupted = ++reports == 4;
                    },
                .interrupted = &interrupted});
  EXPECT_GE(reports, 4);
  EXPECT_TRUE(result.interrupted);
  EXPECT_LT(result.measured, 30s);
  EXPECT_EQ(result.counts.answered, server.received());
  EXPECT_GT(told, 0);
  EXPECT_LE(told, static_cast<double>(result.counts.answered) + 0.5);  // each report tells of what is new
}

TEST(load_run, answers_that_find_its_own_sockets_full_are_noticed) {
  // A server that answers each request with many large datagrams, more than the client's socket holds.
  auto socket = bound();
  const std::string large(60'000, 'x');
  std::atomic<int> served{0};
  udppump::pump pump{socket, [&](udppump::datagram& received) {
                       for (int i = 0; i < 300; ++i) received.reply(large);
                       ++served;
                     }};
  auto options = to(socket.local());
  options.plan.length = 50ms;
  options.timeout = 500ms;
  std::jthread serving{[&] { static_cast<void>(pump.run()); }};
  // Called on the thread that reads the answers: it reads none while at least one request is answered.
  bool waited = false;
  const auto read_nothing = [&](const load_progress&) {
    if (std::exchange(waited, true)) return;
    const int enough = served + 2;
    for (int tries = 0; served < enough && tries < 10'000; ++tries) std::this_thread::sleep_for(1ms);
  };
  const auto result = run_load(options, work_requests{1}, {.every = 1ms, .report = read_nothing});
  pump.request_stop();
  EXPECT_TRUE(waited);
  EXPECT_GT(result.receive_drops, 0u);
  EXPECT_EQ(result.counts.lost, result.counts.sent);
  EXPECT_EQ(flaw_of(result, {.lag = 1000, .offered = 1000}), flaw::own_drops);
  EXPECT_THAT(invalidity(result, {}), AllOf(HasSubstr("own sockets"), HasSubstr("raise --flows")));
  EXPECT_EQ(judge(result, 1h, {.lag = 1000, .offered = 1000}), verdict::invalid);  // never the target's limit
}

TEST(load_run, a_rate_that_nobody_can_send_is_given_up) {
  const mangling_server server{{}};
  auto options = to(server.local());
  options.plan.rate = 1e8;
  options.plan.length = 3600s;
  options.timeout = 200ms;
  options.keep_records = false;
  const auto result = run_load(options, work_requests{1});
  EXPECT_TRUE(result.gave_up);
  EXPECT_LT(result.measured, 60s);
  EXPECT_THAT(invalidity(result, {.lag = 1000}), HasSubstr("gave up"));
}

TEST(load_run, the_lag_is_a_share_of_what_was_measured) {
  load_result result;
  EXPECT_EQ(result.lag_share(), 0);
  for (int i = 0; i < 100; ++i) {
    result.latency.add(i < 98 ? 1000ns : 2000ns);
    result.lag.add(i < 98 ? 0ns : 500ns);
  }
  result.counts = {.sent = 100, .answered = 100};
  result.measured = result.planned = 1s;
  EXPECT_EQ(result.lag_share(), 0.25);  // of the 99th percentiles
  EXPECT_EQ(invalidity(result, {.lag = 0.25}), "");
  EXPECT_THAT(invalidity(result, {.lag = 0.2}), HasSubstr("25% of the latency's"));
}

/// A run of 100 requests in a second, as it should be.
load_result made_up() {
  load_result result;
  for (int i = 0; i < 100; ++i) {
    result.latency.add(2ms);
    result.lag.add(10us);
  }
  result.counts = {.sent = 100, .answered = 100};
  result.measured = result.planned = 1s;
  return result;
}

TEST(validity, each_flaw_is_named_and_none_is_taken_for_another) {
  const validity_limits limits;
  EXPECT_EQ(flaw_of(made_up(), limits), flaw::none);
  EXPECT_EQ(invalidity(made_up(), limits), "");
  const auto expect = [&](flaw expected, const char* text, const std::function<void(load_result&)>& spoil) {
    auto result = made_up();
    spoil(result);
    EXPECT_EQ(flaw_of(result, limits), expected) << text;
    EXPECT_THAT(invalidity(result, limits), HasSubstr(text));
    EXPECT_FALSE(to_string(expected).empty());
  };
  expect(flaw::nothing_sent, "no request was due", [](load_result& run) { run.counts = {}; });
  expect(flaw::gave_up, "gave up; lower --rate", [](load_result& run) { run.gave_up = true; });
  expect(flaw::own_drops, "1 answer dropped at", [](load_result& run) { run.receive_drops = 1; });
  expect(flaw::ids_used_up, "raise --flows", [](load_result& run) { run.counts.reused = 1; });
  expect(flaw::late, "requests left late", [](load_result& run) {
    for (int i = 0; i < 100; ++i) run.lag.add(1ms);
  });
  expect(flaw::other_rate, "89.0 requests a second were really offered, of 100 asked for",
         [](load_result& run) { run.counts = {.sent = 89, .unsent = 11, .answered = 89}; });
  expect(flaw::other_rate, "83.3 requests a second", [](load_result& run) { run.measured = 1200ms; });
}

TEST(validity, a_tenth_less_or_more_is_as_asked) {
  EXPECT_TRUE(is_as_asked(1, 1, 0));
  EXPECT_TRUE(is_as_asked(0.7, 0.7699, 0.1));
  EXPECT_FALSE(is_as_asked(0.7, 0.7701, 0.1));
  EXPECT_TRUE(is_as_asked(1000, 901, 0.1));
  EXPECT_FALSE(is_as_asked(1000, 899, 0.1));
}

TEST(validity, a_step_of_a_ramp_is_judged_by_its_target_only_if_its_load_was_offered) {
  const validity_limits limits;
  const auto judged = [&](nanoseconds slo, const std::function<void(load_result&)>& spoil) {
    auto result = made_up();
    spoil(result);
    return judge(result, slo, limits);
  };
  const auto late = [](load_result& run) {
    for (int i = 0; i < 100; ++i) run.lag.add(1ms);
  };
  EXPECT_EQ(judged(10ms, [](load_result&) {}), verdict::good);
  EXPECT_EQ(judged(1ms, [](load_result&) {}), verdict::bad);
  EXPECT_EQ(judged(10ms, late), verdict::good);  // lateness makes latencies longer, never shorter
  EXPECT_EQ(judged(1ms, late), verdict::invalid);
  for (const nanoseconds slo : {1ms, 10ms}) {
    EXPECT_EQ(judged(slo, [](load_result& run) { run.receive_drops = 1; }), verdict::invalid);
    EXPECT_EQ(judged(slo, [](load_result& run) { run.gave_up = true; }), verdict::invalid);
    EXPECT_EQ(judged(slo, [](load_result& run) { run.measured = 2s; }), verdict::invalid);
    EXPECT_EQ(judged(slo, [&](load_result& run) { late(run), run.measured = 2s; }), verdict::invalid);
    EXPECT_EQ(judged(slo, [](load_result& run) { run.counts = {}; }), verdict::invalid);
    EXPECT_EQ(judged(slo, [](load_result& run) { run.interrupted = true; }), verdict::interrupted);
    EXPECT_EQ(judged(slo, [](load_result& run) { run.icmp_errors = 1; }), verdict::target_gone);
  }
}

TEST(load_run, the_rate_really_offered_is_that_of_what_was_sent) {
  const mangling_server server{{}};
  auto options = to(server.local());
  options.warmup = 100ms;
  const auto result = run_load(options, work_requests{1});
  EXPECT_EQ(result.planned, 400ms);
  EXPECT_DOUBLE_EQ(result.asked_rate(), static_cast<double>(result.counts.sent) / 0.4);
  EXPECT_LE(result.offered_rate(), result.asked_rate());
  EXPECT_GT(result.offered_rate(), 0);
}

TEST(text_report, names_the_percentiles_that_fewer_than_ten_requests_exceed) {
  const auto all = {50.0, 90.0, 99.0, 99.9};
  EXPECT_EQ(few_requests(10'000, all), "");
  EXPECT_EQ(few_requests(9'800, all), "");  // random arrivals
  EXPECT_THAT(few_requests(9'000, all), StartsWith("9000 requests: fewer than ten of them exceed p99.9, "));
  EXPECT_THAT(few_requests(1'000, all), HasSubstr(" exceed p99.9, "));
  EXPECT_THAT(few_requests(900, all), HasSubstr(" exceed p99, p99.9, "));
  EXPECT_THAT(few_requests(0, all), HasSubstr(" exceed p50, p90, p99, p99.9, which may be chance; measure for longer"));
  load_result result;
  for (int i = 0; i < 5'000; ++i) result.latency.add(1ms);
  EXPECT_THAT(to_text(result), HasSubstr("\nnote: 5000 requests: fewer than ten of them exceed p99.9"));
  result.counts.lost = 5'000;  // of which it is known that they took longer
  EXPECT_THAT(to_text(result), ::testing::Not(HasSubstr("note")));
}

TEST(text_report, says_what_dns_servers_answered_and_that_a_run_was_interrupted) {
  auto result = made_up();
  EXPECT_THAT(to_text(result), ::testing::Not(HasSubstr("response codes")));
  EXPECT_THAT(to_text(result), ::testing::Not(HasSubstr("interrupted")));
  result.counts.codes[0] = 60;
  result.counts.codes[3] = 40;
  EXPECT_EQ(response_codes(result.counts), "NOERROR 60, NXDOMAIN 40");
  EXPECT_EQ(doubtful_answers(result.counts), "");
  result.counts.codes[3] = 10;
  result.counts.codes[2] = 20;
  result.counts.codes[5] = 9;
  result.counts.codes[15] = 1;
  result.counts.truncated = 3;
  result.interrupted = true;
  EXPECT_THAT(
      to_text(result),
      AllOf(HasSubstr("response codes: NOERROR 60, SERVFAIL 20, NXDOMAIN 10, REFUSED 9, RCODE15 1; truncated 3"),
            HasSubstr("30 of 100 answers are neither NOERROR nor NXDOMAIN"),
            HasSubstr("3 of 100 answers are truncated"), HasSubstr("interrupted after 1.00 s")));
}

}  // namespace

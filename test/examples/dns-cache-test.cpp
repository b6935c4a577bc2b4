// The example DNS server's kept answers: never anything else than what the zone would say now.

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

#include "dns_answer_cache.hpp"
#include "examples/dns_exchange.hpp"

namespace {

using namespace dns_exchange;

const dns_zone& zone() {
  static const dns_zone read = zone_of(std::string{zone_head} +
                                       "www A 192.0.2.80\nWeb CNAME WWW\n@ MX 10 mail\nmail A 192.0.2.25\n"
                                       "*.users A 192.0.2.99\nlong TXT \"" +
                                       std::string(250, 'x') + "\" \"" + std::string(250, 'y') + "\"\n");
  return read;
}

std::optional<bytes> ask(dns_answer_cache& cache, const bytes& packet) {
  const auto exact = std::make_unique<std::byte[]>(packet.size());  // ASan finds a byte read too many
  std::copy(packet.begin(), packet.end(), exact.get());
  const auto answer = cache.answer({exact.get(), packet.size()});
  if (!answer) return std::nullopt;
  return bytes{answer->begin(), answer->end()};
}

bytes with_id(bytes packet, unsigned id) {
  packet[0] = static_cast<std::byte>(id >> 8);
  packet[1] = static_cast<std::byte>(id);
  return packet;
}

TEST(dns_cache, an_answer_is_kept_for_who_asks_the_same_again) {
  dns_answer_cache cache{zone()};
  const bytes first = query{"www.example.com."}.packet();
  EXPECT_EQ(ask(cache, first), dns_answer(zone(), first));
  EXPECT_EQ(cache.hits(), 0U);
  const bytes again = with_id(first, 0x1234);
  EXPECT_EQ(ask(cache, again), dns_answer(zone(), again));
  EXPECT_EQ(cache.hits(), 1U);
}

TEST(dns_cache, a_name_is_answered_as_it_was_spelled) {
  dns_answer_cache cache{zone()};
  const char* const spelled[] = {"www.example.com.", "WWW.EXAMPLE.COM.", "wWw.eXaMpLe.CoM.", "www.example.com."};
  for (const char* const name : spelled) {
    const bytes packet = query{name}.packet();
    EXPECT_EQ(ask(cache, packet), dns_answer(zone(), packet)) << name;
  }
  EXPECT_EQ(cache.hits(), 3U);
}

TEST(dns_cache, whatever_else_differs_is_another_question) {
  dns_answer_cache cache{zone()};
  const query asked[] = {
      {"www.example.com."},
      {"www.example.com.", LDNS_RR_TYPE_AAAA},
      {.name = "www.example.com.", .flags = 0},
      {.name = "www.example.com.", .cls = LDNS_RR_CLASS_CH},
      {.name = "www.example.com.", .edns = opt{}},
      {.name = "www.example.com.", .edns = opt{.dnssec_ok = true}},
      {.name = "www.example.com.", .edns = opt{.version = 1}},
      {.name = "long.example.com.", .type = LDNS_RR_TYPE_TXT},
      {.name = "long.example.com.", .type = LDNS_RR_TYPE_TXT, .edns = opt{.udp_size = 513}},
      {"web.example.com."},
      {"any.users.example.com."},
      {"other.users.example.com."},
      {"missing.example.com."},
      {"elsewhere.org."},
      {"."},
  };
  for (int round = 0; round < 2; ++round) {
    for (const query& each : asked) {
      const bytes packet = each.packet();
      EXPECT_EQ(ask(cache, packet), dns_answer(zone(), packet)) << each.name << ' ' << each.type;
    }
    EXPECT_EQ(cache.hits() != 0, round != 0);
  }
  EXPECT_GT(cache.hits(), 10U);
}

TEST(dns_cache, names_without_end_push_each_other_out) {
  dns_answer_cache cache{zone()};
  for (int i = 0; i < 30'000; ++i) {
    const std::string name = 'n' + std::to_string(i) + ".users.example.com.";
    const bytes packet = query{name}.packet();
    ASSERT_EQ(ask(cache, packet), dns_answer(zone(), packet)) << name;
  }
  const bytes packet = query{"www.example.com."}.packet();
  EXPECT_EQ(ask(cache, packet), dns_answer(zone(), packet));
}

TEST(dns_cache, thousands_of_names_that_are_asked_for_again_are_nearly_all_kept) {
  dns_answer_cache cache{zone()};
  constexpr int names = 6000;
  for (int time = 0; time < 2; ++time) {
    for (int i = 0; i < names; ++i) {
      const bytes packet = query{'n' + std::to_string(i) + ".users.example.com."}.packet();
      ASSERT_EQ(ask(cache, packet), dns_answer(zone(), packet)) << i;
    }
  }
  EXPECT_GT(cache.hits(), names * 9 / 10U);
}

TEST(dns_cache, broken_packets_are_answered_as_without_it) {
  dns_answer_cache cache{zone()};
  std::mt19937 random{7};
  const auto below = [&random](std::size_t end) {
    return std::uniform_int_distribution<std::size_t>{0, end - 1}(random);
  };
  const bytes whole[] = {query{"wWw.example.com."}.packet(), query{.name = "web.example.com.", .edns = opt{}}.packet(),
                         query{.name = "www.example.com.", .questions = 2}.packet(),
                         query{.name = "www.example.com.", .questions = 0}.packet()};
  for (int i = 0; i < 40'000; ++i) {
    bytes packet = whole[below(std::size(whole))];
    for (std::size_t changes = below(4); changes > 0; --changes) {
      const std::size_t at = below(packet.size());
      packet[at] = static_cast<std::byte>(below(256));
    }
    const std::size_t cut = below(3) == 0 ? below(packet.size() + 1) : packet.size();
    packet.resize(cut);
    ASSERT_EQ(ask(cache, packet), dns_answer(zone(), packet)) << i;
  }
  EXPECT_GT(cache.hits(), 1'000U);
}

}  // namespace

// What the example DNS server does with packets that are no proper queries: FORMERR or silence, and never a crash.

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <string>
#include <utility>

#include "examples/dns_exchange.hpp"

namespace {

using namespace dns_exchange;

const dns_zone& zone() {
  static const dns_zone read = zone_of(std::string{zone_head} + "www A 192.0.2.80\nwww TXT \"text\"\n@ MX 10 ns1\n");
  return read;
}

/// From a block of memory of just this size, so that a byte read too many is found by ASan.
std::optional<bytes> answer_to(const bytes& packet) {
  const auto exact = std::make_unique<std::byte[]>(packet.size());
  std::copy(packet.begin(), packet.end(), exact.get());
  return dns_answer(zone(), {exact.get(), packet.size()});
}

/// NOERROR and so on; nothing if there was no answer.
std::optional<unsigned> rcode_of(const bytes& packet) {
  const auto answer = answer_to(packet);
  if (!answer) return std::nullopt;
  const reply got = read(*answer);
  EXPECT_TRUE(got.qr);
  EXPECT_LE(answer->size(), 1232U);
  return got.rcode;
}

void append(bytes& out, const bytes& more) { out.insert(out.end(), more.begin(), more.end()); }
void set16(bytes& out, std::size_t offset, unsigned value) {
  out[offset] = static_cast<std::byte>(value >> 8);
  out[offset + 1] = static_cast<std::byte>(value);
}

constexpr std::size_t arcount = 10;  // offset

TEST(dns, answers_are_not_answered) {
  EXPECT_FALSE(answer_to(query{.name = "www.example.com.", .flags = 0x8000}.packet()));
  const auto answer = answer_to(query{"www.example.com."}.packet());
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer_to(*answer));
}

TEST(dns, less_than_a_header_is_not_answered) {
  const bytes whole = query{"www.example.com."}.packet();
  for (std::size_t size = 0; size < 12; ++size) {
    EXPECT_FALSE(answer_to({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)})) << size;
  }
}

TEST(dns, a_query_cut_anywhere_behind_its_header_gets_formerr) {
  const bytes whole = query{.name = "www.example.com.", .edns = opt{.options = bytes(8)}}.packet();
  for (std::size_t size = 12; size < whole.size(); ++size) {
    EXPECT_EQ(rcode_of({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}), LDNS_RCODE_FORMERR) << size;
  }
  EXPECT_EQ(rcode_of(whole), LDNS_RCODE_NOERROR);
}

TEST(dns, a_query_with_two_questions_gets_formerr) {
  for (const unsigned questions : {0U, 2U, 3U}) {
    const auto answer = answer_to(query{.name = "www.example.com.", .questions = questions}.packet());
    ASSERT_TRUE(answer);
    const reply got = read(*answer);
    EXPECT_EQ(got.rcode, LDNS_RCODE_FORMERR);
    EXPECT_EQ(got.id, 0xBEEF);
    EXPECT_TRUE(got.question.empty());
  }
}

TEST(dns, bytes_behind_the_query_are_read_over) {
  bytes packet = query{"www.example.com."}.packet();
  packet.push_back(std::byte{0});
  EXPECT_EQ(rcode_of(packet), LDNS_RCODE_NOERROR);
}

TEST(dns, counts_that_promise_more_than_there_is_get_formerr) {
  for (const std::size_t count : {4U, 6U, 8U, 10U}) {
    for (const unsigned promised : {2U, 255U, 65'535U}) {
      bytes packet = query{"www.example.com."}.packet();
      set16(packet, count, promised);
      EXPECT_EQ(rcode_of(packet), LDNS_RCODE_FORMERR);
    }
  }
}

TEST(dns, a_name_that_points_at_itself_or_anywhere_else_gets_formerr) {
  for (const unsigned target : {0U, 2U, 11U, 12U, 13U, 14U, 200U, 0x3FFFU}) {
    bytes packet = query{"."}.packet();
    packet.erase(packet.begin() + 12);
    const bytes pointer{static_cast<std::byte>(0xC0 | target >> 8), static_cast<std::byte>(target)};
    packet.insert(packet.begin() + 12, pointer.begin(), pointer.end());
    EXPECT_EQ(rcode_of(packet), LDNS_RCODE_FORMERR) << target;
    const bytes label = {std::byte{1}, std::byte{'a'}};
    packet.insert(packet.begin() + 12, label.begin(), label.end());
    EXPECT_EQ(rcode_of(packet), LDNS_RCODE_FORMERR) << target;
  }
}

TEST(dns, names_that_point_in_circles_in_later_records_cost_no_time) {
  bytes packet = query{"www.example.com."}.packet();
  const auto at = static_cast<unsigned>(packet.size());
  while (packet.size() < 4096 - 12) {
    put16(packet, 0xC000 | at);
    for (int i = 0; i < 5; ++i) put16(packet, 0);
    set16(packet, arcount, static_cast<unsigned>((packet.size() - at) / 12));
  }
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(answer_to(packet));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds{5});
}

TEST(dns, label_lengths_that_no_standard_gives_a_meaning_get_formerr) {
  for (const unsigned length : {64U, 65U, 127U, 128U, 191U}) {
    bytes packet = query{"."}.packet();
    packet[12] = static_cast<std::byte>(length);
    append(packet, bytes(300));
    EXPECT_EQ(rcode_of(packet), LDNS_RCODE_FORMERR) << length;
  }
}

TEST(dns, names_may_have_255_bytes_and_no_more) {
  const std::string label = std::string(63, 'x') + ".";
  const auto name_of = [&](std::size_t size) { return label + label + label + std::string(size - 194, 'x') + "."; };
  EXPECT_EQ(rcode_of(query{name_of(255)}.packet()), LDNS_RCODE_REFUSED);
  EXPECT_EQ(rcode_of(query{name_of(256)}.packet()), LDNS_RCODE_FORMERR);
  EXPECT_EQ(rcode_of(query{label + label + label + label + label}.packet()), LDNS_RCODE_FORMERR);

  std::string many_labels;
  for (int i = 0; i < 121; ++i) many_labels += "x.";
  EXPECT_EQ(rcode_of(query{many_labels + "example.com."}.packet()), LDNS_RCODE_NXDOMAIN);
  EXPECT_EQ(rcode_of(query{many_labels + "x.example.com."}.packet()), LDNS_RCODE_FORMERR);
}

TEST(dns, two_opt_records_get_formerr) {
  bytes packet = query{.name = "www.example.com.", .edns = opt{}}.packet();
  query::append_opt(packet, opt{});
  set16(packet, arcount, 2);
  EXPECT_EQ(rcode_of(packet), LDNS_RCODE_FORMERR);
}

TEST(dns, an_opt_record_with_a_name_gets_formerr) {
  bytes packet = query{"www.example.com."}.packet();
  append(packet, bytes{std::byte{1}, std::byte{'x'}});
  query::append_opt(packet, opt{});
  set16(packet, arcount, 1);
  EXPECT_EQ(rcode_of(packet), LDNS_RCODE_FORMERR);
}

TEST(dns, edns_options_that_do_not_add_up_get_formerr) {
  for (const bytes& options : {bytes(1), bytes(3), bytes{std::byte{0}, std::byte{10}, std::byte{0}, std::byte{1}},
                               bytes{std::byte{0}, std::byte{10}, std::byte{255}, std::byte{255}, std::byte{0}}}) {
    EXPECT_EQ(rcode_of(query{.name = "www.example.com.", .edns = opt{.options = options}}.packet()),
              LDNS_RCODE_FORMERR);
  }
}

TEST(dns, an_edns_option_that_reaches_beyond_its_record_gets_formerr) {
  const bytes option{std::byte{0}, std::byte{10}, std::byte{0}, std::byte{5}};
  bytes packet = query{.name = "www.example.com.", .edns = opt{.options = option}}.packet();
  append(packet, bytes(5));
  EXPECT_EQ(rcode_of(packet), LDNS_RCODE_FORMERR);
}

TEST(dns, label_lengths_without_a_meaning_in_later_records_get_formerr) {
  for (const unsigned length : {64U, 65U, 127U, 128U, 191U}) {
    bytes packet = query{"www.example.com."}.packet();
    packet.push_back(static_cast<std::byte>(length));
    append(packet, bytes(length + 1 + 10));
    set16(packet, arcount, 1);
    EXPECT_EQ(rcode_of(packet), LDNS_RCODE_FORMERR) << length;
  }
}

TEST(dns, records_that_it_does_not_know_are_read_over) {
  bytes packet = query{"www.example.com."}.packet();
  append(packet, name("key."));
  for (const unsigned value : {unsigned{LDNS_RR_TYPE_TSIG}, 255U, 0U, 0U, 3U}) put16(packet, value);
  append(packet, bytes(3));
  query::append_opt(packet, opt{});
  set16(packet, arcount, 2);
  EXPECT_EQ(rcode_of(packet), LDNS_RCODE_NOERROR);
}

TEST(dns, any_byte_may_be_in_a_name) {
  for (unsigned value = 0; value < 256; ++value) {
    bytes packet = query{"?.example.com."}.packet();
    packet[13] = static_cast<std::byte>(value);
    EXPECT_EQ(rcode_of(packet), LDNS_RCODE_NXDOMAIN) << value;
  }
}

TEST(dns, flipped_bits_never_crash_and_every_answer_is_well_formed) {
  std::mt19937 random{20060101};
  const bytes seeds[] = {query{.name = "www.example.com.", .edns = opt{.options = bytes(8)}}.packet(),
                         query{"example.com.", LDNS_RR_TYPE_MX}.packet(), query{"x.y.z."}.packet()};
  for (int i = 0; i < 30'000; ++i) {
    bytes packet = seeds[static_cast<unsigned>(i) % std::size(seeds)];
    for (auto flips = 1 + random() % 8; flips > 0; --flips) {
      packet[random() % packet.size()] ^= static_cast<std::byte>(1U << random() % 8);
    }
    rcode_of(packet);
  }
}

TEST(dns, random_bytes_never_crash_and_every_answer_is_well_formed) {
  std::mt19937 random{4711};
  for (int i = 0; i < 30'000; ++i) {
    bytes packet(random() % 600);
    for (std::byte& byte : packet) byte = static_cast<std::byte>(random());
    if (packet.size() >= 12 && i % 2 == 0) {  // half of them look like queries at first sight
      set16(packet, 2, 0x0100);
      set16(packet, 4, 1);
      for (const std::size_t count : {6U, 8U, 10U}) set16(packet, count, static_cast<unsigned>(random() % 3));
    }
    rcode_of(packet);
  }
}

}  // namespace

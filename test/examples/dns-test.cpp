// What the example DNS server answers to well-formed queries.

#include <gtest/gtest.h>

#include <string>

#include "examples/dns_exchange.hpp"

namespace {

using namespace dns_exchange;

const std::string zone_text = std::string{zone_head} + R"(
@ MX 10 mail
mail A 192.0.2.25
mail AAAA 2001:db8::25
www A 192.0.2.80
www A 192.0.2.81
Web CNAME WWW
site CNAME web
away CNAME www.example.net.
gone CNAME nothing
bare CNAME mail
circle CNAME elcric
elcric CNAME circle
narrow CNAME host.dev
_sip._tcp SRV 10 60 5060 mail
twice MX 10 mail
twice MX 20 mail
_void._udp SRV 1 2 3 a.b.c
a.b.c TXT "deep"
*.users A 192.0.2.99
*.users MX 10 mail
alice.users A 192.0.2.100
*.old CNAME www
dev NS ns.dev
dev NS ns1
dev DS 1 8 2 0000000000000000000000000000000000000000000000000000000000000000
ns.dev A 192.0.2.201
under.dev A 192.0.2.202
)" + [] {
  std::string long_text = "long TXT (";
  for (int i = 0; i < 16; ++i) long_text += " \"" + std::string(80, static_cast<char>('a' + i)) + "\"";
  long_text += " )\nmedium TXT (";
  for (int i = 0; i < 8; ++i) long_text += " \"" + std::string(80, static_cast<char>('a' + i)) + "\"";
  std::string servers;
  for (int i = 0; i < 16; ++i) {
    const std::string host = "a-server-with-quite-a-long-name-" + std::to_string(i) + ".wide";
    servers += "wide NS " + host + "\n" + host + " A 192.0.2.7\n" + host + " AAAA 2001:db8::7\n";
    servers += "many MX 10 " + host + "\n";
  }
  servers += "verbose CNAME medium\ncrowd MX 10 crowded\n";
  servers += "_big._udp SRV 1 1 1 big.hosts\n_big._udp SRV 2 1 1 small.hosts\nsmall.hosts A 192.0.2.8\n";
  for (int i = 0; i < 60; ++i) {
    servers += "crowded A 198.51.100." + std::to_string(i) + "\nbig.hosts A 203.0.113." + std::to_string(i) + "\n";
  }
  return long_text + " )\n" + servers;
}();

const std::string soa = "example.com. 300 IN SOA ns1.example.com. hostmaster.example.com. 1 7200 3600 1209600 300";

const dns_zone& zone() {
  static const dns_zone read = zone_of(zone_text);
  return read;
}

reply ask(const query& asked) {
  const auto packet = dns_answer(zone(), asked.packet());
  EXPECT_TRUE(packet.has_value()) << "no answer";
  return packet ? read(*packet) : reply{};
}

TEST(dns, an_existing_name_is_answered_with_authority) {
  const reply got = ask({"www.example.com."});
  EXPECT_EQ(got.id, 0xBEEF);
  EXPECT_EQ(got.rcode, LDNS_RCODE_NOERROR);
  EXPECT_TRUE(got.qr && got.aa && got.rd);
  EXPECT_FALSE(got.tc || got.ra || got.edns);
  EXPECT_EQ(got.question, lines{"www.example.com. IN A"});
  EXPECT_EQ(got.answer, (lines{"www.example.com. 3600 IN A 192.0.2.80", "www.example.com. 3600 IN A 192.0.2.81"}));
  EXPECT_TRUE(got.authority.empty() && got.additional.empty());
}

TEST(dns, recursion_desired_is_copied_and_recursion_is_never_available) {
  EXPECT_FALSE(ask({.name = "www.example.com.", .flags = 0}).rd);
  const reply got = ask({.name = "www.example.com.", .flags = 0x01F0});  // RA, Z, AD and CD set by the asker
  EXPECT_TRUE(got.rd);
  EXPECT_EQ(std::to_integer<unsigned>(got.packet[3]), 0U);
}

TEST(dns, names_match_in_any_case_and_the_question_comes_back_as_it_was_asked) {
  const reply got = ask({"wWw.eXample.COM."});
  EXPECT_EQ(got.question, lines{"wWw.eXample.COM. IN A"});
  EXPECT_EQ(got.answer.front(), "wWw.eXample.COM. 3600 IN A 192.0.2.80");
}

TEST(dns, a_name_without_the_type_asked_for_gets_the_soa) {
  const reply got = ask({"www.example.com.", LDNS_RR_TYPE_MX});
  EXPECT_EQ(got.rcode, LDNS_RCODE_NOERROR);
  EXPECT_TRUE(got.aa && got.answer.empty());
  EXPECT_EQ(got.authority, lines{soa});
}

TEST(dns, a_name_that_does_not_exist_gets_nxdomain_and_the_soa) {
  const reply got = ask({"nothing.example.com."});
  EXPECT_EQ(got.rcode, LDNS_RCODE_NXDOMAIN);
  EXPECT_TRUE(got.aa && got.answer.empty());
  EXPECT_EQ(got.authority, lines{soa});
  EXPECT_EQ(ask({"a.b.nothing.example.com."}).rcode, LDNS_RCODE_NXDOMAIN);
}

TEST(dns, the_soa_of_a_negative_answer_lives_no_longer_than_its_own_ttl) {
  const dns_zone brief = zone_of("example.com. 60 IN SOA ns. h. 1 2 3 4 300\nexample.com. 60 NS ns.\n");
  const reply got = read(dns_answer(brief, query{"x.example.com."}.packet()).value());
  EXPECT_EQ(got.authority, lines{"example.com. 60 IN SOA ns. h. 1 2 3 4 300"});
}

TEST(dns, a_name_that_only_has_others_beneath_it_exists) {
  for (const char* const empty : {"b.c.example.com.", "c.example.com.", "_tcp.example.com.", "users.example.com."}) {
    const reply got = ask({empty});
    EXPECT_EQ(got.rcode, LDNS_RCODE_NOERROR) << empty;
    EXPECT_EQ(got.authority, lines{soa}) << empty;
  }
}

TEST(dns, a_name_outside_the_zone_is_refused) {
  for (const char* const foreign : {"example.org.", "com.", ".", "notexample.com.", "www.example.com.example.net."}) {
    const reply got = ask({foreign});
    EXPECT_EQ(got.rcode, LDNS_RCODE_REFUSED) << foreign;
    EXPECT_TRUE(!got.aa && got.answer.empty() && got.authority.empty()) << foreign;
  }
}

TEST(dns, a_class_other_than_in_is_refused) {
  EXPECT_EQ(ask({.name = "www.example.com.", .cls = LDNS_RR_CLASS_CH}).rcode, LDNS_RCODE_REFUSED);
}

TEST(dns, an_alias_is_followed_to_its_end) {
  const reply got = ask({"site.example.com."});
  EXPECT_EQ(got.answer, (lines{"site.example.com. 3600 IN CNAME web.example.com.",  // compressed into the name asked
                               "web.example.com. 3600 IN CNAME WWW.example.com.",
                               "WWW.example.com. 3600 IN A 192.0.2.80", "WWW.example.com. 3600 IN A 192.0.2.81"}));
  EXPECT_TRUE(got.aa);
}

TEST(dns, asking_for_the_alias_itself_does_not_follow_it) {
  EXPECT_EQ(ask({"site.example.com.", LDNS_RR_TYPE_CNAME}).answer.size(), 1U);
}

TEST(dns, an_alias_out_of_the_zone_is_all_there_is_to_say) {
  const reply got = ask({"away.example.com."});
  EXPECT_EQ(got.rcode, LDNS_RCODE_NOERROR);
  EXPECT_EQ(got.answer, lines{"away.example.com. 3600 IN CNAME www.example.net."});
  EXPECT_TRUE(got.aa && got.authority.empty());
}

TEST(dns, an_alias_of_nothing_is_nxdomain_and_an_alias_without_the_type_is_not) {
  const reply gone = ask({"gone.example.com."});
  EXPECT_EQ(gone.rcode, LDNS_RCODE_NXDOMAIN);
  EXPECT_EQ(gone.answer.size(), 1U);
  EXPECT_EQ(gone.authority, lines{soa});
  const reply bare = ask({"bare.example.com.", LDNS_RR_TYPE_TXT});
  EXPECT_EQ(bare.rcode, LDNS_RCODE_NOERROR);
  EXPECT_EQ(bare.authority, lines{soa});
}

TEST(dns, aliases_in_a_circle_end_after_one_round) {
  const reply got = ask({"circle.example.com."});
  EXPECT_EQ(got.rcode, LDNS_RCODE_NOERROR);
  EXPECT_EQ(got.answer.size(), 2U);
}

TEST(dns, an_alias_into_a_delegation_ends_in_the_referral) {
  const reply got = ask({"narrow.example.com."});
  EXPECT_TRUE(got.aa);
  EXPECT_EQ(got.answer.size(), 1U);
  EXPECT_EQ(got.authority.front(), "dev.example.com. 3600 IN NS ns.dev.example.com.");
}

TEST(dns, a_wildcard_answers_for_names_that_are_not_there) {
  EXPECT_EQ(ask({"bob.users.example.com."}).answer, lines{"bob.users.example.com. 3600 IN A 192.0.2.99"});
  EXPECT_EQ(ask({"x.y.users.example.com."}).answer, lines{"x.y.users.example.com. 3600 IN A 192.0.2.99"});
  EXPECT_EQ(ask({"page.old.example.com."}).answer.front(), "page.old.example.com. 3600 IN CNAME www.example.com.");
}

TEST(dns, a_wildcard_without_the_type_asked_for_is_no_data) {
  const reply got = ask({"bob.users.example.com.", LDNS_RR_TYPE_TXT});
  EXPECT_EQ(got.rcode, LDNS_RCODE_NOERROR);
  EXPECT_EQ(got.authority, lines{soa});
}

TEST(dns, a_wildcard_does_not_stand_in_for_names_that_exist_nor_beneath_them) {
  EXPECT_EQ(ask({"alice.users.example.com."}).answer, lines{"alice.users.example.com. 3600 IN A 192.0.2.100"});
  EXPECT_TRUE(ask({"alice.users.example.com.", LDNS_RR_TYPE_MX}).answer.empty());
  EXPECT_EQ(ask({"x.alice.users.example.com."}).rcode, LDNS_RCODE_NXDOMAIN);
}

TEST(dns, a_wildcard_can_be_asked_for_by_its_own_name) {
  EXPECT_EQ(ask({"*.users.example.com."}).answer, lines{"*.users.example.com. 3600 IN A 192.0.2.99"});
}

TEST(dns, a_delegated_name_gets_a_referral_with_glue) {
  for (const char* const delegated : {"dev.example.com.", "host.dev.example.com.", "under.dev.example.com."}) {
    const reply got = ask({delegated});
    EXPECT_EQ(got.rcode, LDNS_RCODE_NOERROR);
    EXPECT_FALSE(got.aa);
    EXPECT_TRUE(got.answer.empty()) << delegated;
    EXPECT_EQ(got.authority, (lines{"dev.example.com. 3600 IN NS ns.dev.example.com.",
                                    "dev.example.com. 3600 IN NS ns1.example.com."}));
    EXPECT_EQ(got.additional,
              (lines{"ns.dev.example.com. 3600 IN A 192.0.2.201", "ns1.example.com. 3600 IN A 192.0.2.1",
                     "ns1.example.com. 3600 IN AAAA 2001:db8::1"}));
  }
}

TEST(dns, the_ds_record_of_a_delegation_is_answered_by_the_parent) {
  const reply got = ask({"dev.example.com.", LDNS_RR_TYPE_DS});
  EXPECT_TRUE(got.aa);
  EXPECT_EQ(got.answer.size(), 1U);
  EXPECT_FALSE(ask({"host.dev.example.com.", LDNS_RR_TYPE_DS}).aa);
}

TEST(dns, hosts_that_an_answer_names_come_with_their_addresses) {
  const lines mail{"mail.example.com. 3600 IN A 192.0.2.25", "mail.example.com. 3600 IN AAAA 2001:db8::25"};
  EXPECT_EQ(ask({"example.com.", LDNS_RR_TYPE_MX}).additional, mail);
  EXPECT_EQ(ask({"bob.users.example.com.", LDNS_RR_TYPE_MX}).additional, mail);
  EXPECT_EQ(ask({"_sip._tcp.example.com.", LDNS_RR_TYPE_SRV}).additional, mail);
  EXPECT_EQ(ask({"example.com.", LDNS_RR_TYPE_NS}).additional,
            (lines{"ns1.example.com. 3600 IN A 192.0.2.1", "ns1.example.com. 3600 IN AAAA 2001:db8::1"}));
}

TEST(dns, any_is_answered_with_one_record_set) {
  EXPECT_EQ(ask({"www.example.com.", LDNS_RR_TYPE_ANY}).answer.size(), 2U);
  EXPECT_EQ(ask({"example.com.", LDNS_RR_TYPE_ANY}).answer.size(), 1U);
  EXPECT_EQ(ask({"site.example.com.", LDNS_RR_TYPE_ANY}).answer.size(), 1U);
  EXPECT_EQ(ask({"b.c.example.com.", LDNS_RR_TYPE_ANY}).authority, lines{soa});
}

TEST(dns, transfers_and_other_kinds_of_questions_are_not_implemented) {
  for (const ldns_rr_type type : {LDNS_RR_TYPE_AXFR, LDNS_RR_TYPE_IXFR, LDNS_RR_TYPE_TSIG, LDNS_RR_TYPE_OPT}) {
    EXPECT_EQ(ask({"example.com.", type}).rcode, LDNS_RCODE_NOTIMPL);
  }
}

TEST(dns, operations_other_than_query_are_not_implemented) {
  for (unsigned opcode = 1; opcode < 16; ++opcode) {
    const reply got = ask({.name = "example.com.", .type = LDNS_RR_TYPE_SOA, .flags = opcode << 11, .edns = opt{}});
    EXPECT_EQ(got.rcode, LDNS_RCODE_NOTIMPL);
    EXPECT_EQ(got.opcode, opcode);
    EXPECT_TRUE(got.edns);
  }
}

TEST(dns, edns_is_answered_with_edns_and_our_size) {
  const reply got = ask({.name = "www.example.com.", .edns = opt{.udp_size = 4096, .dnssec_ok = true}});
  EXPECT_TRUE(got.edns && got.dnssec_ok);
  EXPECT_EQ(got.udp_size, 1232U);
  EXPECT_EQ(got.answer.size(), 2U);
  EXPECT_FALSE(ask({.name = "www.example.com.", .edns = opt{}}).dnssec_ok);
}

TEST(dns, edns_options_are_read_over) {
  const bytes cookie{std::byte{0}, std::byte{10}, std::byte{0}, std::byte{2}, std::byte{1}, std::byte{2}};
  const reply got = ask({.name = "www.example.com.", .edns = opt{.options = cookie}});
  EXPECT_EQ(got.answer.size(), 2U);
}

TEST(dns, an_unknown_version_of_edns_gets_badvers) {
  const reply got = ask({.name = "www.example.com.", .edns = opt{.version = 1}});
  EXPECT_EQ(got.rcode, 16U);
  EXPECT_TRUE(got.edns && got.answer.empty());
}

TEST(dns, an_answer_over_the_askers_size_is_truncated) {
  const auto size_of = [](const reply& got) { return got.packet.size(); };
  const reply medium = ask({"medium.example.com.", LDNS_RR_TYPE_TXT});
  EXPECT_TRUE(medium.tc && medium.answer.empty() && medium.aa);
  EXPECT_LE(size_of(medium), 512U);
  EXPECT_TRUE(ask({.name = "medium.example.com.", .type = LDNS_RR_TYPE_TXT, .edns = opt{.udp_size = 100}}).tc);
  const reply fits = ask({.name = "medium.example.com.", .type = LDNS_RR_TYPE_TXT, .edns = opt{}});
  EXPECT_FALSE(fits.tc);
  EXPECT_EQ(fits.answer.size(), 1U);
  const reply too_long = ask({.name = "long.example.com.", .type = LDNS_RR_TYPE_TXT, .edns = opt{.udp_size = 65'535}});
  EXPECT_TRUE(too_long.tc && too_long.edns && too_long.answer.empty());
}

TEST(dns, an_answer_of_exactly_the_askers_size_is_not_truncated) {
  const query asked{.name = "medium.example.com.", .type = LDNS_RR_TYPE_TXT, .edns = opt{}};
  const auto size = static_cast<unsigned>(ask(asked).packet.size());
  for (const unsigned granted : {size, size - 1}) {
    query again = asked;
    again.edns->udp_size = granted;
    EXPECT_EQ(ask(again).tc, granted < size);
  }
}

TEST(dns, a_referral_has_all_its_glue_or_is_truncated) {
  bool truncated = false;
  for (unsigned size = 800; size <= 1232; size += 8) {
    const reply got = ask({.name = "x.wide.example.com.", .flags = 0, .edns = opt{.udp_size = size}});
    EXPECT_EQ(got.additional.size(), got.tc ? 0U : 32U) << size;
    truncated = truncated || got.tc;
  }
  EXPECT_TRUE(truncated);
}

TEST(dns, a_host_that_two_records_name_comes_once) {
  EXPECT_EQ(ask({"twice.example.com.", LDNS_RR_TYPE_MX}).additional.size(), 2U);
}

TEST(dns, a_name_in_a_type_newer_than_rfc_1035_stays_whole) {  // RFC 3597, 4
  const reply got = ask({"_void._udp.example.com.", LDNS_RR_TYPE_SRV});
  ASSERT_TRUE(got.answer.size() == 1 && got.additional.empty());
  const std::size_t question = 12 + 24 + 4;
  const std::size_t target = 19;  // a.b.c.example.com. with a length before each label, and the root
  EXPECT_EQ(got.packet.size(), question + 2 + 10 + 6 + target);
}

TEST(dns, a_size_below_512_is_taken_as_512) {  // RFC 6891, 6.2.3
  for (const unsigned size : {0U, 1U, 100U, 511U}) {
    const reply fits = ask({.name = "www.example.com.", .edns = opt{.udp_size = size}});
    EXPECT_FALSE(fits.tc) << size;
    EXPECT_EQ(fits.answer.size(), 2U) << size;
    const reply cut = ask({.name = "medium.example.com.", .type = LDNS_RR_TYPE_TXT, .edns = opt{.udp_size = size}});
    EXPECT_TRUE(cut.tc && cut.edns && cut.answer.empty()) << size;
    const reply full = ask({.name = "many.example.com.", .type = LDNS_RR_TYPE_NS, .edns = opt{.udp_size = size}});
    EXPECT_LE(full.packet.size(), 512U) << size;
  }
}

TEST(dns, a_truncated_answer_has_nothing_of_the_alias_that_led_to_it) {
  const reply got = ask({"verbose.example.com.", LDNS_RR_TYPE_TXT});
  EXPECT_TRUE(got.tc && got.answer.empty());
  EXPECT_EQ(got.question, lines{"verbose.example.com. IN TXT"});
  EXPECT_EQ(got.packet.size(), 12U + 21U + 4U);  // header, name, type and class
}

TEST(dns, addresses_that_do_not_all_fit_leave_no_trace) {
  for (unsigned size = 512; size <= 1232; ++size) {
    const reply got = ask({.name = "crowd.example.com.", .type = LDNS_RR_TYPE_MX, .edns = opt{.udp_size = size}});
    ASSERT_TRUE(got.edns) << size;
    EXPECT_EQ(got.answer.size(), 1U);
    EXPECT_TRUE(got.additional.empty() || got.additional.size() == 60) << got.additional.size() << " of 60 at " << size;
  }
}

TEST(dns, a_name_is_not_shortened_by_one_that_was_taken_out_again) {
  const reply got = ask({.name = "_big._udp.example.com.", .type = LDNS_RR_TYPE_SRV, .edns = opt{.udp_size = 512}});
  EXPECT_EQ(got.answer.size(), 2U);
  EXPECT_EQ(got.additional, lines{"small.hosts.example.com. 3600 IN A 192.0.2.8"});
}

TEST(dns, optional_addresses_are_left_out_where_glue_is_not) {
  const reply mail = ask({.name = "many.example.com.", .type = LDNS_RR_TYPE_MX, .edns = opt{}});
  EXPECT_EQ(mail.answer.size(), 16U);
  EXPECT_GT(mail.additional.size(), 2U);
  EXPECT_LT(mail.additional.size(), 32U);
  EXPECT_FALSE(mail.tc);
  const reply referral = ask({.name = "x.wide.example.com.", .flags = 0, .edns = opt{.udp_size = 700}});
  EXPECT_TRUE(referral.tc);
  EXPECT_FALSE(referral.aa);
}

}  // namespace

// What the example DNS server says to zone files.

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "examples/dns_exchange.hpp"

namespace {

using namespace dns_exchange;

/// The message for a zone that starts well, in lines 1 to 7, and goes on with `rest`.
std::string error_of(const std::string& rest, std::string_view head = zone_head) {
  try {
    zone_of(std::string{head} + rest);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "no error";
}

TEST(dns_zone, a_good_file_is_read_whole) {
  const dns_zone read = zone_of(std::string{zone_head} + "www A 192.0.2.80\n  AAAA 2001:db8::80 ; the same name");
  EXPECT_EQ(read.record_count(), 7U);
  EXPECT_EQ(read.negative_ttl(), 300U);
  EXPECT_EQ(read.apex(), std::string_view("\7example\3com\0", 13));
}

TEST(dns_zone, it_may_say_origin_and_ttl_more_than_once) {
  const dns_zone read = zone_of(std::string{zone_head} +
                                "$ORIGIN sub.example.com.\n$TTL 60\nwww A 192.0.2.80\n"
                                "$ORIGIN example.com.\nmail A 192.0.2.25\n");
  EXPECT_NE(read.find(std::string_view("\3www\3sub\7example\3com\0", 21)), nullptr);
  EXPECT_NE(read.find(std::string_view("\4mail\7example\3com\0", 18)), nullptr);
}

TEST(dns_zone, a_record_said_twice_counts_once) {
  const dns_zone read = zone_of(std::string{zone_head} + "www A 192.0.2.80\nWWW A 192.0.2.80\n");
  EXPECT_EQ(read.record_count(), 6U);
}

TEST(dns_zone, a_syntax_error_is_reported_with_its_line) {
  EXPECT_EQ(error_of("www A 192.0.2.300\n"), "zone:8: Syntax error, could not parse the RR's rdata");
  EXPECT_EQ(error_of("\n\nwww A 192.0.2.300\n\n\nmail A 192.0.2.25\n"),
            "zone:10: Syntax error, could not parse the RR's rdata");
  EXPECT_EQ(error_of("www A 192.0.2.300"), "zone:8: Syntax error, could not parse the RR's rdata");
  EXPECT_EQ(error_of("www A\n"), "zone:8: Syntax error, value expected");
  EXPECT_EQ(error_of("www BOGUS x\n"), "zone:8: Syntax error, could not parse the RR's rdata");
}

TEST(dns_zone, a_record_of_another_zone_is_refused) {
  EXPECT_EQ(error_of("example.org. A 192.0.2.1\n"),
            "zone:8: example.org. is outside the zone; is $ORIGIN or a final dot missing?");
  EXPECT_EQ(error_of("notexample.com. A 192.0.2.1\n").substr(0, 43), "zone:8: notexample.com. is outside the zone");
  EXPECT_EQ(error_of("@ SOA ns1 h 1 2 3 4 5\n"), "zone:8: a second SOA record; a file holds one zone");
  EXPECT_EQ(error_of("www CH TXT \"x\"\n"), "zone:8: only class IN is served");
}

TEST(dns_zone, a_zone_needs_a_soa_and_a_name_server) {
  EXPECT_EQ(error_of("", "\n"), "zone: no SOA record; is this a zone file?");
  EXPECT_EQ(error_of("", "example.com. NS ns.\n"), "zone:1: the first record must be the zone's SOA");
  EXPECT_EQ(error_of("", "example.com. SOA ns. h. 1 2 3 4 5\n"),
            "zone: no NS record for example.com., the zone itself");
}

TEST(dns_zone, an_alias_stands_alone) {
  const std::string expected = "has a CNAME, so there can be no other record (RFC 1034, 3.6.2)";
  EXPECT_EQ(error_of("www CNAME ns1\nwww A 192.0.2.1\n"), "zone:9: www.example.com. " + expected);
  EXPECT_EQ(error_of("www A 192.0.2.1\nwww CNAME ns1\n"), "zone:9: www.example.com. " + expected);
  EXPECT_EQ(error_of("www CNAME ns1\nwww CNAME mail\n"), "zone:9: www.example.com. " + expected);
}

TEST(dns_zone, records_of_one_set_share_their_ttl) {
  for (const std::string other : {"20", "40"}) {
    EXPECT_EQ(error_of("www 30 A 192.0.2.1\nwww " + other + " A 192.0.2.2\n"),
              "zone:9: TTL differs from that of the other A records of www.example.com. (RFC 2181, 5.2)");
  }
}

TEST(dns_zone, what_cannot_be_served_right_is_refused) {
  EXPECT_EQ(error_of("a DNAME b\n"), "zone:8: DNAME records are not supported");
  EXPECT_EQ(error_of("*.a NS b\n"), "zone:8: a wildcard cannot be delegated (RFC 4592, 4.2)");
  for (const std::string record : {"NS \\# 0", "MX \\# 2 0001", "CNAME \\# 0", "SRV \\# 6 000000000000"}) {
    EXPECT_EQ(error_of("a " + record + "\n").rfind("zone:8: too little data for type", 0), 0U) << record;
  }
}

TEST(dns_zone, a_file_that_cannot_be_read_is_named) {
  for (const std::string path : {"/nonexistent/zone", "/"}) {
    try {
      dns_zone::load(path);
      FAIL() << path;
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(std::string{error.what()}.rfind(path + ": ", 0), 0U) << error.what();
    }
  }
}

}  // namespace

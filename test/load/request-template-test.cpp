#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <set>
#include <sstream>
#include <string>

#include "load/plan/dns_queries.hpp"
#include "load/plan/payload_lines.hpp"
#include "load/plan/random_payload.hpp"
#include "load/plan/work_requests.hpp"

namespace {

using namespace std::chrono_literals;
using namespace udppump::load;

class request_templates : public ::testing::Test {
 protected:
  std::string make(const request_template& requests, std::uint64_t sequence, std::uint64_t index = 0) {
    const auto made = requests.make({.index = index, .intended = 0ns, .flow = 0, .asked = 3ms}, sequence, space_);
    return {reinterpret_cast<const char*>(made.data()), made.size()};
  }
  static bytes_view bytes(const std::string& text) { return std::as_bytes(std::span{text.data(), text.size()}); }

  std::vector<std::byte> space_ = std::vector<std::byte>(largest_payload);
};

/// What the line of an error says; empty if there is none.
template <class Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const std::invalid_argument& why) {
    return why.what();
  }
  return {};
}

TEST_F(request_templates, a_work_request_is_answered_by_its_own_answer_only) {
  const work_requests requests{0xabcdef01, 100};
  const std::string request = make(requests, 7);
  EXPECT_EQ(request.size(), 100u);
  const auto read = read_work_request(bytes(request));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->asked, 3ms);
  EXPECT_FALSE(requests.read(bytes(request)));  // a request is no answer
  std::array<std::byte, work_message_size> raw;
  write(work_answer{.id = read->id, .used = 4ms, .worker = 3}, raw);
  const auto answer = requests.read(raw);
  ASSERT_TRUE(answer && answer->work);
  EXPECT_EQ(answer->sequence, 7u);
  EXPECT_EQ(answer->work->used, 4ms);
  EXPECT_EQ(answer->work->worker, 3);
  EXPECT_FALSE(work_requests(0xabcdef02).read(raw));  // of another run
  EXPECT_FALSE(requests.read(std::span{raw}.first(47)));
}

TEST(work_message, is_read_as_it_was_written) {
  std::array<std::byte, work_message_size> raw;
  const work_answer answer{
      .id = 0x0123456789abcdef, .asked = 1s, .used = 2s, .waited = 3s, .began = 4s, .worker = 0x1234};
  write(answer, raw);
  EXPECT_EQ(read_work_answer(raw), answer);
  EXPECT_FALSE(read_work_request(raw));
  const work_answer without{.id = 1};
  write(without, raw);
  EXPECT_EQ(read_work_answer(raw), without);
  const work_request request{.id = 2, .asked = 5ns};
  write(request, raw);
  EXPECT_EQ(read_work_request(raw), request);
}

TEST(work_message, its_bytes_are_those_of_the_specification) {
  std::array<std::byte, work_message_size> raw;
  write(work_answer{.id = 0x0102030405060708,
                    .asked = nanoseconds{0x1112},
                    .used = nanoseconds{0x21},
                    .began = nanoseconds{0x31},
                    .worker = 0x0a0b},
        raw);
  const std::string expected{
      "upw\x01\x01\0\x0a\x0b\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\0\0\0\x11\x12\0\0\0\0\0\0\0\x21"
      "\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\x31",
      work_message_size};
  EXPECT_EQ((std::string{reinterpret_cast<const char*>(raw.data()), raw.size()}), expected);
}

TEST(work_message, of_another_version_magic_kind_or_a_negative_time_is_none) {
  std::array<std::byte, work_message_size> raw;
  for (const std::size_t at : {0u, 3u, 4u, 16u}) {
    write(work_request{.id = 2, .asked = 5ns}, raw);
    raw[at] ^= std::byte{0x80};
    EXPECT_FALSE(read_work_request(raw)) << at;
  }
}

TEST_F(request_templates, work_requests_have_the_size_asked_for_or_are_refused) {
  EXPECT_NE(refusal([] { work_requests{1, 47}; }).find("48 to 65507"), std::string::npos);
  EXPECT_NE(refusal([] { work_requests{1, 65'508}; }), "");
  EXPECT_EQ(make(work_requests{1, 65'507}, 0).size(), 65'507u);
}

TEST_F(request_templates, random_bytes_differ_from_request_to_request_and_are_known_again_from_their_echo) {
  const random_payload requests{99, 1, 40, random_payload::matching::by_echo};
  std::set<std::string> all;
  for (std::uint64_t sequence = 0; sequence < 1000; ++sequence) {
    const std::string request = make(requests, sequence);
    EXPECT_EQ(request.size(), 40u);
    EXPECT_TRUE(all.insert(request).second);
    const auto answer = requests.read(bytes(request));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->sequence, sequence);
    EXPECT_FALSE((random_payload{98, 1, 40, random_payload::matching::by_echo}.read(bytes(request))));
  }
  EXPECT_FALSE(requests.read(bytes("short")));
  const std::string request = make(requests, 0);
  EXPECT_FALSE(requests.read(bytes(request).first(7)));  // what follows in memory is right, and does not count
}

TEST_F(request_templates, random_bytes_of_any_size_that_can_be_sent) {
  for (const std::size_t size : {0u, 1u, 8u, 65'507u}) EXPECT_EQ(make(random_payload{1, 1, size}, 0).size(), size);
  EXPECT_NE(refusal([] { random_payload{1, 1, 65'508}; }), "");
  EXPECT_NE(refusal([] { random_payload{1, 1, 7, random_payload::matching::by_echo}; }), "");
}

TEST_F(request_templates, payload_lines_are_sent_in_turn) {
  std::istringstream hex{"# a comment\n00ff 10\n\n41424\t3\r\n"};
  const payload_lines requests{hex, "file", payload_encoding::hex};
  EXPECT_EQ(make(requests, 0, 0), std::string("\x00\xff\x10", 3));
  EXPECT_EQ(make(requests, 0, 1), "ABC");
  EXPECT_EQ(make(requests, 0, 2), std::string("\x00\xff\x10", 3));
  EXPECT_TRUE(requests.read({}));
  EXPECT_EQ(requests.sequence_bits(), 0u);
  std::istringstream base64{"aGVsbG8=\n"};
  EXPECT_EQ(make(payload_lines{base64, "file", payload_encoding::base64}, 0), "hello");
}

TEST_F(request_templates, base64_is_that_of_the_rfc) {
  const auto text = [](const char* encoded) -> std::string {
    const auto decoded = decode(encoded, payload_encoding::base64);
    return decoded ? std::string{reinterpret_cast<const char*>(decoded->data()), decoded->size()} : "none";
  };
  EXPECT_EQ(text(""), "");  // RFC 4648, section 10
  EXPECT_EQ(text("Zg=="), "f");
  EXPECT_EQ(text("Zm8="), "fo");
  EXPECT_EQ(text("Zm9v"), "foo");
  EXPECT_EQ(text("Zm9vYg=="), "foob");
  EXPECT_EQ(text("Zm9vYmE="), "fooba");
  EXPECT_EQ(text("Zm9vYmFy"), "foobar");
  for (const auto* wrong : {"Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zm9v Zm9v", "Zg==Zg==", "Z*=="})
    EXPECT_EQ(text(wrong), "none") << wrong;
}

TEST_F(request_templates, what_is_no_payload_is_refused_by_file_and_line) {
  std::istringstream odd{"00\n\n000\n"};
  EXPECT_NE(refusal([&] { payload_lines(odd, "in.hex", payload_encoding::hex); }).find("in.hex:3: not hex"),
            std::string::npos);
  std::istringstream none{"# nothing\n"};
  EXPECT_NE(refusal([&] { payload_lines(none, "in.hex", payload_encoding::hex); }).find("no payload"),
            std::string::npos);
  std::istringstream large{std::string(2 * 65'508, '0')};
  EXPECT_NE(refusal([&] { payload_lines(large, "in.hex", payload_encoding::hex); }).find("65508 bytes"),
            std::string::npos);
}

TEST_F(request_templates, dns_queries_are_those_of_the_rfc) {
  std::istringstream lines{"; comment\n\nwww.Example.com AAAA ; more\n. ns\na\\.b\\065.x TYPE257\n"};
  const dns_queries requests{lines, "queries", 0x00010203};
  const std::string head{"\x02\x08\x01\0\0\x01\0\0\0\0\0\0", 12};  // first id 0x0203, and the sequence is 5
  EXPECT_EQ(make(requests, 5, 0), head + std::string("\3www\7Example\3com\0\0\x1c\0\1", 21));
  EXPECT_EQ(make(requests, 5, 1), head + std::string("\0\0\2\0\1", 5));
  EXPECT_EQ(make(requests, 5, 2), head + std::string("\4a.bA\1x\0\1\1\0\1", 12));
}

TEST_F(request_templates, dns_answers_are_matched_by_id_even_where_it_wraps) {
  std::istringstream lines{"example.com A\n"};
  const dns_queries requests{lines, "queries", 0xffff};
  for (const std::uint64_t sequence : {0u, 1u, 65'535u, 70'000u}) {
    std::string query = make(requests, sequence);
    EXPECT_FALSE(requests.read(bytes(query)));  // a query is no answer
    query[2] = static_cast<char>(0x81);
    const auto answer = requests.read(bytes(query));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->sequence, sequence & 0xffff);
  }
}

TEST_F(request_templates, a_dns_answer_tells_its_code_and_whether_it_was_cut) {
  std::istringstream lines{"example.com A\n"};
  const dns_queries requests{lines, "queries", 0};
  std::string answer = make(requests, 0);
  answer[2] = static_cast<char>(0x81);
  answer[3] = static_cast<char>(0xf3);  // NXDOMAIN; the upper half of the byte is something else
  const auto whole = requests.read(bytes(answer));
  ASSERT_TRUE(whole && whole->dns);
  EXPECT_EQ(whole->dns->code, 3);
  EXPECT_FALSE(whole->dns->truncated);
  answer[2] = static_cast<char>(0x83);
  EXPECT_TRUE(requests.read(bytes(answer))->dns->truncated);
}

TEST_F(request_templates, files_of_any_system_are_read_and_what_is_no_text_is_refused) {
  const auto read_dns = [](const std::string& text) {
    return refusal([&] {
      std::istringstream lines{text};
      dns_queries(lines, "in", 0);
    });
  };
  const auto read_hex = [](const std::string& text) {
    return refusal([&] {
      std::istringstream lines{text};
      payload_lines(lines, "in", payload_encoding::hex);
    });
  };
  using namespace std::string_literals;
  // As it is, with CR LF, with blanks and without an end on the last line.
  for (const auto& text : {"a.b A\nc.d A\n"s, "a.b A\r\nc.d A\r\n"s, "\ta.b \t A \r\n\r\n \r\nc.d A"s}) {
    std::istringstream lines{text};
    const dns_queries requests{lines, "in", 0};
    EXPECT_EQ(make(requests, 0, 0).substr(12), "\1a\1b\0\0\1\0\1"s);
    EXPECT_EQ(make(requests, 0, 1).substr(12), "\1c\1d\0\0\1\0\1"s);
    EXPECT_EQ(make(requests, 0, 2), make(requests, 0, 0));
  }
  EXPECT_EQ(read_hex("00\r\n \t\r\n01"), "");
  EXPECT_EQ(read_dns("# \xe9, in Latin 1\na.b A\n"), "");
  struct {
    std::string text, why;
  } const refused[] = {
      {"\xef\xbb\xbf"s, "in:1: it begins with a byte-order mark; save the file as UTF-8 without one"},
      {"\0"s, "in:1: byte 0x00 in it; is it a text file"},
      {"# fine\n# not\x1b"s, "in:2: byte 0x1b in it"},
      {"# one line\r# of an old system\r", "in:1: byte 0x0d in it"},
      {"#\x7f"s, "in:1: byte 0x7f in it"},
      {std::string(2 << 20, '0'), "in:1: the line is too long: at most a mebibyte"},
  };
  for (const auto& [text, why] : refused) {
    EXPECT_THAT(read_dns(text + "a.b A\n"), ::testing::StartsWith(why));
    EXPECT_THAT(read_hex(text + "00\n"), ::testing::StartsWith(why));
  }
  EXPECT_THAT(read_dns("\xff\xfe"
                       "a\0.\0b\0 \0A\0\n\0"s),
              ::testing::StartsWith("in:1: byte 0x00"));  // UTF-16
  EXPECT_THAT(read_dns("\xc3\xa9.com A\n"),
              ::testing::HasSubstr("is not ASCII; write \\DDD, or an international name"));
  EXPECT_THAT(read_dns("\xef\xbb\xbf"), ::testing::HasSubstr("byte-order mark"));
}

TEST_F(request_templates, what_is_no_query_is_refused_by_file_and_line) {
  for (const auto* wrong :
       {"example.com", "example.com NOTYPE", "a..b A", ".a A", "example.com A B", "a\\ A", "a\\999 A", "x TYPE65536",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.com A"}) {
    std::istringstream lines{std::string{"good.com A\n"} + wrong + "\n"};
    EXPECT_EQ(refusal([&] { dns_queries(lines, "queries", 0); }).substr(0, 11), "queries:2: ") << wrong;
  }
  std::istringstream nothing{""};
  EXPECT_NE(refusal([&] { dns_queries(nothing, "queries", 0); }), "");
}

}  // namespace

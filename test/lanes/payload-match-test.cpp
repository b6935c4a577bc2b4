// What a match takes, as the kernel sees it: lanes sort what is sent to them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pcap/bpf.h>

#include <random>
#include <string>
#include <udppump/lanes.hpp>
#include <udppump/pcap_match.hpp>
#include <vector>

#include "support/serve.hpp"
#include "support/sockets.hpp"

using namespace udppump;
using testing::HasSubstr;

namespace {

/// The lanes of one port of loopback, and a client.
class sorted {
 public:
  explicit sorted(std::vector<payload_match> matches, const char* where = "127.0.0.1:0") {
    std::vector<lane> lanes;
    for (auto& each : matches) lanes.push_back({.name = "lane-" + std::to_string(lanes.size()), .match = each});
    lanes.push_back({.name = "rest"});
    sockets_ = bind_lanes(address::parse(where), lanes);
  }

  /// Which lane it comes to; -1: none.
  int lane_of(const std::string& payload, const char* from = "127.0.0.1:0") const {
    const auto client = datagram_socket::bind(address::parse(from));
    const auto to = sockets_[0].local().is_wildcard()
                        ? address::parse("127.0.0.1:0").with_port(sockets_[0].local().port())
                        : sockets_[0].local();
    if (client.send_to(payload, to)) return -2;
    std::byte buffer[65'536];
    const auto until = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < until) {
      for (const auto& socket : sockets_) {
        const auto came = socket.receive(buffer);
        if (came && came.text() == payload) return static_cast<int>(socket.lane());
      }
    }
    return -1;
  }

 private:
  std::vector<datagram_socket> sockets_;
};

/// As libpcap's own interpreter has it.
bool accepts(const payload_match& match, const std::string& payload) {
  for (const auto& program : match.programs()) {
    std::vector<bpf_insn> instructions;
    for (const auto& one : program) instructions.push_back({one.code, one.jt, one.jf, one.k});
    const auto size = static_cast<unsigned>(payload.size());
    const auto* bytes = reinterpret_cast<const unsigned char*>(payload.data());
    if (::bpf_filter(instructions.data(), bytes, size, size) == 0) return false;
  }
  return true;
}

std::string refusal_of(const std::string& expression) {
  try {
    static_cast<void>(pcap_match(expression));
  } catch (const std::invalid_argument& refused) {
    return refused.what();
  }
  return {};
}

std::string fault_of(std::vector<sock_filter> program) {
  try {
    static_cast<void>(payload_match::bpf(std::move(program)));
  } catch (const std::invalid_argument& refused) {
    return refused.what();
  }
  return {};
}

}  // namespace

TEST(payload_match, looks_at_bytes_numbers_and_lengths) {
  const sorted by{{pcap_match("payload[0] = 1"), pcap_match("payload[2:2] & 0x8000 != 0 and len < 8"),
                   pcap_match("less 2 or payload[4:4] = 0x01020304")}};
  EXPECT_EQ(by.lane_of("\x01"), 0);
  EXPECT_EQ(by.lane_of("..\x80."), 1);
  EXPECT_EQ(by.lane_of("..\x80....."), 3) << "too long";
  EXPECT_EQ(by.lane_of("....\x01\x02\x03\x04"), 2);
  EXPECT_EQ(by.lane_of("..."), 3);
  EXPECT_EQ(by.lane_of(".."), 2);
  EXPECT_EQ(by.lane_of(""), 2);
}

TEST(payload_match, that_looks_beyond_the_end_leaves_the_datagram_to_the_next_lane) {
  const sorted by{{pcap_match("payload[9] = 1"), pcap_match("payload[payload[0]] = 7"), pcap_match("len = 4")}};
  EXPECT_EQ(by.lane_of(std::string(9, '\x01')), 3) << "payload[1] is 1";
  EXPECT_EQ(by.lane_of(std::string(10, '\x01')), 0);
  EXPECT_EQ(by.lane_of("\xff..."), 2) << "byte 255 is not there";
  EXPECT_EQ(by.lane_of(std::string{"\x03..\x07", 4}), 1);
  EXPECT_EQ(by.lane_of(std::string{"\x04..\x07", 4}), 2);
  EXPECT_EQ(by.lane_of(""), 3);
}

TEST(payload_match, of_a_part_that_is_true_is_true_though_another_part_is_beyond_the_end) {
  const sorted by{{pcap_match("len < 3 or payload[200] = 1")}};
  EXPECT_EQ(by.lane_of("ab"), 0);
  EXPECT_EQ(by.lane_of("abc"), 1);
}

TEST(payload_match, takes_a_program_of_the_users_own) {
  // Whether the first two bytes differ; the number that it returns is in A.
  const sorted by{{payload_match::bpf({BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), BPF_STMT(BPF_ST, 0),
                                       BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 1), BPF_STMT(BPF_LDX | BPF_MEM, 0),
                                       BPF_STMT(BPF_ALU | BPF_SUB | BPF_X, 0), BPF_STMT(BPF_RET | BPF_A, 0)})}};
  EXPECT_EQ(by.lane_of("ab"), 0);
  EXPECT_EQ(by.lane_of("aa"), 1);
  EXPECT_EQ(by.lane_of("a"), 1);
}

TEST(payload_match, is_asked_as_if_no_other_had_been_asked_before) {
  const auto leaves_x =
      payload_match::bpf({BPF_STMT(BPF_LDX | BPF_IMM, 7), BPF_STMT(BPF_LD | BPF_IMM, 7), BPF_STMT(BPF_RET | BPF_K, 0)});
  const auto needs_zeros =
      payload_match::bpf({BPF_STMT(BPF_ALU | BPF_OR | BPF_X, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
                          BPF_STMT(BPF_RET | BPF_K, 1), BPF_STMT(BPF_RET | BPF_K, 0)});
  const sorted by{{leaves_x, needs_zeros}};
  EXPECT_EQ(by.lane_of("x"), 1);
}

TEST(payload_match, of_a_sender_looks_at_the_ip_header) {
  const sorted by{{payload_match::from("127.1.0.0/16"), payload_match::from("127.2.3.4"),
                   payload_match::from("127.3.0.0/16").and_also(pcap_match("payload[0] = 1"))}};
  EXPECT_EQ(by.lane_of("x", "127.1.2.3:0"), 0);
  EXPECT_EQ(by.lane_of("x", "127.2.3.4:0"), 1);
  EXPECT_EQ(by.lane_of("x", "127.2.3.5:0"), 3);
  EXPECT_EQ(by.lane_of("\x01", "127.3.0.1:0"), 2);
  EXPECT_EQ(by.lane_of("x", "127.3.0.1:0"), 3);
  EXPECT_EQ(by.lane_of("\x01", "127.4.0.1:0"), 3);
}

TEST(payload_match, of_a_sender_sees_ipv4_as_such_on_a_socket_of_ipv6) {
  const std::string_view networks[] = {"::1", "2001:db8::/32", "127.1.0.0/16"};
  const sorted both{{payload_match::from(networks)}, "[::]:0"};
  EXPECT_EQ(both.lane_of("x", "127.1.2.3:0"), 0);
  EXPECT_EQ(both.lane_of("x", "127.0.0.1:0"), 1);
  const sorted six{{payload_match::from("::2"), payload_match::from("::/64")}, "[::1]:0"};
  EXPECT_EQ(six.lane_of("x", "[::1]:0"), 1);
}

TEST(payload_match, may_become_longer_than_a_comparison_can_jump) {
  // A byte of the payload is its number. Each load grows by the look at the length, so that 200 instructions are 400.
  constexpr std::uint8_t most = 100;
  std::vector<sock_filter> any;
  for (std::uint8_t number = 1; number <= most; ++number) {
    const auto to_the_last = static_cast<std::uint8_t>(2 * (most - number) + 1);
    const sock_filter load = BPF_STMT(BPF_LD | BPF_B | BPF_ABS, number % 2u);
    any.insert(any.end(), {load, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, to_the_last, 0)});
  }
  any.insert(any.end(), {BPF_STMT(BPF_RET | BPF_K, 0), BPF_STMT(BPF_RET | BPF_K, 1)});
  const sorted by{{payload_match::bpf(any)}};
  for (const int number : {1, 2, 3, 50, 99, 100}) {
    std::string payload(2, '\0');
    payload[static_cast<std::size_t>(number % 2)] = static_cast<char>(number);
    EXPECT_EQ(by.lane_of(payload), 0) << number;
  }
  EXPECT_EQ(by.lane_of({0, 0}), 1);
  EXPECT_EQ(by.lane_of({101, 102}), 1);
}

/// The same answer as libpcap's own interpreter gives, for payloads of every kind.
TEST(payload_match, agrees_with_libpcap) {
  std::mt19937 random{42};
  const auto number = [&](unsigned below) { return std::to_string(random() % below); };
  const auto term = [&] {
    const std::string at = number(6), value = number(4);
    switch (random() % 5) {
      case 0:
        return "payload[" + at + "] = " + value;
      case 1:
        return "payload[" + at + ":2] > " + value + "00";
      case 2:
        return "payload[" + at + ":4] & " + value + "0000 != 0";
      case 3:
        return "len < " + at;
      default:
        return "payload[payload[" + at + "]] = " + value;
    }
  };
  // Each number is drawn in a statement of its own: compilers differ in the order of what one statement draws.
  const auto expression = [&](std::size_t more) {
    std::string text = term();
    for (; more > 0; --more) {
      const char* const joined = random() % 2 == 0 ? " and " : " or ";
      const std::string next = term();
      text = "(" + text + ")" + joined + next;
    }
    return text;
  };
  for (int round = 0; round < 12; ++round) {
    std::vector<payload_match> matches;
    while (matches.size() < 3) {
      const std::string text = expression(random() % (round == 0 ? 60 : 4));
      const std::string refused = refusal_of(text);
      if (refused.empty()) {
        matches.push_back(pcap_match(text));
      } else {
        ASSERT_THAT(refused, HasSubstr("expression rejects all packets")) << "libpcap sees that it cannot be true";
      }
    }
    const sorted by{matches};
    for (int sent = 0; sent < 30; ++sent) {
      std::string payload(random() % 9, '\0');
      for (char& byte : payload) byte = static_cast<char>(random() % 4);
      int expected = 0;
      for (const auto& match : matches) {
        if (accepts(match, payload)) break;
        ++expected;
      }
      EXPECT_EQ(by.lane_of(payload), expected) << "round " << round << ", " << testing::PrintToString(payload);
    }
  }
}

TEST(payload_match, in_words_that_libpcap_does_not_know_is_refused_with_its_message) {
  EXPECT_THAT(refusal_of("payload[0"), testing::AllOf(HasSubstr("\"payload[0\""), HasSubstr("syntax error")));
  for (const char* header : {"host 192.0.2.1", "port 53", "ip", "udp[8] = 1", "net 10.0.0.0/8"}) {
    EXPECT_THAT(refusal_of(header), HasSubstr("; ")) << header;
  }
  EXPECT_THAT(refusal_of("udp port 53"), HasSubstr("the payload alone"));
  EXPECT_THAT(refusal_of(std::string("len\0", 4)), HasSubstr("zero byte"));
  EXPECT_TRUE(pcap_match(" \n").takes_all());
  EXPECT_FALSE(pcap_match("less 5").takes_all());
}

TEST(payload_match, that_the_kernel_would_not_run_is_refused_with_the_place) {
  const sock_filter accept = BPF_STMT(BPF_RET | BPF_K, 1);
  EXPECT_EQ(fault_of(std::vector{accept}), "");
  EXPECT_THAT(fault_of(std::vector<sock_filter>{}), HasSubstr("empty"));
  EXPECT_THAT(fault_of({BPF_STMT(BPF_LD | BPF_LEN, 0)}), HasSubstr("BPF_RET"));
  EXPECT_THAT(fault_of({BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), accept}), HasSubstr("instruction 0"));
  EXPECT_THAT(fault_of({BPF_STMT(BPF_JMP | BPF_JA, 7), accept}), HasSubstr("beyond the end"));
  EXPECT_THAT(fault_of({accept, BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), accept}), HasSubstr("instruction 1"));
  EXPECT_THAT(fault_of({BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), accept}), HasSubstr("by 0"));
  EXPECT_THAT(fault_of({BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), accept}), HasSubstr("divides by X"));
  EXPECT_THAT(fault_of({BPF_STMT(BPF_ALU | BPF_MOD | BPF_X, 0), accept}), HasSubstr("divides by X"));
  EXPECT_THAT(fault_of({BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<unsigned>(SKF_NET_OFF + 25)), accept}),
              HasSubstr("28 bytes"));
  EXPECT_EQ(fault_of({BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<unsigned>(SKF_NET_OFF + 24)), accept}), "");
  EXPECT_EQ(fault_of({BPF_STMT(BPF_LD | BPF_H | BPF_ABS, static_cast<unsigned>(SKF_AD_OFF + SKF_AD_PROTOCOL)), accept}),
            "");
  EXPECT_THAT(fault_of({BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), accept}), HasSubstr("31"));
  EXPECT_THAT(fault_of({BPF_STMT(BPF_ST, 16), accept}), HasSubstr("16"));
  EXPECT_THAT(fault_of({BPF_STMT(BPF_LD | BPF_B | BPF_ABS, static_cast<unsigned>(SKF_LL_OFF)), accept}),
              HasSubstr("link layer"));
  EXPECT_THAT(fault_of({BPF_STMT(BPF_LD | BPF_B | BPF_IND, static_cast<unsigned>(-1)), accept}),
              HasSubstr("offset of 0"));
  EXPECT_THAT(fault_of({{0xffff, 0, 0, 0}, accept}), HasSubstr("does not know"));
}

TEST(payload_match, of_a_sender_that_is_no_network_is_refused) {
  for (const char* wrong : {"", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/x", "10.0.0.1/8", "host", "::1/129", "1.2.3.4:5",
                            "::ffff:192.0.2.1", "10.0.0.0/8 ", "2001:db8::1/32", "10.0.0.0/-1"}) {
    EXPECT_THROW(payload_match::from(wrong), std::invalid_argument) << wrong;
  }
  for (const char* right : {"0.0.0.0/0", "::/0", "192.0.2.0/24", "192.0.2.1/32", "2001:db8::/33"}) {
    EXPECT_NO_THROW(payload_match::from(right)) << right;
  }
}

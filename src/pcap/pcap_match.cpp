#include "udppump/pcap_match.hpp"

#include <pcap/pcap.h>

#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "udppump/printable.hpp"

namespace udppump {

namespace {

constexpr int most_bytes = 65'535;

struct closer {
  void operator()(pcap_t* opened) const noexcept { ::pcap_close(opened); }
};

struct compiled {
  bpf_program code{};
  ~compiled() { ::pcap_freecode(&code); }
};

bool is_word(char one) noexcept {
  return (one >= 'a' && one <= 'z') || (one >= 'A' && one <= 'Z') || (one >= '0' && one <= '9') || one == '_' ||
         one == '-' || one == '.';
}

/// libpcap calls the first byte of what it is given "link[0]".
std::string in_its_words(std::string_view expression) {
  constexpr std::string_view ours = "payload", its = "link";
  std::string text{expression};
  for (auto at = text.find(ours); at != std::string::npos; at = text.find(ours, at)) {
    const auto next = text.find_first_not_of(" \t", at + ours.size());
    const bool is_whole = (at == 0 || !is_word(text[at - 1])) && next != std::string::npos && text[next] == '[';
    if (is_whole) text.replace(at, ours.size(), its);
    at += its.size();
  }
  return text;
}

[[noreturn]] void refuse(std::string_view expression, const std::string& why) {
  throw std::invalid_argument{"match \"" + printable(expression) + "\": " + why};
}

}  // namespace

payload_match pcap_match(std::string_view expression) {
  if (expression.find('\0') != std::string_view::npos) refuse(expression, "it has a zero byte; remove that");
  if (expression.find_first_not_of(" \t\r\n") == std::string_view::npos) return {};
  // A type of link that has no headers: what speaks of them is refused.
  const std::unique_ptr<pcap_t, closer> dead{::pcap_open_dead(DLT_USER0, most_bytes)};
  if (!dead) throw std::bad_alloc{};
  compiled result;
  if (::pcap_compile(dead.get(), &result.code, in_its_words(expression).c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0) {
    std::string why = ::pcap_geterr(dead.get());
    if (why.find("DLT ") != std::string::npos) why = "it speaks of a header, and there is the payload alone";
    refuse(expression, why + "; write it as pcap-filter(7) has it, with payload[OFFSET:SIZE] and len");
  }
  std::vector<sock_filter> program;
  for (unsigned at = 0; at < result.code.bf_len; ++at) {
    const bpf_insn& one = result.code.bf_insns[at];
    program.push_back({one.code, one.jt, one.jf, one.k});
  }
  try {
    return payload_match::bpf(std::move(program));
  } catch (const std::invalid_argument& refused) {
    refuse(expression, refused.what());
  }
}

}  // namespace udppump

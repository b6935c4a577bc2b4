#include "name_servers/answer.hpp"

#include <stdbool.h>  // first: without it, ldns turns bool, true and false into macros

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ldns/ldns.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <stdexcept>
#include <system_error>
#include <udppump/datagram_socket.hpp>
#include <vector>

namespace bench {
namespace {

struct ldns_deleter {
  void operator()(ldns_pkt* packet) const { ldns_pkt_free(packet); }
  void operator()(char* text) const { std::free(text); }
  void operator()(std::uint8_t* bytes) const { std::free(bytes); }
};
using packet_ptr = std::unique_ptr<ldns_pkt, ldns_deleter>;
using text_ptr = std::unique_ptr<char, ldns_deleter>;

packet_ptr query_for(const sample_zone::question& question) {
  ldns_pkt* made = nullptr;
  const auto type = ldns_get_rr_type_by_name(question.type.c_str());
  // With recursion desired, as dnsperf has it.
  if (ldns_pkt_query_new_frm_str(&made, question.name.c_str(), type, LDNS_RR_CLASS_IN, LDNS_RD) != LDNS_STATUS_OK) {
    throw std::runtime_error{fmt::format("no query can be made of {} {}", question.name, question.type)};
  }
  ldns_pkt_set_id(made, 4711);
  return packet_ptr{made};
}

std::string section_text(ldns_rr_list* records) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < ldns_rr_list_rr_count(records); ++i) {
    texts.emplace_back(text_ptr{ldns_rr2str(ldns_rr_list_rr(records, i))}.get());
  }
  std::ranges::sort(texts);
  return fmt::format("{}", fmt::join(texts, ""));
}

std::string text_of(const ldns_pkt* said) {
  const text_ptr code{ldns_pkt_rcode2str(ldns_pkt_get_rcode(said))};
  return fmt::format("{}{}{}{}{}\nanswer:\n{}authority:\n{}additional:\n{}", code.get(), ldns_pkt_qr(said) ? " qr" : "",
                     ldns_pkt_aa(said) ? " aa" : "", ldns_pkt_tc(said) ? " tc" : "", ldns_pkt_ra(said) ? " ra" : "",
                     section_text(ldns_pkt_answer(said)), section_text(ldns_pkt_authority(said)),
                     section_text(ldns_pkt_additional(said)));
}

}  // namespace

std::string answer_of(const udppump::address& server, const sample_zone::question& question) {
  const packet_ptr query = query_for(question);
  std::uint8_t* bytes = nullptr;
  std::size_t size = 0;
  if (ldns_pkt2wire(&bytes, query.get(), &size) != LDNS_STATUS_OK) throw std::runtime_error{"ldns_pkt2wire failed"};
  const std::unique_ptr<std::uint8_t, ldns_deleter> owner{bytes};

  const auto socket = udppump::datagram_socket::connect(server);
  std::array<std::byte, 4096> buffer;
  if (const auto error = socket.send(std::as_bytes(std::span{bytes, size}))) throw std::system_error{error, "send"};
  const auto answer = socket.receive(buffer, std::chrono::milliseconds{100});
  if (!answer) return {};  // none yet: EAGAIN, or ECONNREFUSED if nobody listens

  ldns_pkt* said = nullptr;
  if (ldns_wire2pkt(&said, reinterpret_cast<const std::uint8_t*>(answer.payload.data()), answer.payload.size()) !=
      LDNS_STATUS_OK)
    return "malformed";
  return text_of(packet_ptr{said}.get());
}

}  // namespace bench

#include "name_servers/sample_zone.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <fstream>
#include <random>
#include <system_error>

namespace bench {
namespace {

constexpr std::size_t host_count = 1000, question_count = 10'000;

/// No MX, SRV or NS: whether the addresses of the hosts that they name come along is each server's own affair.
std::string zone_text() {
  std::string text =
      "$ORIGIN bench.example.\n$TTL 3600\n"
      "@ SOA ns hostmaster 1 7200 3600 1209600 300\n@ NS ns\nns A 192.0.2.1\n";
  for (std::size_t host = 0; host < host_count; ++host) {
    text += fmt::format("host{0} A 192.0.2.{1}\nhost{0} AAAA 2001:db8::{0:x}\n", host, host % 256);
    text += fmt::format("host{0} TXT \"number {0}\"\nalias{0} CNAME host{0}\n", host);
  }
  return text;
}

/// One in five is for a name that is not there; one in ten for a type that is not.
std::vector<sample_zone::question> draw_questions() {
  std::mt19937 random{1};  // the same series everywhere, unlike what the distributions make of it
  std::vector<sample_zone::question> drawn;
  while (drawn.size() < question_count) {
    const auto host = random() % host_count;
    const auto kind = random() % 10;
    const char* const who = kind < 2 ? "nothing" : kind < 3 ? "alias" : "host";
    const char* const type = kind == 3 ? "MX" : kind == 4 ? "TXT" : kind < 7 ? "AAAA" : "A";
    drawn.push_back({fmt::format("{}{}.{}", who, host, sample_zone::name), type});
  }
  return drawn;
}

void write(const std::filesystem::path& file, const std::string& text) {
  std::ofstream out{file};
  out << text << std::flush;
  if (!out) throw std::system_error{errno, std::generic_category(), file.string()};
}

}  // namespace

sample_zone sample_zone::make(const std::filesystem::path& directory) {
  sample_zone made{directory / "zone", directory / "questions", draw_questions()};
  write(made.zone_file, zone_text());
  std::string lines;
  for (const auto& each : made.questions) lines += fmt::format("{} {}\n", each.name, each.type);
  write(made.question_file, lines);
  return made;
}

}  // namespace bench

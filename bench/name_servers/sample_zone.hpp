#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace bench {

/// A zone of plain hosts and aliases, and questions to it.
struct sample_zone {
  static constexpr const char* name = "bench.example";

  struct question {
    std::string name;
    std::string type;
  };

  /// In master file format (RFC 1035, 5).
  std::filesystem::path zone_file;
  /// As dnsperf(1) reads them.
  std::filesystem::path question_file;
  std::vector<question> questions;

  /// Writes both files into `directory`. Always the same, whatever machine it is.
  static sample_zone make(const std::filesystem::path& directory);
};

}  // namespace bench

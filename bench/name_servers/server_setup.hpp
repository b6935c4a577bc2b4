#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "name_servers/sample_zone.hpp"

namespace bench {

/// A name server's program, and how it is told to serve a zone with so many workers.
struct server_setup {
  /// As tables have it: "knot-2".
  std::string name;
  /// That of Debian which has the program; empty for ours, which is built with the benchmark.
  std::string package;
  /// Its file.
  std::string program;
  std::size_t workers = 1;
  /// Writes what configuration it takes into `directory`, where all of its own files will be; the command that runs it
  /// in the foreground, as whoever runs the benchmark, on 127.0.0.1:port.
  std::vector<std::string> (*command)(const server_setup& self, const sample_zone& zone,
                                      const std::filesystem::path& directory, std::uint16_t port);
  /// Of the example server.
  std::string waiter = {};
};

/// Every server that this machine can run, each with one worker and with two; says which it cannot, and what would
/// help.
std::vector<server_setup> available_servers();

}  // namespace bench

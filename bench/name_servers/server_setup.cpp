#include "name_servers/server_setup.hpp"

#include <fmt/format.h>

#include <fstream>
#include <system_error>

#include "support/contenders.hpp"
#include "support/machine.hpp"
#include "support/program.hpp"

namespace bench {
namespace {

std::string write(const std::filesystem::path& file, const std::string& text) {
  std::ofstream out{file};
  out << text << std::flush;
  if (!out) throw std::system_error{errno, std::generic_category(), file.string()};
  return file;
}

std::vector<std::string> udppump_command(const server_setup& self, const sample_zone& zone,
                                         const std::filesystem::path&, std::uint16_t port) {
  return {self.program,
          "--zone",
          zone.zone_file,
          "--bind",
          fmt::format("127.0.0.1:{}", port),
          "--workers",
          std::to_string(self.workers),
          "--waiter",
          self.waiter};
}

/// nsd.conf(5). The limit of answers to one client, 200 a second by default, is off; answers are as short as those of
/// the other two.
std::vector<std::string> nsd_command(const server_setup& self, const sample_zone& zone,
                                     const std::filesystem::path& directory, std::uint16_t port) {
  const std::string text =
      fmt::format(R"(server:
  server-count: {workers}
  reuseport: yes
  ip-address: 127.0.0.1@{port}
  username: ""
  chroot: ""
  database: ""
  zonesdir: "{directory}"
  xfrdir: "{directory}"
  xfrdfile: ""
  zonelistfile: "{directory}/zone.list"
  pidfile: "{directory}/pid"
  logfile: "{directory}/log"
  rrl-ratelimit: 0
  minimal-responses: yes
remote-control:
  control-enable: no
zone:
  name: {zone}
  zonefile: "{file}"
)",
                  fmt::arg("workers", self.workers), fmt::arg("port", port), fmt::arg("directory", directory.string()),
                  fmt::arg("zone", sample_zone::name), fmt::arg("file", zone.zone_file.string()));
  return {self.program, "-d", "-c", write(directory / "nsd.conf", text)};
}

/// The manual of Knot DNS, "Configuration Reference".
std::vector<std::string> knot_command(const server_setup& self, const sample_zone& zone,
                                      const std::filesystem::path& directory, std::uint16_t port) {
  const std::string text =
      fmt::format(R"(server:
  rundir: "{directory}"
  listen: 127.0.0.1@{port}
  udp-workers: {workers}
  tcp-workers: 1
  background-workers: 1
control:
  listen: "{directory}/control"
database:
  storage: "{directory}"
log:
  - target: stderr
    any: warning
zone:
  - domain: {zone}
    file: "{file}"
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
)",
                  fmt::arg("workers", self.workers), fmt::arg("port", port), fmt::arg("directory", directory.string()),
                  fmt::arg("zone", sample_zone::name), fmt::arg("file", zone.zone_file.string()));
  return {self.program, "-c", write(directory / "knot.conf", text)};
}

}  // namespace

std::vector<server_setup> available_servers() {
  std::vector<server_setup> kinds;
  for (const auto waiter : available_waiters()) {
    if (waiter == udppump::waiter_kind::poll) continue;  // for systems that have nothing better
    const std::string name{udppump::to_string(waiter)};
    kinds.push_back({"udppump-" + name, "", UDPPUMP_DNS_SERVER, 1, udppump_command, name});
  }
  const auto add = [&](const char* name, const char* package, const char* file, auto command) {
    const auto found = find_program(file);
    if (found) kinds.push_back({name, package, *found, 1, command});
    if (!found) print_left_out(name, fmt::format("{} is not installed; Debian's package {} has it", file, package));
  };
  add("nsd", "nsd", "nsd", nsd_command);
  add("knot", "knot", "knotd", knot_command);

  std::vector<server_setup> all;
  for (const auto& kind : kinds) {
    for (const std::size_t workers : {1, 2}) {
      all.push_back(kind);
      all.back().workers = workers;
      all.back().name += fmt::format("-{}", workers);
    }
  }
  return all;
}

}  // namespace bench

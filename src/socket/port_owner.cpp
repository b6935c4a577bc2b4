#include "socket/port_owner.hpp"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>

namespace udppump::detail {

namespace {

namespace fs = std::filesystem;

/// Inodes of the UDP sockets on `port`: /proc/net/udp has "sl local_address rem_address st queues tr retrnsmt uid
/// timeout inode", addresses as HEX:PORT.
std::set<std::string> sockets_on(std::uint16_t port) {
  std::set<std::string> found;
  for (const char* const table : {"/proc/self/net/udp", "/proc/self/net/udp6"}) {
    std::ifstream lines{table};
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) {
      std::istringstream words{line};
      std::string slot, local, inode;
      words >> slot >> local;
      for (int skipped = 0; skipped < 8; ++skipped) words >> inode;
      const auto colon = local.find(':');
      unsigned number = 0;
      if (colon == std::string::npos) continue;
      std::from_chars(local.data() + colon + 1, local.data() + local.size(), number, 16);
      if (number == port) found.insert(std::string{"socket:["}.append(inode).append("]"));
    }
  }
  return found;
}

bool has_one_of(const fs::path& process, const std::set<std::string>& sockets) {
  std::error_code refused;
  for (fs::directory_iterator at{process / "fd", refused}, end; !refused && at != end; at.increment(refused)) {
    std::error_code gone;
    if (sockets.count(fs::read_symlink(at->path(), gone).string()) != 0) return true;
  }
  return false;
}

}  // namespace

std::string owner_of_port(const address& local) {
  const auto sockets = sockets_on(local.port());
  if (sockets.empty()) return {};
  std::error_code refused;
  for (fs::directory_iterator at{"/proc", refused}, end; !refused && at != end; at.increment(refused)) {
    const std::string pid = at->path().filename().string();
    if (pid.find_first_not_of("0123456789") != std::string::npos || !has_one_of(at->path(), sockets)) continue;
    std::string name;
    std::getline(std::ifstream{at->path() / "comm"}, name);
    return name + " (pid " + pid + ")";
  }
  return {};
}

}  // namespace udppump::detail

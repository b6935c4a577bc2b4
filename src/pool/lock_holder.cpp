#include "pool/lock_holder.hpp"

#include <filesystem>
#include <fstream>
#include <string>

#include "sys/file_identity.hpp"
#include "sys/numbers_in.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

namespace fs = std::filesystem;

/// Of a descriptor, by its number in /proc/PID/fdinfo: the kernel lists the locks that belong to the open file, or to
/// the process by it (proc(5)).
bool shows_lock(const fs::path& about) {
  std::ifstream lines{about};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("lock:")) return true;
  }
  return false;
}

/// By another descriptor than `except`.
bool has_locked(const fs::path& process, const file_identity& file, const fs::path& except) {
  std::error_code unseen;
  for (fs::directory_iterator at{process / "fdinfo", unseen}, end; !unseen && at != end; at.increment(unseen)) {
    if (at->path() == except || !shows_lock(at->path())) continue;
    struct stat about {};
    if (sys::status_of((process / "fd" / at->path().filename()).c_str(), about) < 0) continue;
    if (file_identity::of(about) == file) return true;
  }
  return false;
}

}  // namespace

pid_t holder_of_lock(int fd, pid_t perhaps) {
  const auto file = file_identity::of(fd);
  if (!file) return 0;
  const fs::path all = "/proc";
  const fs::path own = all / std::to_string(sys::process_id()) / "fdinfo" / std::to_string(fd);
  if (perhaps > 0 && has_locked(all / std::to_string(perhaps), *file, own)) return perhaps;
  for (const pid_t pid : numbers_in(all)) {
    if (has_locked(all / std::to_string(pid), *file, own)) return pid;
  }
  return 0;
}

}  // namespace udppump::detail

#include "pool/pool_memory.hpp"

#include <fcntl.h>
#include <linux/magic.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "pool/counted.hpp"
#include "pool/status_visit.hpp"
#include "sys/failure.hpp"
#include "sys/numbers_in.hpp"
#include "sys/process_status.hpp"
#include "sys/sys_process.hpp"
#include "sys/sys_user.hpp"

namespace udppump::detail {

namespace {

namespace fs = std::filesystem;

/// Which reading never waits for; whoever passes a descriptor may pass any.
bool is_memory(const descriptor& file) {
  struct statfs where {};
  struct stat about {};
  return sys::filesystem_status(file.fd(), where) >= 0 && sys::status(file.fd(), about) >= 0 &&
         where.f_type == TMPFS_MAGIC && S_ISREG(about.st_mode);
}

/// Opened for reading, if it is memory and not something else that bears the name, on which opening or reading may
/// wait.
int open_memory(const std::string& path) {
  const descriptor shown{sys::open(path.c_str(), O_PATH)};
  if (!shown) return shown.fd();
  if (!is_memory(shown)) return -EPROTO;
  // O_NONBLOCK, or a lease that its owner has taken (fcntl(2), F_SETLEASE) would keep us waiting until it is broken.
  return sys::open(("/proc/self/fd/" + std::to_string(shown.fd())).c_str(), O_RDONLY | O_NONBLOCK);
}

unsigned flags_of(const std::string& information) {
  std::ifstream lines{information};
  unsigned flags = O_RDONLY;
  for (std::string word; lines >> word;) {
    if (word == "flags:" && lines >> std::oct >> flags) break;
  }
  return flags;
}

/// Where a process has a pool's memory open for reading and writing, as its parent and its workers have; whoever only
/// looks has it for reading (fdinfo in proc(5): flags). Empty if it has none.
std::string memory_path(pid_t process, std::error_code& refused) {
  const std::string folder = folder_of_process(process);
  fs::directory_iterator at{folder + "/fd", refused};
  if (refused) return {};
  for (const fs::directory_iterator end; !refused && at != end; at.increment(refused)) {
    std::error_code gone;
    const std::string target = fs::read_symlink(at->path(), gone).string();
    if (target.rfind(std::string{"/memfd:"} + board_name, 0) != 0) continue;
    if ((flags_of(folder + "/fdinfo/" + at->path().filename().string()) & O_ACCMODE) == O_RDWR)
      return at->path().string();
  }
  refused.clear();
  return {};
}

pid_t id_in(std::string_view text) {
  pid_t id = 0;
  std::from_chars(text.data(), text.data() + text.size(), id);
  return id;
}

/// As the process itself is called, in its own PID namespace; 0 if that is not known.
pid_t own_id_of(pid_t process) {
  const std::string all = status_of_process(process, "NSpid");
  return id_in(std::string_view{all}.substr(all.find_last_of(" \t") + 1));  // all of it if there is none
}

pid_t parent_of(pid_t process) { return id_in(status_of_process(process, "PPid")); }

/// Whether a process has this memory open for writing too; nothing if it may not be looked into.
std::optional<bool> has_too(pid_t process, const descriptor& memory) {
  std::error_code refused;
  const std::string path = memory_path(process, refused);
  if (refused) return {};
  struct stat its {};
  struct stat this_one {};
  return !path.empty() && sys::status_of(path.c_str(), its) >= 0 && sys::status(memory.fd(), this_one) >= 0 &&
         its.st_ino == this_one.st_ino && its.st_dev == this_one.st_dev;
}

/// Whether it is a worker that has this memory, and not the parent: its own parent has the same. What is written there
/// is asked only if that may not be known, as workers write there, too. Nothing if it is no pool's memory.
std::optional<bool> is_workers(const descriptor& memory, pid_t process) {
  copy_of<board_header> header;
  if (!header.read(memory, 0) || !board_header::geometry_of(*header)) return {};
  const auto known = has_too(parent_of(process), memory);
  return known ? *known : header->parent.load() != own_id_of(process);
}

/// A signal to the parent would go to the wrong one.
[[noreturn]] void fail_as_worker(const descriptor& memory, pid_t process) {
  const pid_t parent = parent_of(process);
  fail(ESRCH, "process " + std::to_string(process) + " is a worker of a pool, and not its parent; give the id of " +
                  (has_too(parent, memory).value_or(false) ? "the parent, which is " + std::to_string(parent)
                                                           : std::string{"the parent"}));
}

}  // namespace

void fail_as_unsound(pid_t parent) {
  fail(EPROTO, "the memory of process " + std::to_string(parent) +
                   " is of another version of udppump, or no pool's; use the udppump that it was started from");
}

pool_memory memory_of(pid_t parent) {
  std::error_code refused;
  const std::string path = memory_path(parent, refused);
  std::string cure = "give the id of a pool's parent, and be its user, in its status_group (--status-group), or root";
  if (refused && sys::effective_user() != 0) {
    visited_pools visited = visit_pools({}, parent);
    for (visited_pool& each : visited.let_in) {
      if (is_memory(each.memory)) return {parent, std::move(each.memory)};
    }
    if (visited.unheard != 0) {
      cure += "; too many wait at " + counted(visited.unheard, "status socket") + ", or there are too many: try again";
    }
  }
  if (refused) {
    fail(refused.value() == ENOENT ? ESRCH : refused.value(), "looking into process " + std::to_string(parent), cure);
  }
  if (path.empty()) {
    fail(ESRCH, "process " + std::to_string(parent) + " runs no pool; give the id of a pool's parent");
  }
  const int opened = open_memory(path);
  if (opened == -EPROTO) fail_as_unsound(parent);
  if (opened < 0) fail(opened, path, "be the pool's user, or root");
  descriptor memory{opened};
  const auto is_worker = is_workers(memory, parent);
  if (!is_worker) fail_as_unsound(parent);
  if (*is_worker) fail_as_worker(memory, parent);
  return {parent, std::move(memory)};
}

pool_memory memory_given(pid_t parent, int memory) {
  const int copy = sys::duplicate(memory, 3);
  if (copy < 0) fail(copy, "the memory of process " + std::to_string(parent), "pass a descriptor of it");
  pool_memory given{parent, descriptor{copy}};
  if (!is_memory(given.memory)) fail_as_unsound(parent);
  return given;
}

std::vector<pool_memory> all_memories(std::size_t& unheard) {
  unheard = 0;
  std::vector<pool_memory> found;
  for (const pid_t process : numbers_in("/proc")) {
    std::error_code refused;
    const std::string path = memory_path(process, refused);
    if (refused || path.empty()) continue;
    descriptor memory{open_memory(path)};
    if (memory && !is_workers(memory, process).value_or(true)) found.push_back({process, std::move(memory)});
  }
  if (sys::effective_user() == 0) return found;
  std::vector<pid_t> known;
  for (const pool_memory& each : found) known.push_back(each.parent);
  visited_pools visited = visit_pools(known);
  unheard = visited.unheard;
  for (visited_pool& each : visited.let_in) {
    if (is_memory(each.memory)) found.push_back({each.parent, std::move(each.memory)});
  }
  std::ranges::sort(found, {}, &pool_memory::parent);
  return found;
}

}  // namespace udppump::detail

#include "pool/worker_processes.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>
#include <vector>

#include "sys/process_status.hpp"
#include "sys/process_tree.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

constexpr std::size_t most_processes = 256;

constexpr std::chrono::milliseconds longest_look{10};

std::vector<pid_t> processes_of(pid_t worker) {
  std::vector<pid_t> all = tree_of(worker, most_processes);
  std::vector<pid_t> own;
  static_cast<void>(list_children("/proc/self", own));
  for (const pid_t child : own) {
    if (child == worker || sys::session_of(child) != worker || all.size() >= most_processes) continue;
    std::ranges::copy(tree_of(child, most_processes - all.size()), std::back_inserter(all));
  }
  return all;
}

/// Bytes; 0 if they are not known.
struct resident_pages {
  std::uint64_t all = 0, own = 0;
};
resident_pages resident_of(const std::string& folder) {
  std::ifstream counts{folder + "/statm"};
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  std::uint64_t shared = 0;
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  if (!(counts >> size >> resident >> shared)) return {};
  return {.all = resident * page, .own = resident < shared ? 0 : (resident - shared) * page};
}

std::optional<std::uint64_t> proportional_share_of(const std::string& folder) {
  std::ifstream rollup{folder + "/smaps_rollup"};
  for (std::string word; rollup >> word;) {
    std::uint64_t kilobytes = 0;
    if (word == "Pss:" && rollup >> kilobytes) return kilobytes * 1024;
  }
  return {};
}

/// The states of which one is told, the most telling one last.
constexpr std::string_view by_weight = "SDRtT";

std::string_view doing_of(char state) {
  switch (state) {
    case 'R':
      return "runs";
    case 'T':
      return "is stopped by a signal";
    case 't':
      return "is stopped by who traces it";
    case 'D':
      return "waits for a disk or the like";
    case 'S':
      return "sleeps";
    default:
      return "is there";
  }
}

}  // namespace

memory_use memory_of_worker(pid_t worker, std::uint64_t limit) {
  struct one {
    std::string folder;
    std::uint64_t own;
  };
  std::vector<one> seen;
  memory_use all;
  for (const pid_t pid : processes_of(worker)) {
    const std::string folder = folder_of_process(pid);
    const resident_pages its = resident_of(folder);
    if (its.all == 0) continue;
    all.bytes += its.all;
    ++all.processes;
    seen.push_back({folder, its.own});
  }
  if (all.bytes < limit) return all;
  using clock = std::chrono::steady_clock;
  all.bytes = 0;
  const auto until = clock::now() + longest_look;
  for (const auto& [folder, own] : seen) {
    all.bytes += clock::now() < until ? proportional_share_of(folder).value_or(own) : own;
  }
  return all;
}

std::string doing_of_worker(pid_t worker) {
  char told = '?';
  pid_t of = worker;
  const auto weight = [](char state) { return static_cast<int>(by_weight.find(state) + 1); };  // 0: not among them
  for (const pid_t one : processes_of(worker)) {
    const std::string state = status_of_process(one, "State");
    if (state.empty() || weight(state.front()) <= weight(told)) continue;
    told = state.front();
    of = one;
  }
  const std::string what{doing_of(told)};
  return of == worker ? what : "has a process, " + std::to_string(of) + ", that " + what;
}

}  // namespace udppump::detail

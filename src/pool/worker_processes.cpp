#include "pool/worker_processes.hpp"

#include <unistd.h>

#include <fstream>
#include <string_view>

#include "sys/process_status.hpp"
#include "sys/process_tree.hpp"

namespace udppump::detail {

namespace {

constexpr std::size_t most_processes = 256;

/// 0 if it is not known.
std::uint64_t memory_of(pid_t pid) {
  const std::string folder = folder_of_process(pid);
  std::ifstream rollup{folder + "/smaps_rollup"};
  for (std::string word; rollup >> word;) {
    std::uint64_t kilobytes = 0;
    if (word == "Pss:" && rollup >> kilobytes) return kilobytes * 1024;
  }
  std::ifstream counts{folder + "/statm"};
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  std::uint64_t shared = 0;
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  if (!(counts >> size >> resident >> shared) || resident < shared) return 0;
  return (resident - shared) * page;
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

memory_use memory_of_worker(pid_t worker) {
  memory_use all;
  for (const pid_t one : tree_of(worker, most_processes)) {
    const std::uint64_t its = memory_of(one);
    all.bytes += its;
    all.processes += its != 0 ? 1 : 0;
  }
  return all;
}

std::string doing_of_worker(pid_t worker) {
  char told = '?';
  pid_t of = worker;
  const auto weight = [](char state) { return static_cast<int>(by_weight.find(state) + 1); };  // 0: not among them
  for (const pid_t one : tree_of(worker, most_processes)) {
    const std::string state = status_of_process(one, "State");
    if (state.empty() || weight(state.front()) <= weight(told)) continue;
    told = state.front();
    of = one;
  }
  const std::string what{doing_of(told)};
  return of == worker ? what : "has a process, " + std::to_string(of) + ", that " + what;
}

}  // namespace udppump::detail

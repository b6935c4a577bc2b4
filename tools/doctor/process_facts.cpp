#include "doctor/process_facts.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "pool/control_group.hpp"
#include "pool/granted_cores.hpp"
#include "pool/process_usage.hpp"

namespace udppump::doctor {

namespace {

/// "0-3,7".
std::size_t count_listed(std::string_view list) {
  std::size_t count = 0;
  while (!list.empty()) {
    const auto part = list.substr(0, list.find(','));
    list.remove_prefix(std::min(part.size() + 1, list.size()));
    const auto dash = part.find('-');
    const auto first = number_of(part.substr(0, dash));
    const auto last = dash == part.npos ? first : number_of(part.substr(dash + 1));
    if (first && last && *last >= *first) count += static_cast<std::size_t>(*last - *first + 1);
  }
  return count;
}

/// The soft one of a line of /proc/PID/limits.
std::optional<std::uint64_t> limit(std::string_view limits, std::string_view name) {
  const auto line = after(limits, name);
  const auto words = words_of(line ? *line : std::string_view{});
  if (words.empty()) return {};
  return words.front() == "unlimited" ? std::optional{unlimited} : number_of(words.front());
}

void read_descriptors(const file_tree& files, const std::string& folder, process_facts& facts) {
  const auto names = files.names(folder + "/fd");
  if (!names) return;
  facts.open_files = names->size();
  facts.sockets.emplace();
  constexpr std::string_view mark = "socket:[";
  for (const std::string& name : *names) {
    const std::string target = files.link(folder + "/fd/" + name);
    if (!target.starts_with(mark)) continue;
    const auto inode = number_of<ino_t>(std::string_view{target}.substr(mark.size(), target.size() - mark.size() - 1));
    if (inode) facts.sockets->push_back(*inode);
  }
}

}  // namespace

std::optional<process_facts> read_process(const file_tree& files, pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  const auto stat = files.text(folder + "/stat");
  auto told = stat ? detail::read_stat(*stat) : std::nullopt;
  if (!told) return {};
  process_facts facts{
      .pid = pid, .name = std::move(told->name), .state = told->state, .major_faults = told->major_faults};
  if (const auto status = files.text(folder + "/status")) {
    const auto swapped = after(*status, "VmSwap:");  // "NUMBER kB"
    const auto words = words_of(swapped ? *swapped : std::string_view{});
    if (!words.empty()) facts.swapped = number_of(words.front()).value_or(0) * 1024;
    const auto allowed = after(*status, "Cpus_allowed_list:");
    facts.processors = count_listed(allowed ? *allowed : std::string_view{});
  }
  if (const auto limits = files.text(folder + "/limits")) {
    facts.most_files = limit(*limits, "Max open files");
    facts.core_size = limit(*limits, "Max core file size");
  }
  read_descriptors(files, folder, facts);
  constexpr std::string_view deleted = " (deleted)";
  facts.program = files.link(folder + "/exe");
  if (facts.program.ends_with(deleted)) {
    facts.program_is_gone = true;
    facts.program.resize(facts.program.size() - deleted.size());
  }
  if (const auto line = files.text(folder + "/cmdline")) {
    for (std::size_t at = 0; at < line->size();) {
      const auto end = std::min(line->find('\0', at), line->size());
      facts.arguments.push_back(line->substr(at, end - at));
      at = end + 1;
    }
  }
  facts.network = files.link(folder + "/ns/net");
  return facts;
}

group_facts read_groups(const file_tree& files, pid_t pid) {
  using detail::control_groups_of;
  group_facts facts;
  const std::string process = std::to_string(pid);
  // Folders begin with the root already.
  const file_tree anywhere;
  for (const auto& group : control_groups_of(process, "cpu", files.root())) {
    const auto told = anywhere.text(group.folder + "/cpu.stat");
    const auto times = told ? after(*told, "nr_throttled") : std::nullopt;
    if (times) facts.throttled = std::max(facts.throttled, number_of(*times).value_or(0));
  }
  if (const double cores = detail::granted_cores(files.root(), process); cores > 0) facts.cores = cores;
  double fullest = 0;
  for (const auto& group : control_groups_of(process, "memory", files.root())) {
    const auto now = anywhere.number(group.folder + (group.is_unified ? "/memory.current" : "/memory.usage_in_bytes"));
    const auto most = anywhere.number(group.folder + (group.is_unified ? "/memory.max" : "/memory.limit_in_bytes"));
    const auto events = anywhere.text(group.folder + (group.is_unified ? "/memory.events" : "/memory.oom_control"));
    const auto kills = events ? after(*events, "oom_kill ") : std::nullopt;
    if (kills) facts.memory_kills = std::max(facts.memory_kills, number_of(*kills).value_or(0));
    // "max", and in version 1 a number beyond all memory, is no limit.
    if (!now || !most || *most == 0 || *most > std::uint64_t{1} << 60) continue;
    const double share = static_cast<double>(*now) / static_cast<double>(*most);
    if (share < fullest) continue;
    fullest = share;
    facts.memory = now;
    facts.most_memory = most;
  }
  const auto groups = files.text("/proc/" + process + "/cgroup");
  for (const auto line : lines_of(groups ? *groups : std::string_view{})) {
    const auto path = line.substr(line.rfind(':') + 1);
    for (std::size_t at = 0; at < path.size();) {
      const auto end = std::min(path.find('/', at), path.size());
      // The outermost: below it a service may have groups of its own.
      const auto part = path.substr(at, end - at);
      if (part.ends_with(".service") && part.find("user@") == part.npos && facts.unit.empty()) facts.unit = part;
      at = end + 1;
    }
  }
  return facts;
}

}  // namespace udppump::doctor

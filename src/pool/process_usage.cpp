#include "pool/process_usage.hpp"

#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string_view>
#include <utility>

#include "sys/cut_text.hpp"
#include "sys/numbers_in.hpp"
#include "sys/process_status.hpp"
#include "sys/sys_file.hpp"

namespace udppump::detail {

namespace {

std::chrono::nanoseconds as_time(std::uint64_t ticks) {
  static const std::int64_t a_second = sysconf(_SC_CLK_TCK);
  const auto seconds = static_cast<std::int64_t>(ticks) / a_second, rest = static_cast<std::int64_t>(ticks) % a_second;
  return std::chrono::seconds{seconds} + std::chrono::nanoseconds{std::chrono::seconds{1}} * rest / a_second;
}

/// "voluntary_ctxt_switches" and its like, of one thread.
void add_switches(const std::string& folder, process_usage& to) {
  std::ifstream lines{folder + "/status"};
  for (std::string word; lines >> word;) {
    std::uint64_t count = 0;
    if (word == "voluntary_ctxt_switches:" && lines >> count) to.voluntary_switches += count;
    if (word == "nonvoluntary_ctxt_switches:" && lines >> count) to.involuntary_switches += count;
  }
}

/// All but its time of the processors.
void add_process(pid_t process, process_usage& to) {
  const std::string folder = folder_of_process(process);
  for (const pid_t thread : numbers_in(folder + "/task")) add_switches(folder + "/task/" + std::to_string(thread), to);
  std::ifstream counts{folder + "/statm"};
  std::uint64_t size = 0, resident = 0;
  static const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  if (counts >> size >> resident) to.resident = to.resident.value_or(0) + resident * page;
}

}  // namespace

std::optional<process_stat> read_stat(const std::string& text) {
  // "pid (name) state ppid pgrp session ...": a name may have anything in it.
  const auto name_begin = text.find('('), name_end = text.rfind(')');
  if (name_end == std::string::npos || name_begin > name_end) return {};
  std::istringstream words{text.substr(name_end + 1)};
  process_stat told{.name = text.substr(name_begin + 1, name_end - name_begin - 1)};
  told.name.resize(whole_size(told.name));  // the kernel cuts it to 15 bytes
  std::string skipped;
  words >> told.state >> skipped >> skipped >> told.session;
  for (int field = 7; field < 12; ++field) words >> skipped;
  words >> told.major_faults >> skipped;
  for (std::uint64_t* const to : {&told.own_ticks, &told.own_ticks, &told.children_ticks, &told.children_ticks}) {
    std::uint64_t ticks = 0;  // utime, stime, cutime, cstime
    words >> ticks;
    *to += ticks;
  }
  for (int field = 18; field < 22; ++field) words >> skipped;
  words >> told.started_at;
  return words ? std::optional{std::move(told)} : std::nullopt;
}

std::optional<process_stat> stat_in(const std::string& folder) {
  std::ifstream file{folder + "/stat"};
  std::string text;
  std::getline(file, text, '\0');  // which, unlike iterators, does not throw when the process ends meanwhile
  return read_stat(text);
}

std::optional<process_usage> usage_of(pid_t process) {
  const auto told = stat_in(folder_of_process(process));
  if (!told) return {};
  process_usage all;
  all.cpu = as_time(told->own_ticks);
  add_process(process, all);
  return all;
}

std::optional<process_usage> usage_of_thread(pid_t process, pid_t thread) {
  const std::string folder = folder_of_process(process) + "/task/" + std::to_string(thread);
  const auto told = stat_in(folder);
  if (!told) return {};
  process_usage one;
  one.cpu = as_time(told->own_ticks);
  add_switches(folder, one);
  return one;
}

std::map<pid_t, process_usage> usage_by_session() {
  std::map<pid_t, process_usage> found;
  for (const pid_t process : numbers_in("/proc")) {
    const auto told = stat_in(folder_of_process(process));
    if (!told || !told->is_alive() || told->session <= 0) continue;
    const auto [at, is_new] = found.try_emplace(told->session);
    if (!is_new) ++at->second.processes;
    // A program may start a process for each request: what the ended ones used stays the worker's.
    at->second.cpu += as_time(told->own_ticks + told->children_ticks);
    add_process(process, at->second);
  }
  return found;
}

uid_t user_of(pid_t process) noexcept {
  struct stat about {};
  return sys::status_of(folder_of_process(process).c_str(), about) < 0 ? static_cast<uid_t>(-1) : about.st_uid;
}

}  // namespace udppump::detail

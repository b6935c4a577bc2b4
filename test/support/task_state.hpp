#pragma once

#include <sys/types.h>

#include <filesystem>
#include <fstream>
#include <string>

/// What a process or thread does: "R", "S" (sleeps), "Z" (a zombie)... (proc(5)); empty if it is gone. `task` is its
/// folder in /proc; its name has no space in it here.
inline std::string state_of(const std::filesystem::path& task) {
  std::ifstream about{task / "stat"};
  std::string id, name, state;
  about >> id >> name >> state;
  return state;
}

/// Whether all threads of the process wait for something, whatever the one with the id `beside` does.
inline bool is_asleep(pid_t pid, pid_t beside = 0) {
  for (const auto& thread : std::filesystem::directory_iterator{"/proc/" + std::to_string(pid) + "/task"}) {
    if (thread.path().filename() == std::to_string(beside)) continue;
    if (state_of(thread.path()) != "S") return false;
  }
  return true;
}

#include "sys/process_status.hpp"

#include <algorithm>
#include <fstream>

namespace udppump::detail {

std::string status_of_process(pid_t pid, std::string_view field) {
  std::ifstream lines{folder_of_process(pid) + "/status"};
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(field) || line.size() == field.size() || line[field.size()] != ':') continue;
    return line.substr(std::min(line.find_first_not_of(" \t", field.size() + 1), line.size()));
  }
  return {};
}

}  // namespace udppump::detail

#include "sys/process_tree.hpp"

#include <fcntl.h>

#include <sstream>

#include "sys/numbers_in.hpp"
#include "sys/process_status.hpp"
#include "sys/sys_file.hpp"

namespace udppump::detail {

descriptor open_children(const std::string& folder_of_task) {
  return descriptor{sys::open((folder_of_task + "/children").c_str(), O_RDONLY)};
}

void read_children(const descriptor& list, std::vector<pid_t>& all) {
  std::string text;
  char part[4096];
  for (ssize_t size = 0; (size = sys::read_at(list.fd(), part, sizeof part, text.size())) > 0;) {
    text.append(part, static_cast<std::size_t>(size));
  }
  std::istringstream numbers{text};
  for (pid_t one = 0; numbers >> one;) all.push_back(one);
}

bool list_children(const std::string& folder, std::vector<pid_t>& all) {
  bool told = false;
  for (const pid_t task : numbers_in(folder + "/task")) {
    const descriptor list = open_children(folder + "/task/" + std::to_string(task));
    told |= static_cast<bool>(list);
    if (list) read_children(list, all);
  }
  return told;
}

std::vector<pid_t> tree_of(pid_t process, std::size_t most) {
  std::vector<pid_t> all{process};
  for (std::size_t at = 0; at < all.size() && all.size() < most; ++at) list_children(folder_of_process(all[at]), all);
  if (all.size() > most) all.resize(most);
  return all;
}

}  // namespace udppump::detail

#include "pool/control_group.hpp"

#include <fstream>
#include <optional>
#include <sstream>

namespace udppump::detail {

namespace {

constexpr auto nowhere = std::string::npos;

/// Whether `name` is one of those in `list`, which have commas between them.
bool lists(const std::string& list, std::string_view name) {
  std::istringstream names{list};
  for (std::string one; std::getline(names, one, ',');) {
    if (one == name) return true;
  }
  return false;
}

/// mountinfo writes a space, a tab, a line feed and a backslash as \ and three octal digits (proc_pid_mountinfo(5)).
std::string without_escapes(const std::string& text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const std::string digits = text[at] == '\\' ? text.substr(at + 1, 3) : std::string{};
    const bool is_escape = digits.size() == 3 && digits.find_first_not_of("01234567") == nowhere && digits < "400";
    plain += is_escape ? static_cast<char>(std::stoi(digits, nullptr, 8)) : text[at];
    at += is_escape ? 3 : 0;
  }
  return plain;
}

/// A hierarchy of control groups that has the controller, and where the process is in it.
struct hierarchy {
  bool is_unified;
  std::string group;
};

/// Lines of "ID:CONTROLLERS:PATH" (cgroups(7)).
std::vector<hierarchy> memberships(const std::string& root, const std::string& process, std::string_view controller) {
  std::vector<hierarchy> found;
  std::ifstream file{root + "/proc/" + process + "/cgroup"};
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':');
    const auto second = first == nowhere ? nowhere : line.find(':', first + 1);
    if (second == nowhere) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && !lists(controllers, controller)) continue;
    found.push_back({controllers.empty(), line.substr(second + 1)});
  }
  return found;
}

/// A part of a hierarchy that can be seen here: the group `top` and those below it, at `folder`.
struct mounted {
  bool is_unified;
  std::string top, folder;
};

/// "ID PARENT MAJOR:MINOR ROOT MOUNT-POINT OPTIONS [FIELD...] - TYPE SOURCE SUPER-OPTIONS" (proc_pid_mountinfo(5)).
std::vector<mounted> mounts(const std::string& root, std::string_view controller) {
  std::vector<mounted> found;
  std::ifstream file{root + "/proc/self/mountinfo"};
  for (std::string line; std::getline(file, line);) {
    const auto middle = line.find(" - ");
    if (middle == nowhere) continue;
    std::istringstream before{line.substr(0, middle)};
    std::istringstream after{line.substr(middle + 3)};
    std::string skipped;
    std::string top;
    std::string folder;
    std::string type;
    std::string options;
    before >> skipped >> skipped >> skipped >> top >> folder;
    after >> type >> skipped >> options;
    if (type != "cgroup2" && (type != "cgroup" || !lists(options, controller))) continue;
    found.push_back({type == "cgroup2", without_escapes(top), without_escapes(folder)});
  }
  return found;
}

/// What leads from `top` to `group`: empty, or a path that begins with '/'. Nothing if the group is not below it, as
/// that of a process outside its own control group namespace ("/../other", cgroup_namespaces(7)).
std::optional<std::string> way_down(const std::string& top, const std::string& group) {
  const std::string above = top == "/" ? std::string{} : top;
  if (group.compare(0, above.size(), above) != 0) return {};
  std::string rest = group.substr(above.size());
  if (rest == "/") rest.clear();
  if (!rest.empty() && (rest.front() != '/' || (rest + '/').find("/../") != nowhere)) return {};
  return rest;
}

}  // namespace

std::vector<control_group> control_groups_of(const std::string& process, std::string_view controller,
                                             const std::string& root) {
  std::vector<control_group> found;
  const auto seen = mounts(root, controller);
  for (const hierarchy& one : memberships(root, process, controller)) {
    for (const mounted& here : seen) {
      auto way = here.is_unified == one.is_unified ? way_down(here.top, one.group) : std::nullopt;
      while (way) {
        found.push_back({one.is_unified, root + here.folder + *way});
        if (way->empty()) break;
        way->resize(way->find_last_of('/'));
      }
    }
  }
  return found;
}

}  // namespace udppump::detail

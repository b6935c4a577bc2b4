#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "udppump/export.hpp"

namespace udppump::detail {

struct control_group {
  /// Of version 2 (Documentation/admin-guide/cgroup-v2.rst), or of version 1.
  bool is_unified = false;
  std::string folder = {};
};

/// The groups with this controller, such as "cpu", that a process is in, as far as they can be seen here: in each
/// hierarchy its own, and then those above it. `process` is a number, or "self". `root` is put before all paths; only
/// tests have one.
UDPPUMP_EXPORT std::vector<control_group> control_groups_of(const std::string& process, std::string_view controller,
                                                            const std::string& root = {});

}  // namespace udppump::detail

#pragma once

#include <optional>

#include "sys/file_identity.hpp"

namespace udppump::detail {

/// The pid file of a pool before this one, as far as that one tells.
struct earlier_pid_file {
  bool is_told = false;                    // not by versions that do not know the question
  std::optional<file_identity> file = {};  // nothing: it has none
};

}  // namespace udppump::detail

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bench {

/// Whether `valgrind` can be started.
bool has_callgrind();

/// Instructions in user space of all threads of `command`, inside the functions that match `toggle` ("*serve*";
/// callgrind's --toggle-collect). Nothing if valgrind cannot run the program, or the program fails under it. Safe to
/// call from several threads.
std::optional<std::uint64_t> instructions_of(const std::vector<std::string>& command, const std::string& toggle);

}  // namespace bench

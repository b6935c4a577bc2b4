#pragma once

#include <string>
#include <string_view>

namespace udppump::load {

/// Sees, before a run is spent on it, that a file can be written; makes it where there is none. Throws
/// std::system_error with its name. An empty path is no file, which is fine.
void expect_writable(const std::string& path);
/// Replaces what is in the file. Throws std::system_error with its name where it cannot be written in whole.
void write_file(const std::string& path, std::string_view content);

}  // namespace udppump::load

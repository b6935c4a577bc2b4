#pragma once

#include <string>
#include <string_view>

namespace udppump::load {

/// Whether a path is this process's standard output: "-", or another name of the file it goes to, such as /dev/stdout.
/// What else is printed must then go elsewhere. /dev/null is nobody's.
bool is_standard_output(const std::string& path);
/// Whether both paths lead to the same file, if it is there or would be made.
bool is_same_file(const std::string& one, const std::string& other);
/// Sees, before a run is spent on it, that a file can be written; leaves it as it is, and none where none was. Throws
/// std::system_error with its name and the cure. An empty path is no file, which is fine.
void expect_writable(const std::string& path);
/// Replaces what is in the file, of a regular one at once: whoever looks sees the old content or the new, and never
/// half of it. Adds to what standard output has. Throws std::system_error with its name if it cannot be written in
/// whole.
void write_file(const std::string& path, std::string_view content);

}  // namespace udppump::load

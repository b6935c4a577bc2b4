#include "load/plan/input_file.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace udppump::load {
namespace {

/// More than the largest payload in hexadecimal digits with blanks between them.
constexpr std::size_t longest_line = 1 << 20;

[[noreturn]] void fail(int error, const std::string& path, const char* cure) {
  throw std::invalid_argument{fmt::format("cannot read {}: {}; {}", path, std::strerror(error), cure)};
}

}  // namespace

std::ifstream open_input(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) fail(EISDIR, path, "name a file in it");
  std::ifstream from{path};
  if (!from)
    fail(errno, path,
         errno == ENOENT || errno == ENOTDIR ? "name a file that is there" : "name a file that this user may read");
  return from;
}

std::optional<std::string_view> input_lines::next() {
  auto& buffer = *from_.rdbuf();
  constexpr int end = std::char_traits<char>::eof();
  int c = buffer.sbumpc();
  if (c == end) return {};
  line_.clear();
  ++number_;
  for (; c != end && c != '\n'; c = buffer.sbumpc()) {
    if (line_.size() == longest_line) refuse("the line is too long: at most a mebibyte; is it a text file?");
    line_ += static_cast<char>(c);
  }
  if (line_.ends_with('\r')) line_.pop_back();
  if (number_ == 1 && line_.starts_with("\xef\xbb\xbf")) {
    refuse("it begins with a byte-order mark; save the file as UTF-8 without one");
  }
  for (const char each : line_) {
    if ((each >= 0 && each < ' ' && each != '\t') || each == '\x7f') {
      refuse(fmt::format("byte 0x{:02x} in it; is it a text file, with lines that end with LF or CR LF?", each));
    }
  }
  return line_;
}

void input_lines::refuse(std::string_view why) const {
  throw std::invalid_argument{fmt::format("{}:{}: {}", name_, number_, why)};
}

}  // namespace udppump::load

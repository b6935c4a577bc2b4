#pragma once

#include <fstream>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

namespace udppump::load {

/// A file of requests, opened. Throws std::system_error with its name and the cure.
std::ifstream open_input(const std::string& path);

/// The lines of a text that a person or a program wrote, on any system: they end with LF or CR LF. What is most likely
/// no such text is refused: a byte-order mark, control characters, lines without an end.
class input_lines {
 public:
  /// Both must outlive it; `name` is what errors call the text.
  input_lines(std::istream& from, std::string_view name) : from_{from}, name_{name} {}

  /// The next line without its end, valid until the one after it; nothing at the end. Throws std::invalid_argument.
  std::optional<std::string_view> next();
  /// Throws std::invalid_argument with name and number of the line that was read last.
  [[noreturn]] void refuse(std::string_view why) const;

 private:
  std::istream& from_;
  std::string_view name_;
  std::string line_;
  std::size_t number_ = 0;
};

}  // namespace udppump::load

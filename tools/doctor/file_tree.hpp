#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace udppump::doctor {

/// The files of the kernel that doctor reads: /proc, /sys, control groups. `root` is put before all paths; only tests
/// have one.
class file_tree {
 public:
  struct content {
    std::string text = {};
    /// errno of what did not work; 0 if all did.
    int error = 0;
  };

  explicit file_tree(std::string root = {}) : root_{std::move(root)} {}
  const std::string& root() const noexcept { return root_; }

  content read(const std::string& path) const;
  /// All of the file, or nothing.
  std::optional<std::string> text(const std::string& path) const;
  /// The first number in the file.
  std::optional<std::uint64_t> number(const std::string& path) const;
  /// Where a symbolic link leads; empty if there is none, or nobody tells.
  std::string link(const std::string& path) const;
  /// What is in a folder, in order; nothing if it may not be read.
  std::optional<std::vector<std::string>> names(const std::string& folder) const;

 private:
  std::string root_;
};

/// The words of a text, between white space.
std::vector<std::string_view> words_of(std::string_view text);
std::vector<std::string_view> lines_of(std::string_view text);
/// All of the text as a number.
template <class Number = std::uint64_t>
std::optional<Number> number_of(std::string_view text, int base = 10) noexcept {
  Number value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return read.ec == std::errc{} && read.ptr == text.data() + text.size() && !text.empty() ? std::optional{value}
                                                                                          : std::nullopt;
}
/// What stands behind the first line that begins with `name`, without blanks around it.
std::optional<std::string_view> after(std::string_view text, std::string_view name) noexcept;

}  // namespace udppump::doctor

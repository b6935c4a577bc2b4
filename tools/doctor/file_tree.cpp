#include "doctor/file_tree.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

namespace udppump::doctor {

namespace fs = std::filesystem;

file_tree::content file_tree::read(const std::string& path) const {
  errno = 0;
  std::ifstream file{root_ + path};
  if (!file) return {{}, errno != 0 ? errno : EIO};
  std::ostringstream all;
  // An empty file is no error, but puts nothing into `all`.
  if (file.peek() != std::ifstream::traits_type::eof()) all << file.rdbuf();
  return {std::move(all).str(), file.bad() ? EIO : 0};
}

std::optional<std::string> file_tree::text(const std::string& path) const {
  content found = read(path);
  return found.error == 0 ? std::optional{std::move(found.text)} : std::nullopt;
}

std::optional<std::uint64_t> file_tree::number(const std::string& path) const {
  const auto found = text(path);
  const auto words = words_of(found ? *found : std::string_view{});
  return words.empty() ? std::nullopt : number_of(words.front());
}

std::string file_tree::link(const std::string& path) const {
  std::error_code unseen;
  return fs::read_symlink(root_ + path, unseen).string();
}

std::optional<std::vector<std::string>> file_tree::names(const std::string& folder) const {
  std::error_code unseen;
  std::vector<std::string> found;
  for (fs::directory_iterator at{root_ + folder, unseen}, end; !unseen && at != end; at.increment(unseen)) {
    found.push_back(at->path().filename().string());
  }
  if (unseen) return {};
  std::sort(found.begin(), found.end());
  return found;
}

namespace {

std::vector<std::string_view> parts_of(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  for (auto at = text.find_first_not_of(separators); at != text.npos;) {
    const auto end = std::min(text.find_first_of(separators, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = text.find_first_not_of(separators, end);
  }
  return parts;
}

}  // namespace

std::vector<std::string_view> words_of(std::string_view text) { return parts_of(text, " \t\n"); }
std::vector<std::string_view> lines_of(std::string_view text) { return parts_of(text, "\n"); }

std::optional<std::string_view> after(std::string_view text, std::string_view name) noexcept {
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.starts_with(name)) continue;
    line.remove_prefix(name.size());
    const auto first = line.find_first_not_of(" \t");
    if (first == line.npos) return std::string_view{};
    return line.substr(first, line.find_last_not_of(" \t") - first + 1);
  }
  return {};
}

}  // namespace udppump::doctor

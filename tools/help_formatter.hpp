#pragma once

#include <CLI/CLI.hpp>
#include <set>
#include <sstream>
#include <string>
#include <utility>

namespace udppump::tools {

/// Writes --help so that who sees it for the first time can read it: after an option only its value's kind; in its
/// description, in lines that a terminal has room for, also its default and what it goes with.
class help_formatter : public CLI::Formatter {
 public:
  help_formatter() { column_width(names_width); }

  std::string make_option_opts(const CLI::Option* option) const override {
    const bool takes_a_value = option->get_type_size() != 0 && !option->get_positional();
    return takes_a_value && !option->get_type_name().empty() ? ' ' + option->get_type_name() : "";
  }

  std::string make_option_desc(const CLI::Option* option) const override {
    std::string text = CLI::Formatter::make_option_desc(option);
    if (!option->get_default_str().empty()) text += "; default " + option->get_default_str();
    text += list("; only with ", option->get_needs()) + list("; not with ", option->get_excludes());
    return wrapped(text);
  }

  /// CLI11 puts two empty lines between groups.
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override {
    std::string text = CLI::Formatter::make_help(app, std::move(name), mode);
    for (auto at = text.find("\n\n\n"); at != text.npos; at = text.find("\n\n\n")) text.erase(at, 1);
    return text;
  }

 private:
  static constexpr std::size_t names_width = 34, text_width = 72;

  /// In the order of their names; CLI11's is that of their addresses.
  static std::string list(const char* what, const std::set<CLI::Option*>& options) {
    std::set<std::string> names;
    for (const CLI::Option* option : options) names.insert(option->get_name());
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? what : ", ") + name;
    return text;
  }

  static std::string wrapped(const std::string& text) {
    std::istringstream words{text};
    std::string lines;
    std::size_t used = 0;
    for (std::string word; words >> word; used += word.size() + 1) {
      const bool full = used + word.size() > text_width;
      if (full) used = 0;
      if (!lines.empty()) lines += full ? '\n' : ' ';
      lines += word;
    }
    return lines;
  }
};

}  // namespace udppump::tools

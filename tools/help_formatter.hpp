#pragma once

#include <CLI/CLI.hpp>
#include <sstream>
#include <string>

namespace udppump::tools {

/// Breaks what --help says of an option into lines that a terminal has room for, which CLI11 does not.
class help_formatter : public CLI::Formatter {
 public:
  help_formatter() { column_width(names_width); }
  std::string make_option_desc(const CLI::Option* option) const override {
    std::istringstream words{CLI::Formatter::make_option_desc(option)};
    std::string wrapped;
    std::size_t used = 0;
    for (std::string word; words >> word; used += word.size() + 1) {
      const bool full = used + word.size() > text_width;
      if (full) used = 0;
      if (!wrapped.empty()) wrapped += full ? '\n' : ' ';
      wrapped += word;
    }
    return wrapped;
  }

 private:
  static constexpr std::size_t names_width = 34, text_width = 72;
};

}  // namespace udppump::tools

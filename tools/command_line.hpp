#pragma once

#include <CLI/CLI.hpp>
#include <atomic>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace udppump::tools {

/// An option whose text goes through parse(text), which throws std::invalid_argument where it cannot be read. `value`
/// must outlive the parsing; `shown` is its default as --help tells it.
template <class Value, class Parse>
CLI::Option* add_parsed(CLI::App& app, const std::string& name, Value& value, Parse parse, const std::string& unit,
                        const std::string& shown, const std::string& description) {
  const auto read = [&value, parse, name](const std::string& text) {
    try {
      value = parse(text);
    } catch (const std::invalid_argument& why) {
      throw CLI::ValidationError{name, why.what()};
    }
  };
  auto* const option = app.add_option_function<std::string>(name, read, description)->type_name(unit);
  if (!shown.empty()) option->default_str(shown);
  return option;
}

/// For add_parsed(): takes one of a few names for a value.
template <class Value>
auto one_of(std::initializer_list<std::pair<const char*, Value>> names) {
  return [known = std::vector(names)](const std::string& text) {
    std::string all;
    for (const auto& [name, value] : known) {
      if (text == name) return value;
      all += all.empty() ? name : std::string{", "} + name;
    }
    throw std::invalid_argument{'"' + text + "\" is none of: " + all};
  };
}

/// Becomes true at SIGINT or SIGTERM, from the first call on; the second signal of a kind ends the process.
const std::atomic<bool>& interruption();

/// What stderr shows of work under way: on a terminal one line, written over again and again; elsewhere each step once.
class status_line {
 public:
  explicit status_line(bool wanted);
  ~status_line() { clear(); }
  status_line(const status_line&) = delete;
  status_line& operator=(const status_line&) = delete;
  /// How many characters a terminal shows on one line; as it is now, for it may be made narrower meanwhile.
  std::size_t width() const noexcept;
  /// On a terminal `text`, cut to its width; elsewhere `step` as a line, where it is neither empty nor the last one.
  void show(const std::string& text, const std::string& step = {});
  void clear();

 private:
  bool wanted_;
  bool on_terminal_;
  std::string step_ = {};
};

}  // namespace udppump::tools

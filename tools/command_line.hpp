#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "load/plan/quantity.hpp"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace udppump::tools {

/// How --help tells of an option.
struct option_text {
  /// Of its value: "N", "TIME".
  std::string unit;
  /// Its default; empty if it has none.
  std::string shown;
  std::string description;
  /// The heading that it stands under.
  std::string group = {};
};

/// An option that may be given once; read(text) throws std::invalid_argument if it cannot be read.
CLI::Option* add_read(CLI::App& app, const std::string& name, std::function<void(const std::string&)> read,
                      const option_text& text);
/// One that may be given several times, each time with a value.
CLI::Option* add_repeated(CLI::App& app, const std::string& name, std::function<void(const std::string&)> read,
                          const option_text& text);

/// An option whose value is parse(text). `value` must outlive the parsing.
template <class Value, class Parse>
CLI::Option* add_parsed(CLI::App& app, const std::string& name, Value& value, Parse parse, const option_text& text) {
  return add_read(
      app, name, [&value, parse](const std::string& given) { value = static_cast<Value>(parse(given)); }, text);
}

/// For add_parsed(): takes any text but an empty one, which most often is a variable of a script that was not set.
std::string not_empty(const std::string& text);

/// For add_parsed(): takes whole numbers.
inline auto count_in(std::uint64_t least, std::uint64_t most) {
  return [=](const std::string& text) { return load::parse_count(text, least, most); };
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
    throw std::invalid_argument{load::quoted(text) + " is none of: " + all};
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
  /// How many characters a terminal shows on one line. As it is now: it may be made narrower meanwhile.
  std::size_t width() const noexcept;
  /// On a terminal `text`, cut to its width; elsewhere `step` as a line, unless it is empty or the last one shown.
  void show(const std::string& text, const std::string& step = {});
  void clear();

 private:
  bool wanted_;
  bool on_terminal_;
  std::string step_ = {};
};

}  // namespace udppump::tools

#include "parse_error.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <utility>

#include "load/plan/quantity.hpp"

namespace udppump::tools {
namespace {

std::vector<const CLI::App*> all_commands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

/// The command that was named, or the tool itself.
const CLI::App& named(const CLI::App& app) {
  const auto commands = app.get_subcommands();
  return commands.empty() ? app : *commands.front();
}

std::string full_name(const CLI::App& app, const CLI::App& command) {
  return &app == &command ? app.get_name() : app.get_name() + ' ' + command.get_name();
}

bool takes_a_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

/// How many characters must be put in, left out or replaced to make `from` of `to`.
std::size_t distance(const std::string& from, const std::string& to) {
  std::vector<std::size_t> row(to.size() + 1);
  for (std::size_t at = 0; at <= to.size(); ++at) row[at] = at;
  for (std::size_t line = 1; line <= from.size(); ++line) {
    std::size_t diagonal = std::exchange(row[0], line);
    for (std::size_t at = 1; at <= to.size(); ++at) {
      const std::size_t replaced = diagonal + (from[line - 1] == to[at - 1] ? 0 : 1);
      diagonal = std::exchange(row[at], std::min({row[at - 1] + 1, row[at] + 1, replaced}));
    }
  }
  return row[to.size()];
}

/// The option of `command` that is written nearly so; empty if none is. "-workers" and "--work" are near "--workers".
std::string nearest(const CLI::App& command, const std::string& written) {
  const std::string name = written.substr(std::min(written.find_first_not_of('-'), written.size()));
  std::string found;
  std::size_t least = 1 + (name.size() < 4 ? 1 : std::max<std::size_t>(2, name.size() / 3));
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_group().empty()) continue;  // one that only says why it is not here
    for (const std::string& known : option->get_lnames()) {
      const bool begun = name.size() > 2 && known.starts_with(name);
      const std::size_t off = begun ? std::min<std::size_t>(1, known.size() - name.size()) : distance(name, known);
      if (off < least && off < known.size()) found = known, least = off;
    }
  }
  return found.empty() ? "" : "--" + found;
}

/// An option that `command` does not have.
std::string unknown_option(const CLI::App& app, const CLI::App& command, const std::string& word) {
  const std::string name = word.substr(0, word.find('='));
  std::string complaint = "unknown option " + load::quoted(name) + "; ";
  if (const auto meant = nearest(command, name); !meant.empty()) return complaint + "did you mean " + meant + "? ";
  for (const CLI::App* other : all_commands(app)) {
    if (&app == &command && other->get_option_no_throw(name) != nullptr) {
      return fmt::format("{}name the command first, as in {} {}; ", complaint, full_name(app, *other), name);
    }
  }
  return complaint;
}

/// What no option takes, and the command neither.
std::string unexpected_word(const CLI::App& command, const std::string& word) {
  if (command.get_name() == "exec") return "put \"--\" before the program, as in -- " + word + "; ";
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_positional()) continue;
    return load::quoted(word) + " is one argument too many: there is one " + option->get_name() + "; omit it; ";
  }
  return load::quoted(word) + " belongs to no option; omit it, or name its option before it; ";
}

/// That a value is missing, or that there is one too many; empty if CLI11 says it of none of the options.
std::string wrong_value(const CLI::App& command, const std::string& said) {
  const CLI::Option* about = nullptr;
  std::string name;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& known : option->get_lnames()) {
      const auto at = said.find(known);
      if (at == said.npos || known.size() < name.size()) continue;
      about = option, name = known;
    }
  }
  if (about == nullptr) return {};
  name.insert(0, "--");
  if (!takes_a_value(*about)) return name + " takes no value; write " + name + " alone; ";
  return name + ": its value is missing; write " + name + ' ' + about->get_type_name() + "; ";
}

std::string missing(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_required() || option->count() > 0) continue;
    return "no " + option->get_name() + " is given; name the " + option->get_description() + "; ";
  }
  return {};
}

/// Two options of which one needs the other, or that do not go together.
std::string wrong_pair(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options()) {
    if (option->count() == 0) continue;
    for (const CLI::Option* needed : option->get_needs()) {
      if (needed->count() > 0) continue;
      return option->get_name() + " has an effect only with " + needed->get_name() + "; add that, or omit " +
             option->get_name() + "; ";
    }
    for (const CLI::Option* other : option->get_excludes()) {
      if (other->count() == 0) continue;
      return option->get_name() + " and " + other->get_name() + " do not go together; omit one of the two; ";
    }
  }
  return {};
}

std::string cause_and_cure(const CLI::App& app, const CLI::App& command, const CLI::ParseError& error) {
  // An option that was written wrongly is the likely reason for whatever else is amiss.
  for (const CLI::App* asked : {&app, &command}) {
    for (const std::string& word : asked->remaining()) {
      if (word.size() > 1 && word.front() == '-') return unknown_option(app, *asked, word);
    }
  }
  std::string found;
  if (dynamic_cast<const CLI::ValidationError*>(&error) != nullptr) {
    return std::string{error.what()} + "; ";  // by an option of this tool
  } else if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    found = wrong_value(command, error.what());
  } else if (dynamic_cast<const CLI::RequiresError*>(&error) != nullptr ||
             dynamic_cast<const CLI::ExcludesError*>(&error) != nullptr) {
    found = wrong_pair(command);
  } else if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    found = missing(command);
  }
  if (const auto words = command.remaining(); found.empty() && !words.empty()) {
    found = unexpected_word(command, words.front());
  }
  // What is left is of configuration files and of options that CLI11 converts; the tool has none.
  return found.empty() ? std::string{error.what()} + "; " : found;
}

}  // namespace

std::vector<std::string> with_empty_values(const CLI::App& app, const std::vector<std::string>& words) {
  const auto commands = all_commands(app);
  const auto command = std::ranges::find(commands, words.empty() ? "" : words.front(), &CLI::App::get_name);
  std::vector<std::string> split;
  for (const std::string& word : words) {
    const std::string name = word.substr(0, word.find('='));
    const bool ends = word.starts_with("--") && name.size() + 1 == word.size();
    const auto* const option = ends && command != commands.end() ? (*command)->get_option_no_throw(name) : nullptr;
    if (option != nullptr && takes_a_value(*option)) {
      split.insert(split.end(), {name, ""});
    } else {
      split.push_back(word);
    }
  }
  return split;
}

std::string explain(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = named(app);
  const std::string found = cause_and_cure(app, command, error);
  const bool is_of_options = found.starts_with("unknown option");
  return found + (is_of_options ? full_name(app, command) + " --help lists the options"
                                : "see " + full_name(app, command) + " --help");
}

}  // namespace udppump::tools

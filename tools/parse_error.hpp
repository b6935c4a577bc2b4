#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace udppump::tools {

/// Writes "--name=" as two words, the second one empty: CLI11 would take the word behind it as the value.
std::vector<std::string> with_empty_values(const CLI::App& app, const std::vector<std::string>& words);

/// What is wrong with the command line, and what helps, in the words of this tool: CLI11 has its own. `app` is the one
/// that threw `error` when it parsed.
std::string explain(const CLI::App& app, const CLI::ParseError& error);

}  // namespace udppump::tools

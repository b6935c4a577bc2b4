#pragma once

#include <functional>
#include <string>
#include <system_error>
#include <vector>

namespace CLI {
class App;
}

/// The subcommands of the tool `udppump`. Each adds itself to the command line and puts what it does into `chosen` when
/// it is the one that was named; that returns the exit code. What it throws is printed in one line.
namespace udppump::tools {

/// Exit codes that all subcommands share; the --help of each tells its further ones.
enum exit_code : int { exit_ok = 0, exit_failed = 1, exit_usage = 2 };

/// The code for what a system call refused: exit_usage if what the command line names is not there, or is no such thing
/// (a file, a folder, a user, an interface, an address of this machine); else `otherwise`.
int code_of(const std::error_code& refused, int otherwise) noexcept;

using action = std::function<int()>;

void add_compare(CLI::App& app, action& chosen);
void add_doctor(CLI::App& app, action& chosen);
void add_load(CLI::App& app, action& chosen);
void add_metrics(CLI::App& app, action& chosen);
void add_scale(CLI::App& app, action& chosen);
void add_stat(CLI::App& app, action& chosen);
void add_top(CLI::App& app, action& chosen);
void add_work(CLI::App& app, action& chosen);
/// `program` is what stood after "--": it never went through CLI11, which would take an argument like "[a,b]" apart.
void add_exec(CLI::App& app, const std::vector<std::string>& program, action& chosen);

}  // namespace udppump::tools

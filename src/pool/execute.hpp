#pragma once

#include <string>
#include <vector>

#include "pump/worker_page.hpp"

namespace udppump::detail {

/// Pointers to the texts, and null behind them, as execve(2) takes them; valid as long as `texts` is unchanged.
std::vector<char*> pointers_to(const std::vector<std::string>& texts);

/// This process's environment without what is meant for the parent, and with UDPPUMP_WORKER.
std::vector<std::string> environment_for_worker(std::size_t number);

/// Executes a worker's program in this process. Comes back only if that fails: leaves last words, and returns the exit
/// status.
int execute(const std::string& path, const std::vector<std::string>& arguments,
            const std::vector<std::string>& environment, worker_page& page);

}  // namespace udppump::detail

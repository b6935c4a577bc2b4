#pragma once

#include <string>

#include "load/run/paced_sender.hpp"
#include "load/run/work_server.hpp"
#include "udppump/address.hpp"

namespace CLI {
class App;
}

namespace udppump::tools {

/// "shared", "lanes", "sharded" or "herd"; throws std::invalid_argument that says so.
load::queue_kind parse_queue(const std::string& text);

/// An address from the command line; throws std::invalid_argument with the option's name if it cannot be read, and
/// std::system_error if the resolver does not answer.
address parse_address(const char* option, const std::string& text);

/// --workers, --service and --waiter, which `work` and `compare` share. `server` must outlive the parsing.
void add_service_options(CLI::App& app, load::work_options& server, const std::string& group);

/// --realtime, which `load` and `compare` share; its default is what `priority` is.
void add_realtime_option(CLI::App& app, load::realtime& priority, const std::string& group);

}  // namespace udppump::tools

#include "shared_options.hpp"

#include <fmt/format.h>

#include <stdexcept>
#include <system_error>

#include "command_line.hpp"

namespace udppump::tools {

using load::queue_kind;
using load::realtime;
using load::service_mode;

queue_kind parse_queue(const std::string& text) {
  return one_of<queue_kind>({{"shared", queue_kind::shared},
                             {"lanes", queue_kind::lanes},
                             {"sharded", queue_kind::sharded},
                             {"herd", queue_kind::herd}})(text);
}

address parse_address(const char* option, const std::string& text) {
  try {
    return address::parse(text);
  } catch (const std::system_error& wrong) {
    if (wrong.code() != std::errc::invalid_argument) throw;  // the resolver, which may answer another time
    throw std::invalid_argument{fmt::format("{}: {}", option, wrong.what())};
  }
}

void add_service_options(CLI::App& app, load::work_options& server, const std::string& group) {
  add_parsed(app, "--workers", server.workers, count_in(1, 1024),
             {"N", fmt::format("{}", server.workers), "processes that serve, up to 1024", group});
  add_parsed(app, "--service", server.service,
             one_of<service_mode>({{"sleep", service_mode::sleep}, {"spin", service_mode::spin}}),
             {"NAME", "sleep", "sleep for the time asked, or spin: use as much CPU time", group});
  add_parsed(app, "--waiter", server.waiter,
             [](const std::string& text) {
               if (const auto kind = parse_waiter_kind(text)) return *kind;
               throw std::invalid_argument{'"' + text + "\" is none of: auto, epoll, uring, thread, poll"};
             },
             {"NAME", "auto", "how idle workers wait: auto, epoll, uring, thread or poll", group});
}

void add_realtime_option(CLI::App& app, realtime& priority, const std::string& group) {
  add_parsed(app, "--realtime", priority,
             one_of<realtime>({{"off", realtime::off}, {"auto", realtime::automatic}, {"on", realtime::on}}),
             {"NAME", priority == realtime::off ? "off" : "auto",
              "send as a SCHED_FIFO thread: on, off, or auto, if it is allowed", group});
}

}  // namespace udppump::tools

#include "event_log.hpp"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <cctype>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "udppump/printable.hpp"

#if defined(UDPPUMP_HAS_SYSTEMD)
#include <sys/uio.h>
#define SD_JOURNAL_SUPPRESS_LOCATION  // of this file, which would tell nobody anything
#include <systemd/sd-journal.h>
#endif

namespace udppump::tools {

namespace {

constexpr char journal_socket[] = "/run/systemd/journal/socket";  // sd_journal_send(3) is silent if it is missing

std::string_view to_string(pool_event::level level) {
  switch (level) {
    case pool_event::level::error:
      return "error";
    case pool_event::level::warning:
      return "warning";
    case pool_event::level::notice:
      return "notice";
    default:
      return "info";
  }
}

/// RFC 3339, UTC, with milliseconds.
std::string time_now() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  ::gmtime_r(&now.tv_sec, &parts);
  char seconds[32], whole[48];
  std::strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(whole, sizeof whole, "%s.%03ldZ", seconds, now.tv_nsec / 1'000'000);
  return whole;
}

std::string text_line(const pool_event& event) { return "udppump: " + event.text + '\n'; }

std::string json_line(const pool_event& event) {
  nlohmann::ordered_json line{{"time", time_now()},
                              {"level", to_string(event.severity)},
                              {"event", event.name},
                              {"text", event.text},
                              {"fields", nlohmann::ordered_json::object()}};
  for (const auto& [name, value] : event.fields) line["fields"][std::string{name}] = value;
  // What is no UTF-8, in a path say, becomes U+FFFD.
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

/// In one write, so that lines of several processes do not mix. A reader that is gone is no reason to die of SIGPIPE;
/// and the signal is not ignored, because programs that are executed would inherit that.
void write_line(const std::string& line) {
  sigset_t pipe, before;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, &before);
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0 && errno == EPIPE) {
    constexpr timespec at_once{};
    ::sigtimedwait(&pipe, nullptr, &at_once);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

#if defined(UDPPUMP_HAS_SYSTEMD)
void write_to_journal(const pool_event& event) {
  std::vector<std::string> fields{"MESSAGE=" + event.text,
                                  "PRIORITY=" + std::to_string(static_cast<int>(event.severity)),
                                  "SYSLOG_IDENTIFIER=udppump", "UDPPUMP_EVENT=" + std::string{event.name}};
  fields.reserve(fields.size() + event.fields.size());
  for (const auto& [name, value] : event.fields) {
    std::string field = "UDPPUMP_";
    for (const char one : name) field += static_cast<char>(std::toupper(static_cast<unsigned char>(one)));
    field.append("=").append(value);
    fields.push_back(std::move(field));
  }
  std::vector<iovec> parts;
  parts.reserve(fields.size());
  for (std::string& one : fields) parts.push_back({one.data(), one.size()});
  static_cast<void>(sd_journal_sendv(parts.data(), static_cast<int>(parts.size())));
}
#endif

}  // namespace

event_log::event_log(log_form form, pool_event::level least) : form_{form}, least_{least} {
  if (form != log_form::journal) return;
#if defined(UDPPUMP_HAS_SYSTEMD)
  if (::access(journal_socket, F_OK) != 0) {
    throw std::invalid_argument{"--log journal: no journal runs here (there is no " + std::string{journal_socket} +
                                "); take --log text or --log json"};
  }
#else
  throw std::invalid_argument{
      "--log journal: this udppump was built without libsystemd; take --log text or --log json"};
#endif
}

void event_log::write(pool_event event) const {
  if (event.severity > least_) return;
  // A pool's events are so already; others have the texts of exceptions, and these what was found in files and
  // elsewhere.
  event.text = printable(event.text);
  for (auto& [name, value] : event.fields) value = printable(value);
  switch (form_) {
    case log_form::text:
      return write_line(text_line(event));
    case log_form::json:
      return write_line(json_line(event));
    case log_form::journal:
#if defined(UDPPUMP_HAS_SYSTEMD)
      return write_to_journal(event);
#else
      return;
#endif
  }
}

}  // namespace udppump::tools

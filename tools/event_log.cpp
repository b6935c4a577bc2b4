#include "event_log.hpp"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cctype>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "udppump/datagram_socket.hpp"
#include "udppump/printable.hpp"

namespace udppump::tools {

namespace {

constexpr char journal_socket[] = "/run/systemd/journal/socket";

/// RFC 3339, UTC, with milliseconds.
std::string written(std::chrono::system_clock::time_point time) {
  const auto then = std::chrono::floor<std::chrono::milliseconds>(time);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(then);
  const time_t whole = std::chrono::system_clock::to_time_t(seconds);
  tm parts{};
  ::gmtime_r(&whole, &parts);
  char date[32], all[48];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(all, sizeof all, "%s.%03dZ", date, static_cast<int>((then - seconds).count()));
  return all;
}

std::string json_line(const pool_event& event) {
  nlohmann::ordered_json line{{"time", written(event.time)},
                              {"level", to_string(event.severity)},
                              {"event", event.name},
                              {"text", event.text},
                              {"fields", nlohmann::ordered_json::object()}};
  for (const auto& [name, value] : event.fields) line["fields"][std::string{name}] = value;
  // What is no UTF-8, in a path say, becomes U+FFFD.
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

/// Whether this is the stream by which the journal takes lines, as it was when the process was started
/// (systemd.exec(5), JOURNAL_STREAM).
bool is_journal_stream(int fd) {
  const char* const told = std::getenv("JOURNAL_STREAM");
  struct stat about {};
  if (told == nullptr || ::fstat(fd, &about) != 0) return false;
  return told == std::to_string(about.st_dev) + ':' + std::to_string(about.st_ino);
}

/// A datagram of the journal's protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): texts are printable, so no value has a
/// newline, and each is a line.
std::string journal_entry(const pool_event& event) {
  std::string entry = "MESSAGE=" + event.text + "\nPRIORITY=" + std::to_string(static_cast<int>(event.severity)) +
                      "\nSYSLOG_IDENTIFIER=udppump\nUDPPUMP_EVENT=" + std::string{event.name} +
                      "\nUDPPUMP_TIME=" + written(event.time) + '\n';
  for (const auto& [name, value] : event.fields) {
    entry += "UDPPUMP_";
    for (const char one : name) entry += static_cast<char>(std::toupper(static_cast<unsigned char>(one)));
    entry.append("=").append(value) += '\n';
  }
  return entry;
}

}  // namespace

/// systemd's journal. libsystemd's sd_journal_send(3) waits while the journal is stopped; this does not.
class journal {
 public:
  /// Throws std::invalid_argument if there is none.
  journal() : socket_{connected()} {}

  ~journal() { tell_loss(); }
  journal(const journal&) = delete;
  journal& operator=(const journal&) = delete;

  void write(const pool_event& event) noexcept {
    tell_loss();
    if (lost_ > 0 || !send(event)) ++lost_;
  }

 private:
  void tell_loss() noexcept {
    if (lost_ > 0 && send({pool_event::level::warning,
                           "log-lost",
                           "entries of this log were lost, as the journal did not take them: " + std::to_string(lost_),
                           {{"count", std::to_string(lost_)}}})) {
      lost_ = 0;
    }
  }
  static datagram_socket connected() try {
    return datagram_socket::connect(address::parse(std::string{"unix:"} + journal_socket));
  } catch (const std::system_error& refused) {
    throw std::invalid_argument{"--log journal: no journal listens at " + std::string{journal_socket} + " (" +
                                refused.code().message() + "); take --log text or --log json"};
  }
  bool send(const pool_event& event) noexcept {
    const std::string entry = journal_entry(event);
    const std::error_code refused = socket_.send(std::string_view{entry});
    if (!refused || refused == std::errc::resource_unavailable_try_again || refused == std::errc::no_buffer_space) {
      return !refused;
    }
    try {
      socket_ = connected();  // who listened is gone; another may listen there by now
    } catch (const std::exception&) {
      return false;
    }
    return !socket_.send(std::string_view{entry});
  }

  datagram_socket socket_;
  std::uint64_t lost_ = 0;
};

event_log::event_log(log_form form, pool_event::level least) : least_{least} {
  switch (form) {
    case log_form::automatic:
      if (is_journal_stream(STDERR_FILENO)) {
        try {
          journal_ = std::make_unique<journal>();
          break;
        } catch (const std::invalid_argument&) {  // hidden, in a container say; the stream is there
        }
      }
      [[fallthrough]];
    case log_form::text:
      lines_ = std::make_unique<log_writer>(STDERR_FILENO);
      break;
    case log_form::json:
      lines_ = std::make_unique<log_writer>(STDERR_FILENO, json_line);
      break;
    case log_form::journal:
      journal_ = std::make_unique<journal>();
  }
}
event_log::~event_log() = default;

void event_log::write(pool_event event) const {
  if (event.severity > least_ && event.name != "worker-says") return;
  // A pool's events are so already; others have the texts of exceptions, and these what was found in files and
  // elsewhere.
  event.text = printable(event.text);
  for (auto& [name, value] : event.fields) value = printable(value);
  if (journal_) return journal_->write(event);
  lines_->write(event);
}

}  // namespace udppump::tools

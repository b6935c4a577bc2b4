#pragma once

#include <memory>
#include <string>

#include "udppump/log_writer.hpp"

namespace udppump::tools {

/// How events are written. text: to stderr, as log_writer::text_line(). json: to stderr, one object a line. journal:
/// systemd's, with the fields (sd_journal_send(3)). automatic: the journal if stderr goes there, else text.
enum class log_form { automatic, text, json, journal };

class journal;

/// Writes a pool's events, and never waits for who reads them: what cannot be written at once is lost, and told of with
/// the next one that can.
class event_log {
 public:
  /// `least`: what is less severe is left out, but for what programs write to stderr. Throws std::invalid_argument if
  /// there is no journal.
  event_log(log_form form, pool_event::level least);
  ~event_log();
  event_log(const event_log&) = delete;
  event_log& operator=(const event_log&) = delete;

  void write(pool_event event) const;

 private:
  pool_event::level least_;
  std::unique_ptr<log_writer> lines_;  // either of them
  std::unique_ptr<journal> journal_;
};

}  // namespace udppump::tools

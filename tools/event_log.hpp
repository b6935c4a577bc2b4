#pragma once

#include <string>

#include "udppump/worker_pool.hpp"

namespace udppump::tools {

/// How events are written. text: to stderr, as "udppump: TEXT". json: to stderr, one object a line. journal: systemd's,
/// with the fields (sd_journal_send(3)).
enum class log_form { text, json, journal };

/// Writes a pool's events. Nobody reading them never ends the program, nor does it wait for longer than a write.
class event_log {
 public:
  /// `least`: what is less severe is left out. Throws std::invalid_argument if there is no journal.
  event_log(log_form form, pool_event::level least);

  void write(pool_event event) const;

 private:
  log_form form_;
  pool_event::level least_;
};

}  // namespace udppump::tools

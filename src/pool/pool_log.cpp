#include "pool/pool_log.hpp"

#include "sys/printable.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

void pool_log::error(std::string_view name, std::string text, fields more) const {
  write({pool_event::level::error, name, std::move(text), std::move(more)});
}
void pool_log::warning(std::string_view name, std::string text, fields more) const {
  write({pool_event::level::warning, name, std::move(text), std::move(more)});
}
void pool_log::notice(std::string_view name, std::string text, fields more) const {
  write({pool_event::level::notice, name, std::move(text), std::move(more)});
}
void pool_log::info(std::string_view name, std::string text, fields more) const {
  write({pool_event::level::info, name, std::move(text), std::move(more)});
}

void pool_log::write(pool_event event) const {
  // Here and nowhere else: texts come from exceptions, from workers and from other processes.
  event.text = printable(event.text);
  for (auto& [name, value] : event.fields) value = printable(value);
  if (sink_) return sink_(event);
  // One write, so that lines of several processes do not mix.
  const std::string line = "udppump: " + event.text + '\n';
  // A reader that is gone must not end the pool.
  sigset_t pipe;
  sigset_t before;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  static_cast<void>(sys::signal_mask(SIG_BLOCK, pipe, &before));
  if (sys::write(STDERR_FILENO, line.data(), line.size()) == -EPIPE) {
    static_cast<void>(sys::take_pending(pipe));
  }
  static_cast<void>(sys::signal_mask(SIG_SETMASK, before));
}

}  // namespace udppump::detail

#include "pool/pool_log.hpp"

#include <unistd.h>

#include "sys/printable.hpp"

namespace udppump::detail {

pool_log::pool_log(std::function<void(const pool_event&)> sink)
    : sink_{std::move(sink)}, stderr_{sink_ ? nullptr : std::make_unique<log_writer>(STDERR_FILENO)} {}

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
  stderr_->write(event);
}

}  // namespace udppump::detail

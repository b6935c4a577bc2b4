#include "pool/pool_log.hpp"

#include <unistd.h>

#include "sys/printable.hpp"

namespace udppump::detail {

namespace {

/// Here and nowhere else: texts come from exceptions, from workers and from other processes.
pool_event as_printable(pool_event event) {
  event.text = printable(event.text);
  for (auto& [name, value] : event.fields) value = printable(value);
  return event;
}

}  // namespace

pool_log::pool_log(std::function<void(const pool_event&)> sink)
    : stderr_{sink ? nullptr : std::make_unique<log_writer>(STDERR_FILENO)}, sink_{std::move(sink)} {
  if (stderr_) sink_ = [lines = stderr_.get()](const pool_event& event) { lines->write(event); };
}

void pool_log::error(std::string_view name, std::string text, fields more, std::size_t most) const {
  write({pool_event::level::error, name, std::move(text), std::move(more)}, most);
}
void pool_log::warning(std::string_view name, std::string text, fields more, std::size_t most) const {
  write({pool_event::level::warning, name, std::move(text), std::move(more)}, most);
}
void pool_log::notice(std::string_view name, std::string text, fields more, std::size_t most) const {
  write({pool_event::level::notice, name, std::move(text), std::move(more)}, most);
}
void pool_log::info(std::string_view name, std::string text, fields more, std::size_t most) const {
  write({pool_event::level::info, name, std::move(text), std::move(more)}, most);
}

void pool_log::say(pool_event::level how, std::string_view name, std::string text, fields more) const {
  sink_(as_printable({how, name, std::move(text), std::move(more)}));
}

void pool_log::write(pool_event event, std::size_t most) const {
  limit_.pass(as_printable(std::move(event)), most, log_limit::clock::now(), sink_);
}

}  // namespace udppump::detail

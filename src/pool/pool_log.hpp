#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pool/log_limit.hpp"
#include "udppump/log_writer.hpp"
#include "udppump/worker_pool.hpp"

namespace udppump::detail {

/// Where a pool's events go, with texts that are printable() whatever they are made of, and with a limit for each kind
/// (log_limit). One thread.
class pool_log {
 public:
  using fields = std::vector<std::pair<std::string_view, std::string>>;
  /// So many lines of a kind are written at once, if nothing else is said.
  static constexpr std::size_t at_once = 64;

  /// Without a sink, to stderr.
  explicit pool_log(std::function<void(const pool_event&)> sink);

  void error(std::string_view name, std::string text, fields more = {}, std::size_t most = at_once) const;
  void warning(std::string_view name, std::string text, fields more = {}, std::size_t most = at_once) const;
  void notice(std::string_view name, std::string text, fields more = {}, std::size_t most = at_once) const;
  void info(std::string_view name, std::string text, fields more = {}, std::size_t most = at_once) const;
  /// What a program writes: all of it.
  void say(pool_event::level how, std::string_view name, std::string text, fields more) const;

  /// Writes what is due of what the limit has kept back.
  void write_due(log_limit::clock::time_point now) const { limit_.write_due(now, sink_); }
  /// All of it, as nothing follows.
  void write_all() const { limit_.write_all(sink_); }
  /// When write_due() has something.
  log_limit::clock::time_point next() const noexcept { return limit_.next(); }

  /// Which no worker should have; -1: none.
  int own_descriptor() const noexcept { return stderr_ ? stderr_->own_descriptor() : -1; }

 private:
  void write(pool_event event, std::size_t most) const;

  std::unique_ptr<log_writer> stderr_;  // without a sink
  std::function<void(const pool_event&)> sink_;
  mutable log_limit limit_;
};

/// The lines of a pool_log that workers or other processes can provoke as often as they like: fewer at once.
class provoked_log {
 public:
  /// `log` outlives it.
  explicit provoked_log(const pool_log& log) noexcept : log_{log} {}

  static constexpr std::size_t at_once = 16;
  void error(std::string_view name, std::string text) const { log_.error(name, std::move(text), {}, at_once); }
  void warning(std::string_view name, std::string text, std::size_t most = at_once) const {
    log_.warning(name, std::move(text), {}, most);
  }
  void notice(std::string_view name, std::string text) const { log_.notice(name, std::move(text), {}, at_once); }

 private:
  const pool_log& log_;
};

}  // namespace udppump::detail

#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "udppump/log_writer.hpp"
#include "udppump/worker_pool.hpp"

namespace udppump::detail {

/// Where a pool's events go, with texts that are printable() whatever they are made of.
class pool_log {
 public:
  using fields = std::vector<std::pair<std::string_view, std::string>>;

  /// Without a sink, to stderr.
  explicit pool_log(std::function<void(const pool_event&)> sink);

  void error(std::string_view name, std::string text, fields more = {}) const;
  void warning(std::string_view name, std::string text, fields more = {}) const;
  void notice(std::string_view name, std::string text, fields more = {}) const;
  void info(std::string_view name, std::string text, fields more = {}) const;
  /// Which no worker should have; -1: none.
  int own_descriptor() const noexcept { return stderr_ ? stderr_->own_descriptor() : -1; }

 private:
  void write(pool_event event) const;

  std::function<void(const pool_event&)> sink_;
  std::unique_ptr<log_writer> stderr_;  // without a sink
};

}  // namespace udppump::detail

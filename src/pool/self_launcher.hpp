#pragma once

#include "pool/launcher.hpp"
#include "pool/own_command.hpp"

namespace udppump::detail {

/// Workers are executions of this program's own file, which find their inheritance.
class self_launcher : public launcher {
 public:
  /// `command` outlives it.
  self_launcher(const launch_context& context, const own_command& command) : context_{context}, command_{command} {}

  std::unique_ptr<running_worker> start(const assignment& what) override;
  bool keeps_pages() const noexcept override { return true; }

 private:
  const launch_context& context_;
  const own_command& command_;
};

}  // namespace udppump::detail

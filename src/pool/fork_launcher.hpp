#pragma once

#include "pool/launcher.hpp"

namespace udppump::detail {

/// Workers are forks of this process that run a body.
class fork_launcher : public launcher {
 public:
  fork_launcher(const launch_context& context, worker_body body) : context_{context}, body_{std::move(body)} {}

  std::unique_ptr<running_worker> start(const assignment& what) override;
  bool keeps_pages() const noexcept override { return true; }

 private:
  const launch_context& context_;
  const worker_body body_;
};

}  // namespace udppump::detail

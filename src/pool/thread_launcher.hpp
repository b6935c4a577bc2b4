#pragma once

#include "pool/launcher.hpp"

namespace udppump::detail {

/// Workers are threads of this process that run a body.
class thread_launcher : public launcher {
 public:
  /// `alive` keeps `context` and all that it names, as long as a thread runs, even one that was abandoned.
  thread_launcher(const launch_context& context, worker_body body, std::shared_ptr<const void> alive)
      : context_{context}, body_{std::make_shared<const worker_body>(std::move(body))}, alive_{std::move(alive)} {}

  std::unique_ptr<running_worker> start(const assignment& what) override;
  bool keeps_pages() const noexcept override { return true; }

 private:
  const launch_context& context_;
  const std::shared_ptr<const worker_body> body_;
  const std::shared_ptr<const void> alive_;
};

}  // namespace udppump::detail

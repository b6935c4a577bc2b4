#include "udppump/pump_group.hpp"

#include <stdexcept>

#include "pump/group_core.hpp"

namespace udppump {

pump_group::pump_group(pump_group_options options) {
  if (options.budget_time.count() <= 0) throw std::invalid_argument{"pump_group_options::budget_time must be above 0"};
  core_ = std::make_shared<detail::group_core>(options.waiter, options.budget_time, false);
}

pump_group::pump_group(std::shared_ptr<detail::group_core> core) noexcept : core_{std::move(core)} {}

pump_group::~pump_group() = default;

int pump_group::wake_fd() const noexcept { return core_->signal()->fd(); }

std::error_code pump_group::dispatch() {
  const auto group = core_;
  return group->dispatch();
}

std::error_code pump_group::run() {
  const auto group = core_;
  return group->run();
}

void pump_group::request_stop() noexcept { core_->request_stop(); }
void pump_group::after_fork() { core_->after_fork(); }
waiter_report pump_group::waiter() const { return core_->waiter(); }
std::size_t pump_group::size() const noexcept { return core_->size(); }

}  // namespace udppump

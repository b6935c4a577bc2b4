#include "udppump/pump_group.hpp"

#include <stdexcept>
#include <utility>

#include "pump/group_core.hpp"

namespace udppump {

grouped_pump& grouped_pump::operator=(grouped_pump&& other) noexcept {
  if (this == &other) return *this;
  stop();
  group_ = std::move(other.group_);
  member_ = std::move(other.member_);
  return *this;
}

void grouped_pump::stop() noexcept {
  if (member_) group_->remove(*member_);
}

void grouped_pump::request_stop() noexcept {
  if (member_) group_->request_stop(*member_);
}

bool grouped_pump::stopped() const noexcept { return !member_ || member_->pump.over(); }
pump_stats grouped_pump::stats() const { return member_ ? member_->pump.stats() : pump_stats{}; }
std::size_t grouped_pump::in_flight() const noexcept { return member_ ? member_->pump.in_flight() : 0; }

pump_group::pump_group(pump_group_options options) {
  if (options.budget_time.count() <= 0) throw std::invalid_argument{"budget_time is not above 0; give 1 ns at least"};
  core_ = std::make_shared<detail::group_core>(options.waiter, options.budget_time, false);
}

pump_group::pump_group(std::shared_ptr<detail::group_core> core) noexcept : core_{std::move(core)} {}

pump_group::~pump_group() { core_->stop(); }

grouped_pump pump_group::add(datagram_socket& socket, handler on_datagram, pump_options options) {
  return {core_, core_->add(socket, std::move(on_datagram), std::move(options))};
}

int pump_group::wake_fd() const noexcept { return core_->signal()->fd(); }

void pump_group::edge_triggered(bool is) noexcept { core_->edge_triggered(is); }

std::error_code pump_group::dispatch() {
  const auto group = core_;  // a handler may destroy this group
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

#include "udppump/pump.hpp"

#include <utility>

#include "pump/group_core.hpp"

namespace udppump {

using detail::group_core;

pump::pump(datagram_socket& socket, handler on_datagram, pump_options options, waiter_kind waiter)
    : group_{std::make_shared<group_core>(waiter, options.budget_time, true)},
      member_{group_->add(socket, std::move(on_datagram), std::move(options))} {}

pump::~pump() { stop(); }

datagram_socket& pump::socket() const noexcept { return member_->pump.socket(); }
int pump::wake_fd() const noexcept { return group_->signal()->fd(); }

void pump::edge_triggered(bool is) noexcept { group_->edge_triggered(is); }

std::error_code pump::dispatch() {
  const auto group = group_;  // a handler may destroy this pump
  return group->dispatch();
}

std::error_code pump::run() {
  const auto group = group_;
  return group->run();
}

void pump::stop() noexcept { group_->remove(*member_); }
void pump::request_stop() noexcept { group_->request_stop(*member_); }
bool pump::stopped() const noexcept { return member_->pump.over(); }
void pump::after_fork() { group_->after_fork(); }
waiter_report pump::waiter() const { return group_->waiter(); }
pump_stats pump::stats() const { return member_->pump.stats(); }
std::size_t pump::in_flight() const noexcept { return member_->pump.in_flight(); }

}  // namespace udppump

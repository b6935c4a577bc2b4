#include "udppump/pump.hpp"

#include <algorithm>
#include <stdexcept>

#include "pump/group_core.hpp"
#include "pump/pump_core.hpp"
#include "sys/failure.hpp"

namespace udppump {

using detail::group_core;
using detail::pump_core;

namespace {

constexpr std::chrono::seconds longest_stand_by{1};
constexpr std::size_t largest_receive_limit = std::size_t{1} << 30;

void check(const pump_options& options) {
  if (options.receive_limit == 0 || options.receive_limit > largest_receive_limit) {
    throw std::invalid_argument{"pump_options::receive_limit is " + std::to_string(options.receive_limit) +
                                "; 1 to 1 GiB"};
  }
  if (options.budget_datagrams == 0) throw std::invalid_argument{"pump_options::budget_datagrams is 0; at least 1"};
  if (options.budget_time.count() <= 0) throw std::invalid_argument{"pump_options::budget_time must be above 0"};
  if (options.stand_by.count() < 0) throw std::invalid_argument{"pump_options::stand_by must not be negative"};
  if (options.stand_by > longest_stand_by) {
    throw std::invalid_argument{"pump_options::stand_by is more than a second: for so long a datagram might wait"};
  }
}

std::shared_ptr<group_core> group_of_one(const datagram_socket& socket, const pump_options& options) {
  check(options);
  if (socket.fd() < 0) detail::fail(EBADF, "pump: the socket was moved from or released");
  return std::make_shared<group_core>(options.waiter, options.budget_time, true);
}

}  // namespace

pump::pump(datagram_socket& socket, handler on_datagram, pump_options options)
    : group_{group_of_one(socket, options)},
      core_{std::make_shared<pump_core>(socket, std::move(on_datagram), std::move(options), group_->signal())} {
  group_->add(core_);
}

pump::pump(pump_group& group, datagram_socket& socket, handler on_datagram, pump_options options)
    : group_{group.core_} {
  check(options);
  if (socket.fd() < 0) detail::fail(EBADF, "pump: the socket was moved from or released");
  if (options.waiter != waiter_kind::automatic) {
    throw std::invalid_argument{"pump_options::waiter is set for a pump in a group; set pump_group_options::waiter"};
  }
  if (const auto& link = group_->link(); link && link->keeps_datagrams()) {
    if (socket.control().segments) {
      throw std::invalid_argument{"pump: receive_offload takes many datagrams at once; redeliver can keep one"};
    }
    options.receive_limit = std::min(options.receive_limit, link->payload_limit());
  }
  core_ =
      std::make_shared<pump_core>(socket, std::move(on_datagram), std::move(options), group_->signal(), group_->link());
  group_->add(core_);
}

pump::~pump() { stop(); }

datagram_socket& pump::socket() const noexcept { return core_->socket(); }
int pump::wake_fd() const noexcept { return group_->signal()->fd(); }

std::error_code pump::dispatch() {
  const auto group = group_;  // a handler may destroy this pump
  return group->dispatch();
}

std::error_code pump::run() {
  const auto group = group_;
  return group->run();
}

void pump::stop() noexcept { group_->remove(*core_); }
void pump::request_stop() noexcept { group_->request_stop(*core_); }
bool pump::stopped() const noexcept { return core_->over(); }
void pump::after_fork() { group_->after_fork(); }
waiter_report pump::waiter() const { return group_->waiter(); }
pump_stats pump::stats() const { return core_->stats(); }
std::size_t pump::in_flight() const noexcept { return core_->in_flight(); }

pump_group::pump_group(pump_group_options options) {
  if (options.budget_time.count() <= 0) throw std::invalid_argument{"pump_group_options::budget_time must be above 0"};
  core_ = std::make_shared<group_core>(options.waiter, options.budget_time, false);
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

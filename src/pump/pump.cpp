#include "udppump/pump.hpp"

#include <algorithm>
#include <stdexcept>

#include "pump/group_core.hpp"
#include "sys/failure.hpp"

namespace udppump {

using detail::group_core;

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
    : group_{group_of_one(socket, options)}, member_{group_->add(socket, std::move(on_datagram), std::move(options))} {}

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
  member_ = group_->add(socket, std::move(on_datagram), std::move(options));
}

pump::~pump() { stop(); }

datagram_socket& pump::socket() const noexcept { return member_->pump.socket(); }
int pump::wake_fd() const noexcept { return group_->signal()->fd(); }

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

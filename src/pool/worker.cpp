#include "udppump/worker.hpp"

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "pool/run_body.hpp"
#include "pump/group_core.hpp"

namespace udppump {

namespace {

constexpr std::chrono::milliseconds group_budget{5};

}  // namespace

struct worker::parts {
  std::shared_ptr<detail::worker_link> link;
  std::span<datagram_socket> sockets;
  std::shared_ptr<detail::group_core> group;
};

worker detail::worker_maker::make(std::shared_ptr<worker_link> link, pool_sockets& sockets, waiter_kind kind,
                                  std::shared_ptr<wake_signal> signal) {
  auto group = std::make_shared<group_core>(kind, group_budget, std::move(signal), link);
  return worker{worker::parts{std::move(link), sockets.all(), std::move(group)}};
}

worker::worker(parts made) : link_{std::move(made.link)}, sockets_{made.sockets}, pumps_{std::move(made.group)} {}

worker::~worker() { link_->on_stop = nullptr; }

std::size_t worker::number() const noexcept { return link_->page().number.load(std::memory_order_relaxed); }
bool worker::stopping() const noexcept { return link_->told_to_stop(); }
void worker::ready() noexcept { link_->serving(); }
void worker::on_stop(std::function<void()> call) { link_->on_stop = std::move(call); }

std::error_code worker::serve(handler on_datagram, const pump_options& options) {
  std::vector<grouped_pump> pumps;
  for (datagram_socket& socket : sockets_) pumps.push_back(pumps_.add(socket, on_datagram, options));
  const std::error_code error = pumps_.run();
  // What is held is finished; the parent has the patience, and ends it with SIGKILL.
  const auto busy = [&pumps] {
    return std::ranges::any_of(pumps, [](const grouped_pump& each) { return each.in_flight() != 0; });
  };
  while (!error && busy()) std::this_thread::sleep_for(std::chrono::milliseconds{1});
  return error;
}

}  // namespace udppump

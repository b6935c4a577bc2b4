#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "pump/group_core.hpp"
#include "sys/failure.hpp"

namespace udppump::detail {

std::shared_ptr<member> group_core::add(datagram_socket& socket, handler on_datagram, pump_options options) {
  check(options);
  if (!on_datagram) throw std::invalid_argument{"pump: the handler was moved from; give the one that has the function"};
  if (socket.fd() < 0)
    detail::fail(EBADF, "pump: the socket was moved from or released; give the object that has the descriptor now");
  if (const auto& link = errands_.link(); link && link->keeps_datagrams()) {
    if (socket.control().segments) {
      throw std::invalid_argument{
          "pump: receive_offload takes many datagrams at once, and redeliver can keep one; omit one of the two"};
    }
    options.receive_limit = std::min(options.receive_limit, link->payload_limit());
  }
  if (const auto& link = errands_.link()) {
    if (options.max_age.count() == 0) options.max_age = link->max_age_for(socket);
    if (!options.client_limit) options.client_limit = link->client_limit;
    if (!options.client_share) options.client_share = link->client_share;
  }
  // The lanes before it are looked at after each datagram.
  if (!single_ && socket.lane() != 0) options.budget_datagrams = 1;
  if (guard_.is_elsewhere()) {
    throw std::system_error{make_error_code(errc::wrong_thread),
                            "pump: a group that is served takes no pump from elsewhere"};
  }
  auto one = std::make_shared<member>(socket, std::move(on_datagram), std::move(options), signal_, guard_.mark(),
                                      errands_.link());
  one->is_withheld = errands_.link() && errands_.link()->withholds(socket);
  grow_buffer(one->pump.receive_size());
  pumps_.add(one);
  if (interface_watch::is_needed_by(socket)) watch_interfaces_of(one);
  signal_->notify();
  return one;
}

void group_core::watch_interfaces_of(const std::shared_ptr<member>& one) {
  try {
    const auto watch = std::make_shared<interface_watch>(one->pump.socket());
    const auto look = [watch, watched = std::weak_ptr{one}] {
      const auto kept = watched.lock();
      if (!kept || kept->pump.over()) return;
      for (const auto& change : watch->mend_and_read_changes()) kept->pump.report_interface(change);
    };
    pump_options options;
    options.on_error = [look](const receive_error& error) {
      if (error.what == receive_error::kind::receive) look();  // some notices were lost
    };
    auto watcher = std::make_shared<member>(
        watch->notices(), [look](datagram&) { look(); }, std::move(options), signal_, guard_.mark());
    watcher->watch = watch;
    grow_buffer(watcher->pump.receive_size());
    pumps_.add(watcher);
    one->watcher = std::move(watcher);
  } catch (const std::system_error& refused) {
    one->pump.report_interface_later({refused.code(), "interfaces are not watched: " + std::string{refused.what()} +
                                                          "; if one is deleted and made again, restart the program"});
  }
}

void group_core::stop() noexcept {
  pumps_.for_each([this](member& each) { remove(each); });
}

void group_core::remove(member& leaving) noexcept {
  const auto kept = pumps_.remove(leaving);
  if (!kept) return;
  leaving.pump.end();
  disarm(leaving);
  if (leaving.watch) return;
  if (leaving.watcher) remove(*leaving.watcher);
  if (leaving.pump.failure()) (single_ ? error_ : last_failure_) = leaving.pump.failure();
}

void group_core::grow_buffer(std::size_t size) {
  if (size <= buffer_size_) return;
  buffer_ = std::shared_ptr<std::byte[]>{new std::byte[size]};
  buffer_size_ = size;
}

}  // namespace udppump::detail

#include "metrics/server.hpp"

#include <netinet/in.h>
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "load/plan/quantity.hpp"
#include "metrics/families.hpp"
#include "metrics/pool_labels.hpp"
#include "metrics/port_holder.hpp"
#include "metrics/usage_history.hpp"
#include "udppump/descriptor.hpp"

namespace udppump::metrics {

namespace {

class collector : public prometheus::Collectable {
 public:
  explicit collector(server::look pools) : pools_{std::move(pools)} {}
  std::vector<prometheus::MetricFamily> Collect() const override {
    const std::lock_guard one_at_a_time{looking_};
    try {
      const auto now = std::chrono::steady_clock::now();
      std::vector<pool_status> pools = pools_();
      usage_.keep_from_going_back(pools, now);
      return families_of(pools, labels_.of(pools, now));
    } catch (const std::exception&) {
      return families_of({}, {});  // that there are none to be seen is a reason for an alert
    }
  }

 private:
  const server::look pools_;
  mutable std::mutex looking_;
  mutable usage_history usage_;
  mutable pool_labels labels_;
};

}  // namespace

std::error_code refusal_at(const address& where) {
  const detail::descriptor probe{::socket(where.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const int on = 1;
  if (probe) static_cast<void>(::setsockopt(probe.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
  if (probe && ::bind(probe.fd(), where.data(), static_cast<socklen_t>(where.size())) == 0 &&
      ::listen(probe.fd(), 1) == 0) {
    return {};
  }
  return {errno, std::generic_category()};
}

failure explained(const std::error_code& refusal, const address& where) {
  std::string cure = "give an address of this machine, and a port above 1023 or root's rights";
  if (refusal == std::errc::address_in_use) {
    const std::string holder = port_holder(where);
    cure =
        (holder.empty() ? "stop what listens there (ss -ltnp as root shows it)" : holder + " listens there: stop it") +
        ", or give another port";
  }
  return failure{refusal, "metrics at " + where.to_string(), cure};
}

struct server::parts {
  explicit parts(std::vector<std::string> options) : exposer{std::move(options)} {}
  std::shared_ptr<collector> collects;
  prometheus::Exposer exposer;
};

address parse_listener(const std::string& text) {
  const bool is_port = !text.empty() && text.find_first_not_of("0123456789", text.front() == ':' ? 1 : 0) == text.npos;
  const std::string written = is_port ? "127.0.0.1:" + text.substr(text.front() == ':' ? 1 : 0) : text;
  const auto read = address::parse_numeric(written);
  if (!read || read->is_unix()) {
    throw std::invalid_argument{
        load::quoted(text) +
        " is no address to listen at, such as 127.0.0.1:9153, [::1]:9153, or :9153, which is of "
        "127.0.0.1 too"};
  }
  return *read;
}

server::server(const address& where, look pools) : local_{where} {
  // The exposer only says that something did not work.
  if (const std::error_code refusal = refusal_at(where)) throw explained(refusal, where);
  parts_ = std::make_unique<parts>(std::vector<std::string>{"listening_ports", where.to_string(), "num_threads", "16",
                                                            "request_timeout_ms", "2000", "enable_keep_alive", "no"});
  parts_->collects = std::make_shared<collector>(std::move(pools));
  parts_->exposer.RegisterCollectable(parts_->collects);
  const auto ports = parts_->exposer.GetListeningPorts();
  if (!ports.empty()) local_ = where.with_port(static_cast<std::uint16_t>(ports.front()));
}

server::~server() = default;

}  // namespace udppump::metrics

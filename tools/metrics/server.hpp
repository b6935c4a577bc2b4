#pragma once

#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "udppump/address.hpp"
#include "udppump/failure.hpp"
#include "udppump/pool_status.hpp"

namespace udppump::metrics {

/// Where to listen: an address as udppump writes them, but ":PORT" and "PORT" are of 127.0.0.1 alone, as what is told
/// is not for everybody. Throws std::invalid_argument.
address parse_listener(const std::string& text);

/// Why it cannot be listened there now; none if it can.
std::error_code refusal_at(const address& where);
/// The same for people: who has the port, as far as this user may know, and what helps. Reads all of /proc for that.
failure explained(const std::error_code& refusal, const address& where);

/// Tells Prometheus of pools, in its text format (0.0.4), at /metrics. Sixteen connections at a time; one that says
/// nothing for two seconds is closed, and what comes beyond waits.
class server {
 public:
  /// Called for each request, by several threads, one at a time; what it throws is an empty answer.
  using look = std::function<std::vector<pool_status>()>;

  /// Throws std::system_error: in use, no permission, no such address here.
  server(const address& where, look pools);
  ~server();
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  /// With the port that port 0 has become.
  const address& local() const noexcept { return local_; }

 private:
  struct parts;
  address local_;
  std::unique_ptr<parts> parts_;
};

}  // namespace udppump::metrics

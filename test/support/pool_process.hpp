#pragma once

#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <udppump/pool_status.hpp>
#include <udppump/worker_pool.hpp>
#include <vector>

#include "support/process.hpp"

/// What a pool logs, and how its sockets are called, where the test can read it.
struct pool_report {
  std::atomic<unsigned> port{0};
  std::atomic<std::size_t> used{0};
  std::array<char, 1 << 16> text{};

  void note(std::string_view name, const std::string& line) {
    const std::string whole = std::string{name} + ": " + line + '\n';
    const std::size_t at = used.load();
    if (at + whole.size() > text.size()) return;
    std::memcpy(text.data() + at, whole.data(), whole.size());
    used = at + whole.size();
  }
  std::string log() const { return {text.data(), used.load()}; }
  bool says(const std::string& part) const { return log().find(part) != std::string::npos; }
};

/// A worker's body whose failed expectations reach the test: the worker then ends with status 1, and says why it did.
inline std::function<void(udppump::worker&)> told_to_the_parent(std::function<void(udppump::worker&)> body) {
  return [body = std::move(body)](udppump::worker& self) {
    const bool had_failed = testing::Test::HasFailure();
    body(self);
    if (!had_failed && testing::Test::HasFailure()) throw std::runtime_error{"an expectation in the worker failed"};
  };
}

/// A pool in a process of its own, which is its parent.
class pool_process {
 public:
  using serving = std::function<int(udppump::worker_pool&)>;

  /// `serve` runs the pool; what it returns is the exit status. If the pool cannot be made, the status is 90 and the
  /// log has the reason.
  pool_process(udppump::pool_options options, serving serve)
      : report_{std::make_unique<shared<pool_report>>()}, process_{[&, report = report_.get()] {
          options.log = [report](const udppump::pool_event& event) { (*report)->note(event.name, event.text); };
          if (options.bind.empty()) options.bind = {"127.0.0.1:0"};
          if (options.socket.receive_buffer == 0) options.socket.receive_buffer = 4 << 20;
          try {
            udppump::worker_pool pool{options};
            (*report)->port = pool.sockets()[0].local().port();
            return serve(pool);
          } catch (const std::exception& refused) {
            (*report)->note("refused", refused.what());
            return 90;
          }
        }} {}

  static pool_process serving_with(udppump::pool_options options, std::function<void(udppump::datagram&)> handler,
                                   const udppump::pump_options& each = {}) {
    return {std::move(options), [handler, each](udppump::worker_pool& pool) { return pool.serve(handler, each); }};
  }

  pool_process(pool_process&&) = default;

  /// Once all workers serve.
  udppump::address address() const {
    EXPECT_TRUE(says("serving: ")) << log();
    return udppump::address::parse("127.0.0.1:" + std::to_string((*report_)->port.load()));
  }
  bool says(const std::string& part) const {
    return eventually([&] { return (*report_)->says(part); });
  }
  bool has_said(const std::string& part) const { return (*report_)->says(part); }
  std::size_t count(const std::string& part) const {
    const std::string all = log();
    std::size_t found = 0;
    for (auto at = all.find(part); at != std::string::npos; at = all.find(part, at + 1)) ++found;
    return found;
  }
  std::string log() const { return (*report_)->log(); }
  udppump::pool_status status() const { return udppump::pool_status::of(process_.pid()); }
  std::vector<pid_t> workers() const {
    std::vector<pid_t> pids;
    for (const auto& one : status().workers) pids.push_back(one.pid);
    return pids;
  }
  pid_t pid() const { return process_.pid(); }
  /// To one that has been seen to end, nothing: its number is -1 then, which would be everybody.
  void signal(int number) const {
    if (process_.pid() > 0) ::kill(process_.pid(), number);
  }
  int join() { return process_.join(); }
  int stop() {
    signal(SIGTERM);
    return join();
  }

 private:
  std::unique_ptr<shared<pool_report>> report_;
  child_process process_;
};

#pragma once

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <udppump/pump.hpp>

/// How long a test waits for what must happen; long, for slow and busy machines. Nothing waits it out in vain but a
/// failing test.
constexpr std::chrono::seconds patience{20};

inline udppump::datagram_socket bound(const udppump::socket_options& options = {}, const char* where = "127.0.0.1:0") {
  return udppump::datagram_socket::bind(udppump::address::parse(where), options);
}

/// Whether `descriptor` is readable within the time.
inline bool readable(int descriptor, std::chrono::milliseconds within = std::chrono::milliseconds{0}) {
  pollfd one{.fd = descriptor, .events = POLLIN, .revents = 0};
  return ::poll(&one, 1, static_cast<int>(within.count())) > 0;
}

/// An event loop in one line: dispatches a pump or group whenever it asks for it, until the condition holds. False
/// if it does not in time.
template <class Source, class Condition>
bool serve_until(Source& source, Condition holds, std::chrono::milliseconds within = patience) {
  const auto deadline = std::chrono::steady_clock::now() + within;
  while (!holds()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    if (!readable(source.wake_fd(), std::min(left, std::chrono::milliseconds{100}))) continue;
    if (source.dispatch()) return holds();
  }
  return true;
}

/// Dispatches until nothing is left to do, so that the pump is armed.
template <class Source>
void settle(Source& source) {
  for (int turn = 0; turn < 1000 && readable(source.wake_fd()); ++turn) {
    if (source.dispatch()) return;
  }
}

template <class Condition>
bool eventually(Condition holds, std::chrono::milliseconds within = patience) {
  const auto deadline = std::chrono::steady_clock::now() + within;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  return true;
}

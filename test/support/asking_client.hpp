#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <udppump/datagram_socket.hpp>

#include "support/private_folder.hpp"
#include "support/serve.hpp"
#include "support/sockets.hpp"
#include "support/task_state.hpp"

/// Sends and receives one at a time.
class asking_client {
 public:
  explicit asking_client(const udppump::address& server) : socket_{udppump::datagram_socket::connect(server)} {}
  void send(std::string_view text) const { EXPECT_FALSE(socket_.send(text)); }
  /// What comes within the time; empty if nothing does.
  std::string receive(std::chrono::milliseconds within = patience) const {
    return received(socket_, within).value_or("");
  }
  std::string ask(std::string_view text) const {
    send(text);
    return receive();
  }

 private:
  udppump::datagram_socket socket_;
};

inline void echo(udppump::datagram& received) { received.reply(received.payload); }

/// Whether the process has ended, waited for or not.
inline bool is_gone(pid_t pid) {
  const std::string state = state_of("/proc/" + std::to_string(pid));
  return state.empty() || state == "Z";
}

/// In a folder that other users may look into, and that is gone when the test program ends.
inline std::string temporary_path(const std::string& name) {
  static const private_folder all{0755};
  return all / name;
}

#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <thread>

#include "support/serve.hpp"

/// While it lives, the kernel stamps what comes for any socket that asks for it. It begins to do so some time after the
/// first one asked (net/core/dev.c: net_enable_timestamp), and what comes before is stamped when it is received.
class stamping {
 public:
  stamping() {
    const auto client = bound();
    EXPECT_TRUE(eventually([&] {
      if (client.send_to("x", asks_.local())) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds{3});
      std::byte buffer[8];
      const auto came = asks_.receive(buffer);
      return came && came.age() >= std::chrono::milliseconds{3};
    }));
  }

 private:
  udppump::datagram_socket asks_ = bound({.receive_time = true});
};

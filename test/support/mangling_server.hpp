#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "load/plan/work_message.hpp"
#include "support/serve.hpp"

/// A server that does to its answers what a network does: it loses, repeats, delays and reorders them on purpose, and
/// keeps count. It answers work requests as if they took no time, and anything else with itself.
class mangling_server {
 public:
  struct orders {
    /// Of every so many requests one gets no answer; 0: none.
    unsigned lose_every = 0;
    /// Of every so many one is answered twice.
    unsigned repeat_every = 0;
    /// Answers are held back until there are so many, and then sent last first.
    std::size_t reverse = 1;
    std::chrono::milliseconds delay{0};
    /// Datagrams that answer nothing, after each answer.
    unsigned strange = 0;
    /// Requests are DNS queries: the answers say that they are answers.
    bool dns = false;
  };

  explicit mangling_server(const orders& given) : orders_{given}, socket_{bound({.receive_buffer = 4 << 20})} {
    thread_ = std::jthread{[this](const std::stop_token& stop) { serve(stop); }};
  }

  udppump::address local() const { return socket_.local(); }
  std::uint64_t received() const { return received_; }
  std::uint64_t lost() const { return lost_; }
  std::uint64_t repeated() const { return repeated_; }

 private:
  struct held {
    udppump::address to;
    std::vector<std::byte> payload;
  };

  void serve(const std::stop_token& stop) {
    std::vector<std::byte> space(65'535);
    std::vector<held> waiting;
    while (!stop.stop_requested()) {
      const auto came = socket_.receive(space, std::chrono::milliseconds{20});
      if (!came) {
        release(waiting);  // nobody else comes
        continue;
      }
      const std::uint64_t number = ++received_;
      if (orders_.delay.count() > 0) std::this_thread::sleep_for(orders_.delay);
      if (orders_.lose_every > 0 && number % orders_.lose_every == 0) {
        ++lost_;
        continue;
      }
      waiting.push_back({came.from, answer(came.payload)});
      if (orders_.repeat_every > 0 && number % orders_.repeat_every == 0) {
        waiting.push_back(waiting.back());
        ++repeated_;
      }
      if (waiting.size() >= orders_.reverse) release(waiting);
    }
  }

  std::vector<std::byte> answer(std::span<std::byte> request) const {
    using namespace udppump::load;
    if (orders_.dns) request[2] |= std::byte{0x80};  // the bit QR (RFC 1035, 4.1.1)
    const auto work = read_work_request(request);
    if (!work) return {request.begin(), request.end()};
    std::array<std::byte, work_message_size> bytes;
    write(work_answer{.id = work->id, .asked = work->asked}, bytes);
    return {bytes.begin(), bytes.end()};
  }

  void release(std::vector<held>& waiting) {
    for (; !waiting.empty(); waiting.pop_back()) {
      static_cast<void>(socket_.send_to(waiting.back().payload, waiting.back().to));
      for (unsigned i = 0; i < orders_.strange; ++i)
        static_cast<void>(socket_.send_to("who asked?", waiting.back().to));
    }
  }

  orders orders_;
  udppump::datagram_socket socket_;
  std::atomic<std::uint64_t> received_{0}, lost_{0}, repeated_{0};
  std::jthread thread_;  // last: it uses the others
};

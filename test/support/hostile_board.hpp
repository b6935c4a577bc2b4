#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pool/board.hpp"
#include "pool/obituary.hpp"
#include "pool/pool_log.hpp"
#include "pool/redeliverer.hpp"
#include "pool/stranded.hpp"
#include "support/private_folder.hpp"

/// A pool's parent without its workers: a board into which anything may be written, and all that reads it. After each
/// round it is checked that the parent believed nothing: its log and its poison file have the lines that they may have,
/// and nothing in them commands a terminal.
class hostile_board {
 public:
  static constexpr std::size_t pages = 2;
  static constexpr std::uint32_t payload_limit = 64;
  static constexpr std::size_t longest_line = 2048;

  /// `poison_file` is written to anew; without one, an own that never becomes large.
  explicit hostile_board(const std::string& poison_file = {})
      : rules_{.most = 1, .poison_file = poison_file.empty() ? own_ / "poison" : poison_file} {
    sockets_.push_back(udppump::datagram_socket::bind(udppump::address::parse("127.0.0.1:0")));
    redelivers_ = std::make_unique<udppump::detail::redeliverer>(rules_, board_, sockets_, log_);
    stranded_ = std::make_unique<udppump::detail::stranded_watch>(board_, sockets_);
    for (std::size_t page = 0; page < pages; ++page) board_.claim(page);
  }

  udppump::detail::board& board() { return board_; }
  /// All of it, as a worker has it.
  std::span<std::uint8_t> memory() { return {reinterpret_cast<std::uint8_t*>(&board_.header()), board_.memory_size()}; }

  /// Writes `data` as a worker could: over all of it; piece by piece, each with a place and a length; or as datagrams
  /// that are nearly what the kernel writes.
  void write(std::span<const std::uint8_t> data) {
    const auto all = memory();
    if (data.empty()) return;
    const unsigned way = data[0] % 3;
    data = data.subspan(1);
    if (way == 0) return write_datagrams(data);
    if (way == 1) {
      for (std::size_t at = 0; at < all.size() && !data.empty(); ++at) all[at] = data[at % data.size()];
      return;
    }
    while (data.size() > 4) {
      // A part of the board, and where in its first KiB, so that what matters is often met.
      const std::size_t part = data[0] % (all.size() / 4096);
      const std::size_t at = part * 4096 + (256u * data[1] + data[2]) % 1024;
      const std::size_t size = std::min<std::size_t>(data[3], data.size() - 4);
      std::memcpy(&all[at], &data[4], std::min(size, all.size() - at));
      data = data.subspan(4 + size);
    }
  }

  /// What the parent does when its workers die, and in between. What may not be ends the process.
  void read_all() {
    using namespace udppump::detail;
    const auto now = stranded_watch::clock::now();
    stranded_->arrived(now);
    static_cast<void>(stranded_->kick_idle_workers(now));
    static_cast<void>(stranded_->kick_idle_workers(now + std::chrono::milliseconds{2}));
    for (std::size_t page = 0; page < pages; ++page) {
      // That it had taken what is offered is claimed as well.
      for (std::uint32_t at = 0; at < board_.offered().size(); ++at) {
        auto& state = board_.offered()[at].state;
        if (state != kept_datagram::free) state = kept_datagram::taken + static_cast<std::uint32_t>(page);
      }
      const crew::dead_member dead{
          std::make_unique<crew::member>(crew::member{.number = page, .page = page, .started = {}}),
          {.by_signal = false, .code = 1, .words = last_words(board_.page(page))}};
      dead.who->worker = std::make_unique<dead_worker>();
      const auto told = obituary_of(dead, dead.end.words, handled_by(board_.page(page)), std::chrono::seconds{1}, true);
      log_.warning("worker-died", told.text, told.fields);
      static_cast<void>(redelivers_->rescue(page));
      board_.release(page);
    }
    redelivers_->give_up();
    for (std::size_t page = 0; page < pages; ++page) check(board_.claim(page) == page);
    check(board_.pages() == pages && board_.payload_limit() == payload_limit && board_.offered().size() == pages);
    check(lines_ <= 4 * pages + 2 * pages);
    lines_ = 0;
    if (const std::string own = own_ / "poison";
        rules_.poison_file == own && std::filesystem::file_size(own) > 1 << 20) {
      std::filesystem::resize_file(own, 0);
    }
  }

  std::uint64_t counted(udppump::detail::tally what) const { return board_.counted(what); }

 private:
  class dead_worker : public udppump::detail::running_worker {
   public:
    std::optional<udppump::detail::worker_end> ended() override { return {}; }
    pid_t pid() const noexcept override { return 4711; }
    void ask_to_stop() noexcept override {}
    bool kill() noexcept override { return true; }
    bool abort() noexcept override { return true; }
    std::string_view cannot_be_killed_as() const noexcept override { return "is dead"; }
    void abandon() noexcept override {}
  };

  void write_datagrams(std::span<const std::uint8_t> data) {
    const auto next = [&data](unsigned bytes) {
      std::uint32_t number = 0;
      for (; bytes > 0 && !data.empty(); --bytes, data = data.subspan(1)) number = number << 8 | data[0];
      return number;
    };
    for (std::size_t page = 0; page < pages && !data.empty(); ++page) {
      for (udppump::detail::kept_datagram* one :
           {&board_.own_of(page), &board_.offered()[static_cast<std::uint32_t>(page)]}) {
        one->header.msg_len = next(1) % 2 == 0 ? next(1) : next(4);
        one->socket = next(1) % 4;
        one->header.msg_hdr.msg_namelen = next(1) % 8 == 0 ? next(4) : next(1);
        one->header.msg_hdr.msg_controllen = next(2);
        one->from.ss_family = static_cast<sa_family_t>(next(1) % 12);
        const std::size_t wanted = next(1);
        const std::size_t size = std::min({wanted, data.size(), sizeof one->from - 2});
        std::copy_n(data.begin(), size, reinterpret_cast<std::uint8_t*>(&one->from) + 2);
        data = data.subspan(size);
      }
    }
  }

  static void check(bool holds) {
    if (!holds) std::abort();
  }
  void note(const udppump::pool_event& event) {
    ++lines_;
    check(event.text.size() <= longest_line);
    for (const char one : event.text) check(static_cast<unsigned char>(one) >= 0x20 && one != 0x7f);
    if (event.name == "worker-died") check(event.text.find("(pid 4711)") != std::string::npos);
  }

  const private_folder own_;
  const udppump::redelivery rules_;
  std::size_t lines_ = 0;
  udppump::detail::board board_{pages, payload_limit};
  const udppump::detail::pool_log log_{[this](const udppump::pool_event& event) { note(event); }};
  std::vector<udppump::datagram_socket> sockets_;
  std::unique_ptr<udppump::detail::redeliverer> redelivers_;
  std::unique_ptr<udppump::detail::stranded_watch> stranded_;
};

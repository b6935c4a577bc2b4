#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "load/run/work_service.hpp"
#include "support/worker_processes.hpp"
#include "udppump/datagram_socket.hpp"

namespace bench {

/// What a peer's program does with each datagram, as --handler says: "count" does nothing, "echo" answers with the
/// payload, "spin:10us" uses so much time of its processor and does not answer, "work" answers work requests
/// (load/work_message.hpp) after sleeping for as long as they ask, "work:spin" after using that much CPU time, and
/// "work:max_age:50ms" is for udppump's run(), which drops those that have waited longer than that.
class peer_handler {
 public:
  /// Throws std::invalid_argument for what is none of them.
  peer_handler(const std::string& what, worker_note& note, std::uint16_t worker);

  bool operator()(auto& received) {
    note_->count();
    switch (kind_) {
      case kind::count:
        break;
      case kind::echo:
        received.reply(received.payload);
        break;
      case kind::spin:
        for (const auto until = wall_time() + spin_; wall_time() < until;) continue;
        break;
      case kind::work:
        // How long it waited is known to some peers only, and nobody here asks for it.
        if (const auto answer = service_->serve(received.payload, {})) received.reply(*answer);
        break;
    }
    return true;
  }

  /// What waits longer is not to be handed to it; 0: nothing is too old.
  nanoseconds max_age() const noexcept { return max_age_; }

 private:
  enum class kind { count, echo, spin, work };

  kind kind_ = kind::count;
  nanoseconds spin_{0};
  nanoseconds max_age_{0};
  std::optional<udppump::load::work_service> service_;
  worker_note* note_;
};

/// One way in which a program can serve.
struct serving {
  /// The contender's: "libuv-recvmmsg".
  std::string name;
  std::function<void(std::span<udppump::datagram_socket>, peer_handler)> serve;
};

template <template <class> class Peer>
serving serves_by(std::string name, auto... setup) {
  return {std::move(name), [setup...](std::span<udppump::datagram_socket> sockets, const peer_handler& handler) {
            if (handler.max_age().count() != 0) throw std::invalid_argument{"max_age: this peer drops nothing by age"};
            Peer<peer_handler> peer{sockets, handler, setup...};
            peer.serve();
          }};
}

/// The main() of a peer's program, which serves until it is killed. A benchmark gives it its sockets; by hand it is
/// given an address.
int peer_main(int argc, char** argv, const std::vector<serving>& ways);

}  // namespace bench

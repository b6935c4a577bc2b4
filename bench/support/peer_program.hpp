#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "load/run/work_service.hpp"
#include "support/worker_processes.hpp"
#include "udppump/client_limit.hpp"
#include "udppump/client_share.hpp"
#include "udppump/datagram_socket.hpp"

namespace bench {

/// What a peer's program does with each datagram, as --handler says: "count" does nothing, "echo" answers with the
/// payload, "spin:10us" uses so much time of its processor and does not answer, "work" answers work requests
/// (load/work_message.hpp) after sleeping for as long as they ask, "work:spin" after using that much CPU time, and
/// three are for udppump's run(): "work:max_age:50ms" drops those that have waited longer than that,
/// "work:client_limit:100" what is over so many a second of a client, and "work:client_share" what is over its share.
class peer_handler {
 public:
  /// Made before the workers are forked. Throws std::invalid_argument for what is none of them.
  explicit peer_handler(const std::string& what);
  /// Called in each worker.
  void begin(worker_note& note, std::uint16_t worker);

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

  /// What is not to be handed to it.
  struct exceptions {
    /// What has waited longer; 0: nothing is too old.
    nanoseconds max_age{0};
    udppump::client_limit client_limit = {};
    udppump::client_share client_share = {};

    bool any() const noexcept { return max_age.count() != 0 || client_limit || client_share; }
  };
  const exceptions& without() const noexcept { return without_; }

 private:
  enum class kind { count, echo, spin, work };

  kind kind_ = kind::count;
  nanoseconds spin_{0};
  exceptions without_;
  std::optional<udppump::load::service_mode> mode_;
  std::optional<udppump::load::work_service> service_;
  worker_note* note_ = nullptr;
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
            if (handler.without().any()) throw std::invalid_argument{"this peer drops nothing"};
            Peer<peer_handler> peer{sockets, handler, setup...};
            peer.serve();
          }};
}

/// The main() of a peer's program, which serves until it is killed. A benchmark gives it its sockets; by hand it is
/// given an address.
int peer_main(int argc, char** argv, const std::vector<serving>& ways);

}  // namespace bench

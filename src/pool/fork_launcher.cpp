#include "pool/fork_launcher.hpp"

#include "pool/run_body.hpp"
#include "pool/worker_process.hpp"
#include "pool/worker_signals.hpp"
#include "sys/close_others.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

std::unique_ptr<running_worker> fork_launcher::start(const assignment& what) {
  static_cast<void>(context_.shared.page_signal(what.page));
  auto forked = fork_worker(context_, what, [&](int lifeline) {
    if (context_.options.keep_open) {
      auto kept = *context_.options.keep_open;
      for (const datagram_socket& socket : context_.sockets.all()) kept.push_back(socket.fd());
      for (const int one : {lifeline, context_.shared.memory_fd(), context_.shared.parent_signal(),
                            context_.shared.page_signal(what.page)}) {
        kept.push_back(one);
      }
      close_others(std::move(kept));
    }
    take_workers_signals(context_.shared, what.page);
    static_cast<void>(sys::signal_mask(SIG_SETMASK, context_.signal_mask));
    return run_body(context_, what, body_).code;
  });
  return std::make_unique<paged_worker_process>(std::move(forked), context_.shared, what.page);
}

}  // namespace udppump::detail

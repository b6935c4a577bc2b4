#include "pool/reexecuted_worker.hpp"

#include <stdexcept>

#include "pool/checked_options.hpp"
#include "pool/run_body.hpp"
#include "pool/worker_signals.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

reexecuted_worker::reexecuted_worker(pool_options options, const inheritance& left)
    : options_{checked(std::move(options))},
      parent_{left.parent},
      sockets_{options_.socket, options_.lanes},
      lanes_{options_.lanes, options_.workers},
      board_{descriptor{left.memory}, descriptor{left.parent_signal}, left.page, descriptor{left.page_signal}},
      what_{.number = board_.page(left.page).number, .page = left.page},
      workers_{board_.header().workers.load(std::memory_order_relaxed)} {
  for (const auto& [fd, name] : left.sockets) sockets_.adopt({descriptor{fd}, listening::of_word(name)});
}

int reexecuted_worker::run(worker_body body) {
  if (sys::parent_id() != parent_) return status_no_setup;
  take_workers_signals(board_, what_.page);
  static_cast<void>(sys::signal_mask(SIG_UNBLOCK, parents_signals()));
  return run_body({.options = options_, .shared = board_, .sockets = sockets_, .lanes = lanes_}, what_, body).code;
}

int reexecuted_worker::run(const worker_program&, const program_options&) {
  throw std::invalid_argument{"reexecute requires a body or a handler, and this pool runs a program; omit reexecute"};
}

}  // namespace udppump::detail

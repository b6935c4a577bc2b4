#include "pool/self_launcher.hpp"

#include "pool/execute.hpp"
#include "pool/inheritance.hpp"
#include "pool/worker_process.hpp"
#include "pool/worker_signals.hpp"
#include "sys/close_others.hpp"
#include "sys/failure.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

std::unique_ptr<running_worker> self_launcher::start(const assignment& what) {
  if (command_.path.empty()) fail(ENOENT, "executing this program anew requires /proc: mount it");
  inheritance left{.parent = sys::process_id(),
                   .page = what.page,
                   .memory = context_.shared.memory_fd(),
                   .parent_signal = context_.shared.parent_signal(),
                   .page_signal = context_.shared.page_signal(what.page)};
  for (std::size_t at = 0; at < context_.sockets.size(); ++at) {
    left.sockets.push_back({context_.sockets.all()[at].fd(), context_.sockets.called()[at].to_word()});
  }
  auto forked = fork_worker(context_, what, [&](int lifeline) {
    left.set_close_on_exec(false);
    static_cast<void>(sys::set_close_on_exec(lifeline, false));
    auto kept = left.descriptors();
    kept.push_back(lifeline);
    close_others(std::move(kept));
    auto environment = environment_for_worker(what.number);
    environment.push_back(std::string{inheritance::variable} + '=' + left.to_text());
    // Those that are the parent's stay blocked: the new execution takes them when it is ready for them.
    static_cast<void>(sys::signal_mask(SIG_SETMASK, with_parents_signals(context_.signal_mask)));
    return execute(command_.path, command_.arguments, environment, context_.shared.page(what.page));
  });
  return std::make_unique<paged_worker_process>(std::move(forked), context_.shared, what.page);
}

}  // namespace udppump::detail

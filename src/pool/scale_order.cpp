#include "pool/scale_order.hpp"

#include <signal.h>

#include "pool/stray_signal.hpp"

namespace udppump::detail {

std::optional<scale_order> scale_order::of(const signalfd_siginfo& came, std::size_t now) {
  const bool is_more = came.ssi_signo == SIGTTIN;
  const std::string name = is_more ? "SIGTTIN" : "SIGTTOU";
  if (came.ssi_code == SI_QUEUE && is_more) {
    return scale_order{.workers = came.ssi_int, .asked_by = "an order by SIGTTIN"};
  }
  if (came.ssi_code > 0) return {};
  return scale_order{.workers = static_cast<std::int64_t>(now) + (is_more ? 1 : -1),
                     .asked_by = name + " from " + sender_of_signal(came)};
}

}  // namespace udppump::detail

#pragma once

#include <string>

namespace udppump::detail {

/// Why this process may not leave its service to another: somebody would take its end for the end of the service. The
/// rest of a sentence, with what helps; empty if nobody is known to. To be asked at the start: who started this process
/// may have ended later.
///
/// That is so for process 1 of a container; under an init of containers, or a supervisor, that does not hear of
/// another main process; and under systemd if it does not (sd_notify(3), MAINPID).
std::string why_it_may_not_be_replaced();

}  // namespace udppump::detail

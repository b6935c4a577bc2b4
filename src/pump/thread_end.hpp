#pragma once

#include <memory>

namespace udppump::detail {

class group_core;

/// Calls group_core::on_thread_end() when the calling thread ends. A ring's polls outlive the thread that submitted
/// them, and no other thread may cancel them (SINGLE_ISSUER): left armed, they would take wake-ups meant for other
/// workers.
void tell_at_thread_end(std::weak_ptr<group_core> group);

}  // namespace udppump::detail

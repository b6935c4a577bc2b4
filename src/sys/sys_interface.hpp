#pragma once

// The interfaces of this machine, at the seam of sys.hpp.

#include <net/if.h>

namespace udppump::sys {

/// All of them, up to one with index 0; for free_interfaces(). Null without memory.
inline struct if_nameindex* interfaces() noexcept { return ::if_nameindex(); }
inline void free_interfaces(struct if_nameindex* all) noexcept {
  if (all != nullptr) ::if_freenameindex(all);
}

}  // namespace udppump::sys

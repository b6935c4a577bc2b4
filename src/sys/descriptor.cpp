#include "udppump/descriptor.hpp"

#include "sys/sys.hpp"

namespace udppump::detail {

void descriptor::reset() noexcept {
  if (fd_ >= 0) sys::close(std::exchange(fd_, -1));
}

}  // namespace udppump::detail

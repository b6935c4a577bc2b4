#include "pool/pool_core.hpp"

#include "pool/pool_parent.hpp"
#include "pool/reexecuted_worker.hpp"

namespace udppump::detail {

std::shared_ptr<pool_core> pool_core::make(pool_options options) {
  if (const auto left = inheritance::take()) return std::make_shared<reexecuted_worker>(std::move(options), *left);
  return std::make_shared<pool_parent>(std::move(options));
}

}  // namespace udppump::detail

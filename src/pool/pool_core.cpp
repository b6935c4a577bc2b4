#include "pool/pool_core.hpp"

#include "pool/pool_parent.hpp"
#include "pool/reexecuted_worker.hpp"

namespace udppump::detail {

std::shared_ptr<pool_core> pool_core::make(pool_options options) {
  if (options.reexecute) {
    if (const auto left = inheritance::take()) return std::make_shared<reexecuted_worker>(std::move(options), *left);
  } else if (inheritance::refuse()) {
    pool_log{options.log}.warning("environment-ignored",
                                  std::string{inheritance::variable} +
                                      " in the environment is ignored: only workers of a pool with reexecute are left "
                                      "something; what the options say holds");
  }
  return std::make_shared<pool_parent>(std::move(options));
}

}  // namespace udppump::detail

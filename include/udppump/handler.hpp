#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "udppump/datagram.hpp"

namespace udppump {

/// What is called with each datagram: anything callable as void(datagram&). A result would be lost, so none is allowed.
/// The function is moved in and never copied: copies of a handler call the same one, which lives as long as the last of
/// them.
class handler {
 public:
  /// Throws std::invalid_argument for an empty std::function or a null pointer.
  template <class Function>
  requires(!std::is_same_v<std::remove_cvref_t<Function>, handler> &&
           std::is_invocable_r_v<void, std::decay_t<Function>&, datagram&> &&
           std::is_void_v<std::invoke_result_t<std::decay_t<Function>&, datagram&>>)
      handler(Function&& function) {  // NOLINT(google-explicit-constructor): a lambda is a handler
    using target = std::decay_t<Function>;
    const auto owned = std::make_shared<target>(std::forward<Function>(function));
    if constexpr (requires { *owned == nullptr; }) {
      if (*owned == nullptr) throw std::invalid_argument{"pump: the handler is an empty function"};
    }
    target_ = owned;
    call_ = [](void* called, datagram& received) { std::invoke(*static_cast<target*>(called), received); };
  }

  /// Not after it was moved from.
  void operator()(datagram& received) const { call_(target_.get(), received); }
  /// False if it was moved from; a pump refuses it then.
  explicit operator bool() const noexcept { return target_ != nullptr; }

 private:
  std::shared_ptr<void> target_;
  void (*call_)(void*, datagram&);
};

}  // namespace udppump

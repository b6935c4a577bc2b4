#include "udppump/error.hpp"

#include <string>

namespace udppump {

namespace {

class category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "udppump"; }

  std::string message(int condition) const override {
    switch (static_cast<errc>(condition)) {
      case errc::made_before_fork:
        return "the pump was made before a fork(); call after_fork() in the child, or make the pump there";
      case errc::wrong_thread:
        return "the pump belongs to the thread that first called dispatch() or run(); call it there";
      case errc::reentrant:
        return "run() was called inside a handler; return from the handler first";
    }
    return "unknown condition " + std::to_string(condition);
  }
};

}  // namespace

const std::error_category& error_category() noexcept {
  static const category instance;
  return instance;
}

}  // namespace udppump

#pragma once

#include <stdexcept>
#include <string>
#include <system_error>

#include "udppump/export.hpp"

namespace udppump {

/// What udppump throws as std::system_error. Its text tells the cause first and the cure last; that of
/// std::system_error ends with what the code says.
class UDPPUMP_EXPORT failure : public std::system_error {
 public:
  /// For a text that tells both itself.
  failure(std::error_code code, const std::string& text) : std::system_error{code, text}, text_{text} {}
  /// "WHAT: reason; CURE", with the reason that the code tells.
  failure(std::error_code code, const std::string& what, const std::string& cure)
      : std::system_error{code, what + "; " + cure},  // for a copy as std::system_error, which adds the reason
        text_{what + ": " + code.message() + "; " + cure} {}
  const char* what() const noexcept override { return text_.what(); }

 private:
  std::runtime_error text_;  // copies without throwing
};

}  // namespace udppump

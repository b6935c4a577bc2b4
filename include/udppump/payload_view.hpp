#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>

namespace udppump {

using bytes_view = std::span<const std::byte>;

/// The bytes of a text, without a copy.
inline bytes_view as_bytes(std::string_view text) noexcept {
  return std::as_bytes(std::span{text.data(), text.size()});
}

/// What is to be sent: bytes or text, without a copy. For parameters: it refers to what it was made from, so it is
/// valid during the call only, and is not to be kept. A `const char*`, and so an array
/// of char, is a text that ends before its first zero; for its bytes, give std::string_view{data, size}.
class payload_view {
 public:
  template <class Bytes>
  requires(std::convertible_to<const Bytes&, bytes_view>)
      payload_view(const Bytes& bytes)  // NOLINT(google-explicit-constructor): bytes are a payload
  noexcept(std::is_nothrow_convertible_v<const Bytes&, bytes_view>) : bytes_{bytes} {}
  template <class Text>
  requires(std::convertible_to<const Text&, std::string_view> && !std::convertible_to<const Text&, bytes_view>)
      payload_view(const Text& text)  // NOLINT(google-explicit-constructor): so is a text
  noexcept(std::is_nothrow_convertible_v<const Text&, std::string_view>) : bytes_{as_bytes(std::string_view{text})} {}
  payload_view(std::nullptr_t) = delete;

  bytes_view bytes() const noexcept { return bytes_; }
  const std::byte* data() const noexcept { return bytes_.data(); }
  std::size_t size() const noexcept { return bytes_.size(); }

 private:
  bytes_view bytes_;
};

}  // namespace udppump

#pragma once

#include <utility>

#include "udppump/export.hpp"

namespace udppump::detail {

/// Owns a descriptor: closes it at the end. Not for programs: here only because a datagram_socket holds one.
class UDPPUMP_EXPORT descriptor {
 public:
  descriptor() noexcept = default;
  explicit descriptor(int fd) noexcept : fd_{fd} {}
  descriptor(descriptor&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  descriptor& operator=(descriptor&& other) noexcept {
    if (this != &other) reset();
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~descriptor() { reset(); }

  int fd() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void reset() noexcept;

 private:
  int fd_ = -1;
};

}  // namespace udppump::detail

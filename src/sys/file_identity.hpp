#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <optional>

#include "sys/sys_file.hpp"

namespace udppump::detail {

/// Which file it is, whatever it is called.
struct file_identity {
  dev_t device = 0;
  ino_t number = 0;

  static file_identity of(const struct stat& about) noexcept { return {about.st_dev, about.st_ino}; }
  /// Of an open one; nothing if it cannot be told.
  static std::optional<file_identity> of(int fd) noexcept {
    struct stat about {};
    if (sys::status(fd, about) < 0) return {};
    return of(about);
  }
  friend bool operator==(const file_identity&, const file_identity&) = default;
};

}  // namespace udppump::detail

#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <optional>

#include "sys/sys_file.hpp"

namespace udppump::detail {

/// Which file it is, whatever it is called: what the kernel tells of an open one.
struct file_identity {
  dev_t device = 0;
  ino_t number = 0;

  /// Nothing if it cannot be told.
  static std::optional<file_identity> of(int fd) noexcept {
    struct stat about {};
    if (sys::status(fd, about) < 0) return {};
    return file_identity{about.st_dev, about.st_ino};
  }
  friend bool operator==(const file_identity&, const file_identity&) = default;
};

/// The pid file of a pool before this one, as far as that one tells.
struct earlier_pid_file {
  bool is_told = false;                    // not by versions that do not know the question
  std::optional<file_identity> file = {};  // nothing: it has none
};

}  // namespace udppump::detail

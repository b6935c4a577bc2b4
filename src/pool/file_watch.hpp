#pragma once

#include <string>
#include <vector>

#include "udppump/descriptor.hpp"

namespace udppump::detail {

/// Tells when one of some files was written or replaced (inotify(7)). Watches their folders, since editors and
/// installers put new files in the place of old ones.
class file_watch {
 public:
  /// Throws std::system_error if a file or its folder is not there.
  explicit file_watch(const std::vector<std::string>& files);

  /// Readable when changed() has something to look at.
  int fd() const noexcept { return notices_.fd(); }
  /// Which file changed since the last call; empty if none did.
  std::string changed();

 private:
  struct file {
    int folder;  // watch descriptor
    std::string name, path;
  };
  descriptor notices_;
  std::vector<file> files_;
};

}  // namespace udppump::detail

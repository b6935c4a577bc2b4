#pragma once

#include <sys/types.h>

#include <string>

namespace udppump::tools {

/// A file with this process's id in it, for scripts. It is opened before privileges are dropped and written when there
/// is something to say; it is removed, or emptied if that is not permitted, with this object, unless another process
/// has written its own id since.
class pid_file {
 public:
  /// Empty `path`: does nothing. The file is given to `user`, a name or number or empty, so that a parent that takes
  /// over as that user can write it. Throws std::system_error.
  pid_file(std::string path, const std::string& user);
  ~pid_file();
  pid_file(const pid_file&) = delete;
  pid_file& operator=(const pid_file&) = delete;

  /// Throws std::system_error.
  void write();

 private:
  std::string content() const;

  std::string path_;
  int fd_ = -1;
  bool made_ = false;
};

}  // namespace udppump::tools

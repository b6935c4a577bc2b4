#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

/// A new folder of this process's user, which is gone with this object. The tests' files are in such, as root refuses a
/// folder where everybody may write.
class private_folder {
 public:
  explicit private_folder(mode_t mode = 0700)
      : path_{std::filesystem::canonical(std::filesystem::temp_directory_path()) / "udppump-XXXXXX"} {
    if (::mkdtemp(path_.data()) == nullptr || ::chmod(path_.c_str(), mode) != 0) {
      throw std::system_error{errno, std::generic_category(), "mkdtemp " + path_};
    }
  }
  ~private_folder() {
    if (::getpid() != made_by_) return;  // a child's copy
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  private_folder(const private_folder&) = delete;
  private_folder& operator=(const private_folder&) = delete;

  std::string operator/(const std::string& name) const { return path_ + '/' + name; }

 private:
  std::string path_;
  const pid_t made_by_ = ::getpid();
};

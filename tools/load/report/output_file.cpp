#include "load/report/output_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <string>

#include "load/run/system.hpp"

namespace udppump::load {
namespace {

[[noreturn]] void fail_to_write(const std::string& path, int error) {
  const char* cure = error == ENOENT || error == ENOTDIR ? "its directory must exist: make it first"
                     : error == EISDIR                   ? "name a file in it"
                     : error == ENOSPC                   ? "make room there, or name another file"
                                                         : "name a file that this user may write";
  throw failure{code_of_errno(error), "cannot write " + path, cure};
}

std::optional<struct stat> status_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};
  return status;
}

bool is_same(const struct stat& one, const struct stat& other) {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/// The errno of what went wrong, or 0.
int write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    const auto written = repeat([&] { return ::write(fd, content.data(), content.size()); });
    if (written < 0) return errno;
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

/// Writes beside it and renames, so that nobody ever sees half a report: 0, or the errno of what went wrong. Nothing if
/// that cannot be done there, or would change more than the content: of a device, a link, a file of somebody else.
std::optional<int> replace(const std::string& path, std::string_view content) {
  struct stat old {};
  const bool is_there = ::lstat(path.c_str(), &old) == 0;
  if (!is_there && errno != ENOENT) return {};
  if (is_there && (!S_ISREG(old.st_mode) || old.st_nlink != 1 || old.st_uid != ::geteuid())) return {};
  const std::string beside = path + ".udppump-" + std::to_string(::getpid());
  const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return {};
  int error = is_there && ::fchmod(fd, old.st_mode & 07777) != 0 ? errno : write_all(fd, content);
  ::close(fd);
  if (error == 0 && ::rename(beside.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) ::unlink(beside.c_str());
  return error;
}

}  // namespace

bool is_standard_output(const std::string& path) {
  if (path == "-") return true;
  const auto named = status_of(path);
  struct stat output {};
  if (!named || ::fstat(STDOUT_FILENO, &output) != 0 || !is_same(*named, output)) return false;
  const auto nothing = status_of("/dev/null");
  return !nothing || !is_same(*named, *nothing);
}

bool is_same_file(const std::string& one, const std::string& other) {
  if (one.empty() || other.empty()) return false;
  const auto first = status_of(one), second = status_of(other);
  if (first && second) return is_same(*first, *second);
  if (first || second) return false;
  const std::filesystem::path made{one}, also_made{other};
  const auto folder = status_of(("." / made).parent_path()), other_folder = status_of(("." / also_made).parent_path());
  return made.filename() == also_made.filename() && folder && other_folder && is_same(*folder, *other_folder);
}

void expect_writable(const std::string& path) {
  if (path.empty() || is_standard_output(path)) return;
  const int there = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  const int fd =
      there < 0 && errno == ENOENT ? ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : there;
  if (fd < 0) fail_to_write(path, errno);
  ::close(fd);
  if (there < 0) ::unlink(path.c_str());  // it was made only to see whether that is allowed
}

void write_file(const std::string& path, std::string_view content) {
  if (is_standard_output(path)) {
    if (const int error = write_all(STDOUT_FILENO, content); error != 0) fail_to_write(path, error);
    return;
  }
  if (const auto done = replace(path, content)) {
    if (*done != 0) fail_to_write(path, *done);
    return;
  }
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) fail_to_write(path, errno);
  const int error = write_all(fd, content);
  ::close(fd);
  if (error != 0) fail_to_write(path, error);
}

}  // namespace udppump::load

#include "pool/own_command.hpp"

#include <climits>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "sys/file_identity.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_user.hpp"

namespace udppump::detail {

namespace {

bool is_same_file(const std::string& path, const char* other) {
  struct stat a {};
  struct stat b {};
  return sys::status_of(path.c_str(), a) == 0 && sys::status_of(other, b) == 0 &&
         file_identity::of(a) == file_identity::of(b);
}

bool is_allowed(const std::string& path, int how) { return sys::may(path.c_str(), how) != -EACCES; }

/// Whether this user may put something else in the place of what is in a folder: always if it is his, and of what is
/// not his also not in one where everybody may write (the sticky bit).
bool may_replace_in(const std::string& folder, uid_t owner) {
  const uid_t self = sys::effective_user();
  struct stat about {};
  if (sys::status_of(folder.c_str(), about) < 0 || about.st_uid == self) return true;
  const bool writes = sys::may(folder.c_str(), W_OK) == 0;
  return writes && ((about.st_mode & S_ISVTX) == 0 || owner == self);
}

/// 1 has the kernel open what may not be read (proc(5)).
bool are_all_open() {
  int value = 0;
  std::ifstream{"/proc/sys/fs/suid_dumpable"} >> value;
  return value == 1;
}

}  // namespace

own_command::closed_file own_command::look_whether_closed() const {
  std::error_code unknown;
  closed_file file{.path = std::filesystem::canonical(path, unknown).string()};
  const std::string who = "user " + std::to_string(sys::effective_user());
  const std::string restart = "restart as root instead of SIGUSR2";
  struct stat about {};
  if (unknown || sys::status_of(file.path.c_str(), about) < 0) {
    return {path, path + " cannot be looked at: put the program there, or " + restart};
  }
  if (about.st_uid == sys::effective_user()) {
    return {file.path, file.path + " belongs to " + who + ": chown root and chmod 711 it"};
  }
  if (is_allowed(file.path, R_OK) || sys::may(file.path.c_str(), W_OK) == 0) {
    return {file.path,
            who + " may read " + file.path + ": chmod 711 it, or, of a script or an interpreter, " + restart};
  }
  uid_t owner = about.st_uid;
  for (std::filesystem::path at = file.path; at.has_relative_path();) {
    at = at.parent_path();
    if (may_replace_in(at.string(), owner)) {
      return {file.path, who + " may put another program in the place of " + file.path + ", as " + at.string() +
                             " is his to write: give that folder to root"};
    }
    owner = sys::status_of(at.c_str(), about) == 0 ? about.st_uid : sys::effective_user();
  }
  if (are_all_open()) return {file.path, "fs.suid_dumpable is 1: set it to 0 or 2 (sysctl)"};
  return file;
}

own_command own_command::look_up() {
  own_command own;
  std::ifstream line{"/proc/self/cmdline", std::ios::binary};
  const std::string all{std::istreambuf_iterator<char>{line}, {}};
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t end = std::min(all.find('\0', at), all.size());
    own.arguments.push_back(all.substr(at, end - at));
    at = end + 1;
  }
  // As it was called, if that leads here: a link to the current release may lead to the next one later.
  if (!own.arguments.empty() && own.arguments[0].find('/') != std::string::npos) {
    std::error_code unknown;
    const std::string called = std::filesystem::absolute(own.arguments[0], unknown).string();
    if (!unknown && is_same_file(called, "/proc/self/exe")) own.path = called;
  }
  char path[PATH_MAX];
  const ssize_t size = own.path.empty() ? sys::read_link("/proc/self/exe", path, sizeof path) : -1;
  if (size > 0) own.path.assign(path, static_cast<std::size_t>(size));
  return own;
}

}  // namespace udppump::detail

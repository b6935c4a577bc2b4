#include "pool/file_watch.hpp"

#include <filesystem>

#include "sys/failure.hpp"
#include "sys/sys_file.hpp"

namespace udppump::detail {

file_watch::file_watch(const std::vector<std::string>& files) : notices_{sys::watch_files()} {
  if (!notices_) fail(notices_.fd(), "inotify_init1", "raise fs.inotify.max_user_instances");
  for (const std::string& path : files) {
    std::error_code missing;
    if (!std::filesystem::exists(path, missing))
      fail(missing ? missing.value() : ENOENT, "file to watch \"" + path + '"', "make it first, or omit it");
    if (std::filesystem::is_directory(path, missing))
      fail(EISDIR, "file to watch \"" + path + "\" is a folder; name the files in it");
    const std::filesystem::path whole = std::filesystem::absolute(path);
    const int folder = sys::watch_file(notices_.fd(), whole.parent_path().c_str(), IN_CLOSE_WRITE | IN_MOVED_TO);
    if (folder < 0) fail(folder, "watching the folder of \"" + path + '"', "raise fs.inotify.max_user_watches");
    files_.push_back({folder, whole.filename().string(), path});
  }
}

std::string file_watch::changed() {
  std::string which;
  alignas(inotify_event) char buffer[4096];
  for (;;) {
    const ssize_t size = sys::read(notices_.fd(), buffer, sizeof buffer);
    if (size <= 0) return which;
    for (ssize_t at = 0; at < size;) {
      const auto* const event = reinterpret_cast<const inotify_event*>(buffer + at);
      for (const file& one : files_) {
        if (event->wd == one.folder && event->len > 0 && one.name == event->name) which = one.path;
      }
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }
}

}  // namespace udppump::detail

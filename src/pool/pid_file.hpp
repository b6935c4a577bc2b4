#pragma once

#include <optional>
#include <string>

#include "pool/earlier_pid_file.hpp"
#include "sys/service_path.hpp"
#include "sys/sys_process.hpp"
#include "udppump/descriptor.hpp"

namespace udppump::detail {

/// pool_options::pid_file. Each pool that lives has a shared lock on it (fcntl(2), F_OFD_SETLK), from its making on;
/// who is no successor must first have it exclusively, and so finds out that another lives. Whoever may open the file
/// may lock it, so it is for its owner alone.
class pid_file {
 public:
  /// Opens the file, and locks it. `before`: of the pool that is taken over from, which may have the same one locked
  /// meanwhile. Throws std::system_error; if another pool has it, that names its process, as far as the
  /// kernel shows it.
  pid_file(const std::string& path, heir who, const std::optional<earlier_pid_file>& before = {});
  /// If no other pool has the file, removes it, or empties it if that is not permitted any more.
  ~pid_file();
  pid_file(const pid_file&) = delete;
  pid_file& operator=(const pid_file&) = delete;

  /// Writes this process's id; throws std::system_error.
  void write() const;
  /// Which no worker should have.
  int fd() const noexcept { return file_.fd(); }

 private:
  struct holder {
    pid_t pid = 0;      // who has the file locked; 0 if that is not known
    pid_t claimed = 0;  // whom the file names; 0 if nobody
  };

  bool is_of(const earlier_pid_file& before) const noexcept;
  holder find_holder() const;
  [[noreturn]] void refuse_for_another() const;
  [[noreturn]] void refuse_for_a_third(const earlier_pid_file& before) const;
  std::string content() const;

  const service_path path_;
  const pid_t made_by_ = sys::process_id();
  descriptor file_;
};

}  // namespace udppump::detail

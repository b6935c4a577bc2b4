#include "pool/pid_file.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "pool/lock_holder.hpp"
#include "sys/failure.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

std::string own_line() { return std::to_string(sys::process_id()) + '\n'; }

}  // namespace

pid_file::pid_file(const std::string& path, heir who, const std::optional<earlier_pid_file>& before)
    : path_{"pid file", path, who} {
  constexpr int most_tries = 100;
  for (int tries = 0; tries < most_tries; ++tries) {
    file_ = path_.open(O_RDWR, 0600).file;
    int locked = sys::lock(file_.fd(), F_WRLCK);
    const bool alone = locked == 0;
    if (alone || (locked == -EAGAIN && before)) locked = sys::lock(file_.fd(), F_RDLCK);
    if (locked == -EAGAIN) refuse_for_another();
    if (locked < 0) fail(locked, path_.what() + ": it cannot be locked", "choose a path on a local file system");
    if (!path_.leads_to(file_)) continue;  // who had it has ended meanwhile, and removed it
    if (!alone && !is_of(*before)) refuse_for_a_third(*before);
    // What a pool left that was killed names a process that may be any other by now.
    if (alone && !before) static_cast<void>(sys::truncate(file_.fd(), 0));
    return;
  }
  fail(EAGAIN, path_.what() + ": somebody makes and removes it all the time; look who it is, or choose another path");
}

/// What the file says is a claim, of whoever may write to it: who has it locked is asked of the kernel.
pid_file::holder pid_file::find_holder() const {
  const std::string text = content();
  holder found;
  std::from_chars(text.data(), text.data() + text.size(), found.claimed);
  found.claimed = std::max(found.claimed, 0);
  found.pid = holder_of_lock(file_.fd(), found.claimed);
  return found;
}

void pid_file::refuse_for_another() const {
  const holder who = find_holder();
  const std::string named = "process " + std::to_string(who.claimed);
  const std::string cure = ", or choose another path";
  if (who.pid == 0) {
    std::string state = ", and does not serve yet";
    if (who.claimed > 0) {
      const bool is_gone = sys::kill(who.claimed, 0) == -ESRCH;
      state = "; the file names " + named + (is_gone ? ", which is gone" : ", which need not be true");
    }
    fail(EBUSY, path_.what() + ": a process has it that is not shown to this user" + state +
                    "; find it as root (`lsof`), and stop it" + cure);
  }
  const std::string it = "process " + std::to_string(who.pid);
  if (who.pid == who.claimed) fail(EBUSY, path_.what() + ": " + it + " has it, and lives; stop it first" + cure);
  if (who.claimed == 0) {
    fail(EBUSY, path_.what() + ": " + it + " has it, and does not serve yet; stop it first" + cure);
  }
  fail(EBUSY,
       path_.what() + ": " + it + " has it locked, and not " + named + ", which it names; stop the first" + cure);
}

/// Whether who has it locked is the pool that is taken over from. Earlier versions do not tell, and are believed.
bool pid_file::is_of(const earlier_pid_file& before) const noexcept {
  return !before.is_told || (before.file && before.file == file_identity::of(file_.fd()));
}

void pid_file::refuse_for_a_third(const earlier_pid_file& before) const {
  const holder who = find_holder();
  std::string named;
  if (who.pid > 0) named = " (process " + std::to_string(who.pid) + ')';
  if (who.pid == 0 && who.claimed > 0) named = " (it says process " + std::to_string(who.claimed) + ')';
  fail(EBUSY, path_.what() + ": another pool has it" + named + ", and the one that is taken over from has " +
                  (before.file ? "another file" : "none") + "; give each pool a file of its own");
}

pid_file::~pid_file() {
  if (sys::process_id() != made_by_) return;       // a worker, that ends in its own way
  if (sys::lock(file_.fd(), F_WRLCK) < 0) return;  // a successor has it
  if (const std::string now = content(); !now.empty() && now != own_line()) return;
  if (path_.remove(file_) < 0) static_cast<void>(sys::truncate(file_.fd(), 0));
}

void pid_file::write() const {
  const std::string line = own_line();
  const int emptied = sys::truncate(file_.fd(), 0);
  const ssize_t written = emptied < 0 ? emptied : sys::write_at(file_.fd(), line.data(), line.size(), 0);
  if (written == static_cast<ssize_t>(line.size())) return;
  fail(written < 0 ? written : ENOSPC, path_.what() + ": its id cannot be written", "make room there");
}

std::string pid_file::content() const {
  char text[32];
  const ssize_t size = sys::read_at(file_.fd(), text, sizeof text, 0);
  return {text, size > 0 ? static_cast<std::size_t>(size) : 0};
}

}  // namespace udppump::detail

#pragma once

#include <sys/types.h>

#include <optional>
#include <string_view>
#include <vector>

#include "pool/lifeline.hpp"
#include "pool/worker_end.hpp"

namespace udppump::detail {

/// A worker that was started. If it is a process that may be killed, it ends with this object at the latest.
class running_worker {
 public:
  virtual ~running_worker() = default;
  /// How it ended; nothing while it runs. Once.
  virtual std::optional<worker_end> ended() = 0;
  /// Its process or thread, also after its end; 0 while that is not known.
  virtual pid_t pid() const noexcept = 0;
  /// Adds the descriptors that no other worker should have.
  virtual void list_parents_own(std::vector<int>&) const {}
  /// Of one that has ended; without descriptors if there is none.
  virtual lifeline take_lifeline() noexcept { return {}; }
  virtual void ask_to_stop() noexcept = 0;
  /// False if that cannot be done.
  virtual bool kill() noexcept = 0;
  /// As kill(), but with a core dump, and so it may take long; or not happen, if it handles the signal.
  virtual bool abort() noexcept = 0;
  /// Why not; of one whose kill() is false.
  virtual std::string_view cannot_be_killed_as() const noexcept = 0;
  /// Of one that kill() cannot end: from now on, the destructor does not wait for it either.
  virtual void abandon() noexcept = 0;
};

}  // namespace udppump::detail

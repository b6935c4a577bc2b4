#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>

#include "pool/pool_log.hpp"
#include "udppump/descriptor.hpp"

namespace udppump::detail {

/// What programs write to their descriptors 2: read from a pipe each, and told to the log line by line, as events
/// "worker-says" with the worker's number. The last lines of each are kept, in case that it dies. All of it is what
/// anybody may have written.
///
/// Nothing here waits. A pipe is read until nobody has its other end any more, which may be some time after the worker
/// has ended, as what it started writes there too.
class program_outputs {
 public:
  using clock = std::chrono::steady_clock;
  /// A longer line is told in pieces.
  static constexpr std::size_t longest_line = 4096;
  /// A read() takes no longer, whatever comes; what is left waits in the pipes.
  static constexpr std::chrono::milliseconds longest_turn{10};

  /// `log` outlives it. Throws std::system_error.
  explicit program_outputs(const pool_log& log);

  /// Readable if something was written.
  int fd() const noexcept { return set_.fd(); }
  using id = std::uint64_t;
  struct made {
    id which;
    /// For the program's descriptor 2; close it here once the program has it.
    descriptor writes;
  };
  /// Throws std::system_error.
  made make(std::size_t worker);
  /// The process that was started with it, or 0 if none was.
  void belongs_to(id which, pid_t pid);

  /// Tells the log what came.
  void read();
  /// The same, of the worker with this process, as far as it can be read now: its last lines stand in the log before
  /// what is told of its end. Returns them, in one; empty if there are none. It is asked once, when the worker has
  /// ended.
  std::string last_words(pid_t pid);
  /// Nothing is read any more: also lines that have no end.
  void read_the_rest();

 private:
  struct output {
    std::size_t worker;
    descriptor reads;
    pid_t pid = 0;
    bool has_worker = true;  // which has not been seen to end
    std::string line = {};   // its beginning
    bool in_pieces = false;  // of a line that is too long; its level is that of the first
    pool_event::level level = pool_event::level::info;
    std::deque<std::string> last = {};
  };

  /// False if no more can be read now.
  bool read_some(output& from);
  /// Not more than a pipe holds, as others may go on writing.
  void read_what_is_there(output& from);
  void take(output& from, std::string_view text);
  void tell(output& from, std::string_view line);
  void end(output& one);
  void forget_ended();

  const pool_log& log_;
  descriptor set_;
  std::map<id, output> all_;
  id next_ = 1;
};

}  // namespace udppump::detail

#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
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
  /// A longer line is told in pieces. So is one that does not end, once nothing more has come for so long, or when it
  /// has waited for so long in all.
  static constexpr std::size_t longest_line = 4096;
  static constexpr std::chrono::seconds longest_silence{1}, longest_wait{10};
  /// A read() takes no longer, whatever comes; what is left waits in the pipes.
  static constexpr std::chrono::milliseconds longest_turn{10};
  /// A worker may leave as much in its pipe as it likes (F_SETPIPE_SZ). So many bytes of it are told at most, and of
  /// the rest the last lines. All workers that end together take no longer than this, and then a quarter of the time.
  static constexpr std::size_t most_at_end = 1 << 18;
  static constexpr std::chrono::milliseconds longest_at_ends{400};
  static constexpr int part_at_ends = 4;

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

  /// Tells the log what came, and lines that have waited for their end for long enough.
  void read(clock::time_point now);
  /// When a line will have; the end of time if none waits.
  clock::time_point next() const noexcept;
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
    struct waiting {
      clock::time_point first, last;
    };
    std::optional<waiting> waits = {};  // since when it has had no end
    bool in_pieces = false;             // what came before of the line was told; its level is that of the first
    bool is_cut_before = false;         // by bytes that were skipped
    pool_event::level level = pool_event::level::info;
    std::deque<std::string> last = {};
  };

  static clock::time_point told_at(const output& one) noexcept;
  /// Bytes; 0 if no more can be read now.
  std::size_t read_some(output& from, std::size_t most);
  /// Not what others go on writing.
  void read_what_is_there(output& from);
  /// Returns how much was; in the end not all, if that takes too long.
  std::size_t skip(output& from, std::size_t size, clock::time_point until);
  void take(output& from, std::string_view text);
  void tell(output& from, std::string_view line);
  /// As the line may go on.
  void tell_without_end(output& from);
  void tell_last(output& from);
  void end(output& one);
  void forget_ended();

  const pool_log& log_;
  descriptor set_;
  std::map<id, output> all_;
  id next_ = 1;
  clock::time_point at_ends_until_ = {};
};

}  // namespace udppump::detail

#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace udppump::detail {

/// What a parent leaves to a worker that is a new execution of its program, in the environment: which worker of which
/// pool it is, and its descriptors, which are nobody's here.
struct inheritance {
  static constexpr char variable[] = "UDPPUMP_INHERIT";

  struct named_descriptor {
    int fd;
    std::string name;
    bool operator==(const named_descriptor&) const = default;
  };

  pid_t parent = 0;
  std::size_t page = 0;
  int memory = -1, parent_signal = -1, page_signal = -1;
  std::vector<named_descriptor> sockets = {};

  /// The variable's value. Names must have no white space.
  std::string to_text() const;
  /// Throws std::system_error if `text` is of another version.
  static inheritance of_text(const std::string& text);
  /// Taken out of this process's environment, with its descriptors closed on exec; nothing if nobody
  /// left anything. Throws as of_text(), or if the descriptors are not open.
  static std::optional<inheritance> take();

  /// Of a process that is no such worker: the variable is taken out, whatever it says. Whether there was one.
  static bool refuse() noexcept;

  std::vector<int> descriptors() const;
  /// Of all its descriptors; false if one is not open.
  bool set_close_on_exec(bool on) const;

  bool operator==(const inheritance&) const = default;
};

}  // namespace udppump::detail

#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <vector>

#include "pool/board.hpp"
#include "sys/sys_file.hpp"
#include "udppump/descriptor.hpp"

namespace udppump::detail {

/// The shared memory of a pool of another process, opened for reading. It is read by pread(2) and never mapped: whose
/// memory it is may write to it at any time, and what only pretends to be a pool may cut it off.
struct pool_memory {
  pid_t parent;
  descriptor memory;
};

/// Throws as pool_reader.
pool_memory memory_of(pid_t parent);
/// What a descriptor of this process stands for.
pool_memory memory_given(pid_t parent, int memory);
/// Of all pools that can be found. `unheard` is set to the number of status sockets (status_door) that could not be
/// asked, each of which may be a pool's.
std::vector<pool_memory> all_memories(std::size_t& unheard);

[[noreturn]] void fail_as_unsound(pid_t parent);

/// Room for one part of a pool's memory.
template <class Part>
class copy_of {
 public:
  /// False if the memory ends before.
  bool read(const descriptor& memory, std::size_t from) noexcept {
    return sys::read_at(memory.fd(), &bytes_, sizeof bytes_, from) == static_cast<ssize_t>(sizeof bytes_);
  }
  const Part& operator*() const noexcept { return *reinterpret_cast<const Part*>(&bytes_); }
  const Part* operator->() const noexcept { return &**this; }

 private:
  alignas(Part) std::byte bytes_[sizeof(Part)];
};

}  // namespace udppump::detail

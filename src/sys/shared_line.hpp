#pragma once

#include <cstddef>
#include <memory>

namespace udppump::detail {

/// Bytes of a shared line: a cache line, so that the lines of two sockets do not slow each other down.
constexpr std::size_t shared_line_size = 64;

/// A line of memory that starts as zeros and is shared with all processes forked from now on. Each call gives another
/// line, also in a forked child. Nothing is touched before somebody writes to it. Null if there is no memory.
std::shared_ptr<void> make_shared_line();

}  // namespace udppump::detail

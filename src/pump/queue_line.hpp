#pragma once

#include "clients/queue_share.hpp"
#include "pump/stand_by.hpp"
#include "sys/shared_line.hpp"

namespace udppump::detail {

/// What the shared line of a datagram_socket holds: what the workers that share the socket tell each other.
struct queue_line {
  leader_note leader;
  queue_note share;

  /// In the socket's line; null if there was no memory for that.
  static leader_note* leader_in(void* shared_line) noexcept {
    return shared_line == nullptr ? nullptr : &static_cast<queue_line*>(shared_line)->leader;
  }
  static queue_note* share_in(void* shared_line) noexcept {
    return shared_line == nullptr ? nullptr : &static_cast<queue_line*>(shared_line)->share;
  }
};
static_assert(sizeof(queue_line) <= shared_line_size);

}  // namespace udppump::detail

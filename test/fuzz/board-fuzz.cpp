// Any bytes over a page, over a kept datagram, or over the whole memory that a pool shares with its workers: what the
// parent reads there breaks nothing, and forges no line of its log or its poison file (test/support/hostile_board.hpp).

#include <cstddef>
#include <cstdint>

#include "support/hostile_board.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static hostile_board hostile;
  hostile.write({data, size});
  hostile.read_all();
  return 0;
}

#include "load/run/work_match.hpp"

#include <cstdint>

#include "load/plan/work_message.hpp"

namespace udppump::load {

payload_match asks_at_most(nanoseconds most) {
  const auto limit = static_cast<std::uint64_t>(most.count());
  const auto high = static_cast<std::uint32_t>(limit >> 32), low = static_cast<std::uint32_t>(limit);
  constexpr std::uint32_t upper_half = work_message_asked, lower_half = work_message_asked + 4;
  return payload_match::bpf({
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, upper_half),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, high, 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, high, 0, 2),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, lower_half),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, low, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
  });
}

}  // namespace udppump::load

#pragma once

#include <linux/filter.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace udppump::detail {

/// Classic BPF with labels, so that nobody counts instructions. A conditional jump reaches 255 instructions; where that
/// is too short, it is led over an unconditional one.
class bpf_program {
 public:
  using label = std::size_t;

  label new_label();
  /// What is added next stands there.
  void place(label where);
  void add(std::uint16_t code, std::uint32_t operand = 0);
  /// `code` is a comparison: BPF_JEQ | BPF_K...
  void jump_if(std::uint16_t code, std::uint32_t operand, label then, label otherwise);
  void jump(label where);

  /// Throws std::invalid_argument if it is longer than the kernel takes. Each label that is jumped to must stand
  /// somewhere after the jump.
  std::vector<sock_filter> finish() const;

 private:
  struct added {
    sock_filter code;
    std::optional<label> then = {}, otherwise = {};  // one for a jump, both for a comparison
  };

  std::vector<added> steps_;
  std::vector<std::size_t> labels_;  // the step that each stands before
};

/// Why the kernel would not run a program of a user, or it has no meaning over a payload; empty if it has.
/// `payload_match` refuses such.
std::string why_not_sound(const std::vector<sock_filter>& program);

/// Adds a sound program: it jumps to one of two labels. A load from beyond the end of the payload, which in the kernel
/// would end the whole, jumps to `refused`.
void add_match(bpf_program& to, const std::vector<sock_filter>& program, bpf_program::label taken,
               bpf_program::label refused);

}  // namespace udppump::detail

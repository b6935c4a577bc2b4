#include "lanes/bpf_program.hpp"

#include <stdexcept>
#include <string>

namespace udppump::detail {

namespace {

constexpr std::ptrdiff_t farthest = 255;  // that jt and jf reach
/// IPv4's with the header of UDP behind it: RFC 791, RFC 768.
constexpr std::int32_t shortest_header = 28;

bool is_negative(std::uint32_t offset) noexcept { return static_cast<std::int32_t>(offset) < 0; }

std::uint32_t size_of_load(std::uint16_t code) noexcept {
  return BPF_SIZE(code) == BPF_W ? 4 : BPF_SIZE(code) == BPF_H ? 2 : 1;
}

bool is_load_code(std::uint16_t code) noexcept {
  switch (code) {
    case BPF_LD | BPF_W | BPF_ABS:
    case BPF_LD | BPF_H | BPF_ABS:
    case BPF_LD | BPF_B | BPF_ABS:
    case BPF_LD | BPF_W | BPF_IND:
    case BPF_LD | BPF_H | BPF_IND:
    case BPF_LD | BPF_B | BPF_IND:
    case BPF_LD | BPF_W | BPF_LEN:
    case BPF_LD | BPF_IMM:
    case BPF_LD | BPF_MEM:
    case BPF_LDX | BPF_W | BPF_LEN:
    case BPF_LDX | BPF_IMM:
    case BPF_LDX | BPF_MEM:
    case BPF_ST:
    case BPF_STX:
      return true;
    default:
      return false;
  }
}

bool is_known(const sock_filter& one) noexcept {
  switch (BPF_CLASS(one.code)) {
    case BPF_ALU: {
      if (one.code == (BPF_ALU | BPF_NEG)) return true;
      const auto operation = BPF_OP(one.code);
      return (one.code & ~(0x07 | 0xf0 | BPF_X)) == 0 && operation <= BPF_XOR && operation != BPF_NEG;
    }
    case BPF_JMP: {
      if (one.code == (BPF_JMP | BPF_JA)) return true;
      const auto operation = BPF_OP(one.code);
      return (one.code & ~(0x07 | 0xf0 | BPF_X)) == 0 && operation >= BPF_JEQ && operation <= BPF_JSET;
    }
    case BPF_RET:
      return one.code == (BPF_RET | BPF_K) || one.code == (BPF_RET | BPF_A);
    case BPF_MISC:
      return one.code == (BPF_MISC | BPF_TAX) || one.code == (BPF_MISC | BPF_TXA);
    default:
      return is_load_code(one.code);
  }
}

bool is_division_by_zero(const sock_filter& one) noexcept {
  return (one.code == (BPF_ALU | BPF_DIV | BPF_K) || one.code == (BPF_ALU | BPF_MOD | BPF_K)) && one.k == 0;
}

bool is_shift_too_far(const sock_filter& one) noexcept {
  return (one.code == (BPF_ALU | BPF_LSH | BPF_K) || one.code == (BPF_ALU | BPF_RSH | BPF_K)) && one.k >= 32;
}

bool uses_memory(std::uint16_t code) noexcept {
  return code == BPF_ST || code == BPF_STX || code == (BPF_LD | BPF_MEM) || code == (BPF_LDX | BPF_MEM);
}

bool is_in_packet(std::uint16_t code) noexcept {
  return BPF_CLASS(code) == BPF_LD && (BPF_MODE(code) == BPF_ABS || BPF_MODE(code) == BPF_IND);
}

std::string why_not_known(const sock_filter& one) {
  if (one.code == (BPF_LDX | BPF_B | BPF_MSH)) return "BPF_MSH is for IP headers, and a payload has none";
  if (!is_known(one)) return "the kernel does not know such";
  if (is_division_by_zero(one)) return "it divides by 0";
  if (one.code == (BPF_ALU | BPF_DIV | BPF_X) || one.code == (BPF_ALU | BPF_MOD | BPF_X)) {
    return "it divides by X, and if that is 0 the kernel asks no other lane; divide by a constant";
  }
  if (is_shift_too_far(one)) return "it shifts by more than 31 bits";
  if (uses_memory(one.code) && one.k >= BPF_MEMWORDS) return "the scratch memory has 16 words";
  if (!is_in_packet(one.code) || !is_negative(one.k)) return {};
  if (BPF_MODE(one.code) == BPF_IND) return "a load by X begins in the payload; take an offset of 0 or more";
  const auto offset = static_cast<std::int32_t>(one.k);
  if (offset < SKF_AD_OFF &&
      offset >= SKF_NET_OFF + shortest_header - static_cast<std::int32_t>(size_of_load(one.code)) + 1) {
    return "only the first 28 bytes of the headers are always there; take an offset within them";
  }
  if (offset < SKF_NET_OFF) return "there is no link layer here; take an offset in the payload, or SKF_NET_OFF";
  return {};
}

}  // namespace

bpf_program::label bpf_program::new_label() {
  labels_.push_back(0);
  return labels_.size() - 1;
}

void bpf_program::place(label where) { labels_[where] = steps_.size(); }

void bpf_program::add(std::uint16_t code, std::uint32_t operand) { steps_.push_back({{code, 0, 0, operand}}); }

void bpf_program::jump_if(std::uint16_t code, std::uint32_t operand, label then, label otherwise) {
  steps_.push_back({{static_cast<std::uint16_t>(BPF_JMP | code), 0, 0, operand}, then, otherwise});
}

void bpf_program::jump(label where) { steps_.push_back({{BPF_JMP | BPF_JA, 0, 0, 0}, where}); }

std::vector<sock_filter> bpf_program::finish() const {
  std::vector<bool> is_far(steps_.size());
  std::vector<std::size_t> at(steps_.size() + 1);  // each step's first instruction
  const auto distance = [&](std::size_t step, label to) {
    return static_cast<std::ptrdiff_t>(at[labels_[to]]) - static_cast<std::ptrdiff_t>(at[step]) - 1;
  };
  for (bool has_grown = true; has_grown;) {
    for (std::size_t step = 0; step < steps_.size(); ++step) at[step + 1] = at[step] + (is_far[step] ? 3 : 1);
    has_grown = false;
    for (std::size_t step = 0; step < steps_.size(); ++step) {
      const auto& [code, then, otherwise] = steps_[step];
      if (is_far[step] || !otherwise) continue;
      if (distance(step, *then) <= farthest && distance(step, *otherwise) <= farthest) continue;
      is_far[step] = has_grown = true;
    }
  }
  if (at.back() > BPF_MAXINSNS) {
    throw std::invalid_argument{"the matches of the lanes make " + std::to_string(at.back()) +
                                " instructions, and the kernel takes " + std::to_string(BPF_MAXINSNS) +
                                "; write simpler ones"};
  }
  std::vector<sock_filter> done;
  for (std::size_t step = 0; step < steps_.size(); ++step) {
    const auto& [code, then, otherwise] = steps_[step];
    done.push_back(code);
    if (!otherwise) {
      if (then) done.back().k = static_cast<std::uint32_t>(distance(step, *then));
    } else if (!is_far[step]) {
      done.back().jt = static_cast<std::uint8_t>(distance(step, *then));
      done.back().jf = static_cast<std::uint8_t>(distance(step, *otherwise));
    } else {
      done.back().jf = 1;
      done.push_back({BPF_JMP | BPF_JA, 0, 0, static_cast<std::uint32_t>(distance(step, *then) - 1)});
      done.push_back({BPF_JMP | BPF_JA, 0, 0, static_cast<std::uint32_t>(distance(step, *otherwise) - 2)});
    }
  }
  return done;
}

std::string why_not_sound(const std::vector<sock_filter>& program) {
  if (program.empty()) return "it is empty; end it with BPF_RET";
  for (std::size_t at = 0; at < program.size(); ++at) {
    const sock_filter& one = program[at];
    const auto why = [at](const std::string& what) { return "instruction " + std::to_string(at) + ": " + what; };
    if (const std::string what = why_not_known(one); !what.empty()) return why(what);
    if (BPF_CLASS(one.code) != BPF_JMP) continue;
    const std::size_t left = program.size() - at - 1;
    const bool is_beyond = one.code == (BPF_JMP | BPF_JA) ? one.k >= left : one.jt >= left || one.jf >= left;
    if (is_beyond) return why("it jumps beyond the end");
  }
  if (BPF_CLASS(program.back().code) != BPF_RET) return "it does not end with BPF_RET";
  return {};
}

void add_match(bpf_program& to, const std::vector<sock_filter>& program, bpf_program::label taken,
               bpf_program::label refused) {
  // A program may count on zeros at its beginning, whatever ran before it.
  to.add(BPF_LD | BPF_IMM, 0);
  to.add(BPF_MISC | BPF_TAX);
  std::vector<bpf_program::label> at;
  for (std::size_t step = 0; step < program.size(); ++step) at.push_back(to.new_label());
  for (std::size_t step = 0; step < program.size(); ++step) {
    const sock_filter& one = program[step];
    to.place(at[step]);
    if (is_in_packet(one.code) && !is_negative(one.k)) {
      // The length is left in A, which the load overwrites.
      const std::uint32_t end = one.k + size_of_load(one.code);
      const auto is_long_enough = to.new_label();
      to.add(BPF_LD | BPF_W | BPF_LEN);
      to.jump_if(BPF_JGE | BPF_K, end, is_long_enough, refused);
      to.place(is_long_enough);
      if (BPF_MODE(one.code) == BPF_IND) {
        const auto is_in = to.new_label();
        to.add(BPF_ALU | BPF_SUB | BPF_K, end);
        to.jump_if(BPF_JGE | BPF_X, 0, is_in, refused);
        to.place(is_in);
      }
    }
    switch (BPF_CLASS(one.code)) {
      case BPF_RET:
        if (BPF_RVAL(one.code) == BPF_A) {
          to.jump_if(BPF_JEQ | BPF_K, 0, refused, taken);
        } else {
          to.jump(one.k != 0 ? taken : refused);
        }
        break;
      case BPF_JMP:
        if (BPF_OP(one.code) == BPF_JA) {
          to.jump(at[step + 1 + one.k]);
        } else {
          to.jump_if(static_cast<std::uint16_t>(BPF_OP(one.code) | BPF_SRC(one.code)), one.k, at[step + 1 + one.jt],
                     at[step + 1 + one.jf]);
        }
        break;
      default:
        to.add(one.code, one.k);
    }
  }
}

}  // namespace udppump::detail

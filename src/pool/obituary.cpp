#include "pool/obituary.hpp"

#include "pool/counted.hpp"
#include "pool/duration_text.hpp"
#include "sys/printable.hpp"

namespace udppump::detail {

std::string name_of(const crew::member& one) {
  return "worker " + std::to_string(one.number) + " (pid " + std::to_string(one.worker->pid()) + ")";
}

obituary obituary_of(const crew::dead_member& dead, std::uint64_t served, std::chrono::nanoseconds lived, bool tells) {
  const auto& [who, end] = dead;
  std::string text = name_of(*who) + ' ' + end.how() + " after " + duration_text(lived);
  if (tells) text += " and " + counted(served, "datagram") + " by its own count";
  if (!end.words.empty()) text += "; its last words: " + quoted(end.words);
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(lived).count();
  return {std::move(text),
          {{"worker", std::to_string(who->number)},
           {"pid", std::to_string(who->worker->pid())},
           {end.by_signal ? "signal" : "status", std::to_string(end.code)},
           {"uptime_ms", std::to_string(milliseconds)},
           {"served", std::to_string(served)}}};
}

}  // namespace udppump::detail

#include "pool/obituary.hpp"

#include "pool/counted.hpp"
#include "pool/duration_text.hpp"
#include "sys/printable.hpp"

namespace udppump::detail {

std::string name_of(const crew::member& one) {
  return "worker " + std::to_string(one.number) + " (pid " + std::to_string(one.worker->pid()) + ")";
}

obituary obituary_of(const crew::dead_member& dead, const std::string& words, std::uint64_t served,
                     std::chrono::nanoseconds lived, bool tells) {
  const auto& [who, end] = dead;
  std::string text = name_of(*who) + ' ' + end.how() + " after " + duration_text(lived);
  if (tells) text += " and " + counted(served, "datagram") + " by its own count";
  if (!words.empty()) text += "; its last words: " + quoted(words);
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(lived).count();
  pool_log::fields fields{{"worker", std::to_string(who->number)},
                          {"pid", std::to_string(who->worker->pid())},
                          {end.by_signal ? "signal" : "status", std::to_string(end.code)},
                          {"uptime_ms", std::to_string(milliseconds)}};
  if (tells) fields.emplace_back("served", std::to_string(served));
  if (!words.empty()) fields.emplace_back("last_words", words);
  return {std::move(text), std::move(fields)};
}

}  // namespace udppump::detail

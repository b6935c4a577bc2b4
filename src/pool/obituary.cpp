#include "pool/obituary.hpp"

#include "pool/duration_text.hpp"

namespace udppump::detail {

std::string name_of(const crew::member& one, const worker_page& page) {
  return "worker " + std::to_string(one.number) + " (pid " + std::to_string(page.pid.load()) + ")";
}

obituary obituary_of(const crew::dead_member& dead, const worker_page& page, std::chrono::nanoseconds lived,
                     bool tells) {
  const auto& [who, end] = dead;
  const std::uint64_t served = page.handled.load(std::memory_order_relaxed);
  std::string text = name_of(*who, page) + ' ' + end.how() + " after " + duration_text(lived);
  if (tells) text += " and " + std::to_string(served) + " datagrams";
  if (!end.words.empty()) text += ": " + end.words;
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(lived).count();
  return {std::move(text),
          {{"worker", std::to_string(who->number)},
           {"pid", std::to_string(page.pid.load())},
           {end.by_signal ? "signal" : "status", std::to_string(end.code)},
           {"uptime_ms", std::to_string(milliseconds)},
           {"served", std::to_string(served)}}};
}

}  // namespace udppump::detail

#include "pool/worker_end.hpp"

#include <cstring>
#include <string_view>

#include "sys/cut_text.hpp"

namespace udppump::detail {

std::string worker_end::how() const {
  if (!by_signal) return "exited with status " + std::to_string(code);
  return "was killed by signal " + std::to_string(code) + " (" + ::strsignal(code) +
         (left_core ? ", core dumped)" : ")");
}

void leave_last_words(worker_page& page, const std::string& text) noexcept {
  constexpr std::size_t room = sizeof page.last_words - 1;
  constexpr std::string_view dots = "...";
  const std::string_view kept = text.size() <= room ? std::string_view{text} : cut(text, room - dots.size());
  std::memcpy(page.last_words, kept.data(), kept.size());
  std::size_t size = kept.size();
  if (size < text.size()) size += dots.copy(page.last_words + size, dots.size());
  page.last_words[size] = '\0';
}

std::string last_words(const worker_page& page) {
  char copy[sizeof page.last_words];  // the page may change at any time
  std::memcpy(copy, page.last_words, sizeof copy);
  return {copy, ::strnlen(copy, sizeof copy)};
}

}  // namespace udppump::detail

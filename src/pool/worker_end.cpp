#include "pool/worker_end.hpp"

#include <algorithm>
#include <cstring>

namespace udppump::detail {

std::string worker_end::how() const {
  if (!by_signal) return "exited with status " + std::to_string(code);
  return "was killed by signal " + std::to_string(code) + " (" + ::strsignal(code) +
         (left_core ? ", core dumped)" : ")");
}

void leave_last_words(worker_page& page, const std::string& text) noexcept {
  const std::size_t size = std::min(text.size(), sizeof page.last_words - 1);
  std::memcpy(page.last_words, text.data(), size);
  if (size < text.size()) std::memcpy(page.last_words + size - 3, "...", 3);
  page.last_words[size] = '\0';
}

std::string last_words(const worker_page& page) {
  char copy[sizeof page.last_words];  // the page may change at any time
  std::memcpy(copy, page.last_words, sizeof copy);
  return {copy, ::strnlen(copy, sizeof copy)};
}

}  // namespace udppump::detail

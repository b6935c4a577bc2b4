#include "pool/worker_end.hpp"

#include <algorithm>
#include <cstring>

namespace udppump::detail {

std::string worker_end::how() const {
  if (!by_signal) return "exited with status " + std::to_string(code);
  return "was killed by signal " + std::to_string(code) + " (" + ::strsignal(code) + ")";
}

void leave_last_words(worker_page& page, const std::string& text) noexcept {
  const std::size_t size = std::min(text.size(), sizeof page.last_words - 1);
  std::memcpy(page.last_words, text.data(), size);
  page.last_words[size] = '\0';
}

std::string last_words(const worker_page& page) {
  return {page.last_words, ::strnlen(page.last_words, sizeof page.last_words)};
}

}  // namespace udppump::detail

#include "pool/inheritance.hpp"

#include <cstdlib>
#include <sstream>

#include "sys/failure.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

constexpr char version[] = "1";

}  // namespace

std::string inheritance::to_text() const {
  std::ostringstream text;
  text << version << ' ' << parent << ' ' << page << ' ' << memory << ' ' << parent_signal << ' ' << page_signal;
  for (const named_descriptor& one : sockets) text << ' ' << one.fd << ' ' << one.name;
  return text.str();
}

inheritance inheritance::of_text(const std::string& text) {
  std::istringstream words{text};
  std::string told;
  inheritance left;
  words >> told >> left.parent >> left.page >> left.memory >> left.parent_signal >> left.page_signal;
  if (!words || told != version) {
    fail(EPROTO, std::string{variable} + " is of another version of udppump; restart the pool");
  }
  for (named_descriptor one; words >> one.fd >> one.name;) left.sockets.push_back(one);
  return left;
}

std::optional<inheritance> inheritance::take() {
  const char* const text = std::getenv(variable);
  if (text == nullptr) return {};
  const std::string copy = text;
  ::unsetenv(variable);
  const inheritance left = of_text(copy);
  if (!left.set_close_on_exec(true)) {
    fail(EBADF, std::string{variable} + " names descriptors that are not open; it is for workers only: unset it");
  }
  return left;
}

bool inheritance::refuse() noexcept { return std::getenv(variable) != nullptr && ::unsetenv(variable) == 0; }

std::vector<int> inheritance::descriptors() const {
  std::vector<int> all{memory, parent_signal, page_signal};
  for (const named_descriptor& one : sockets) all.push_back(one.fd);
  return all;
}

bool inheritance::set_close_on_exec(bool on) const {
  bool all = true;
  for (const int one : descriptors()) all &= sys::set_close_on_exec(one, on) >= 0;
  return all;
}

}  // namespace udppump::detail

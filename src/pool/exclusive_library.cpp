#include "pool/exclusive_library.hpp"

#include <algorithm>
#include <cstdint>
#include <system_error>

#include "pool/program_file.hpp"
#include "sys/service_path.hpp"
#include "sys/sys_file.hpp"

namespace udppump::detail {

namespace {

constexpr std::size_t most_sockets = 1024;  // as src/exclusive/exclusive.cpp has it
constexpr char preload[] = "LD_PRELOAD=";

std::string why_not(const std::string& library, const std::string& program) {
  // Between these the dynamic linker has names (ld.so(8)).
  if (library.find_first_of(" :$") != std::string::npos) {
    return '"' + library +
           "\" has a blank, a colon or a dollar in its path, and so cannot be preloaded; install it "
           "elsewhere";
  }
  struct stat about {};
  if (const int known = sys::status_of(library.c_str(), about); known == -ENOENT || known == -ENOTDIR) {
    return '"' + library + "\" is not installed; install all of udppump";
  }
  if (sys::may(library.c_str(), R_OK) != 0) {
    return '"' + library + "\" may not be read by the user of the workers; install it where all may read it";
  }
  try {
    service_path{"library to preload", library}.look();
  } catch (const std::system_error& untrusted) {
    return untrusted.what();
  }
  const std::string why = why_not_preloaded(program, library);
  return why.empty() ? why : '"' + program + "\" cannot be reached: " + why;
}

}  // namespace

exclusive_library::exclusive_library(const worker_program& program, const program_options& options)
    : path_{options.exclusive_library.empty() ? UDPPUMP_EXCLUSIVE_LIBRARY : options.exclusive_library} {
  if (options.exclusive == exclusive_waits::off) return;
  why_not_ = detail::why_not(path_, program.path());
  is_on_ = why_not_.empty();
}

void exclusive_library::add_to(std::vector<std::string>& environment, const std::vector<int>& passed) const {
  if (!is_on_ || passed.size() > most_sockets) return;
  std::string cookies;
  for (const int socket : passed) {
    std::uint64_t cookie = 0;
    if (sys::getsockopt(socket, SOL_SOCKET, SO_COOKIE, cookie) < 0) return;
    cookies += (cookies.empty() ? "" : ",") + std::to_string(cookie);
  }
  environment.push_back(variable + cookies);
  // Behind what is preloaded already: it may have to come first.
  const auto is_preload = [](const std::string& one) { return one.starts_with(preload); };
  if (const auto there = std::ranges::find_if(environment, is_preload); there != environment.end()) {
    *there += ':' + path_;
  } else {
    environment.push_back(preload + path_);
  }
}

}  // namespace udppump::detail

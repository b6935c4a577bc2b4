#include "pool/execute.hpp"

#include <string_view>

#include "pool/worker_end.hpp"
#include "sys/failure.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

constexpr std::string_view not_for_workers[] = {
    "LISTEN_PID=",    "LISTEN_FDS=",     "LISTEN_FDNAMES=",  "NOTIFY_SOCKET=",     "WATCHDOG_PID=",
    "WATCHDOG_USEC=", "UDPPUMP_WORKER=", "UDPPUMP_INHERIT=", "UDPPUMP_TAKE_OVER=", "UDPPUMP_EXCLUSIVE="};

bool is_for_workers(std::string_view variable) {
  for (const std::string_view name : not_for_workers) {
    if (variable.substr(0, name.size()) == name) return false;
  }
  return true;
}

}  // namespace

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& one : texts) pointers.push_back(const_cast<char*>(one.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> environment_for_worker(std::size_t number) {
  std::vector<std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (is_for_workers(*variable)) environment.emplace_back(*variable);
  }
  environment.push_back("UDPPUMP_WORKER=" + std::to_string(number));
  return environment;
}

int execute(const std::string& path, const std::vector<std::string>& arguments,
            const std::vector<std::string>& environment, worker_page& page) {
  const int error = -sys::execute(path.c_str(), pointers_to(arguments).data(), pointers_to(environment).data());
  std::string hint;
  if (error == ENOEXEC) hint = " (a script needs a first line such as #!/bin/sh)";
  if (error == ENOENT) hint = " (is the interpreter that it names missing?)";
  leave_last_words(page, "executing " + path + ": " + code_of(error).message() + hint);
  return error == ENOENT ? status_not_found : status_not_executable;
}

}  // namespace udppump::detail

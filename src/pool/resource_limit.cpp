#include "udppump/resource_limit.hpp"

#include <sys/resource.h>

namespace udppump {

std::span<const named_resource> named_resources() noexcept {
  static constexpr named_resource all[] = {
      {"as", RLIMIT_AS},           {"core", RLIMIT_CORE},         {"cpu", RLIMIT_CPU},
      {"data", RLIMIT_DATA},       {"fsize", RLIMIT_FSIZE},       {"locks", RLIMIT_LOCKS},
      {"memlock", RLIMIT_MEMLOCK}, {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
      {"nofile", RLIMIT_NOFILE},   {"nproc", RLIMIT_NPROC},       {"rss", RLIMIT_RSS},
      {"rtprio", RLIMIT_RTPRIO},   {"rttime", RLIMIT_RTTIME},     {"sigpending", RLIMIT_SIGPENDING},
      {"stack", RLIMIT_STACK}};
  return all;
}

std::string_view name_of_resource(int resource) noexcept {
  for (const named_resource& each : named_resources()) {
    if (each.resource == resource) return each.name;
  }
  return {};
}

}  // namespace udppump

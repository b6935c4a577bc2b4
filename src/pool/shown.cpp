#include "pool/shown.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <string_view>

#include "sys/sys_file.hpp"

namespace udppump::detail {

std::uint32_t shown_milliseconds(std::chrono::nanoseconds time) noexcept {
  const auto whole = std::chrono::ceil<std::chrono::milliseconds>(time).count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(whole, 0, std::numeric_limits<std::uint32_t>::max()));
}

void show_pool(board& shared, const pool_options& options, const std::string& own_path) noexcept {
  shown_pool& shown = shared.header().shown;
  const std::string_view file{own_path};
  show_text(shown.name, options.name.empty() ? file.substr(file.rfind('/') + 1) : std::string_view{options.name});
  show_text(shown.version, UDPPUMP_VERSION);
  shown.started_at = nanoseconds_of(std::chrono::steady_clock::now());
  shown.threads = options.model == worker_model::threads ? 1 : 0;
  shown.lanes = static_cast<std::uint32_t>(options.lanes.size());
  shown.max_age_ms = shown_milliseconds(options.max_age);
}

void show_sockets(board& shared, const pool_sockets& sockets) {
  for (std::size_t at = 0; at < std::min(sockets.size(), shared.sockets()); ++at) {
    const datagram_socket& socket = sockets.all()[at];
    shown_socket& shown = shared.socket(at);
    struct stat about {};
    shown.inode = sys::status(socket.fd(), about) < 0 ? 0 : about.st_ino;
    shown.asked = socket.receive_buffer().asked;
    shown.lane = static_cast<std::uint32_t>(socket.lane());
    show_text(shown.address, socket.local().to_string());
    show_text(shown.lane_name, sockets.called()[at].lane);
    show_text(shown.name, sockets.called()[at].name);
  }
}

}  // namespace udppump::detail

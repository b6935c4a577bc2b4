#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace udppump::doctor {

/// What systemd knows of the pool's unit (systemd.service(5)).
struct unit_facts {
  std::string name = {};
  std::string type = {}, notify_access = {}, kill_mode = {}, restart = {};
  /// 0: none.
  std::chrono::microseconds watchdog{0};
  std::uint64_t restarts = 0;
  /// The program's file was replaced, or the unit's, since systemd read it.
  bool needs_reload = false;
};

/// Of what `systemctl show` prints.
unit_facts parse_unit(std::string_view shown);
/// What it prints, for the manager of the system; nothing if that cannot be asked. Waits two seconds at most.
std::optional<std::string> ask_for_unit(const std::string& name);

}  // namespace udppump::doctor

#pragma once

#include <string>
#include <vector>

#include "doctor/finding.hpp"

namespace udppump::doctor {

/// What was found of the machine (no pool), or of a pool.
struct examined {
  /// "pool dns (pid 4711)"; empty for the machine.
  std::string subject = {};
  findings found = {};
};

struct report {
  std::vector<examined> parts = {};
  std::vector<unseen> hidden = {};
};

/// A line each, worst first, and then what could not be looked at.
std::string text_of(const report& all);
/// One object.
std::string json_of(const report& all);
/// Of all that was found; nothing if it is nothing.
int exit_code_of(const report& all) noexcept;

}  // namespace udppump::doctor

#include "doctor/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "doctor/wording.hpp"
#include "udppump/printable.hpp"

namespace udppump::doctor {

namespace {

constexpr int exit_warnings = 3, exit_wrong = 4;

struct told {
  const finding* what;
  const examined* of;
};

std::vector<told> worst_first(const report& all) {
  std::vector<told> sorted;
  for (const examined& part : all.parts) {
    for (const finding& one : part.found) sorted.push_back({&one, &part});
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const told& a, const told& b) { return a.what->how_bad < b.what->how_bad; });
  return sorted;
}

std::vector<unseen> once(std::vector<unseen> hidden) {
  std::sort(hidden.begin(), hidden.end());
  hidden.erase(std::unique(hidden.begin(), hidden.end()), hidden.end());
  return hidden;
}

}  // namespace

std::string_view to_string(severity one) noexcept {
  switch (one) {
    case severity::wrong:
      return "wrong";
    case severity::warning:
      return "warning";
    case severity::note:
      return "note";
  }
  return "?";
}

std::string text_of(const report& all) {
  std::string text;
  const auto sorted = worst_first(all);
  for (const auto& [what, of] : sorted) {
    const std::string subject = of->subject.empty() ? "" : of->subject + ": ";
    text += printable(fmt::format("{}: {}{}; {}", to_string(what->how_bad), subject, what->what, what->cure)) + '\n';
  }
  for (const unseen& one : once(all.hidden)) {
    text += printable(fmt::format("not looked at: {}: {}", one.what, one.why)) + '\n';
  }
  if (exit_code_of(all) != 0) return text;
  const auto pools =
      std::count_if(all.parts.begin(), all.parts.end(), [](const examined& part) { return !part.subject.empty(); });
  const std::string all_pools = counted(static_cast<std::uint64_t>(pools), "pool");
  if (all.hidden.empty()) {
    text += pools == 0 ? "nothing is wrong with this machine; no pool was found\n"
                       : fmt::format("nothing is wrong with {}, or with this machine\n", all_pools);
  } else {
    text += pools == 0 ? "nothing is wrong in what was looked at of this machine; no pool was found\n"
                       : fmt::format("nothing is wrong in what was looked at of {} and this machine\n", all_pools);
  }
  return text;
}

std::string json_of(const report& all) {
  using json = nlohmann::ordered_json;
  json findings_told = json::array(), hidden = json::array();
  for (const auto& [what, of] : worst_first(all)) {
    json one{{"severity", to_string(what->how_bad)}, {"check", what->check}};
    if (!of->subject.empty()) one["pool"] = printable(of->subject);
    one["what"] = printable(what->what);
    one["cure"] = printable(what->cure);
    findings_told.push_back(std::move(one));
  }
  for (const unseen& one : once(all.hidden)) {
    hidden.push_back({{"what", printable(one.what)}, {"why", printable(one.why)}});
  }
  json pools = json::array();
  for (const examined& part : all.parts) {
    if (!part.subject.empty()) pools.push_back(printable(part.subject));
  }
  const json whole{{"pools", std::move(pools)},
                   {"findings", std::move(findings_told)},
                   {"not_looked_at", std::move(hidden)},
                   {"exit_code", exit_code_of(all)}};
  return whole.dump(2) + '\n';
}

int exit_code_of(const report& all) noexcept {
  int code = 0;
  for (const examined& part : all.parts) {
    for (const finding& one : part.found) {
      if (one.how_bad == severity::wrong) code = std::max(code, exit_wrong);
      if (one.how_bad == severity::warning) code = std::max(code, exit_warnings);
    }
  }
  return code;
}

}  // namespace udppump::doctor

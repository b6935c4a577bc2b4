#include "support/options.hpp"

#include <algorithm>

namespace bench {

bool options::wants(std::string_view contender) const {
  return only.empty() || std::find(only.begin(), only.end(), contender) != only.end();
}

void add_repetitions(CLI::App& app, options& chosen, std::size_t repetitions) {
  chosen.repetitions = repetitions;
  const CLI::Validator odd{[](std::string& text) {
                             const bool is_odd = !text.empty() && (text.back() - '0') % 2 == 1;
                             return is_odd ? std::string{} : "must be odd, for the median";
                           },
                           "ODD"};
  app.add_option("--repetitions", chosen.repetitions, "How often each contender is measured")
      ->check(CLI::PositiveNumber)
      ->check(odd)
      ->capture_default_str();
}

void add_options(CLI::App& app, options& chosen) {
  app.add_flag("--quick", chosen.quick, "Few and small repetitions: to see that it works, not how fast");
  app.add_option("--only", chosen.only, "Measure these contenders only; ratios need the reference among them");
  app.add_flag("--list", chosen.list, "Print the contenders' names and end");
  app.add_option("--json", chosen.json, "Write the tables to this file as well");
}

void settle(const CLI::App& app, options& chosen, std::size_t quick_repetitions) {
  if (chosen.quick && app.count("--repetitions") == 0) chosen.repetitions = quick_repetitions;
}

}  // namespace bench

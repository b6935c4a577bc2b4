#include "load/report/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace udppump::load {

std::string table::to_string() const {
  std::vector<std::size_t> widths(rows_.front().size());
  for (const auto& cells : rows_) {
    for (std::size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
  }
  std::string text;
  for (const auto& cells : rows_) {
    fmt::format_to(std::back_inserter(text), "{:<{}}", cells.front(), widths.front());
    for (std::size_t i = 1; i < cells.size(); ++i) {
      fmt::format_to(std::back_inserter(text), "  {:>{}}", cells[i], widths[i]);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  }
  return text;
}

}  // namespace udppump::load

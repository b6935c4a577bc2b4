#include "load/report/table.hpp"

#include <algorithm>

#include "sys/cut_text.hpp"

namespace udppump::load {

std::string table::to_string() const {
  std::vector<std::size_t> widths(rows_.front().size());
  for (const auto& cells : rows_) {
    for (std::size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], detail::characters_in(cells[i]));
  }
  std::string text;
  for (const auto& cells : rows_) {
    const auto room = [&](std::size_t i) { return std::string(widths[i] - detail::characters_in(cells[i]), ' '); };
    text += cells.front() + room(0);
    for (std::size_t i = 1; i < cells.size(); ++i) text.append("  ").append(room(i)).append(cells[i]);
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  }
  return text;
}

}  // namespace udppump::load

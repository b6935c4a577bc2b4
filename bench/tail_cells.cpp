#include "tail_cells.hpp"

namespace bench {

const std::vector<std::string> distributions{"constant", "exponential", "bimodal"};
const std::vector<unsigned> loads{30, 50, 70, 80, 90};

std::vector<cell> whole_grid() {
  std::vector<cell> grid;
  for (const auto& times : distributions) {
    for (const std::size_t workers : {2, 8, 32}) {
      for (const std::uint32_t flows : {8, 64, 1000}) {
        for (const auto load : loads) grid.push_back({{times, workers, flows}, load});
      }
    }
  }
  return grid;
}

bool in_cross_section(const cell& each) {
  const auto& [times, workers, flows] = each.where;
  if (workers == 8 && flows == 64) return true;
  return times == "exponential" && (each.load == 70 || each.load == 90) && (workers == 8 || flows == 64);
}

}  // namespace bench

#include "support/table.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <system_error>

namespace bench {
namespace {

std::string to_text(const table::cell& cell, int precision) {
  if (const auto* figure = std::get_if<double>(&cell)) return fmt::format("{:.{}f}", *figure, precision);
  if (const auto* spread = std::get_if<summary>(&cell)) {
    return fmt::format("{:.{}f} [{:.{}f}..{:.{}f}]", spread->median, precision, spread->lower, precision, spread->upper,
                       precision);
  }
  return "-";
}

std::string to_json_value(const table::cell& cell) {
  if (const auto* figure = std::get_if<double>(&cell)) return fmt::format("{}", *figure);
  if (const auto* spread = std::get_if<summary>(&cell)) {
    return fmt::format(R"({{"median": {}, "lower": {}, "upper": {}}})", spread->median, spread->lower, spread->upper);
  }
  return "null";
}

}  // namespace

void table::print() const {
  std::size_t name_width = title_.size();
  for (const auto& each : rows_) name_width = std::max(name_width, each.name.size());
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = columns_[i].name.size();
    for (const auto& each : rows_) width = std::max(width, to_text(each.cells[i], columns_[i].precision).size());
    widths.push_back(width);
  }

  fmt::print("\n{:<{}}", title_, name_width);
  for (std::size_t i = 0; i < columns_.size(); ++i) fmt::print("  {:>{}}", columns_[i].name, widths[i]);
  fmt::print("\n");
  for (const auto& each : rows_) {
    fmt::print("{:<{}}", each.name, name_width);
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      fmt::print("  {:>{}}", to_text(each.cells[i], columns_[i].precision), widths[i]);
    }
    fmt::print("\n");
  }
}

std::string table::to_json() const {
  std::vector<std::string> rows;
  for (const auto& each : rows_) {
    std::string text = fmt::format(R"({{"name": "{}")", each.name);
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      text += fmt::format(R"(, "{}": {})", columns_[i].name, to_json_value(each.cells[i]));
    }
    rows.push_back(text + "}");
  }
  return fmt::format("{{\"title\": \"{}\", \"rows\": [\n  {}\n]}}", title_, fmt::join(rows, ",\n  "));
}

table::cell summary_cell(const std::vector<double>& samples) {
  return samples.empty() ? table::cell{} : table::cell{summarize(samples)};
}

void write_json(const std::string& file, const std::vector<table>& tables) {
  if (file.empty()) return;
  std::vector<std::string> texts;
  for (const auto& each : tables) texts.push_back(each.to_json());
  std::ofstream out{file};
  out << fmt::format("[{}]\n", fmt::join(texts, ",\n"));
  out.flush();
  if (!out) throw std::system_error{errno, std::generic_category(), file};
}

}  // namespace bench

#include "support/table.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "load/report/table.hpp"
#include "support/machine.hpp"

namespace bench {
namespace {

using nlohmann::ordered_json;

std::string to_text(const table::cell& cell, int precision) {
  if (const auto* figure = std::get_if<double>(&cell)) return fmt::format("{:.{}f}", *figure, precision);
  if (const auto* spread = std::get_if<summary>(&cell)) {
    return fmt::format("{:.{}f} [{:.{}f}..{:.{}f}]", spread->median, precision, spread->lower, precision, spread->upper,
                       precision);
  }
  return "-";
}

/// What a reader sees of a figure and a little more; not the noise of its last binary digits.
double rounded(double figure) { return std::isfinite(figure) ? std::stod(fmt::format("{:.6g}", figure)) : figure; }

/// A figure that is not finite is null: JSON has no word for it.
ordered_json to_json_value(const table::cell& cell) {
  if (const auto* figure = std::get_if<double>(&cell)) return rounded(*figure);
  if (const auto* spread = std::get_if<summary>(&cell)) {
    return {{"median", rounded(spread->median)}, {"lower", rounded(spread->lower)}, {"upper", rounded(spread->upper)}};
  }
  return nullptr;
}

ordered_json to_json_value(const machine& on) {
  return {{"processors", on.processors},
          {"model", on.model},
          {"kernel", on.kernel},
          {"rmem_max", on.receive_buffer_limit},
          {"load", on.load},
          {"build", on.build_type},
          {"compiler", on.compiler}};
}

std::string in_utc(std::chrono::system_clock::time_point time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

}  // namespace

void table::print() const {
  udppump::load::table::row head{title_};
  for (const auto& each : columns_) head.push_back(each.name);
  udppump::load::table aligned{head};
  for (const auto& each : rows_) {
    udppump::load::table::row cells{each.name};
    for (std::size_t i = 0; i < columns_.size(); ++i) cells.push_back(to_text(each.cells[i], columns_[i].precision));
    aligned.add(std::move(cells));
  }
  fmt::print("\n{}", aligned.to_string());
}

ordered_json table::to_json() const {
  auto columns = ordered_json::array(), rows = ordered_json::array();
  for (const auto& each : columns_) columns.push_back({{"name", each.name}, {"precision", each.precision}});
  for (const auto& each : rows_) {
    auto cells = ordered_json::array();
    for (const auto& value : each.cells) cells.push_back(to_json_value(value));
    rows.push_back({{"name", each.name}, {"cells", cells}});
  }
  return {{"title", title_}, {"columns", columns}, {"rows", rows}};
}

table::cell summary_cell(const std::vector<double>& samples) {
  return samples.empty() ? table::cell{} : table::cell{summarize(samples)};
}

void write_json(const std::string& file, const std::vector<table>& tables) {
  if (file.empty()) return;
  const auto& run = printed_so_far();
  const std::chrono::duration<double> took = std::chrono::system_clock::now() - run.began;
  auto written = ordered_json::array();
  for (const auto& each : tables) written.push_back(each.to_json());
  const ordered_json all = {{"benchmark", run.benchmark},
                            {"title", run.title},
                            {"method", run.method},
                            {"quick", run.quick},
                            {"revision", run.revision},
                            {"began", in_utc(run.began)},
                            {"seconds", std::round(took.count())},
                            {"machine", to_json_value(run.measured_on)},
                            {"run", run.sizes},
                            {"left_out", run.left_out},
                            {"tables", written}};
  std::ofstream out{file};
  out << all.dump(1) << '\n';
  out.flush();
  if (!out) throw std::system_error{errno, std::generic_category(), file};
}

}  // namespace bench

#include "load/report/plot.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string_view>

#include "load/report/output_file.hpp"
#include "load/run/system.hpp"

namespace udppump::load {
namespace {

struct close_file {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

/// gnuplot with a script as its input; its exit code, or nothing if there is no gnuplot.
int run_gnuplot(std::string_view script) {
  // A file rather than a pipe: a gnuplot that stops reading is then nobody's broken pipe.
  const std::unique_ptr<std::FILE, close_file> input{std::tmpfile()};
  if (!input || std::fwrite(script.data(), 1, script.size(), input.get()) != script.size() ||
      std::fflush(input.get()) != 0 || std::fseek(input.get(), 0, SEEK_SET) != 0) {
    throw failure{code_of_errno(errno), "cannot write a script for gnuplot", "make room in /tmp, or omit --plot"};
  }
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ::fileno(input.get()), STDIN_FILENO);
  std::array<char, 8> name{"gnuplot"};
  std::array<char*, 2> arguments{name.data(), nullptr};
  pid_t process = 0;
  const int error = ::posix_spawnp(&process, name.data(), &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    throw std::runtime_error{fmt::format("gnuplot cannot be run: {}; install it (Debian: gnuplot-nox), or omit --plot",
                                         std::strerror(error))};
  }
  int status = 0;
  check_call(repeat([&] { return ::waitpid(process, &status, 0); }), "waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void expect_success(int exit_code, const std::string& path) {
  if (exit_code != 0)
    throw std::runtime_error{fmt::format(
        "gnuplot failed with {}, and {} was not drawn; see what it said above, or omit --plot", exit_code, path)};
}

/// In gnuplot's single quotes only the quote itself means something.
std::string quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) quoted.append(c == '\'' ? 2 : 1, c);
  return quoted + "'";
}

struct point {
  double x, y;
};

/// Less than half a pixel apart, in either direction, in a picture of some decades.
bool look_the_same(const point& one, const point& other) {
  constexpr double half_pixel = 1.01;
  return std::max(one.x, other.x) < half_pixel * std::min(one.x, other.x) &&
         std::max(one.y, other.y) < half_pixel * std::min(one.y, other.y);
}

/// Lines "x y": of all requests, one in x waits at least y milliseconds. Histograms have thousands of cells; of points
/// that nobody could tell apart only the first is written, and the last of all.
std::string points(const plot_curve& curve) {
  std::string lines;
  std::optional<point> drawn;
  const auto draw = [&](const point& next, bool last) {
    if (drawn && !last && look_the_same(*drawn, next)) return;
    drawn = next;
    fmt::format_to(std::back_inserter(lines), "{:.6g} {:.6g}\n", next.x, next.y);
  };
  const auto total = static_cast<double>(curve.latency->count() + curve.missing);
  const auto answered = static_cast<double>(curve.latency->count());
  double below = 0;
  for (const auto& cell : curve.latency->cells()) {
    const double value = static_cast<double>(std::min(cell.last, curve.latency->max()).count()) / 1e6;
    const double before = below;
    below += static_cast<double>(cell.count);
    draw({total / (total - before), value}, below == answered);
    if (below < total) draw({total / (total - below), value}, below == answered);
  }
  return lines;
}

// Labels of tics are formats (gnuplot, "set xtics"): a percent sign is written twice.
constexpr std::string_view look = R"(
set rmargin 7
set border 3 linecolor rgb '#808080'
set tics nomirror textcolor rgb '#808080'
set grid linecolor rgb '#808080' linewidth 0.3 dashtype 3
set key bottom right textcolor rgb '#808080'
set logscale xy
set xrange [1:]
set xlabel 'share of all requests that waited no longer' textcolor rgb '#808080'
set ylabel 'latency' textcolor rgb '#808080'
set xtics ('0%%' 1, '50%%' 2, '90%%' 10, '99%%' 100, '99.9%%' 1000, '99.99%%' 10000, '99.999%%' 100000, '99.9999%%' 1000000)
set ytics ('1 us' 0.001, '10 us' 0.01, '100 us' 0.1, '1 ms' 1, '10 ms' 10, '100 ms' 100, '1 s' 1000, '10 s' 10000)
)";

/// Where the picture begins, in milliseconds: the power of ten below all but the fastest twentieth, of which nobody
/// wants to know how much faster it was.
double lowest_shown(std::span<const plot_curve> curves) {
  nanoseconds lowest = unanswered;
  for (const auto& curve : curves) {
    if (curve.latency->count() > 0) lowest = std::min(lowest, curve.latency->percentile(5));
  }
  return std::pow(10, std::floor(std::log10(static_cast<double>(std::max<std::int64_t>(1, lowest.count())) / 1e6)));
}

}  // namespace

void expect_plottable(const std::string& path) {
  if (path.empty()) return;
  if (!path.ends_with(".svg") && !path.ends_with(".png")) {
    throw std::invalid_argument{fmt::format("--plot {}: the name must end in .svg or .png", path)};
  }
  expect_writable(path);
  expect_success(run_gnuplot("exit\n"), path);
}

void plot(const std::string& path, const std::string& title, std::span<const plot_curve> curves) {
  std::string script = path.ends_with(".svg")
                           ? "set terminal svg size 800,480 dynamic noenhanced font 'sans-serif,14'\n"
                           : "set terminal pngcairo size 1200,720 transparent noenhanced font 'sans-serif,16'\n";
  script += fmt::format("set output {}\nset title {} textcolor rgb '#808080'\n", quoted(path), quoted(title));
  script += look;
  script += fmt::format("set yrange [{}:]\n", lowest_shown(curves));
  std::string lines;
  for (std::size_t i = 0; i < curves.size(); ++i) {
    // If nothing was answered there is no line; gnuplot would refuse to read no data.
    if (curves[i].latency->count() == 0) continue;
    script += fmt::format("$curve{} << END\n{}END\n", i, points(curves[i]));
    lines += fmt::format("{} $curve{} with lines linewidth 2 dashtype {} linecolor rgb {} title {}",
                         lines.empty() ? "plot" : ",", i, curves[i].dashed ? 2 : 1, quoted(curves[i].colour),
                         quoted(curves[i].name));
  }
  if (lines.empty())
    throw std::runtime_error{fmt::format("nothing was answered, so {} was not drawn; does the target listen?", path)};
  expect_success(run_gnuplot(script + lines + "\n"), path);
}

}  // namespace udppump::load

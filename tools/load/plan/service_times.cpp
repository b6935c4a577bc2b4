#include "load/plan/service_times.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "load/plan/quantity.hpp"
#include "load/plan/work_message.hpp"

namespace udppump::load {
namespace {

nanoseconds scaled(nanoseconds value, double factor) {
  return nanoseconds{std::llround(static_cast<double>(value.count()) * factor)};
}

service_times parse_bimodal(std::string_view text) {
  const auto first = text.find(',');
  if (first == std::string_view::npos) {
    const nanoseconds mean = parse_duration(text);
    if (mean > longest_work) return {.kind = service_kind::bimodal, .mean = mean};  // scaled, it might not fit
    return {service_kind::bimodal, mean, scaled(mean, 0.5), scaled(mean, 100.5), 0.005};
  }
  const auto second = text.find(',', first + 1);
  if (second == std::string_view::npos)
    throw std::invalid_argument{"bimodal takes one or three values, as in bimodal:500us,100ms,0.5%"};
  const nanoseconds short_time = parse_duration(text.substr(0, first));
  const nanoseconds long_time = parse_duration(text.substr(first + 1, second - first - 1));
  const double share = parse_share(text.substr(second + 1));
  if (short_time > long_time)
    throw std::invalid_argument{"the short time is longer than the long one; give the shorter one first"};
  return {service_kind::bimodal, scaled(short_time, 1 - share) + scaled(long_time, share), short_time, long_time,
          share};
}

service_times checked(const service_times& read) {
  if (std::max(read.mean, read.long_time) > longest_work) {
    throw std::invalid_argument{
        fmt::format("a server works {} at most for a request; give no more", format_duration(longest_work))};
  }
  return read;
}

}  // namespace

service_times service_times::parse(std::string_view text) {
  const auto colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const std::string_view rest = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  try {
    if (kind == "constant") return checked({.kind = service_kind::constant, .mean = parse_duration(rest)});
    if (kind == "exponential") return checked({.kind = service_kind::exponential, .mean = parse_duration(rest)});
    if (kind == "bimodal") return checked(parse_bimodal(rest));
  } catch (const std::invalid_argument& why) {
    throw std::invalid_argument{fmt::format("service times {}: {}", quoted(text), why.what())};
  }
  throw std::invalid_argument{
      fmt::format("{} are no service times; write them like constant:1ms, exponential:1ms, bimodal:1ms or "
                  "bimodal:500us,100ms,0.5%",
                  quoted(text))};
}

std::string service_times::to_string() const {
  switch (kind) {
    case service_kind::constant:
      return fmt::format("constant {}", format_duration(mean));
    case service_kind::exponential:
      return fmt::format("exponential around {}", format_duration(mean));
    case service_kind::bimodal:
      break;
  }
  return fmt::format("{}% of {}, {}% of {}", 100 - 100 * long_share, format_duration(short_time), 100 * long_share,
                     format_duration(long_time));
}

double service_times::long_share_of_work() const noexcept {
  if (!has_classes() || mean.count() <= 0) return 0;
  return long_share * static_cast<double>(long_time.count()) / static_cast<double>(mean.count());
}

nanoseconds service_times::draw(random_stream& random) const noexcept {
  switch (kind) {
    case service_kind::constant:
      break;
    case service_kind::exponential:
      return scaled(mean, random.exponential());
    case service_kind::bimodal:
      return random.uniform() < long_share ? long_time : short_time;
  }
  return mean;
}

}  // namespace udppump::load

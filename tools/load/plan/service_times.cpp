#include "load/plan/service_times.hpp"

#include <fmt/format.h>

#include <cmath>
#include <stdexcept>

#include "load/plan/quantity.hpp"

namespace udppump::load {
namespace {

nanoseconds scaled(nanoseconds value, double factor) {
  return nanoseconds{std::llround(static_cast<double>(value.count()) * factor)};
}

service_times parse_bimodal(std::string_view text) {
  const auto first = text.find(',');
  if (first == std::string_view::npos) {
    const nanoseconds mean = parse_duration(text);
    return {service_kind::bimodal, mean, scaled(mean, 0.5), scaled(mean, 100.5), 0.005};
  }
  const auto second = text.find(',', first + 1);
  if (second == std::string_view::npos) throw std::invalid_argument{"bimodal takes one or three values"};
  const nanoseconds short_time = parse_duration(text.substr(0, first));
  const nanoseconds long_time = parse_duration(text.substr(first + 1, second - first - 1));
  const double share = parse_share(text.substr(second + 1));
  if (share > 1) throw std::invalid_argument{"more than all are long"};
  return {service_kind::bimodal, scaled(short_time, 1 - share) + scaled(long_time, share), short_time, long_time,
          share};
}

}  // namespace

service_times service_times::parse(std::string_view text) {
  const auto colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const std::string_view rest = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  try {
    if (kind == "constant") return {.kind = service_kind::constant, .mean = parse_duration(rest)};
    if (kind == "exponential") return {.kind = service_kind::exponential, .mean = parse_duration(rest)};
    if (kind == "bimodal") return parse_bimodal(rest);
  } catch (const std::invalid_argument& why) {
    throw std::invalid_argument{fmt::format("service times \"{}\": {}", text, why.what())};
  }
  throw std::invalid_argument{
      fmt::format("\"{}\" are no service times; write them like constant:1ms, exponential:1ms, bimodal:1ms or "
                  "bimodal:500us,100ms,0.5%",
                  text)};
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

#include "pool_choice.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "load/plan/quantity.hpp"
#include "udppump/failure.hpp"

namespace udppump::tools {

namespace {

struct named_pool {
  pool_reader reader;
  std::string name;
};

std::vector<named_pool> all_pools(std::size_t& unheard) {
  std::vector<named_pool> found;
  for (pool_reader& each : pool_reader::all(&unheard)) {
    try {
      std::string name = each.read().name;
      found.push_back({std::move(each), std::move(name)});
    } catch (const std::system_error&) {
      // It has just ended.
    }
  }
  return found;
}

/// "4711 (dns), 4712 (ntp) and 3 more".
std::string list_of(const std::vector<named_pool>& pools) {
  constexpr std::size_t most = 8;
  std::string text;
  for (std::size_t at = 0; at < std::min(pools.size(), most); ++at) {
    text += fmt::format("{}{} ({})", at == 0 ? "" : ", ", pools[at].reader.parent(), pools[at].name);
  }
  if (pools.size() > most) text += fmt::format(" and {} more", pools.size() - most);
  return text;
}

[[noreturn]] void refuse_for_none(std::size_t unheard) {
  std::string text = "no pool runs here that this user may look at; be its user, in its --status-group, or root";
  if (unheard != 0) text += fmt::format("; {} could not be asked: try again", load::counted(unheard, "status socket"));
  throw failure{std::make_error_code(std::errc::no_such_process), text};
}

bool read_id(const std::string& text, pid_t& id) {
  const auto read = std::from_chars(text.data(), text.data() + text.size(), id);
  return read.ec == std::errc{} && read.ptr == text.data() + text.size() && id > 0;
}

}  // namespace

pool_reader choose_pool(const std::string& wanted) {
  if (pid_t id = 0; read_id(wanted, id)) return pool_reader{id};
  std::size_t unheard = 0;
  std::vector<named_pool> pools = all_pools(unheard);
  if (pools.empty() && wanted.empty()) refuse_for_none(unheard);
  if (wanted.empty()) {
    if (pools.size() == 1) return pools.front().reader;
    throw std::invalid_argument{
        fmt::format("{} pools run here: {}; say which, by process id or name", pools.size(), list_of(pools))};
  }
  std::vector<named_pool> called;
  std::ranges::copy_if(pools, std::back_inserter(called), [&](const named_pool& one) { return one.name == wanted; });
  if (called.size() == 1) return called.front().reader;
  if (called.empty()) {
    throw std::invalid_argument{fmt::format("no pool is called {} that this user may look at; there {}",
                                            load::quoted(wanted),
                                            pools.empty() ? "is none" : "are: " + list_of(pools))};
  }
  throw std::invalid_argument{
      fmt::format("{} pools are called {}: {}; say which, by process id", called.size(), wanted, list_of(called))};
}

std::vector<pool_reader> choose_pools(const std::string& wanted) {
  if (!wanted.empty()) return {choose_pool(wanted)};
  std::size_t unheard = 0;
  std::vector<pool_reader> all = pool_reader::all(&unheard);
  if (all.empty()) refuse_for_none(unheard);
  return all;
}

std::vector<pool_status> pools_called(const std::vector<std::string>& wanted) {
  std::set<pid_t> ids;
  std::set<std::string> names;
  for (const std::string& text : wanted) {
    if (pid_t id = 0; read_id(text, id)) {
      ids.insert(id);
    } else {
      names.insert(text);
    }
  }
  std::map<pid_t, pool_status> found;
  const auto add_unless = [&found](const pool_reader& reader, auto is_another) {
    try {
      pool_status now = reader.read();
      if (!is_another(now)) found.insert_or_assign(reader.parent(), std::move(now));
    } catch (const std::system_error&) {
      // It has just ended.
    }
  };
  for (const pid_t id : ids) {
    try {
      add_unless(pool_reader{id}, [](const pool_status&) { return false; });
    } catch (const std::system_error&) {
      // It does not run.
    }
  }
  if (!names.empty()) {
    for (const pool_reader& each : pool_reader::all()) {
      add_unless(each, [&names](const pool_status& now) { return !names.contains(now.name); });
    }
  }
  std::vector<pool_status> all;
  for (auto& [id, one] : found) all.push_back(std::move(one));
  return all;
}

}  // namespace udppump::tools

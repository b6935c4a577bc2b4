// A udppump::worker_pool, and the worker that it makes of this process.
#pragma once

#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>

#include "pump_event.hpp"

namespace perl_events {

struct pool_object {
  std::unique_ptr<udppump::worker_pool> pool;
  SV* log = nullptr;
  std::vector<udppump::pool_event> early;  // logged while the pool was being made; told once it is there
  bool running = false;
  bool exited = false;  // the log's callback called exit(): it is carried out once the pool has ended
  unsigned fork = 0;
};

// --- options, as Pool.pm has checked them ----------------------------------------------------------------------------

/// Null if it is not given, or undef.
inline SV* option(pTHX_ HV* given, const char* name) {
  SV** const found = hv_fetch(given, name, static_cast<I32>(std::strlen(name)), 0);
  return found != nullptr && SvOK(*found) ? *found : nullptr;
}

inline std::string text_of(pTHX_ SV* value) {
  STRLEN size;
  const char* const bytes = SvPVbyte(value, size);
  return {bytes, size};
}

inline std::vector<std::string> texts(pTHX_ HV* given, const char* name) {
  std::vector<std::string> all;
  SV* const list = option(aTHX_ given, name);
  AV* const array = list != nullptr ? reinterpret_cast<AV*>(SvRV(list)) : nullptr;
  for (SSize_t i = 0; array != nullptr && i < static_cast<SSize_t>(av_count(array)); ++i) {
    SV* const each = *av_fetch(array, i, 1);
    all.push_back(text_of(aTHX_ each));
  }
  return all;
}

template <class Value>
void read(pTHX_ HV* given, const char* name, Value& value) {
  SV* const found = option(aTHX_ given, name);
  if (found == nullptr) return;
  if constexpr (std::is_same_v<Value, std::string> || std::is_same_v<Value, std::optional<std::string>>) {
    value = text_of(aTHX_ found);
  } else if constexpr (std::is_same_v<Value, bool> || std::is_same_v<Value, std::optional<bool>>) {
    value = SvTRUE(found);
  } else if constexpr (requires { typename Value::period; }) {
    value = Value{static_cast<std::int64_t>(SvNV(found) * Value::period::den / Value::period::num + 0.5)};
  } else {
    value = static_cast<Value>(SvIV(found));
  }
}

inline int resource_of(const std::string& name) {
  std::string names;
  for (const udppump::named_resource& each : udppump::named_resources()) {
    if (name == each.name) return each.resource;
    names.append(names.empty() ? "" : ", ").append(each.name);
  }
  throw std::invalid_argument{"limits: there is no resource \"" + name + "\"; there are: " + names};
}

/// Pool.pm has checked that it is one.
inline std::uint64_t limit_of(const std::string& text) {
  return text == "unlimited" ? RLIM_INFINITY : std::strtoull(text.c_str(), nullptr, 10);
}

inline void say(pTHX_ pool_object& object, const udppump::pool_event& told);

inline udppump::pool_options pool_options_of(pTHX_ HV* given, pool_object& object) {
  udppump::pool_options options;
  options.bind = texts(aTHX_ given, "bind");
  if (SV* const list = option(aTHX_ given, "adopt")) {
    AV* const array = reinterpret_cast<AV*>(SvRV(list));
    for (SSize_t i = 0; i < static_cast<SSize_t>(av_count(array)); ++i) {
      options.adopt.push_back(static_cast<int>(SvIV(*av_fetch(array, i, 1))));
    }
  }
  read(aTHX_ given, "receive_buffer", options.socket.receive_buffer);
  read(aTHX_ given, "workers", options.workers);
  if (SV* const waiter = option(aTHX_ given, "waiter")) {
    const auto kind = udppump::parse_waiter_kind(text_of(aTHX_ waiter));
    if (!kind) {
      throw std::invalid_argument{"waiter: \"" + text_of(aTHX_ waiter) +
                                  "\" is none of auto, epoll, uring, thread, poll"};
    }
    options.waiter = *kind;
  }
  read(aTHX_ given, "user", options.become.user);
  read(aTHX_ given, "group", options.become.group);
  if (option(aTHX_ given, "groups") != nullptr) options.become.groups = texts(aTHX_ given, "groups");
  read(aTHX_ given, "no_new_privileges", options.become.no_new_privileges);
  read(aTHX_ given, "healthy_after", options.restart.healthy_after);
  read(aTHX_ given, "healthy_after_datagrams", options.restart.healthy_after_datagrams);
  read(aTHX_ given, "first_delay", options.restart.first_delay);
  read(aTHX_ given, "longest_delay", options.restart.longest_delay);
  read(aTHX_ given, "crash_limit", options.restart.crash_limit);
  bool redeliver = false;
  read(aTHX_ given, "redeliver", redeliver);
  if (redeliver) {
    options.redeliver.emplace();
    read(aTHX_ given, "redeliver_most", options.redeliver->most);
    read(aTHX_ given, "redeliver_largest", options.redeliver->largest);
    read(aTHX_ given, "poison_file", options.redeliver->poison_file);
  }
  bool quarantine = false;
  read(aTHX_ given, "quarantine", quarantine);
  if (quarantine) {
    options.quarantine.emplace();
    read(aTHX_ given, "quarantine_deaths", options.quarantine->deaths);
    read(aTHX_ given, "quarantine_time", options.quarantine->time);
  }
  const auto limits = texts(aTHX_ given, "limits");
  for (std::size_t i = 0; i + 2 < limits.size(); i += 3) {
    options.limits.push_back({resource_of(limits[i]), limit_of(limits[i + 1]), limit_of(limits[i + 2])});
  }
  read(aTHX_ given, "max_age", options.max_age);
  bool limits_clients = false, shares = false;
  read(aTHX_ given, "client_limit", limits_clients);
  if (limits_clients) {
    udppump::client_rate rule;
    if (SV* const rate = option(aTHX_ given, "client_limit_rate")) rule.rate = SvNV(rate);
    read(aTHX_ given, "client_limit_burst", rule.burst);
    read(aTHX_ given, "client_limit_ipv4_prefix", rule.ipv4_prefix);
    read(aTHX_ given, "client_limit_ipv6_prefix", rule.ipv6_prefix);
    options.client_limit = rule;
  }
  read(aTHX_ given, "client_share", shares);
  if (shares) {
    udppump::client_prefixes clients;
    read(aTHX_ given, "client_share_ipv4_prefix", clients.ipv4);
    read(aTHX_ given, "client_share_ipv6_prefix", clients.ipv6);
    options.client_share = udppump::client_share::equal(clients);
  }
  read(aTHX_ given, "stop_timeout", options.stop_timeout);
  read(aTHX_ given, "start_timeout", options.start_timeout);
  read(aTHX_ given, "reexecute", options.reexecute);
  options.reload_on_change = texts(aTHX_ given, "reload_on_change");
  read(aTHX_ given, "take_over", options.take_over);
  read(aTHX_ given, "pid_file", options.pid_file);
  read(aTHX_ given, "pin", options.pin);
  if (SV* const nice = option(aTHX_ given, "nice")) options.nice = static_cast<int>(SvIV(nice));
  if (object.log != nullptr) {
    options.log = [&object](const udppump::pool_event& told) {
      dTHX;
      say(aTHX_ object, told);
    };
  }
  return options;
}

/// The log's callback, in the parent; Pool.pm has made a warning of what it dies with.
inline void say(pTHX_ pool_object& object, const udppump::pool_event& told) {
  if (object.exited) return;
  if (!object.pool) return object.early.push_back(told);
  ENTER;
  SAVETMPS;
  const auto text = [&](std::string_view of) { return newSVpvn_utf8(of.data(), of.size(), 1); };
  HV* const hash = newHV();
  (void)hv_stores(hash, "severity", newSViv(static_cast<int>(told.severity)));
  (void)hv_stores(hash, "name", text(told.name));
  (void)hv_stores(hash, "text", text(told.text));
  HV* const fields = newHV();
  for (const auto& [name, value] : told.fields)
    (void)hv_store(fields, name.data(), static_cast<I32>(name.size()), text(value), 0);
  (void)hv_stores(hash, "fields", newRV_noinc(reinterpret_cast<SV*>(fields)));
  SV* const reference = sv_2mortal(newRV_noinc(reinterpret_cast<SV*>(hash)));
  const event_object none;
  const outcome ended = call(aTHX_ object.log, &reference, 1, none);
  if (ended == outcome::exited) {
    object.exited = true;
    object.pool->request_stop();
    return;  // all scopes are gone
  }
  FREETMPS;
  LEAVE;
  PerlIO_flush(nullptr);  // else a worker that is forked next has it in its buffers, too
}

// --- the worker ------------------------------------------------------------------------------------------------------

/// Ends a worker in which exit() was called, with its code; as at every worker's end, no END blocks run.
[[noreturn]] inline void end_worker(pTHX_ const std::function<void()>& stop_pumps) {
  stop_pumps();
  PerlIO_flush(nullptr);
  _exit(STATUS_EXIT);
}

/// The body of a worker; in the worker's process, at its start.
inline void run_worker(pTHX_ SV* body, udppump::worker& self, const std::function<void()>& stop_pumps) {
  // As perl does in the child of its own fork().
  PL_sig_pending = 0;
  if (PL_psig_pend != nullptr) std::fill_n(PL_psig_pend, SIG_SIZE, 0);
  // Else all workers draw the same numbers, once the parent has drawn one.
  PL_srand_called = FALSE;
  worker.self = &self;
  worker.fork = forks;
  worker.told = false;
  worker.group = std::make_shared<source>();
  worker.group->group = &self.pumps();
  worker.group->fork = forks;
  self.on_stop([] { worker.told = true; });
  const event_object none;
  const outcome ended = call(aTHX_ body, nullptr, 0, none);
  if (ended == outcome::exited) end_worker(aTHX_ stop_pumps);
  std::string words;
  if (ended == outcome::died) {
    STRLEN size;
    const char* const bytes = SvPV(ERRSV, size);
    words.assign(bytes, size);
    while (!words.empty() && words.back() == '\n') words.pop_back();
  }
  stop_pumps();
  worker.self = nullptr;
  PerlIO_flush(nullptr);
  if (ended == outcome::died) throw std::runtime_error{words};
}

}  // namespace perl_events

// Event::Lib::UDPPump: a udppump::pump as an event of Event::Lib's loop, or of any other.
#include <sys/socket.h>

#include <udppump/pump.hpp>

#include "event_object.hpp"

using namespace perl_events;

namespace {

/// Leaves udppump's dispatch(): the callback died without a handler or exited (`how`), or this is now a forked child.
struct left {
  outcome how;
};

struct pump_event : event_object {
  pump_event(int fd, SV* given) : socket{udppump::datagram_socket::adopt(fd)}, handle{given} {}
  ~pump_event() {
    pump.reset();
    static_cast<void>(socket.release());  // the handle's
  }

  udppump::datagram_socket socket;
  SV* handle;
  std::optional<udppump::pump> pump;  // from add() or wake_fd() on, until remove()
  event* watch = nullptr;             // on the loop, while it is added
  udppump::datagram* current = nullptr;
  SV* error = nullptr;                // what dispatch() is to die with
  udppump::pump_stats before;         // of the pumps that were removed
  unsigned fork = 0;
};

event_lib_api const* lib = nullptr;  // null: Event::Lib is another implementation
unsigned forks = 0;
std::vector<pump_event*>& pumps() {
  static std::vector<pump_event*> all;
  return all;
}

struct {
  SV* name;
  U32 hash;
} keys[4];
enum { key_from, key_buffer, key_len, key_errno };

void store(pTHX_ HV* hash, int key, SV* value) {
  (void)hv_common(hash, keys[key].name, nullptr, 0, 0, HV_FETCH_ISSTORE | HV_FETCH_JUST_SV, value, keys[key].hash);
}

/// The loop of Event::Lib, whichever implements it: both have it from event_init().
event_base* loop_base(pTHX) {
  if (lib != nullptr) return lib->base(aTHX);
  ::event probe{};
  event_set(&probe, -1, 0, [](evutil_socket_t, short, void*) {}, nullptr);
  return event_get_base(&probe);
}

/// One call of the callback with what was received, or an error.
void deliver(pTHX_ pump_event* object, SV* from, SV* buffer, IV len, IV error) {
  HV* const hash = newHV();
  store(aTHX_ hash, key_from, from);
  store(aTHX_ hash, key_buffer, buffer);
  store(aTHX_ hash, key_len, newSViv(len));
  store(aTHX_ hash, key_errno, newSViv(error));
  SV* const reference = newRV_noinc(reinterpret_cast<SV*>(hash));
  const unsigned generation = forks;
  outcome ended = call(aTHX_ object->callback, &reference, 1, *object);
  if (ended == outcome::died) {
    ENTER;
    SAVETMPS;
    SV* died = sv_mortalcopy(ERRSV);
    ended = handle(aTHX_ *object, died, EV_READ, lib != nullptr ? lib->default_handler(aTHX) : nullptr);
    if (ended == outcome::died) object->error = SvREFCNT_inc_simple_NN(died);
    if (ended != outcome::exited) {
      FREETMPS;
      LEAVE;
    }
  }
  if (ended != outcome::exited) SvREFCNT_dec_NN(reference);
  if (ended != outcome::done || generation != forks) throw left{ended};
}

SV* packed(pTHX_ const pump_event* object, const udppump::address& from) {
  // As recvfrom() has it: an IPv6 socket speaks of IPv4 senders so.
  if (from.is_ipv4() && object->socket.family() == AF_INET6) {
    const udppump::address mapped = from.mapped();
    return newSVpvn(reinterpret_cast<const char*>(mapped.data()), mapped.size());
  }
  return newSVpvn(reinterpret_cast<const char*>(from.data()), from.size());
}

void start(pTHX_ pump_event* object) {
  if (object->pump) return;
  udppump::pump_options options;
  options.on_error = [object](const udppump::receive_error& failed) {
    using kind = udppump::receive_error::kind;
    if (failed.what == kind::control_truncated || !failed.code) return;  // the datagram comes; all is well again
    dTHX;
    SV* const from = failed.peer.is_none() ? newSV(0) : packed(aTHX_ object, failed.peer);
    deliver(aTHX_ object, from, newSV(0), -1, failed.code.value());
  };
  object->pump.emplace(object->socket, [object](udppump::datagram& received) {
    dTHX;
    struct current {
      pump_event* of;
      ~current() { of->current = nullptr; }
    } restored{object};
    object->current = &received;
    SV* const buffer = newSVpvn(reinterpret_cast<const char*>(received.payload.data()), received.payload.size());
    deliver(aTHX_ object, packed(aTHX_ object, received.from), buffer, static_cast<IV>(received.payload.size()), 0);
  }, std::move(options));
  object->fork = forks;
}

void on_readable(evutil_socket_t, short, void* target);

/// Puts the pump onto the loop. False: libevent refused.
bool attach(pTHX_ pump_event* object) {
  object->watch = event_new(loop_base(aTHX), object->pump->wake_fd(), EV_READ | EV_PERSIST, on_readable, object);
  if (object->watch == nullptr) return false;
  if (object->priority >= 0) event_priority_set(object->watch, object->priority);
  return event_add(object->watch, nullptr) == 0;
}

void detach(pump_event* object) {
  if (object->watch != nullptr) event_free(std::exchange(object->watch, nullptr));
}

/// In the child of a fork: the pump gets a waiter of its own.
void renew(pTHX_ pump_event* object) {
  if (!object->pump || object->fork == forks) return;
  const bool watched = object->watch != nullptr;
  detach(object);
  object->fork = forks;
  object->pump->after_fork();
  if (watched && !attach(aTHX_ object)) detach(object);
}

void renew_all(pTHX) {
  const std::vector<pump_event*> all = pumps();
  for (pump_event* const object : all) {
    try {
      renew(aTHX_ object);
    } catch (const std::exception& failed) {
      Perl_warn(aTHX_ "Event::Lib::UDPPump: a pump cannot go on in the child of a fork: %s", failed.what());
    }
  }
}

/// The event's process, and its pump there.
void settle_fork(pTHX_ pump_event* object) {
  if (lib != nullptr) {
    lib->base(aTHX);
  } else {
    renew(aTHX_ object);
  }
}

/// How a turn ended, and the errno for why the pump cannot go on; 0: it can.
struct turn {
  outcome ended = outcome::done;
  int failed = 0;
};

turn dispatch(pump_event* object) {
  try {
    const std::error_code code = object->pump->dispatch();
    if (!code) return {};
    const bool system = code.category() == std::system_category() || code.category() == std::generic_category();
    return {outcome::done, system ? code.value() : EINVAL};
  } catch (const left& how) {
    return {how.how, 0};
  }
}

/// Serves what is there. What to die with is then in $@.
turn serve(pTHX_ pump_event* object) {
  SV* const body = SvREFCNT_inc_simple_NN(object->body);
  const turn result = dispatch(object);
  if (result.ended == outcome::exited) return result;
  if (object->fork != forks) settle_fork(aTHX_ object);
  SV* const error = std::exchange(object->error, nullptr);
  if (error != nullptr) sv_setsv(ERRSV, sv_2mortal(error));
  SvREFCNT_dec_NN(body);
  return result;
}

void take_off(pTHX_ pump_event* object) {
  if (object->fork == forks || PL_dirty) {
    if (object->fork == forks) detach(object);
  } else {
    settle_fork(aTHX_ object);
    detach(object);
  }
  if (!object->pump) return;
  const udppump::pump_stats now = object->pump->stats();
  udppump::pump_stats& sum = object->before;
  for (auto field : {&udppump::pump_stats::received, &udppump::pump_stats::bytes, &udppump::pump_stats::truncated,
         &udppump::pump_stats::control_truncated, &udppump::pump_stats::kernel_drops, &udppump::pump_stats::wakeups,
         &udppump::pump_stats::empty_wakeups, &udppump::pump_stats::budget_yields, &udppump::pump_stats::stood_by}) {
    sum.*field += now.*field;
  }
  sum.handler_time += now.handler_time;
  sum.errors.insert(sum.errors.end(), now.errors.begin(), now.errors.end());
  object->pump.reset();
  object->trace("removed");
}

void on_readable(evutil_socket_t, short, void* target) {
  dTHX;
  auto* const object = static_cast<pump_event*>(target);
  SV* const body = SvREFCNT_inc_simple_NN(object->body);
  object->trace("fires");
  const auto [ended, failed] = serve(aTHX_ object);
  if (ended == outcome::exited) {
    if (lib == nullptr) my_exit(STATUS_EXIT);
    lib->leave(aTHX_ ended, nullptr);
    return;
  }
  if (failed != 0 && object->pump) {  // the callback was told
    take_off(aTHX_ object);
    object->let_go(aTHX);
  }
  SvREFCNT_dec_NN(body);
  if (ended != outcome::died) return;
  if (lib == nullptr) croak_sv(ERRSV);  // as that implementation does
  lib->leave(aTHX_ ended, newSVsv(ERRSV));
}

int free_pump(pTHX_ SV*, MAGIC* magic) {
  auto* const object = reinterpret_cast<pump_event*>(magic->mg_ptr);
  std::erase(pumps(), object);
  if (object->pump && !(PL_dirty && object->fork != forks)) take_off(aTHX_ object);
  object->trace("destroyed");
  object->drop(aTHX);
  SV* const handle = object->handle;
  delete object;
  SvREFCNT_dec(handle);
  return 0;
}
const MGVTBL pump_table{nullptr, nullptr, nullptr, nullptr, free_pump, nullptr, nullptr, nullptr};

bool body_pending(pTHX_ SV* body) {
  const MAGIC* const magic = SvTYPE(body) >= SVt_PVMG ? mg_findext(body, PERL_MAGIC_ext, &pump_table) : nullptr;
  return magic != nullptr && reinterpret_cast<const pump_event*>(magic->mg_ptr)->watch != nullptr;
}
const MGVTBL variable_table{nullptr, variable_was_set<body_pending>, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};

pump_event* pump_of(pTHX_ SV* reference, const char* method) {
  auto* const object = unwrap<pump_event>(aTHX_ reference, &pump_table);
  if (object == nullptr) Perl_croak(aTHX_ "%s: this is no pump; udppump_new() makes one", method);
  if (object->freed) Perl_croak(aTHX_ "%s: the pump was freed; make a new one", method);
  return object;
}

/// Calls `work`; what it throws becomes a croak, once no C++ object is left.
template <class Work>
void guarded(pTHX_ const char* name, Work work) {
  SV* message = nullptr;
  try {
    work();
  } catch (const std::exception& failed) {
    message = sv_2mortal(newSVpvf("%s: %s", name, failed.what()));
  }
  if (message != nullptr) Perl_croak(aTHX_ "%" SVf, SVfARG(message));
}

void ready(pTHX_ pump_event* object, const char* name) {
  if (object->callback == nullptr || descriptor_of(aTHX_ object->handle) != object->socket.fd()) {
    Perl_croak(aTHX_ "%s: the pump's socket was closed; make a new pump on an open one", name);
  }
  guarded(aTHX_ name, [&] {
    start(aTHX_ object);
    settle_fork(aTHX_ object);
  });
}

void count(pTHX_ HV* hash, const char* name, std::uint64_t value) { (void)hv_store(hash, name, static_cast<I32>(std::strlen(name)), newSVuv(value), 0); }

}  // namespace

MODULE = Event::Lib::UDPPump    PACKAGE = Event::Lib::UDPPump

PROTOTYPES: DISABLE
VERSIONCHECK: ENABLE

BOOT:
{
  pthread_atfork(nullptr, nullptr, [] { ++forks; });
  SV** const found = hv_fetchs(PL_modglobal, "Event::Lib::api", 0);
  if (found != nullptr) lib = INT2PTR(const event_lib_api*, SvIV(*found));
  if (lib != nullptr) lib->after_fork(renew_all);
  static constexpr const char* names[] = {"from", "buffer", "len", "errno"};
  for (int i = 0; i < 4; ++i) {
    keys[i].name = newSVpvn_share(names[i], static_cast<I32>(std::strlen(names[i])), 0);
    keys[i].hash = SvSHARED_HASH(keys[i].name);
  }
}

void
udppump_new(SV* handle, SV* callback, ...)
  PPCODE:
    {
      const int fd = descriptor_of(aTHX_ handle);
      if (fd < 0) croak("udppump_new: the first argument is no open socket");
      if (code_of(aTHX_ callback) == nullptr) croak("udppump_new: the second argument is no code reference");
      SV* result = nullptr;
      guarded(aTHX_ "udppump_new", [&] {
        SV* const kept = newSVsv(handle);
        sv_2mortal(kept);
        auto made = std::make_unique<pump_event>(fd, kept);
        SvREFCNT_inc_simple_void_NN(kept);
        made->callback = newSVsv(callback);
        made->args = args_of(aTHX_ &ST(2), items - 2);
        pumps().push_back(made.get());
        result = wrap(aTHX_ std::move(made), &pump_table, "Event::Lib::UDPPump");
      });
      XPUSHs(result);
    }

void
add(SV* self, SV* timeout = nullptr)
  PPCODE:
    {
      pump_event* const object = pump_of(aTHX_ self, "add");
      if (timeout != nullptr && SvOK(timeout)) croak("add: a pump takes no timeout; a timer_new() beside it does");
      if (object->watch != nullptr) croak("Attempt to add event a second time: remove() it first");
      loop_base(aTHX);
      ready(aTHX_ object, "add");
      if (!attach(aTHX_ object)) {
        detach(object);
        croak("add: libevent refuses the pump: %s", Strerror(errno));
      }
      object->hold();
      object->trace("added");
      watch_variable(aTHX_ self, object->body, &variable_table);
    }
    XSRETURN(1);

bool
remove(SV* self)
  CODE:
    {
      pump_event* const object = pump_of(aTHX_ self, "remove");
      RETVAL = object->watch != nullptr;
      take_off(aTHX_ object);
      object->let_go(aTHX);
    }
  OUTPUT:
    RETVAL

void
free(SV* self)
  CODE:
    {
      pump_event* const object = pump_of(aTHX_ self, "free");
      take_off(aTHX_ object);
      object->freed = true;
      object->drop(aTHX);
      object->let_go(aTHX);
    }

SV*
pending(SV* self)
  CODE:
    RETVAL = pump_of(aTHX_ self, "pending")->watch != nullptr ? newSVpvs("0 but true") : newSVsv(&PL_sv_no);
  OUTPUT:
    RETVAL

void
fh(SV* self)
  PPCODE:
    {
      SV* const handle = pump_of(aTHX_ self, "fh")->handle;
      XPUSHs(sv_mortalcopy(handle));
    }

void
args(SV* self, ...)
  PPCODE:
    {
      pump_event* const object = pump_of(aTHX_ self, "args");
      if (items > 1) {
        replace_args(aTHX_ *object, &ST(1), items - 1);
        XSRETURN_EMPTY;
      }
      const SSize_t count = av_count(object->args);
      if (GIMME_V != G_LIST) {
        XPUSHs(sv_2mortal(newSViv(count)));
      } else {
        EXTEND(SP, count);
        for (SSize_t i = 0; i < count; ++i) PUSHs(*av_fetch(object->args, i, 1));
      }
    }

void
args_del(SV* self)
  CODE:
    replace_args(aTHX_ *pump_of(aTHX_ self, "args_del"), nullptr, 0);

SV*
callback(SV* self)
  CODE:
    RETVAL = newSVsv(pump_of(aTHX_ self, "callback")->callback);
  OUTPUT:
    RETVAL

void
except_handler(SV* self, SV* handler)
  PPCODE:
    {
      pump_event* const object = pump_of(aTHX_ self, "except_handler");
      if (SvOK(handler) && code_of(aTHX_ handler) == nullptr) croak("except_handler: a code reference is needed, or undef for none");
      SvREFCNT_dec(std::exchange(object->handler, SvOK(handler) ? newSVsv(handler) : nullptr));
    }
    XSRETURN(1);

void
set_priority(SV* self, int priority)
  PPCODE:
    {
      pump_event* const object = pump_of(aTHX_ self, "set_priority");
      const int known = event_base_get_npriorities(loop_base(aTHX));
      if (priority < 0 || priority >= known) {
        croak("set_priority: there are priorities from 0 to %d, and not %d; event_priority_init() makes more", known - 1, priority);
      }
      if (object->watch != nullptr) croak("set_priority: the pump is pending; set its priority before add()");
      object->priority = priority;
    }
    XSRETURN(1);

void
trace(SV* self)
  PPCODE:
    pump_of(aTHX_ self, "trace")->traced = true;
    XSRETURN(1);

bool
reply(SV* self, SV* data)
  CODE:
    {
      pump_event* const object = pump_of(aTHX_ self, "reply");
      if (object->current == nullptr) croak("reply: there is no datagram; it is for the callback, while it runs");
      STRLEN size;
      const char* const bytes = SvPVbyte(data, size);
      const std::error_code failed = object->current->reply(std::string_view{bytes, size});
      RETVAL = !failed;
      if (failed) errno = failed.value();
    }
  OUTPUT:
    RETVAL

int
wake_fd(SV* self)
  CODE:
    {
      pump_event* const object = pump_of(aTHX_ self, "wake_fd");
      ready(aTHX_ object, "wake_fd");
      RETVAL = object->pump->wake_fd();
    }
  OUTPUT:
    RETVAL

bool
dispatch(SV* self)
  CODE:
    {
      pump_event* const object = pump_of(aTHX_ self, "dispatch");
      ready(aTHX_ object, "dispatch");
      const auto [ended, reason] = serve(aTHX_ object);
      if (ended == outcome::exited) my_exit(STATUS_EXIT);
      if (ended == outcome::died) croak_sv(ERRSV);
      errno = reason;
      RETVAL = reason == 0;
    }
  OUTPUT:
    RETVAL

SV*
stats(SV* self)
  CODE:
    {
      const pump_event* const object = pump_of(aTHX_ self, "stats");
      const udppump::pump_stats now = object->pump ? object->pump->stats() : udppump::pump_stats{};
      const udppump::pump_stats& before = object->before;
      HV* const hash = newHV();
      count(aTHX_ hash, "received", before.received + now.received);
      count(aTHX_ hash, "bytes", before.bytes + now.bytes);
      count(aTHX_ hash, "truncated", before.truncated + now.truncated);
      count(aTHX_ hash, "control_truncated", before.control_truncated + now.control_truncated);
      count(aTHX_ hash, "kernel_drops", before.kernel_drops + now.kernel_drops);
      count(aTHX_ hash, "wakeups", before.wakeups + now.wakeups);
      count(aTHX_ hash, "empty_wakeups", before.empty_wakeups + now.empty_wakeups);
      count(aTHX_ hash, "budget_yields", before.budget_yields + now.budget_yields);
      count(aTHX_ hash, "stood_by", before.stood_by + now.stood_by);
      count(aTHX_ hash, "send_errors", object->socket.send_errors());
      (void)hv_stores(hash, "handler_time", newSVnv(std::chrono::duration<double>(before.handler_time + now.handler_time).count()));
      HV* const errors = newHV();
      for (const auto* const all : {&before.errors, &now.errors}) {
        for (const auto& [code, times] : *all) {
          SV* const key = sv_2mortal(newSViv(code.value()));
          SV* const value = HeVAL(hv_fetch_ent(errors, key, 1, 0));
          sv_setuv(value, (SvOK(value) ? SvUV(value) : 0) + times);
        }
      }
      (void)hv_stores(hash, "errors", newRV_noinc(reinterpret_cast<SV*>(errors)));
      RETVAL = newRV_noinc(reinterpret_cast<SV*>(hash));
    }
  OUTPUT:
    RETVAL

void
DESTROY(SV* self)
  CODE:
    PERL_UNUSED_VAR(self);

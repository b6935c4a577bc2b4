// Event::Lib::UDPPump: a udppump::pump as an event of Event::Lib's loop, or of any other.
#include "pump_event.hpp"
#include "pool_object.hpp"

using namespace perl_events;

event_lib_api const* perl_events::lib = nullptr;
unsigned perl_events::forks = 0;
worker_state perl_events::worker;

namespace {

struct current_datagram {
  const pump_event* of = nullptr;
  const udppump::datagram* datagram = nullptr;
} current;  // of the innermost callback

const PerlInterpreter* owner = nullptr;  // the thread that loaded the module

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

/// One call of `callback`, which is one of the object's, with what was received, or an error.
void deliver(pTHX_ pump_event* object, SV* callback, SV* from, SV* buffer, IV len, IV error) {
  object->trace("fires");
  HV* const hash = newHV();
  store(aTHX_ hash, key_from, from);
  store(aTHX_ hash, key_buffer, buffer);
  store(aTHX_ hash, key_len, newSViv(len));
  store(aTHX_ hash, key_errno, newSViv(error));
  SV* const reference = newRV_noinc(reinterpret_cast<SV*>(hash));
  const unsigned generation = forks;
  source& through = *object->through;                  // whoever dispatches holds it
  SV* const body = SvREFCNT_inc_simple_NN(object->body);  // the callback may let go of the pump
  outcome ended = call(aTHX_ callback, &reference, 1, *object);
  if (ended == outcome::died) {
    ENTER;
    SAVETMPS;
    SV* died = sv_mortalcopy(ERRSV);
    ended = handle(aTHX_ *object, died, EV_READ, lib != nullptr ? lib->default_handler(aTHX) : nullptr);
    if (ended == outcome::died) through.error = SvREFCNT_inc_simple_NN(died);
    if (ended != outcome::exited) {
      FREETMPS;
      LEAVE;
    }
  }
  if (ended != outcome::exited) {
    SvREFCNT_dec_NN(reference);
    SvREFCNT_dec_NN(body);
  }
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

bool is_worker() { return worker.self != nullptr && worker.fork == forks; }

/// The pool's own object for the socket of a handle, in a worker; null: it is none of the pool's.
udppump::datagram_socket* socket_of_pool(int fd) {
  struct stat mine, theirs;
  if (!is_worker() || fstat(fd, &mine) != 0) return nullptr;
  for (udppump::datagram_socket& socket : worker.self->sockets()) {
    if (fstat(socket.fd(), &theirs) == 0 && mine.st_dev == theirs.st_dev && mine.st_ino == theirs.st_ino) return &socket;
  }
  return nullptr;
}

void start(pTHX_ pump_event* object) {
  if (object->through) return;
  udppump::pump_options options;
  options.ignore_from = object->ignore_from;
  options.max_age = object->max_age;
  options.client_limit = object->client_limit;
  options.client_share = object->client_share;
  options.on_error = [object](const udppump::receive_error& failed) {
    using kind = udppump::receive_error::kind;
    if (failed.what == kind::control_truncated || !failed.code) return;  // the datagram comes; all is well again
    dTHX;
    SV* const from = failed.peer.is_none() ? newSV(0) : packed(aTHX_ object, failed.peer);
    deliver(aTHX_ object, object->callback, from, newSV(0), -1, failed.code.value());
  };
  // A callback of Perl's that is null is nobody's: it was taken away while the pump is at work.
  const auto through = [object](SV* pump_event::* callback) {
    return [object, callback](udppump::datagram& received, auto...) {
      dTHX;
      if (object->*callback == nullptr) return;
      struct restored {
        current_datagram before;
        ~restored() { current = before; }
      } restored{std::exchange(current, {object, &received})};
      SV* const buffer = newSVpvn(reinterpret_cast<const char*>(received.payload.data()), received.payload.size());
      if (TAINTING_get) SvTAINTED_on(buffer);  // as that of recv()
      deliver(aTHX_ object, object->*callback, packed(aTHX_ object, received.from), buffer,
              static_cast<IV>(received.payload.size()), 0);
    };
  };
  const auto handler = through(&pump_event::callback);
  if (object->on_expired != nullptr) options.on_expired = through(&pump_event::on_expired);
  if (object->on_limited != nullptr) options.on_limited = through(&pump_event::on_limited);
  if (udppump::datagram_socket* const pools = socket_of_pool(object->socket.fd())) {
    object->grouped = worker.self->pumps().add(*pools, handler, std::move(options));
    object->through = worker.group;
    ++worker.group->members;
    return;
  }
  object->through = std::make_shared<source>();
  object->through->fork = forks;
  object->through->own.emplace(object->socket, handler, std::move(options));
}

void on_readable(evutil_socket_t, short, void* target);

/// Puts the pump onto the loop. False: libevent refused.
bool attach(pTHX_ pump_event* object) {
  source& through = *object->through;
  object->added = true;
  if (through.watch != nullptr) return true;
  through.watch = event_new(loop_base(aTHX), through.wake_fd(), EV_READ | EV_PERSIST, on_readable, &through);
  if (through.watch == nullptr) return false;
  if (object->priority >= 0) event_priority_set(through.watch, object->priority);
  return event_add(through.watch, nullptr) == 0;
}

void detach(pump_event* object) {
  if (!std::exchange(object->added, false)) return;
  const auto& through = object->through;
  const auto uses_it = [&through](const pump_event* other) { return other->added && other->through == through; };
  if (through->watch == nullptr) return;
  if (through->group != nullptr && std::any_of(pumps().begin(), pumps().end(), uses_it)) return;
  event_free(std::exchange(through->watch, nullptr));
}

/// In the child of a fork: the pump gets a waiter of its own. A worker's stays with the worker.
void renew(pTHX_ pump_event* object) {
  if (!object->through || object->through->fork == forks) return;
  const bool watched = object->added;
  detach(object);
  if (object->through->group != nullptr) {
    object->stop();
    object->let_go(aTHX);
    return;
  }
  object->through->fork = forks;
  object->through->own->after_fork();
  if (watched && !attach(aTHX_ object)) detach(object);
}

void renew_all(pTHX) {
  static unsigned renewed = 0;
  if (std::exchange(renewed, forks) == forks) return;
  const std::vector<pump_event*> all = pumps();
  for (pump_event* const object : all) {
    if (std::find(pumps().begin(), pumps().end(), object) == pumps().end()) continue;  // freed with another
    try {
      renew(aTHX_ object);
    } catch (const std::exception& failed) {
      Perl_warn(aTHX_ "Event::Lib::UDPPump: a pump cannot go on in the child of a fork: %s", failed.what());
    }
  }
}

/// The event's process, and its pump there.
void settle_fork(pTHX) {
  if (lib != nullptr) {
    lib->base(aTHX);
  } else {
    renew_all(aTHX);
  }
}

/// How a turn ended, and the errno for why the pumps cannot go on; 0: they can.
struct turn {
  outcome ended = outcome::done;
  int failed = 0;
};

turn dispatch(source& through) {
  try {
    const std::error_code code = through.dispatch();
    if (!code) return {};
    const bool system = code.category() == std::system_category() || code.category() == std::generic_category();
    return {outcome::done, system ? code.value() : EINVAL};
  } catch (const left& how) {
    return {how.how, 0};
  }
}

void take_off(pTHX_ pump_event* object) {
  if (!object->through) return;
  if (object->through->fork != forks && !PL_dirty) settle_fork(aTHX);
  if (!object->through) return;
  if (object->through->fork == forks) detach(object);
  const udppump::pump_stats now = object->stats();
  udppump::pump_stats& sum = object->before;
  for (auto field : {&udppump::pump_stats::received, &udppump::pump_stats::bytes, &udppump::pump_stats::truncated,
         &udppump::pump_stats::control_truncated, &udppump::pump_stats::kernel_drops, &udppump::pump_stats::wakeups,
         &udppump::pump_stats::empty_wakeups, &udppump::pump_stats::budget_yields, &udppump::pump_stats::stood_by,
         &udppump::pump_stats::ignored, &udppump::pump_stats::quarantined, &udppump::pump_stats::expired,
         &udppump::pump_stats::limited}) {
    sum.*field += now.*field;
  }
  sum.handler_time += now.handler_time;
  sum.send_errors = now.send_errors;
  sum.errors.insert(sum.errors.end(), now.errors.begin(), now.errors.end());
  object->stop();
  object->stops = false;
  object->trace("removed");
}

/// Takes off the pumps of `through` that cannot go on: all, or those that have stopped.
void clear(pTHX_ const std::shared_ptr<source>& through, bool all) {
  const std::vector<pump_event*> before = pumps();
  for (pump_event* const object : before) {
    if (std::find(pumps().begin(), pumps().end(), object) == pumps().end()) continue;
    if (object->through != through) continue;
    if (!all && !(object->stopped() && (through->group != nullptr || object->stops))) continue;
    take_off(aTHX_ object);
    object->let_go(aTHX);
  }
}

/// The pool wants this worker to end, and its pumps have stopped: what runs then.
outcome heed_stop(pTHX_ source& through) {
  worker.told = false;
  clear(aTHX_ worker.group, true);
  if (worker.on_stop == nullptr) {
    if (lib != nullptr) {
      lib->leave(aTHX_ outcome::done, nullptr);
    } else {
      event_base_loopbreak(loop_base(aTHX));
    }
    return outcome::done;
  }
  const event_object none;
  const outcome ended = call(aTHX_ worker.on_stop, nullptr, 0, none);
  if (ended == outcome::died) through.error = newSVsv(ERRSV);
  return ended;
}

/// Serves what is there. What to die with is then in $@.
turn serve(pTHX_ source& served) {
  const std::shared_ptr<source> through = served.shared_from_this();
  turn result = dispatch(*through);
  if (result.ended == outcome::exited) return result;
  if (through->fork != forks) settle_fork(aTHX);
  if (through->group != nullptr && is_worker() && worker.told) {
    const outcome stopped = heed_stop(aTHX_ *through);
    if (result.ended == outcome::done) result.ended = stopped;
  } else if (through->stops || (through->group != nullptr && through->group->size() < through->members)) {
    clear(aTHX_ through, through->group != nullptr && result.failed != 0);
    const auto still = [&through](const pump_event* each) { return each->stops && each->through == through; };
    through->stops = std::any_of(pumps().begin(), pumps().end(), still);
  }
  if (result.ended == outcome::exited) return result;
  SV* const error = std::exchange(through->error, nullptr);
  if (error != nullptr) sv_setsv(ERRSV, sv_2mortal(error));
  return result;
}

void on_readable(evutil_socket_t, short, void* target) {
  dTHX;
  const std::shared_ptr<source> through = static_cast<source*>(target)->shared_from_this();
  const auto [ended, failed] = serve(aTHX_ *through);
  if (ended == outcome::exited) {
    if (lib == nullptr) my_exit(STATUS_EXIT);
    lib->leave(aTHX_ ended, nullptr);
    return;
  }
  if (failed != 0 && through->own) clear(aTHX_ through, true);  // the callback was told
  if (ended != outcome::died) return;
  if (lib == nullptr) croak_sv(ERRSV);  // as that implementation does
  lib->leave(aTHX_ ended, newSVsv(ERRSV));
}

int free_pump(pTHX_ SV*, MAGIC* magic) {
  auto* const object = reinterpret_cast<pump_event*>(magic->mg_ptr);
  std::erase(pumps(), object);
  take_off(aTHX_ object);
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
  return magic != nullptr && reinterpret_cast<const pump_event*>(magic->mg_ptr)->added;
}
const MGVTBL variable_table{nullptr, variable_was_set<body_pending>, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};

pump_event* pump_of(pTHX_ SV* reference, const char* method) {
  auto* const object = unwrap<pump_event>(aTHX_ reference, &pump_table);
  if (object == nullptr) Perl_croak(aTHX_ "%s: this is no pump; udppump_new() makes one", method);
  if (object->freed) Perl_croak(aTHX_ "%s: the pump was freed; make a new one", method);
  return object;
}

void ready(pTHX_ pump_event* object, const char* name) {
  if (object->callback == nullptr || descriptor_of(aTHX_ object->handle) != object->socket.fd()) {
    Perl_croak(aTHX_ "%s: the pump's socket was closed; make a new pump on an open one", name);
  }
  settle_fork(aTHX);
  guarded(aTHX_ name, [&] { start(aTHX_ object); });
}

bool reply_to(pTHX_ const udppump::datagram* asked, SV* data) {
  if (asked == nullptr) Perl_croak(aTHX_ "reply: there is no datagram; it is for the callback, while it runs");
  STRLEN size;
  const char* const bytes = SvPVbyte(data, size);
  const std::error_code failed = asked->reply(std::string_view{bytes, size});
  if (failed) errno = failed.value();
  return !failed;
}

// The parent's pool belongs to the parent: a child that frees it takes nothing down.
int free_pool(pTHX_ SV*, MAGIC* magic) {
  std::unique_ptr<pool_object> object{reinterpret_cast<pool_object*>(magic->mg_ptr)};
  SvREFCNT_dec(object->log);
  if (object->fork != forks || object->running) static_cast<void>(object.release());
  return 0;
}
const MGVTBL pool_table{nullptr, nullptr, nullptr, nullptr, free_pool, nullptr, nullptr, nullptr};

pool_object* pool_of(pTHX_ SV* reference, const char* method) {
  auto* const object = unwrap<pool_object>(aTHX_ reference, &pool_table);
  if (object == nullptr) Perl_croak(aTHX_ "%s: this is no pool; Event::Lib::UDPPump::Pool->new makes one", method);
  return object;
}

udppump::worker& the_worker(pTHX_ const char* method) {
  if (!is_worker()) Perl_croak(aTHX_ "%s: this process is no worker, or its body has ended", method);
  return *worker.self;
}

void count(pTHX_ HV* hash, const char* name, std::uint64_t value) { (void)hv_store(hash, name, static_cast<I32>(std::strlen(name)), newSVuv(value), 0); }

}  // namespace

MODULE = Event::Lib::UDPPump    PACKAGE = Event::Lib::UDPPump

PROTOTYPES: DISABLE
VERSIONCHECK: ENABLE

BOOT:
{
  owner = aTHX;
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
      if (aTHX != owner) croak("udppump_new: pumps belong to the thread that loaded the module; make them there, or fork instead");
      settle_arguments(aTHX_ &ST(0), items);
      handle = ST(0), callback = ST(1);
      const int fd = descriptor_of(aTHX_ handle);
      if (fd < 0) croak("udppump_new: the first argument is no open socket");
      if (code_of(aTHX_ callback) == nullptr) croak("udppump_new: the second argument is no code reference");
      SV* result = nullptr;
      guarded(aTHX_ "udppump_new", [&] {
        auto made = std::make_unique<pump_event>(fd, handle);
        SvREFCNT_inc_simple_void_NN(handle);
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
      if (object->added) croak("Attempt to add event a second time: remove() it first");
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
      RETVAL = object->added;
      take_off(aTHX_ object);
      object->let_go(aTHX);
    }
  OUTPUT:
    RETVAL

void
stop(SV* self)
  CODE:
    {
      pump_event* const object = pump_of(aTHX_ self, "stop");
      if (object->through && object->through->fork != forks) settle_fork(aTHX);
      if (object->through) {
        object->stops = object->through->stops = true;
        object->through->own ? object->through->own->request_stop() : object->grouped.request_stop();
      }
    }

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
    RETVAL = pump_of(aTHX_ self, "pending")->added ? newSVpvs("0 but true") : newSVsv(&PL_sv_no);
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
      handler = sv_mortalcopy(handler);
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
      if (object->added) croak("set_priority: the pump is pending; set its priority before add()");
      object->priority = priority;
    }
    XSRETURN(1);

void
trace(SV* self)
  PPCODE:
    pump_of(aTHX_ self, "trace")->traced = true;
    XSRETURN(1);

void
ignore_from(SV* self, ...)
  PPCODE:
    {
      settle_arguments(aTHX_ &ST(1), items - 1);
      pump_event* const object = pump_of(aTHX_ self, "ignore_from");
      if (object->through) croak("ignore_from: the pump is at work; call it before add() and wake_fd(), or remove() the pump first");
      guarded(aTHX_ "ignore_from", [&] { object->ignore_from = filter_of(aTHX_ &ST(1), items - 1); });
    }
    XSRETURN(1);

void
max_age(SV* self, SV* seconds)
  PPCODE:
    {
      settle_arguments(aTHX_ &ST(1), 1);
      pump_event* const object = pump_of(aTHX_ self, "max_age");
      if (object->through) croak("max_age: the pump is at work; call it before add() and wake_fd(), or remove() the pump first");
      const NV age = looks_like_number(ST(1)) ? SvNV_nomg(ST(1)) : -1;
      if (!(age >= 0 && age <= 1e9)) croak("max_age is a number of seconds from 0 to 1e9");
      object->max_age = std::chrono::nanoseconds{static_cast<std::int64_t>(age * 1e9 + 0.5)};
    }
    XSRETURN(1);

void
client_limit(SV* self, ...)
  PPCODE:
    {
      settle_arguments(aTHX_ &ST(1), items - 1);
      pump_event* const object = pump_of(aTHX_ self, "client_limit");
      if (object->through) croak("client_limit: the pump is at work; call it before add() and wake_fd(), or remove() the pump first");
      guarded(aTHX_ "client_limit", [&] { object->client_limit = client_limit_of(aTHX_ &ST(1), items - 1); });
    }
    XSRETURN(1);

void
client_share(SV* self, ...)
  PPCODE:
    {
      settle_arguments(aTHX_ &ST(1), items - 1);
      pump_event* const object = pump_of(aTHX_ self, "client_share");
      if (object->through) croak("client_share: the pump is at work; call it before add() and wake_fd(), or remove() the pump first");
      guarded(aTHX_ "client_share", [&] { object->client_share = client_share_of(aTHX_ &ST(1), items - 1); });
    }
    XSRETURN(1);

void
on_expired(SV* self, SV* code)
  ALIAS:
    on_limited = 1
  PPCODE:
    {
      const char* const name = ix == 0 ? "on_expired" : "on_limited";
      pump_event* const object = pump_of(aTHX_ self, name);
      if (object->through) croak("%s: the pump is at work; call it before add() and wake_fd(), or remove() the pump first", name);
      code = sv_mortalcopy(code);
      if (SvOK(code) && code_of(aTHX_ code) == nullptr) croak("%s: a code reference is needed, or undef for none", name);
      SV*& kept = ix == 0 ? object->on_expired : object->on_limited;
      SvREFCNT_dec(std::exchange(kept, SvOK(code) ? newSVsv(code) : nullptr));
    }
    XSRETURN(1);

bool
reply(SV* self, SV* data)
  CODE:
    {
      pump_event* const object = pump_of(aTHX_ self, "reply");
      RETVAL = reply_to(aTHX_ current.of == object ? current.datagram : nullptr, data);
    }
  OUTPUT:
    RETVAL

int
wake_fd(SV* self)
  CODE:
    {
      pump_event* const object = pump_of(aTHX_ self, "wake_fd");
      ready(aTHX_ object, "wake_fd");
      RETVAL = object->through->wake_fd();
    }
  OUTPUT:
    RETVAL

bool
dispatch(SV* self)
  CODE:
    {
      pump_event* const object = pump_of(aTHX_ self, "dispatch");
      ready(aTHX_ object, "dispatch");
      const auto [ended, reason] = serve(aTHX_ *object->through);
      if (ended == outcome::exited) my_exit(STATUS_EXIT);
      if (ended == outcome::died) croak_sv(ERRSV);
      errno = reason;
      RETVAL = reason == 0 && object->through != nullptr;
    }
  OUTPUT:
    RETVAL

SV*
stats(SV* self)
  CODE:
    {
      const pump_event* const object = pump_of(aTHX_ self, "stats");
      const udppump::pump_stats now = object->stats();
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
      count(aTHX_ hash, "ignored", before.ignored + now.ignored);
      count(aTHX_ hash, "expired", before.expired + now.expired);
      count(aTHX_ hash, "limited", before.limited + now.limited);
      count(aTHX_ hash, "quarantined", before.quarantined + now.quarantined);
      count(aTHX_ hash, "send_errors", object->through ? now.send_errors : before.send_errors);
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

INCLUDE: UDPPump/Pool.xsh

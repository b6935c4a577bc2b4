// Event::Lib over libevent 2.1: one loop in each process, events for handles, timers and signals.
#include "event_object.hpp"

using namespace perl_events;

namespace {

enum class kind { handle, timer, signal };

struct lib_event : event_object {
  lib_event(kind what, short chosen) : of{what}, flags{chosen} {}

  kind of;
  short flags;        // as the user gave them
  int signal = 0;
  SV* handle = nullptr;
  bool assigned = false;
  ::event event{};    // as it was added last

  bool pending(timeval* due = nullptr) const {
    constexpr short any = EV_READ | EV_WRITE | EV_SIGNAL | EV_TIMEOUT;
    return assigned && event_pending(&event, any, due) != 0;
  }
};

/// The process's state.
struct {
  PerlInterpreter* owner = nullptr;  // the thread that loaded the module
  event_base* base = nullptr;
  unsigned fork = 0;                 // the value of `forks` when the base was made for this process
  bool running = false;
  outcome ended = outcome::done;     // why the loop is being left
  SV* error = nullptr;
  SV* handler = nullptr;             // event_register_except_handler()
  int log_level = EVENT_LOG_ERR;
  std::vector<lib_event*> listed;    // pending, for Event::Lib::Debug
  bool lists = false;
} state;
unsigned forks = 0;                  // this process's depth in forks since the module was loaded

std::vector<void (*)(pTHX)>& fork_calls() {
  static std::vector<void (*)(pTHX)> calls;
  return calls;
}

void log(int severity, const char* text) {
  static constexpr const char* names[] = {"debug", "msg", "warn", "err"};
  if (severity >= 0 && severity <= 3 && severity >= state.log_level) std::fprintf(stderr, "[%s] %s\n", names[severity], text);
}

void set_log_level(int level) {
  state.log_level = level;
  if (level <= EVENT_LOG_DEBUG) event_enable_debug_logging(EVENT_DBG_ALL);
}

event_base* base_of_process(pTHX) {
  if (aTHX != state.owner) {
    Perl_croak(aTHX_ "Event::Lib: events belong to the thread that loaded the module; use them there, or fork instead");
  }
  if (state.base == nullptr) {
    // event_init() would end the process.
    event_base* const probe = event_base_new();
    if (probe == nullptr) Perl_croak(aTHX_ "event_init: no event mechanism available");
    event_base_free(probe);
    state.base = event_init();
    state.fork = forks;
  } else if (state.fork != forks) {
    if (event_reinit(state.base) != 0) Perl_croak(aTHX_ "event_init: the loop cannot be made anew after a fork: %s", Strerror(errno));
    state.fork = forks;
    for (const auto call : fork_calls()) call(aTHX);
  }
  return state.base;
}

SV* default_handler(pTHX) {
  PERL_UNUSED_CONTEXT;
  return state.handler;
}

void leave(pTHX_ outcome how, SV* error) {
  if (state.ended == outcome::done) {
    state.ended = how;
    std::swap(state.error, error);
  }
  SvREFCNT_dec(error);
  event_base_loopbreak(state.base);
}

void call_after_fork(void (*call)(pTHX)) { fork_calls().push_back(call); }

bool is_running() { return state.running; }

const event_lib_api api{base_of_process, default_handler, leave, call_after_fork, is_running};

/// Dies or exits as a callback did while the loop ran.
void settle(pTHX) {
  const outcome ended = std::exchange(state.ended, outcome::done);
  SV* const error = std::exchange(state.error, nullptr);
  if (ended == outcome::exited) my_exit(STATUS_EXIT);
  if (ended == outcome::died) croak_sv(sv_2mortal(error));
}

int free_event(pTHX_ SV*, MAGIC* magic);
const MGVTBL event_table{nullptr, nullptr, nullptr, nullptr, free_event, nullptr, nullptr, nullptr};

void unlist(lib_event* object) {
  if (state.lists) std::erase(state.listed, object);
}

/// Off the state. In the child of a fork nothing may be taken off the parent's epoll.
void take_off(pTHX_ lib_event* object) {
  if (!object->pending()) return;
  if (state.fork != forks && !PL_dirty) base_of_process(aTHX);
  if (state.fork == forks) event_del(&object->event);
  unlist(object);
  object->trace("removed");
}

int free_event(pTHX_ SV*, MAGIC* magic) {
  auto* const object = reinterpret_cast<lib_event*>(magic->mg_ptr);
  take_off(aTHX_ object);
  object->trace("destroyed");
  object->drop(aTHX);
  SvREFCNT_dec(object->handle);
  delete object;
  return 0;
}

bool body_pending(pTHX_ SV* body) {
  const MAGIC* const magic = SvTYPE(body) >= SVt_PVMG ? mg_findext(body, PERL_MAGIC_ext, &event_table) : nullptr;
  return magic != nullptr && reinterpret_cast<const lib_event*>(magic->mg_ptr)->pending();
}
const MGVTBL variable_table{nullptr, variable_was_set<body_pending>, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};

lib_event* event_of(pTHX_ SV* reference, const char* method) {
  auto* const object = unwrap<lib_event>(aTHX_ reference, &event_table);
  if (object == nullptr) Perl_croak(aTHX_ "%s: this is no event; event_new(), timer_new() and signal_new() make one", method);
  if (object->freed) Perl_croak(aTHX_ "%s: the event was freed; make a new one", method);
  return object;
}

void on_event(evutil_socket_t, short what, void* target) {
  dTHX;
  auto* const object = static_cast<lib_event*>(target);
  SV* const body = SvREFCNT_inc_simple_NN(object->body);
  if (!object->pending()) {
    unlist(object);
    object->let_go(aTHX);
  }
  object->trace("fires");
  ENTER;
  SAVETMPS;
  const int type = what & (EV_READ | EV_WRITE | EV_SIGNAL | EV_TIMEOUT);
  SV* const front[] = {sv_2mortal(newRV_inc(body)), sv_2mortal(newSViv(type))};
  outcome ended = object->callback != nullptr ? call(aTHX_ object->callback, front, 2, *object) : outcome::done;
  SV* error = nullptr;
  if (ended == outcome::died) {
    error = sv_mortalcopy(ERRSV);
    ended = handle(aTHX_ *object, error, type, state.handler);
  }
  if (ended != outcome::done) leave(aTHX_ ended, error != nullptr ? SvREFCNT_inc_simple_NN(error) : nullptr);
  if (ended == outcome::exited) return;  // all scopes are gone
  FREETMPS;
  LEAVE;
  // A child of a fork goes on with this state.
  if (state.fork != forks) base_of_process(aTHX);
  SvREFCNT_dec_NN(body);
}

/// Reads a timeout; false: none. A zero that is an integer is none, 0.0 is at once.
bool read_timeout(pTHX_ const char* name, SV* given, bool of_timer, timeval& read) {
  SvGETMAGIC(given);
  if (!SvOK(given)) {
    read = {1, 0};
    return of_timer;
  }
  // As it is written: reading it as a number changes what it is.
  const bool exact = SvIOK(given) || (SvPOK(given) && !SvNOK(given) && std::strchr(SvPV_nolen(given), '.') == nullptr);
  const NV seconds = SvNV_nomg(given);
  if (!(seconds >= 0 && seconds <= 1e9)) {
    Perl_croak(aTHX_ "%s: a timeout is a number of seconds from 0 to 1e9, and not \"%" SVf "\"", name, SVfARG(given));
  }
  read.tv_sec = static_cast<time_t>(seconds);
  read.tv_usec = static_cast<suseconds_t>((seconds - std::floor(seconds)) * 1e6);
  return seconds > 0 || of_timer || !exact;
}

void add(pTHX_ lib_event* object, SV* given) {
  event_base* const base = base_of_process(aTHX);
  if (object->pending()) Perl_croak(aTHX_ "Attempt to add event a second time: remove() it first, or wait until it has fired");
  timeval timeout{};
  const bool timed = read_timeout(aTHX_ "add", given != nullptr ? given : &PL_sv_undef, object->of == kind::timer, timeout);
  short flags = object->flags;
  int watched = -1, type = -flags;
  switch (object->of) {
    case kind::handle: watched = descriptor_of(aTHX_ object->handle); break;
    case kind::timer: type = -EV_TIMEOUT, flags = 0; break;
    case kind::signal:
      watched = object->signal, type = -object->signal;
      flags = static_cast<short>(timed ? EV_SIGNAL : EV_SIGNAL | EV_PERSIST);
      break;
  }
  errno = EBADF;
  const bool usable = object->of == kind::timer || watched >= 0;
  if (usable) {
    errno = 0;
    event_assign(&object->event, base, watched, flags, on_event, object);
    object->assigned = true;
    if (object->priority >= 0) event_priority_set(&object->event, object->priority);
  }
  if (usable && event_add(&object->event, timed ? &timeout : nullptr) == 0) {
    object->hold();
    if (state.lists) state.listed.push_back(object);
    object->trace("added");
    return;
  }
  if (errno == 0) errno = EINVAL;
  const int reason = errno;
  SV* error = sv_2mortal(newSVsv(mess_sv(sv_2mortal(newSVpvs("Couldn't add event")), 0)));
  errno = reason;
  const outcome ended = handle(aTHX_ *object, error, type, state.handler);
  errno = reason;
  if (ended == outcome::exited) my_exit(STATUS_EXIT);
  if (ended == outcome::died) croak_sv(error);
}

/// Runs the loop; what event_mainloop() and its like return.
bool run(pTHX_ const char* name, int flags, SV* limit = nullptr) {
  event_base* const base = base_of_process(aTHX);
  if (state.running) {
    Perl_warn(aTHX_ "%s: the loop is running already; a callback returns to it", name);
    return false;
  }
  PERL_ASYNC_CHECK();
  timeval timeout{};
  ::event alarm{};
  const bool timed = limit != nullptr && SvOK(limit) && event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED) > 0;
  if (timed) {
    read_timeout(aTHX_ name, limit, true, timeout);
    event_assign(&alarm, base, -1, 0, [](evutil_socket_t, short, void*) {}, nullptr);
    event_add(&alarm, &timeout);
  }
  state.running = true;
  errno = 0;
  const int result = event_base_loop(base, flags);
  const int reason = errno;
  state.running = false;
  if (timed) event_del(&alarm);
  settle(aTHX);
  PERL_ASYNC_CHECK();
  errno = reason;
  return result >= 0;
}

SV* make(pTHX_ std::unique_ptr<lib_event> made, const char* name, SV** first, SSize_t count) {
  made->args = args_of(aTHX_ first, count);
  return wrap(aTHX_ std::move(made), &event_table, name);
}

}  // namespace

MODULE = Event::Lib    PACKAGE = Event::Lib    PREFIX = lib_

PROTOTYPES: DISABLE
VERSIONCHECK: ENABLE

BOOT:
{
  state.owner = aTHX;
  pthread_atfork(nullptr, nullptr, [] { ++forks; });
  event_set_log_callback(log);
  const char* const level = PerlEnv_getenv("EVENT_LOG_LEVEL");
  if (level != nullptr && level[0] >= '0' && level[0] <= '4' && level[1] == '\0') set_log_level(level[0] - '0');
  state.lists = PerlEnv_getenv("EVENT_LIB_DEBUG_PENDING") != nullptr;
  HV* const stash = gv_stashpvs("Event::Lib", GV_ADD);
  static constexpr struct {
    const char* name;
    int value;
  } constants[] = {{"EV_TIMEOUT", EV_TIMEOUT}, {"EV_READ", EV_READ}, {"EV_WRITE", EV_WRITE}, {"EV_SIGNAL", EV_SIGNAL},
    {"EV_PERSIST", EV_PERSIST}, {"_EVENT_LOG_DEBUG", EVENT_LOG_DEBUG}, {"_EVENT_LOG_MSG", EVENT_LOG_MSG},
    {"_EVENT_LOG_WARN", EVENT_LOG_WARN}, {"_EVENT_LOG_ERR", EVENT_LOG_ERR}, {"_EVENT_LOG_NONE", EVENT_LOG_ERR + 1}};
  for (const auto& constant : constants) newCONSTSUB(stash, constant.name, newSViv(constant.value));
  (void)hv_stores(PL_modglobal, "Event::Lib::api", newSViv(PTR2IV(&api)));
}

const char*
get_version()
  CODE:
    RETVAL = event_get_version();
  OUTPUT:
    RETVAL

const char*
get_method()
  CODE:
    RETVAL = event_base_get_method(base_of_process(aTHX));
  OUTPUT:
    RETVAL

void
event_init()
  CODE:
    base_of_process(aTHX);

void
event_priority_init(int count)
  CODE:
    event_base_priority_init(base_of_process(aTHX), count < 1 ? 1 : count);

void
event_log_level(int level)
  CODE:
    set_log_level(level);

void
event_register_except_handler(SV* handler)
  CODE:
    handler = sv_mortalcopy(handler);
    if (SvOK(handler) && code_of(aTHX_ handler) == nullptr) {
      croak("event_register_except_handler: a code reference is needed, or undef for none");
    }
    SvREFCNT_dec(std::exchange(state.handler, SvOK(handler) ? newSVsv(handler) : nullptr));

SV*
event_fork()
  CODE:
    PERL_FLUSHALL_FOR_CHILD;
    {
      const Pid_t pid = PerlProc_fork();
      if (pid == 0) base_of_process(aTHX);
      RETVAL = pid < 0 ? newSV(0) : newSViv(pid);
    }
  OUTPUT:
    RETVAL

bool
event_mainloop()
  CODE:
    RETVAL = run(aTHX_ "event_mainloop", 0);
  OUTPUT:
    RETVAL

bool
event_one_loop(SV* seconds = nullptr)
  CODE:
    RETVAL = run(aTHX_ "event_one_loop", EVLOOP_ONCE, seconds);
  OUTPUT:
    RETVAL

bool
event_one_nbloop()
  CODE:
    RETVAL = run(aTHX_ "event_one_nbloop", EVLOOP_NONBLOCK);
  OUTPUT:
    RETVAL

void
event_new(SV* handle, int flags, SV* callback, ...)
  PPCODE:
    settle_arguments(aTHX_ &ST(0), items);
    handle = ST(0), callback = ST(2);
    if (descriptor_of(aTHX_ handle) < 0) croak("event_new: the first argument is no open filehandle");
    if ((flags & (EV_READ | EV_WRITE)) == 0 || (flags & ~(EV_READ | EV_WRITE | EV_PERSIST)) != 0) {
      croak("event_new: flags are EV_READ, EV_WRITE or both, with EV_PERSIST or without, and not %d", flags);
    }
    if (code_of(aTHX_ callback) == nullptr) croak("event_new: the third argument is no code reference");
    {
      auto made = std::make_unique<lib_event>(kind::handle, static_cast<short>(flags));
      made->handle = newSVsv(handle);
      made->callback = newSVsv(callback);
      SV* const result = make(aTHX_ std::move(made), "Event::Lib::event", &ST(3), items - 3);
      XPUSHs(result);
    }

void
timer_new(SV* callback, ...)
  PPCODE:
    settle_arguments(aTHX_ &ST(0), items);
    callback = ST(0);
    if (code_of(aTHX_ callback) == nullptr) croak("timer_new: the first argument is no code reference");
    {
      auto made = std::make_unique<lib_event>(kind::timer, short{EV_TIMEOUT});
      made->callback = newSVsv(callback);
      SV* const result = make(aTHX_ std::move(made), "Event::Lib::timer", &ST(1), items - 1);
      XPUSHs(result);
    }

void
signal_new(int signal, SV* callback, ...)
  PPCODE:
    settle_arguments(aTHX_ &ST(0), items);
    callback = ST(1);
    if (signal < 1 || signal >= NSIG) croak("signal_new: a signal is a number from 1 to %d, and not %d; POSIX has their names", NSIG - 1, signal);
    if (code_of(aTHX_ callback) == nullptr) croak("signal_new: the second argument is no code reference");
    {
      auto made = std::make_unique<lib_event>(kind::signal, short{EV_SIGNAL});
      made->signal = signal;
      made->callback = newSVsv(callback);
      SV* const result = make(aTHX_ std::move(made), "Event::Lib::signal", &ST(2), items - 2);
      XPUSHs(result);
    }

MODULE = Event::Lib    PACKAGE = Event::Lib::base

void
add(SV* self, SV* timeout = nullptr)
  PPCODE:
    {
      lib_event* const object = event_of(aTHX_ self, "add");
      add(aTHX_ object, timeout);
      if (object->held) watch_variable(aTHX_ self, object->body, &variable_table);
    }
    XSRETURN(1);

bool
remove(SV* self)
  CODE:
    {
      lib_event* const object = event_of(aTHX_ self, "remove");
      RETVAL = object->pending();
      take_off(aTHX_ object);
      object->let_go(aTHX);
    }
  OUTPUT:
    RETVAL

void
free(SV* self)
  CODE:
    {
      lib_event* const object = event_of(aTHX_ self, "free");
      take_off(aTHX_ object);
      object->freed = true;
      object->drop(aTHX);
      object->let_go(aTHX);
    }

SV*
pending(SV* self)
  CODE:
    {
      const lib_event* const object = event_of(aTHX_ self, "pending");
      base_of_process(aTHX);
      timeval due{}, now{};
      if (!object->pending(&due)) {
        RETVAL = newSVsv(&PL_sv_no);
      } else if (event_pending(&object->event, EV_TIMEOUT, &due) == 0) {
        RETVAL = newSVpvs("0 but true");
      } else {
        evutil_gettimeofday(&now, nullptr);
        const NV left = static_cast<NV>(due.tv_sec - now.tv_sec) + static_cast<NV>(due.tv_usec - now.tv_usec) / 1e6;
        RETVAL = left > 0 ? newSVnv(left) : newSVpvs("0 but true");
      }
    }
  OUTPUT:
    RETVAL

void
args(SV* self, ...)
  PPCODE:
    {
      lib_event* const object = event_of(aTHX_ self, "args");
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
    replace_args(aTHX_ *event_of(aTHX_ self, "args_del"), nullptr, 0);

SV*
callback(SV* self)
  CODE:
    RETVAL = newSVsv(event_of(aTHX_ self, "callback")->callback);
  OUTPUT:
    RETVAL

void
except_handler(SV* self, SV* handler)
  PPCODE:
    {
      lib_event* const object = event_of(aTHX_ self, "except_handler");
      handler = sv_mortalcopy(handler);
      if (SvOK(handler) && code_of(aTHX_ handler) == nullptr) croak("except_handler: a code reference is needed, or undef for none");
      SvREFCNT_dec(std::exchange(object->handler, SvOK(handler) ? newSVsv(handler) : nullptr));
    }
    XSRETURN(1);

void
set_priority(SV* self, int priority)
  PPCODE:
    {
      lib_event* const object = event_of(aTHX_ self, "set_priority");
      const int known = event_base_get_npriorities(base_of_process(aTHX));
      if (priority < 0 || priority >= known) {
        croak("set_priority: there are priorities from 0 to %d, and not %d; event_priority_init() makes more", known - 1, priority);
      }
      if (object->pending()) croak("set_priority: the event is pending; set its priority before add()");
      object->priority = priority;
    }
    XSRETURN(1);

void
trace(SV* self)
  PPCODE:
    event_of(aTHX_ self, "trace")->traced = true;
    XSRETURN(1);

void
DESTROY(SV* self)
  CODE:
    PERL_UNUSED_VAR(self);

MODULE = Event::Lib    PACKAGE = Event::Lib::event

void
fh(SV* self)
  PPCODE:
    {
      SV* const handle = event_of(aTHX_ self, "fh")->handle;
      XPUSHs(sv_mortalcopy(handle));
    }

MODULE = Event::Lib    PACKAGE = Event::Lib::Debug

void
get_pending_events()
  PPCODE:
    for (const lib_event* const object : state.listed) {
      AV* const entry = newAV();
      av_push(entry, newRV_inc(object->body));
      av_push(entry, newSViv(object->of == kind::signal ? EV_SIGNAL : object->flags));
      for (SSize_t i = 0; i < static_cast<SSize_t>(av_count(object->args)); ++i) av_push(entry, newSVsv(*av_fetch(object->args, i, 1)));
      XPUSHs(sv_2mortal(newRV_noinc(reinterpret_cast<SV*>(entry))));
    }

void
dump_pending_events()
  CODE:
    for (const lib_event* const object : state.listed) {
      PerlIO_printf(PerlIO_stderr(), "%s=0x%" UVxf ", type %d, %d arguments\n", HvNAME(SvSTASH(object->body)), PTR2UV(object->body),
                    object->of == kind::signal ? EV_SIGNAL : object->flags, static_cast<int>(av_count(object->args)));
    }

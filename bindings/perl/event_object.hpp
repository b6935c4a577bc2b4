// What the event objects of Event::Lib and of Event::Lib::UDPPump have in common.
#pragma once

// C++ first: perl.h defines macros with short names.
#include <event2/event.h>
#include <event2/event_compat.h>
#include <event2/event_struct.h>
#include <pthread.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#define PERL_NO_GET_CONTEXT
#include "EXTERN.h"

#include "perl.h"

#include "XSUB.h"
#ifndef av_count  // before Perl 5.34
#define av_count(array) (av_len(array) + 1)
#endif
#ifndef G_LIST  // before Perl 5.36
#define G_LIST G_ARRAY
#endif
#undef do_open
#undef do_close

namespace perl_events {

/// How a call into Perl ended. Neither die nor exit jumps over the C++ and libevent above: both are carried out once
/// the loop has returned.
enum class outcome { done, died, exited };

/// What the module Event::Lib offers to modules of other event types; its address is in PL_modglobal.
struct event_lib_api {
  static constexpr const char* key = "Event::Lib::api";
  /// The loop of this process, made anew in the child of a fork.
  event_base* (*base)(pTHX);
  /// Of event_register_except_handler(); null: none.
  SV* (*default_handler)(pTHX);
  /// Ends the loop, which then dies with `error` (which it takes), or exits. A loop must be running.
  void (*leave)(pTHX_ outcome how, SV* error);
  /// `call` is called in the child of a fork, once its loop is made.
  void (*after_fork)(void (*call)(pTHX));
  /// Whether the loop runs, and so this is inside of a callback.
  bool (*running)();
};

/// What every event has. It belongs to a scalar, `body`, that the user's references point to.
struct event_object {
  SV* body = nullptr;  // not counted
  SV* callback = nullptr;
  AV* args = nullptr;
  SV* handler = nullptr;  // except_handler(); null: none
  int priority = -1;      // the middle
  bool traced = false;
  bool held = false;   // the loop holds a reference to `body`
  bool freed = false;  // free() was called

  event_object() = default;
  event_object(const event_object&) = delete;
  event_object& operator=(const event_object&) = delete;

  /// What is pending stays alive, whatever happens to the user's variables.
  void hold() {
    if (held) return;
    held = true;
    SvREFCNT_inc_simple_void_NN(body);
  }
  /// May end this object's life.
  void let_go(pTHX) {
    if (!held) return;
    held = false;
    SvREFCNT_dec_NN(body);
  }
  void drop(pTHX) {
    SvREFCNT_dec(std::exchange(callback, nullptr));
    SvREFCNT_dec(reinterpret_cast<SV*>(std::exchange(args, nullptr)));
    SvREFCNT_dec(std::exchange(handler, nullptr));
  }
  void trace(const char* what) const {
    if (traced) std::fprintf(stderr, "event %p %s\n", static_cast<const void*>(body), what);
  }
};

/// What an XS function was given becomes values of its own: reading a tied or overloaded one may die or say something
/// else the next time, and that must be over before anything of C++ is there.
inline void settle_arguments(pTHX_ SV** first, SSize_t count) {
  for (SSize_t i = 0; i < count; ++i) first[i] = sv_mortalcopy(first[i]);
}

/// The code behind a reference or a name's glob; null if it is none.
inline SV* code_of(pTHX_ SV* sv) {
  SvGETMAGIC(sv);
  if (!SvROK(sv) || SvTYPE(SvRV(sv)) != SVt_PVCV) return nullptr;
  return sv;
}

inline AV* args_of(pTHX_ SV** first, SSize_t count) {
  AV* const args = newAV();
  if (count > 0) av_extend(args, count - 1);
  for (SSize_t i = 0; i < count; ++i) av_push(args, newSVsv(first[i]));
  return args;
}

/// Calls `code` with the `count` scalars of `front`, then the event's arguments. Nothing jumps out of it.
inline outcome call(pTHX_ SV* code, SV* const* front, int count, const event_object& object) {
  dSP;
  ENTER;
  SAVETMPS;
  PUSHSTACKi(PERLSI_UNKNOWN);  // a `last` in the callback finds no loop of the program's to leave
  const SSize_t more = object.args != nullptr ? av_count(object.args) : 0;
  PUSHMARK(SP);
  EXTEND(SP, count + more);
  for (int i = 0; i < count; ++i) PUSHs(front[i]);
  for (SSize_t i = 0; i < more; ++i) {
    SV** const element = av_fetch(object.args, i, 0);
    PUSHs(element != nullptr ? sv_2mortal(SvREFCNT_inc_simple_NN(*element)) : &PL_sv_undef);
  }
  PUTBACK;
  SvREFCNT_inc_simple_void_NN(code);
  sv_2mortal(code);
  dJMPENV;
  int jumped;
  JMPENV_PUSH(jumped);
  if (jumped != 0) {  // exit()
    JMPENV_POP;
    return outcome::exited;
  }
  call_sv(code, G_VOID | G_DISCARD | G_EVAL);
  JMPENV_POP;
  POPSTACK;
  const bool died = SvROK(ERRSV) || SvTRUE(ERRSV);
  FREETMPS;
  LEAVE;
  return died ? outcome::died : outcome::done;
}

/// An exception of `object` (in `error`, a mortal) goes to its handler, else to `fallback`; without either, or if the
/// handler dies as well, it stays one: `error` is then what to die with.
inline outcome handle(pTHX_ const event_object& object, SV*& error, int type, SV* fallback) {
  SV* const handler = object.handler != nullptr ? object.handler : fallback;
  if (handler == nullptr) return outcome::died;
  SV* const front[] = {sv_2mortal(newRV_inc(object.body)), error, sv_2mortal(newSViv(type))};
  const outcome ended = call(aTHX_ handler, front, 3, object);
  if (ended == outcome::died) error = sv_mortalcopy(ERRSV);
  return ended;
}

/// The descriptor of an open handle; -1 if it is none, or closed.
inline int descriptor_of(pTHX_ SV* handle) {
  SvGETMAGIC(handle);
  IO* io = nullptr;
  if (SvROK(handle) && SvTYPE(SvRV(handle)) == SVt_PVIO) {
    io = reinterpret_cast<IO*>(SvRV(handle));
  } else if ((SvROK(handle) && isGV_with_GP(SvRV(handle))) || isGV_with_GP(handle)) {
    io = GvIO(reinterpret_cast<GV*>(SvROK(handle) ? SvRV(handle) : handle));
  } else if (SvROK(handle) && SvOBJECT(SvRV(handle)) && SvTYPE(SvRV(handle)) == SVt_PVHV) {
    return -1;
  } else if (SvPOK(handle)) {
    GV* const glob = gv_fetchsv(handle, 0, SVt_PVIO);
    io = glob != nullptr ? GvIO(glob) : nullptr;
  }
  PerlIO* const stream = io != nullptr ? (IoIFP(io) != nullptr ? IoIFP(io) : IoOFP(io)) : nullptr;
  return stream != nullptr ? PerlIO_fileno(stream) : -1;
}

/// What args() does: nothing changes without arguments; `items` and `first` are those after the event.
inline void replace_args(pTHX_ event_object& object, SV** first, SSize_t count) {
  AV* const fresh = args_of(aTHX_ first, count);
  SvREFCNT_dec(reinterpret_cast<SV*>(std::exchange(object.args, fresh)));
}

/// A new object of class `name`, and the reference to it, a mortal. `table` tells this module's objects from others.
template <class Object>
SV* wrap(pTHX_ std::unique_ptr<Object> object, const MGVTBL* table, const char* name) {
  SV* const body = newSV(0);
  sv_setiv(body, 0);
  object->body = body;
  Object* const raw = object.release();
  sv_magicext(body, nullptr, PERL_MAGIC_ext, table, reinterpret_cast<const char*>(raw), 0);
  return sv_bless(sv_2mortal(newRV_noinc(body)), gv_stashpv(name, GV_ADD));
}

template <class Object>
Object* unwrap(pTHX_ SV* reference, const MGVTBL* table) {
  SvGETMAGIC(reference);
  if (!SvROK(reference) || SvTYPE(SvRV(reference)) < SVt_PVMG) return nullptr;
  const MAGIC* const magic = mg_findext(SvRV(reference), PERL_MAGIC_ext, table);
  return magic != nullptr ? reinterpret_cast<Object*>(magic->mg_ptr) : nullptr;
}

/// Warns when a variable with the last reference to a pending event gets another value. Kept on the variable by which
/// the event was added; `pending` says whether the event in mg_obj is.
inline void watch_variable(pTHX_ SV* variable, SV* body, const MGVTBL* table) {
  if (SvREADONLY(variable) || SvTEMP(variable) || SvPADTMP(variable) || SvTYPE(variable) >= SVt_PVGV) return;
  if (SvTYPE(variable) >= SVt_PVMG) sv_unmagicext(variable, PERL_MAGIC_ext, const_cast<MGVTBL*>(table));
  sv_magicext(variable, body, PERL_MAGIC_ext, table, nullptr, 0);
}

template <bool (*pending)(pTHX_ SV* body)>
int variable_was_set(pTHX_ SV* variable, MAGIC* magic) {
  SV* const body = magic->mg_obj;
  if (SvROK(variable) && SvRV(variable) == body) return 0;
  const MGVTBL* const table = magic->mg_virtual;
  // The loop's reference, and the one of the magic.
  const bool last = body != nullptr && SvREFCNT(body) == 2 && pending(aTHX_ body);
  sv_unmagicext(variable, PERL_MAGIC_ext, const_cast<MGVTBL*>(table));
  if (last) Perl_ck_warner(aTHX_ packWARN(WARN_MISC), "Explicit undef() of or reassignment to pending event");
  return 0;
}

}  // namespace perl_events

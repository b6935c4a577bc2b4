#include <event2/event.h>
#include <event2/event_compat.h>
#include <event2/event_struct.h>

#define PERL_NO_GET_CONTEXT
#include "EXTERN.h"
#include "perl.h"
#include "XSUB.h"

static void on_timer(evutil_socket_t fd, short what, void* target) {
  dTHX;
  dSP;
  PERL_UNUSED_VAR(fd);
  PERL_UNUSED_VAR(what);
  ENTER;
  SAVETMPS;
  PUSHMARK(SP);
  call_sv((SV*)target, G_VOID | G_DISCARD);
  FREETMPS;
  LEAVE;
}

MODULE = Event::Lib    PACKAGE = Event::Lib

PROTOTYPES: DISABLE

BOOT:
    event_init();

void
event_init()
  CODE:
    event_init();

int
event_mainloop()
  CODE:
    RETVAL = event_dispatch() >= 0;
  OUTPUT:
    RETVAL

int
event_one_loop()
  CODE:
    RETVAL = event_loop(EVLOOP_ONCE) >= 0;
  OUTPUT:
    RETVAL

SV*
timer_new(SV* callback)
  CODE:
    {
      struct event* made = (struct event*)malloc(sizeof *made);
      evtimer_set(made, on_timer, newSVsv(callback));
      RETVAL = sv_setref_pv(newSV(0), "Event::Lib::timer", made);
    }
  OUTPUT:
    RETVAL

MODULE = Event::Lib    PACKAGE = Event::Lib::timer

void
add(SV* self, double seconds)
  CODE:
    {
      struct timeval after;
      after.tv_sec = (long)seconds;
      after.tv_usec = (long)((seconds - (long)seconds) * 1e6);
      evtimer_add(INT2PTR(struct event*, SvIV(SvRV(self))), &after);
    }

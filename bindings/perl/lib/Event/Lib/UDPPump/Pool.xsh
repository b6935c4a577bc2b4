MODULE = Event::Lib::UDPPump    PACKAGE = Event::Lib::UDPPump::Pool

bool
reply(SV* self, SV* data)
  CODE:
    PERL_UNUSED_VAR(self);
    RETVAL = reply_to(aTHX_ current.datagram, data);
  OUTPUT:
    RETVAL

MODULE = Event::Lib::UDPPump    PACKAGE = Event::Lib::UDPPump::Pool::core

void
make(SV* options)
  PPCODE:
    {
      SV* result = nullptr;
      pool_object* object = nullptr;
      guarded(aTHX_ "new", [&] {
        HV* const given = reinterpret_cast<HV*>(SvRV(options));
        auto made = std::make_unique<pool_object>();
        SV* const log = option(aTHX_ given, "log");
        made->log = log != nullptr ? sv_2mortal(newSVsv(log)) : nullptr;
        made->pool = std::make_unique<udppump::worker_pool>(pool_options_of(aTHX_ given, *made));
        made->fork = forks;
        SvREFCNT_inc(made->log);
        SV* const body = newSV(0);
        sv_setiv(body, 0);
        object = made.release();
        sv_magicext(body, nullptr, PERL_MAGIC_ext, &pool_table, reinterpret_cast<const char*>(object), 0);
        result = sv_bless(sv_2mortal(newRV_noinc(body)), gv_stashpv("Event::Lib::UDPPump::Pool::core", GV_ADD));
      });
      // The callback may exit(), and then no scope is left: not before all is read and made.
      SV* const kept = SvREFCNT_inc_simple_NN(SvRV(result));
      for (const auto& told : std::exchange(object->early, {})) say(aTHX_ *object, told);
      if (object->exited) my_exit(STATUS_EXIT);
      SvREFCNT_dec_NN(kept);
      XPUSHs(result);
    }

void
check_ignore_from(...)
  CODE:
    guarded(aTHX_ "new: ignore_from", [&] { static_cast<void>(filter_of(aTHX_ &ST(0), items)); });

int
run(SV* self, SV* body)
  CODE:
    {
      pool_object* const object = pool_of(aTHX_ self, "run");
      if (is_worker()) croak("run: this is a worker of a pool; run a pool where no other runs");
      if (object->running) croak("run: the pool runs already; run it once");
      if (lib != nullptr && lib->running()) croak("run: event_mainloop() runs; run the pool outside of callbacks");
      object->running = true;
      // Both outlive an exit() in the log's callback, which leaves no scope.
      SV* const own = SvREFCNT_inc_simple_NN(SvRV(self));
      SV* const kept = newSVsv(body);
      PERL_FLUSHALL_FOR_CHILD;
      RETVAL = 0;
      const auto stop_pumps = [] {
        for (pump_event* const each : pumps()) each->grouped = {};
      };
      guarded(aTHX_ "run", [&] {
        try {
          RETVAL = object->pool->run([kept, stop_pumps](udppump::worker& made) {
            dTHX;
            run_worker(aTHX_ kept, made, stop_pumps);
          });
        } catch (...) {
          object->running = false;
          throw;
        }
      });
      object->running = false;
      if (object->exited) my_exit(STATUS_EXIT);
      SvREFCNT_dec_NN(kept);
      SvREFCNT_dec_NN(own);
    }
  OUTPUT:
    RETVAL

void
request_stop(SV* self)
  CODE:
    pool_of(aTHX_ self, "stop")->pool->request_stop();

void
request_reload(SV* self)
  CODE:
    pool_of(aTHX_ self, "reload")->pool->request_reload();

UV
workers(SV* self)
  CODE:
    RETVAL = pool_of(aTHX_ self, "workers")->pool->workers();
  OUTPUT:
    RETVAL

void
descriptors(SV* self)
  PPCODE:
    for (const auto& socket : pool_of(aTHX_ self, "sockets")->pool->sockets()) XPUSHs(sv_2mortal(newSViv(socket.fd())));

MODULE = Event::Lib::UDPPump    PACKAGE = Event::Lib::UDPPump::Pool::Worker

UV
number(SV* self)
  CODE:
    PERL_UNUSED_VAR(self);
    RETVAL = the_worker(aTHX_ "number").number();
  OUTPUT:
    RETVAL

bool
stopping(SV* self)
  CODE:
    PERL_UNUSED_VAR(self);
    RETVAL = the_worker(aTHX_ "stopping").stopping();
  OUTPUT:
    RETVAL

void
ready(SV* self)
  CODE:
    PERL_UNUSED_VAR(self);
    the_worker(aTHX_ "ready").ready();

void
on_stop(SV* self, SV* call)
  CODE:
    PERL_UNUSED_VAR(self);
    the_worker(aTHX_ "on_stop");
    call = sv_mortalcopy(call);
    if (SvOK(call) && code_of(aTHX_ call) == nullptr) croak("on_stop: a code reference is needed, or undef for none");
    SvREFCNT_dec(std::exchange(worker.on_stop, SvOK(call) ? newSVsv(call) : nullptr));

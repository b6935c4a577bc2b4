package Event::Lib;
use 5.014;
use strict;
use warnings;
use Carp ();
use Exporter 'import';
use XSLoader;

our $VERSION        = '1.05';
our $IMPLEMENTATION = 'udppump';    # tells it from the module of 2006, whose loop it would share
our @EXPORT         = qw(
    event_init event_priority_init event_log_level event_register_except_handler event_fork event_mainloop
    event_one_loop event_one_nbloop event_new event_add signal_new timer_new
    EV_PERSIST EV_READ EV_SIGNAL EV_TIMEOUT EV_WRITE
    _EVENT_LOG_DEBUG _EVENT_LOG_MSG _EVENT_LOG_WARN _EVENT_LOG_ERR _EVENT_LOG_NONE
);
our @EXPORT_OK   = @EXPORT;
our %EXPORT_TAGS = (all => \@EXPORT);

XSLoader::load('Event::Lib', $VERSION);

@Event::Lib::event::ISA = @Event::Lib::signal::ISA = @Event::Lib::timer::ISA = ('Event::Lib::base');

*event_add = \&Event::Lib::base::add;

# An object is nothing in another thread; its loop is not there.
sub Event::Lib::base::CLONE_SKIP { return 1 }

sub AUTOLOAD {    ## no critic: a name that this libevent does not have
    (my $name = our $AUTOLOAD) =~ s/.*:://;
    Carp::croak("Your vendor has not defined Event::Lib macro $name") if $name =~ /^_?EV/;
    Carp::croak("Undefined subroutine &Event::Lib::$name called");
}

sub DESTROY { }

1;
__END__

=head1 NAME

Event::Lib - events for handles, timers and signals, over libevent 2.1

=head1 SYNOPSIS

    use Event::Lib;

    my $timer = timer_new(sub {
        my ($event, $type, @args) = @_;
        print "a second is over: @args\n";
    }, 'argument');
    $timer->add(1);

    my $reader = event_new(\*STDIN, EV_READ | EV_PERSIST, sub {
        my ($event, $type) = @_;
        sysread($event->fh, my $data, 4096) or $event->remove;
    });
    $reader->add;
    event_mainloop();

=head1 DESCRIPTION

This is an implementation of the interface of Event::Lib 1.04, which no longer compiles, for programs that use it. It
comes with L<Event::Lib::UDPPump>. There is one loop in a process. After a fork the child's loop is made anew when the
child first uses this module; what was pending is pending in both.

=head1 FUNCTIONS

All are exported by default, and so are EV_READ, EV_WRITE, EV_TIMEOUT, EV_SIGNAL, EV_PERSIST, and _EVENT_LOG_DEBUG,
_EVENT_LOG_MSG, _EVENT_LOG_WARN, _EVENT_LOG_ERR, _EVENT_LOG_NONE.

=head2 event_new($handle, $flags, \&callback, @args)

Flags: EV_READ, EV_WRITE or both; with EV_PERSIST it stays pending until it is removed. The callback gets the event, what
happened (EV_READ, EV_WRITE, EV_TIMEOUT) and C<@args>.

=head2 timer_new(\&callback, @args)

Fires once. C<add> takes seconds, with fractions; without, one second.

=head2 signal_new($signal, \&callback, @args)

Stays pending unless it was added with a timeout. It comes before C<%SIG>. A handler in C<%SIG> runs only when Perl code
does: while the loop waits, a signal without a signal_new() waits as well.

=head2 event_add($event, [$timeout])

The method C<add>.

=head2 event_mainloop, event_one_loop([$seconds]), event_one_nbloop

Run the loop until no event is left; until the next event was handled, at most so long; without waiting. They return true,
or false and set C<$!>. While the loop runs, they warn and do nothing. C<exit> in a callback is carried out once the loop
was left.

=head2 event_init, event_fork, event_priority_init($count), event_log_level($level)

None need be called. event_fork() is fork() with the child's loop made at once.

=head2 event_register_except_handler(\&handler)

For exceptions of events without a handler of their own. undef: none; then event_mainloop() dies.

=head2 Event::Lib::get_version, Event::Lib::get_method

Libevent's version, and how it waits.

=head2 Event::Lib::Debug::get_pending_events, Event::Lib::Debug::dump_pending_events

Lists of [event, type, arguments], or lines on STDERR, if EVENT_LIB_DEBUG_PENDING is in the environment when the module is
loaded; no debug build is needed.

=head1 METHODS

=head2 add([$timeout])

Makes it pending, and returns it: the event, or this many seconds. 0 is no timeout, 0.0 is at once. A pending event stays
scheduled whatever happens to the variable that holds it. Undefining or reassigning the variable by which it was added
warns (category misc) if nothing else refers to the event. Adding what is pending dies. If it cannot be added otherwise,
the exception handler gets the event, "Couldn't add event at ...", a negative type (-$flags, -EV_TIMEOUT, -$signal) and
C<@args>.

=head2 remove, pending, fh

C<remove> returns whether it was pending. C<pending> is false, the seconds until it is due, or "0 but true".

=head2 args, args_del, callback

C<args> is their count in scalar context, else a list; with arguments it replaces them.

=head2 except_handler(\&handler), set_priority($number), trace

Return the event. The handler gets the event, the error, the type and C<@args>. Lower priorities come earlier. C<trace>
says on STDERR what happens to the event.

=head2 free

Removes it for good.

=head1 ENVIRONMENT

EVENT_NOEPOLL, EVENT_NOPOLL, EVENT_NOSELECT, EVENT_NODEVPOLL, EVENT_NOKQUEUE: not to wait so. EVENT_LOG_LEVEL: 0 to 4.
EVENT_LIB_DEBUG_PENDING: see above.

=head1 SEE ALSO

L<Event::Lib::UDPPump>

=head1 LICENSE

MIT, as udppump.

=cut

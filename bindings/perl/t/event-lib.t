# What programs that use Event::Lib rely on, row by row.
use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Helper;
use Event::Lib;
use POSIX ':signal_h';
use Time::HiRes 'time';

subtest 'exports by default' => sub {
    my @names = qw(event_init event_priority_init event_log_level event_register_except_handler event_fork event_mainloop
        event_one_loop event_one_nbloop event_new event_add signal_new timer_new EV_PERSIST EV_READ EV_SIGNAL EV_TIMEOUT
        EV_WRITE _EVENT_LOG_DEBUG _EVENT_LOG_MSG _EVENT_LOG_WARN _EVENT_LOG_ERR _EVENT_LOG_NONE);
    ok(main->can($_), "exports $_") for @names;
    ok !main->can('get_version'), 'get_version is not exported';
    eval q{package Other; Event::Lib->import(':all'); 1} or die;
    ok(Other->can($_), ":all has it: $_") for @names;
};

subtest 'constants have the values of event.h' => sub {
    is_deeply [EV_TIMEOUT, EV_READ, EV_WRITE, EV_SIGNAL, EV_PERSIST], [1, 2, 4, 8, 16];
    is_deeply [_EVENT_LOG_DEBUG, _EVENT_LOG_MSG, _EVENT_LOG_WARN, _EVENT_LOG_ERR, _EVENT_LOG_NONE], [0 .. 4];
};

subtest 'a constant that this libevent does not have' => sub {
    eval { Event::Lib::EV_NONESUCH() };
    like $@, qr/^Your vendor has not defined Event::Lib macro EV_NONESUCH at \Q${\__FILE__}\E line/;
};

subtest 'get_version and get_method' => sub {
    like Event::Lib::get_version(), qr/^2\.[1-9]/;
    like Event::Lib::get_method(), qr/^(select|poll|epoll|devpoll|kqueue)$/;
};

subtest 'no set-up call is needed; event_init may be called' => sub {
    my ($output) = program('use Event::Lib; timer_new(sub { print "fired" })->add(0.0); event_mainloop();');
    is $output, 'fired';
    ok eval { event_init(); event_init(); 1 };
};

subtest 'classes derive from Event::Lib::base' => sub {
    isa_ok event_new(\*STDIN, EV_READ, sub { }), 'Event::Lib::event';
    isa_ok signal_new(SIGUSR1, sub { }), 'Event::Lib::signal';
    isa_ok timer_new(sub { }), 'Event::Lib::timer';
    isa_ok $_, 'Event::Lib::base' for event_new(\*STDIN, EV_READ, sub { }), signal_new(SIGUSR1, sub { }), timer_new(sub { });
};

subtest 'users subclass and rebless, with a DESTROY that calls SUPER' => sub {
    our @destroyed;
    { package My::Timer; our @ISA = 'Event::Lib::timer';
      sub DESTROY { my $self = shift; push @main::destroyed, ref $self; $self->SUPER::DESTROY() } }
    my @got;
    bless(timer_new(sub { push @got, ref $_[0] }), 'My::Timer')->add(0.0);
    event_mainloop();
    is_deeply \@got, ['My::Timer'], 'the callback gets the object as it was reblessed';
    is_deeply \@destroyed, ['My::Timer'], 'destroyed once';
};

subtest 'event_new: event, type, arguments; one shot without EV_PERSIST' => sub {
    socketpair(my $a, my $b, AF_UNIX(), SOCK_STREAM(), 0) or die $!;
    my @calls;
    my $event = event_new($a, EV_READ, sub { push @calls, [@_] }, 'x', 2);
    syswrite $b, 'hello';
    is $event->add, $event, 'add returns the event';
    ok event_mainloop(), 'the loop returns true when no events are left';
    is_deeply \@calls, [[$event, EV_READ, 'x', 2]];
    @calls = ();
    event_new($a, EV_WRITE, sub { push @calls, $_[1] })->add;
    event_mainloop();
    is_deeply \@calls, [EV_WRITE], 'EV_WRITE';
    sysread $a, my $read, 10;
    @calls = ();
    event_new($a, EV_READ, sub { push @calls, $_[1] })->add(0.01);
    event_mainloop();
    is_deeply \@calls, [EV_TIMEOUT], 'a timeout, which the type says';
};

subtest 'EV_PERSIST stays until it is removed' => sub {
    socketpair(my $a, my $b, AF_UNIX(), SOCK_STREAM(), 0) or die $!;
    syswrite $b, 'abc';
    my $read = '';
    event_new($a, EV_READ | EV_PERSIST, sub { sysread $a, my $c, 1; $read .= $c; $_[0]->remove if $c eq 'c' })->add;
    event_mainloop();
    is $read, 'abc';
};

subtest 'timer_new: event, EV_TIMEOUT, arguments; never persistent' => sub {
    my @calls;
    my $timer = timer_new(sub { push @calls, [@_] }, 1, 2);
    my $began = time;
    $timer->add(0.05);
    event_mainloop();
    cmp_ok time - $began, '>=', 0.04, 'fractions';
    is_deeply \@calls, [[$timer, EV_TIMEOUT, 1, 2]];
};

subtest 'a timer without argument means a second' => sub {
    my $timer = timer_new(sub { });
    my $began = time;
    $timer->add;
    my $left = $timer->pending;
    my $took = time - $began;
    ok $left > 0.9 - $took && $left < 1.1, "due in $left, asked after $took";
    $timer->remove;
};

subtest 'signal_new: persistent, before %SIG' => sub {
    my (@calls, $perl);
    local $SIG{USR1} = sub { $perl++ };
    my $signal = signal_new(SIGUSR1, sub { push @calls, [@_]; $_[0]->remove if @calls == 2 }, 'arg');
    $signal->add;
    kill USR1 => $$;
    run_until(sub { @calls == 1 });
    kill USR1 => $$;
    event_mainloop();
    is_deeply \@calls, [([$signal, EV_SIGNAL, 'arg']) x 2];
    is $perl, undef, '%SIG was not called';
    kill USR1 => $$;
    is $perl, 1, 'and is again when the event is removed';
};

subtest 'signal_new with a timeout is no longer persistent' => sub {
    my @calls;
    signal_new(SIGUSR1, sub { push @calls, $_[1] })->add(0.01);
    event_mainloop();
    is_deeply \@calls, [EV_TIMEOUT];
    signal_new(SIGUSR1, sub { push @calls, $_[1] })->add(30);
    kill USR1 => $$;
    event_mainloop();
    is_deeply \@calls, [EV_TIMEOUT, EV_SIGNAL];
};

subtest 'integer 0 means no timeout, 0.0 at once' => sub {
    socketpair(my $a, my $b, AF_UNIX(), SOCK_STREAM(), 0) or die $!;
    my @calls;
    my $event = event_new($a, EV_READ, sub { push @calls, $_[1] });
    $event->add(0);
    event_one_nbloop() for 1 .. 3;
    is $event->pending, '0 but true', 'it waits without end';
    is_deeply \@calls, [];
    $event->remove;
    $event->add(0.0);
    event_mainloop();
    is_deeply \@calls, [EV_TIMEOUT];
};

subtest 'event_add is add' => sub {
    my $fired;
    my $timer = timer_new(sub { $fired++ });
    is event_add($timer, 0.0), $timer;
    event_mainloop();
    is $fired, 1;
};

subtest 'adding what is pending dies, at the caller\'s line' => sub {
    my $timer = timer_new(sub { });
    $timer->add(10);
    eval { $timer->add(10) }; my $here = here();
    like $@, qr/^Attempt to add event a second time/;
    like $@, $here;
    $timer->remove;
    ok eval { $timer->add(0.0); event_mainloop(); 1 }, 'removed, it can be added again';
};

subtest 'adding that fails calls the exception handler with a negative type' => sub {
    my @handled;
    my $handler = sub { push @handled, [@_, 0 + $!] };
    open(my $file, '<', $0) or die $!;    # epoll refuses ordinary files
    my $event = event_new($file, EV_READ | EV_PERSIST, sub { }, 'arg')->except_handler($handler);
    is $event->add, $event; my $here = here();
    is @handled, 1;
    my ($got, $error, $type, $arg, $errno) = @{$handled[0]};
    is $got, $event;
    like $error, qr/^Couldn't add event/;
    like $error, $here;
    is $type, -(EV_READ | EV_PERSIST);
    is $arg, 'arg';
    ok $errno, '$! is set';
    ok !$event->pending;
    @handled = ();
    signal_new(SIGKILL, sub { })->except_handler($handler)->add;
    is $handled[0][2], -SIGKILL, 'a signal: -SIGNO';
    eval { event_new($file, EV_READ, sub { })->add };
    like $@, qr/^Couldn't add event at /, 'without a handler it dies';
};

subtest 'remove, and pending' => sub {
    my $timer = timer_new(sub { fail 'fired' });
    ok !$timer->pending, 'not yet';
    $timer->add(1000);
    cmp_ok $timer->pending, '>', 500, 'seconds until it is due';
    $timer->remove;
    ok !$timer->pending;
    event_mainloop();
    socketpair(my $a, my $b, AF_UNIX(), SOCK_STREAM(), 0) or die $!;
    my $event = event_new($a, EV_READ, sub { })->add;
    is $event->pending, '0 but true', 'without a timeout';
    $event->remove;
};

subtest 'fh, args, args_del, callback' => sub {
    my $code = sub { };
    my $event = event_new(\*STDIN, EV_READ, $code, 1, 2, 3);
    is $event->fh, \*STDIN;
    is $event->callback, $code;
    is scalar($event->args), 3, 'a count';
    is_deeply [$event->args], [1, 2, 3], 'a list';
    is_deeply [$event->args(4, 5)], [], 'replacing them returns nothing';
    is_deeply [$event->args], [4, 5];
    $event->args_del;
    is_deeply [$event->args], [];
};

subtest 'except_handler gets event, error, type, arguments, and the event is returned' => sub {
    my @handled;
    my $timer = timer_new(sub { die {code => 7} }, 'arg');
    is $timer->except_handler(sub { push @handled, [@_] }), $timer;
    $timer->add(0.0);
    ok event_mainloop();
    is_deeply \@handled, [[$timer, {code => 7}, EV_TIMEOUT, 'arg']];
};

subtest 'set_priority: lower is earlier' => sub {
    my ($output) = program(<<'TEXT');
use Event::Lib;
event_priority_init(3);
for my $priority (2, 0, 1) { my $t = timer_new(sub { print $priority }); $t->set_priority($priority); $t->add(0.0) }
event_mainloop();
eval { timer_new(sub { })->set_priority(3) }; print " $@";
event_priority_init(0), event_priority_init(-1), print " no error";
TEXT
    like $output, qr/^012 set_priority: there are priorities from 0 to 2, and not 3.* at -e line 5.\n no error$/s;
};

subtest 'trace says on STDERR what happens' => sub {
    my ($output) = program('use Event::Lib; my $t = timer_new(sub { }); print ref $t->trace, "\n"; $t->add(0.0); event_mainloop();');
    like $output, qr/Event::Lib::timer/;
    like $output, qr/^event 0x\w+ added$/m;
    like $output, qr/^event 0x\w+ fires$/m;
    like $output, qr/^event 0x\w+ destroyed$/m;
};

subtest 'free takes it off the loop for good' => sub {
    my $timer = timer_new(sub { fail 'fired' })->add(0.0);
    $timer->free;
    event_mainloop();
    eval { $timer->add };
    like $@, qr/^add: the event was freed; make a new one at /;
};

subtest 'event_mainloop called again while it runs warns and does nothing' => sub {
    my ($result, @warned);
    timer_new(sub { @warned = warnings_of(sub { $result = event_mainloop() }) })->add(0.0);
    ok event_mainloop();
    ok !$result;
    is @warned, 1;
    like $warned[0], qr/^event_mainloop: the loop is running already.* at \Q${\__FILE__}\E line/;
};

subtest 'event_mainloop returns false on an error, with $!' => sub {
    my ($output) = program(<<'TEXT');
use Event::Lib; use POSIX ();
my $timer = timer_new(sub { print "fired" })->add(0.01);
readlink($_) =~ /eventpoll/ && m{(\d+)$} && POSIX::close($1) for glob '/proc/self/fd/*';
print event_mainloop() ? "true" : "false: " . (0 + $! == POSIX::EBADF() ? "EBADF" : $!);
TEXT
    is $output, 'false: EBADF';
};

subtest 'event_one_loop handles the next event, and waits at most so long' => sub {
    my @fired;
    my $soon = timer_new(sub { push @fired, 'soon' })->add(0.01);
    my $late = timer_new(sub { push @fired, 'late' })->add(60);
    event_one_loop();
    is_deeply \@fired, ['soon'];
    my $began = time;
    ok event_one_loop(0.02);
    cmp_ok time - $began, '<', 30;
    is_deeply \@fired, ['soon'];
    $late->remove;
    ok event_one_loop(30), 'without events it returns at once';
};

subtest 'event_one_nbloop does not wait' => sub {
    my $fired = 0;
    my $late = timer_new(sub { $fired++ })->add(60);
    ok event_one_nbloop();
    is $fired, 0;
    timer_new(sub { $fired++ })->add(0.0);
    event_one_nbloop();
    is $fired, 1;
    $late->remove;
};

subtest 'a pending event stays scheduled though its variable is gone; then it is destroyed once' => sub {
    our $destroyed = 0;
    my $fired = 0;
    { package Counted; our @ISA = 'Event::Lib::timer'; sub DESTROY { $main::destroyed++; $_[0]->SUPER::DESTROY() } }
    my @warned = warnings_of(sub { my $timer = bless timer_new(sub { $fired++ }), 'Counted'; $timer->add(0.01) });
    is $destroyed, 0, 'alive';
    event_mainloop();
    is_deeply [$fired, $destroyed], [1, 1];
    is_deeply \@warned, [], 'a scope that ends is no reason to warn';
    { my $timer = bless timer_new(sub { }), 'Counted'; $timer->add(60); $timer->remove }
    is $destroyed, 2, 'removed';
};

subtest 'undef of or reassignment to a pending event warns, in category misc' => sub {
    my $timer = timer_new(sub { })->add(0.0);
    $timer->pending;
    my @warned = warnings_of(sub {
        my $own = timer_new(sub { });
        $own->add(0.0);
        undef $own;
    });
    is @warned, 1;
    like $warned[0], qr/^Explicit undef\(\) of or reassignment to pending event at \Q${\__FILE__}\E line/;
    @warned = warnings_of(sub { my $own = timer_new(sub { }); $own->add(0.0); $own = 1 });
    like $warned[0], qr/^Explicit undef/, 'another value';
    @warned = warnings_of(sub { my %in; $in{it} = timer_new(sub { }); $in{it}->add(0.0); $in{it} = undef });
    like $warned[0], qr/^Explicit undef/, 'an element of a hash';
    @warned = warnings_of(sub { my $own = timer_new(sub { }); event_add($own, 0.0); $own = undef });
    like $warned[0], qr/^Explicit undef/, 'by event_add';
    @warned = warnings_of(sub { no warnings 'misc'; my $own = timer_new(sub { }); $own->add(0.0); undef $own });
    is_deeply \@warned, [], 'no warnings "misc"';
    @warned = warnings_of(sub { my $own = timer_new(sub { }); $own->add(0.0); my $other = $own; undef $own });
    is_deeply \@warned, [], 'another variable has it';
    @warned = warnings_of(sub { my $own = timer_new(sub { }); $own->add(0.0); event_mainloop(); undef $own });
    is_deeply \@warned, [], 'it has fired';
    event_mainloop();
};

subtest 'events may hold each other' => sub {
    my @got;
    my $inner = timer_new(sub { push @got, 'inner' });
    my $outer = timer_new(sub { $_[2]{it}->add(0.0) }, {it => $inner});
    undef $inner;
    $outer->add(0.0);
    event_mainloop();
    is_deeply \@got, ['inner'];
};

subtest 'a callback that dies: its event\'s handler, else the registered one, else the program' => sub {
    my @registered;
    event_register_except_handler(sub { push @registered, [@_] });
    my $timer = timer_new(sub { die "oops\n" }, 5);
    $timer->add(0.0);
    event_mainloop();
    is_deeply \@registered, [[$timer, "oops\n", EV_TIMEOUT, 5]];
    my $own = 0;
    $timer->except_handler(sub { $own++ });
    $timer->add(0.0);
    event_mainloop();
    is $own, 1;
    is @registered, 1;
    event_register_except_handler(undef);
    my $after = 0;
    my $dying = timer_new(sub { die "message as it was\n" })->add(0.0);
    my $other = timer_new(sub { $after++ })->add(0.01);
    is eval { event_mainloop(); 1 }, undef;
    is $@, "message as it was\n";
    ok event_mainloop(), 'and the loop can be run again';
    is $after, 1;
    my ($output, $code) = program('use Event::Lib; timer_new(sub { die "gone\n" })->add(0.0); event_mainloop(); print "no"');
    is $output, "gone\n";
    is $code, 255;
    eval { timer_new(sub { die "first\n" })->except_handler(sub { die "second: $_[1]" })->add(0.0); event_mainloop() };
    is $@, "second: first\n", 'a handler that dies';
};

subtest 'exit in a callback ends the program, with its END blocks' => sub {
    my ($output, $code) = program('use Event::Lib; timer_new(sub { exit 3 })->add(0.0); END { print "end" } event_mainloop(); print "no"');
    is $output, 'end';
    is $code, 3;
};

subtest 'environment: EVENT_NOEPOLL and its like' => sub {
    my ($output) = program('use Event::Lib; print Event::Lib::get_method()', EVENT_NOEPOLL => 1);
    is $output, 'poll';
    ($output) = program('use Event::Lib; print Event::Lib::get_method()', EVENT_NOEPOLL => 1, EVENT_NOPOLL => 1);
    is $output, 'select';
    ($output) = program('use Event::Lib; eval { event_init() }; print $@',
        map { ("EVENT_NO$_" => 1) } qw(POLL SELECT EPOLL DEVPOLL KQUEUE));
    like $output, qr/^event_init: no event mechanism available at -e line 1\.$/m;
};

subtest 'environment: EVENT_LOG_LEVEL; event_log_level, _EVENT_LOG_ERR by default' => sub {
    my $text = 'use Event::Lib; %s eval { event_new(do { open my $f, "<", "/etc/passwd"; $f }, EV_READ, sub { })->add };';
    my ($silent) = program(sprintf $text, '');
    is $silent, '';
    my ($by_call) = program(sprintf $text, 'event_log_level(_EVENT_LOG_WARN);');
    like $by_call, qr/^\[warn\] /;
    my ($by_environment) = program(sprintf($text, ''), EVENT_LOG_LEVEL => 2);
    like $by_environment, qr/^\[warn\] /;
};

subtest 'Event::Lib::Debug: callable; pending events are listed if EVENT_LIB_DEBUG_PENDING is set' => sub {
    is_deeply [Event::Lib::Debug::get_pending_events()], [];
    Event::Lib::Debug::dump_pending_events();
    my ($output) = program(<<'TEXT', EVENT_LIB_DEBUG_PENDING => 1);
use Event::Lib;
my $timer = timer_new(sub { }, 'a', 'b')->add(10);
my @pending = Event::Lib::Debug::get_pending_events();
print scalar(@pending), " ", $pending[0][0] == $timer ? "same" : "other", " $pending[0][1] $pending[0][2]$pending[0][3]\n";
Event::Lib::Debug::dump_pending_events();
$timer->remove;
print scalar(Event::Lib::Debug::get_pending_events()) // 0, "\n";
TEXT
    like $output, qr/^1 same 1 ab$/m;
    like $output, qr/^Event::Lib::timer=0x\w+, type 1, 2 arguments$/m;
};

subtest 'forked processes each get a working loop' => sub {
    my $timer = timer_new(sub { fail 'of the parent' })->add(60);
    is ended(child(sub { my $fired = 0; timer_new(sub { $fired++; $timer->remove })->add(0.0); event_mainloop(); $fired ? 7 : 1 })), 7, 'fork';
    my $pid = event_fork();
    if (!$pid) {
        my $fired = 0;
        timer_new(sub { $fired++; $timer->remove })->add(0.0);
        event_mainloop();
        POSIX::_exit($fired ? 8 : 1);
    }
    is ended($pid), 8, 'event_fork';
    $timer->remove;
};

subtest 'a handle watched in parent and child: the child takes nothing off the parent\'s loop' => sub {
    socketpair(my $a, my $b, AF_UNIX(), SOCK_STREAM(), 0) or die $!;
    my $fired = 0;
    my $event = event_new($a, EV_READ, sub { $fired++ })->add;
    is ended(child(sub { $event->remove; 7 })), 7;
    syswrite $b, 'x';
    ok run_until(sub { $fired }), 'it still fires in the parent';
};

subtest 'a fork inside a callback: both go on in the loop' => sub {
    pipe(my $read, my $write) or die $!;
    my $pid;
    my $parent = $$;
    timer_new(sub { $pid = fork })->add(0.0);
    timer_new(sub { if ($$ != $parent) { syswrite $write, 'c'; POSIX::_exit(7) } })->add(0.05);
    event_mainloop();
    is ended($pid), 7;
    close $write;
    is scalar(<$read>), 'c';
};

subtest 'bad arguments croak at the caller\'s line' => sub {
    for my $case ([sub { event_new('nothing', EV_READ, sub { }) }, qr/event_new: .*no open filehandle/],
        [sub { event_new(\*STDIN, 99, sub { }) }, qr/event_new: flags are/],
        [sub { event_new(\*STDIN, EV_READ, 'name') }, qr/event_new: .*no code reference/],
        [sub { timer_new(undef) }, qr/timer_new: .*no code reference/],
        [sub { signal_new(1, {}) }, qr/signal_new: .*no code reference/],
        [sub { timer_new(sub { })->add(-1) }, qr/add: a timeout is a number of seconds from 0/],
        [sub { timer_new(sub { })->add('inf') }, qr/add: a timeout is a number of seconds from 0/],
        [sub { timer_new(sub { })->except_handler(1) }, qr/except_handler: a code reference is needed/],
        [sub { event_register_except_handler(1) }, qr/event_register_except_handler: a code reference is needed/],
        [sub { Event::Lib::base::add(bless \my $x, 'Event::Lib::timer') }, qr/add: this is no event/]) {
        my ($code, $text) = @$case;
        eval { $code->() };
        like $@, $text;
        like $@, qr/ at \Q${\__FILE__}\E line \d+\.$/;
    }
};

done_testing;

sub AF_UNIX     { require Socket; Socket::AF_UNIX() }
sub SOCK_STREAM { require Socket; Socket::SOCK_STREAM() }

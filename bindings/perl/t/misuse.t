# What else a program may do to events and pumps: it is refused at its line, or works; and nothing is harmed.
use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Helper;
use Event::Lib;
use Event::Lib::UDPPump;
use IO::Handle;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use Scalar::Util 'weaken';
use Socket;

# A pump that has taken one datagram.
sub served {
    my ($handle, $server) = @_;
    my @got;
    my $pump = udppump_new($handle, sub { push @got, $_[0]{buffer} })->add;
    client($server // $handle)->send('x');
    run_until(sub { @got });
    $pump->remove;
    return "@got";
}

subtest 'any kind of handle' => sub {
    is served(server()), 'x', 'IO::Socket::INET';
    my $six = eval { require IO::Socket::IP; IO::Socket::IP->new(Proto => 'udp', LocalHost => '127.0.0.1', LocalPort => 0) };
    is served($six), 'x', 'IO::Socket::IP' if $six;
    my $server = server();
    my $number = fileno $server;
    open my $glob, '+<&=', $number or die $!;
    is served($glob, $server), 'x', 'a lexical one';
    our $name = 'BY_NAME';
    open BY_NAME, '+<&', $number or die $!;
    is served(\*BY_NAME, $server), 'x', 'a reference to a glob';
    is served(*BY_NAME, $server), 'x', 'a glob';
    is served(*BY_NAME{IO}, $server), 'x', 'an IO object';
    is served('main::BY_NAME', $server), 'x', 'a name';
    my $object = IO::Handle->new_from_fd($number, 'r+');
    is served($object, $server), 'x', 'IO::Handle';
    for my $wrong ($number, {}, [], \$number, sub { }, bless({}, 'Nothing'), qr/x/, '', 'no_such_handle') {
        my $what = 'no handle: ' . ($wrong // 'undef');
        eval { udppump_new($wrong, sub { }) };
        like $@, qr/^udppump_new: the first argument is no open socket at \Q${\__FILE__}\E line/, $what;
        eval { event_new($wrong, EV_READ, sub { }) };
        like $@, qr/^event_new: the first argument is no open filehandle at \Q${\__FILE__}\E line/, $what;
    }
};

{ package Tied; sub TIESCALAR { my ($class, @says) = @_; bless \@says, $class } sub FETCH { my ($self) = @_; my $says = @$self > 1 ? shift @$self : $$self[0]; ref $says eq 'HASH' ? die "read: $$says{die}\n" : $says } }

subtest 'tied values are read once, and may die' => sub {
    my $server = server();
    my $calls = 0;
    tie my $handle, 'Tied', $server, 'nothing';
    tie my $code, 'Tied', sub { $calls++ }, 'nothing';
    tie my $arg, 'Tied', 'first', 'second';
    my $pump = udppump_new($handle, $code, $arg);
    is_deeply [$pump->args], ['first'];
    is $pump->fh, $server;
    $pump->add;
    client($server)->send('x');
    ok run_until(sub { $calls });
    $pump->remove;
    tie my $dies, 'Tied', {die => 'now'};
    for my $case (sub { udppump_new($dies, sub { }) }, sub { udppump_new($server, $dies) }, sub { udppump_new($server, sub { }, 1, $dies) },
        sub { $pump->ignore_from($dies) }, sub { $pump->max_age($dies) }, sub { $pump->client_limit($dies) }, sub { $pump->client_share($dies) }, sub { $pump->args(1, $dies) }, sub { event_new($dies, EV_READ, sub { }) },
        sub { event_new($server, EV_READ, sub { }, $dies) }, sub { timer_new($dies) }, sub { timer_new(sub { }, $dies) },
        sub { signal_new(10, $dies) }, sub { timer_new(sub { })->add($dies) }, sub { $pump->except_handler($dies) }) {
        eval { $case->() };
        is $@, "read: now\n";
    }
    is_deeply [$pump->args], ['first'], 'and nothing was changed';
};

subtest 'last, next and goto do not leave a callback' => sub {
    for my $word ('last', 'next', 'last OUTER', 'goto OUT') {
        my ($said, $code) = program(<<"TEXT");
no warnings; use Event::Lib; use Event::Lib::UDPPump; use IO::Socket::INET;
my \$s = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1', LocalPort => 0);
IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => \$s->sockport)->send('x');
OUTER: for (1) { timer_new(sub { $word })->add(0.0); eval { event_mainloop(); 1 } or print "timer: \$@" }
OUTER: for (1) { udppump_new(\$s, sub { \$_[1]->(); $word }, sub { })->add; eval { event_mainloop(); 1 } or print "pump: \$@" }
OUT: print 'end';
TEXT
        like $said, qr/\Atimer: (?:Can't|Label) [^\n]+\npump: (?:Can't|Label) [^\n]+\nend\z/, $word;
        is $code, 0;
    }
};

subtest 'a callback lets go of its own event' => sub {
    for my $how (sub { $_[0]->free }, sub { $_[0]->remove }, sub { $_[0]->args_del }, sub { $_[0]->args(1 .. 1000) },
        sub { $_[0]->except_handler(undef) }) {
        my $server = server();
        my ($calls, $pump) = (0);
        $pump = udppump_new($server, sub { $how->($pump); undef $pump; @_ = (); $calls++ }, 1 .. 10);
        $pump->except_handler(sub { });
        $pump->add;
        weaken(my $left = $pump);
        no warnings 'misc';
        client($server)->send('x');
        ok run_until(sub { $calls });
        eval { $left->remove } if $left;
        my $timer;
        $timer = timer_new(sub { $how->($timer); undef $timer; @_ = (); $calls++ }, 1 .. 10)->except_handler(sub { });
        $timer->add(0.0);
        ok run_until(sub { $calls == 2 });
    }
};

subtest 'exceptions of any kind' => sub {
    { package Refuses; use overload '""' => sub { die 'no text' }, bool => sub { 0 }, fallback => 0 }
    my $object = bless {}, 'Refuses';
    for my $error ("text\n", {a => 1}, $object, 0) {
        my $handled;
        my $timer = timer_new(sub { local $@; eval { die 'inner' }; die $error })->except_handler(sub { $handled = $_[1] });
        $timer->add(0.0);
        event_mainloop();
        ref $error ? ok(Scalar::Util::refaddr($handled) == Scalar::Util::refaddr($error), ref $error) : like($handled, qr/^\Q$error\E/);
        $timer->except_handler(undef);
        $timer->add(0.0);
        is eval { event_mainloop(); 1 }, undef, 'and without a handler the loop dies';
    }
    my $after;
    timer_new(sub { eval { die 'caught' } })->add(0.0);
    ok eval { event_mainloop(); 1 }, 'what the callback caught is none';
};

subtest 'many arguments' => sub {
    my @got;
    timer_new(sub { @got = @_[2 .. $#_] }, 1 .. 100_000)->add(0.0);
    event_mainloop();
    is scalar(@got), 100_000;
    is $got[-1], 100_000;
};

subtest 'signals that there are not' => sub {
    for my $number (0, -1, 65, 1000) {
        eval { signal_new($number, sub { }) };
        like $@, qr/^signal_new: a signal is a number from 1 to 64, and not $number.* at \Q${\__FILE__}\E line/;
    }
};

subtest 'a limit of event_one_loop that is none' => sub {
    my $timer = timer_new(sub { })->add(60);
    eval { event_one_loop(-1) };
    like $@, qr/^event_one_loop: a timeout is a number of seconds .* at \Q${\__FILE__}\E line/;
    $timer->remove;
};

subtest 'taint mode: what was received is tainted, as that of recv' => sub {
    local $ENV{PERL5OPT} = '-T';
    my ($said, $code) = program(<<'TEXT');
use strict; use warnings; use Event::Lib::UDPPump; use IO::Socket::INET; use Scalar::Util 'tainted';
my $s = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1', LocalPort => 0);
IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => $s->sockport)->send('x');
my $pump; $pump = udppump_new($s, sub { print ${^TAINT}, tainted($_[0]{buffer}) ? 'tainted' : 'clean'; $pump->reply('y'); $pump->remove });
$pump->add; event_mainloop();
TEXT
    is $said, '1tainted';
    is $code, 0;
};

subtest 'the end of a program with all kinds of events pending' => sub {
    my ($said, $code) = program(<<'TEXT');
use strict; use warnings; use Event::Lib; use Event::Lib::UDPPump; use IO::Socket::INET;
our $s = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1', LocalPort => 0);
our @all; our %cycle;
{ package Own; our @ISA = 'Event::Lib::UDPPump'; sub DESTROY { $_[0]->SUPER::DESTROY() } }
push @all, bless(udppump_new($s, sub { @all }), 'Own')->add, timer_new(sub { $s })->add(10), signal_new(10, sub { })->add, event_new($s, EV_READ, sub { })->add;
$cycle{pump} = udppump_new($s, sub { %cycle }, \%cycle)->add;
$cycle{timer} = timer_new(sub { }, \%cycle)->add(10);
event_one_nbloop();
TEXT
    is $said, '';
    is $code, 0;
};

subtest 'replies of any kind' => sub {
    my $server = server();
    my $client = client($server);
    my ($pump, $reply, @warned);
    $pump = udppump_new($server, sub { @warned = warnings_of(sub { $pump->reply($reply) }) })->add;
    { package Words; use overload '""' => sub { 'words' } }
    tie my $tied, 'Tied', 'tied';
    my $flagged = "\xe9";
    utf8::upgrade($flagged);
    for my $case (['bytes', 'bytes'], ['', ''], [42, '42'], [$flagged, "\xe9"], [bless({}, 'Words'), 'words'], [\$tied, qr/^SCALAR/],
        [$tied, 'tied'], [undef, '', qr/uninitialized/]) {
        my ($given, $answer, $warned) = @$case;
        $reply = $given;
        $client->send('x');
        my $got;
        run_until(sub { IO::Select->new($client)->can_read(0) }) or do { fail 'no answer'; next };
        recv $client, $got, 100, 0;
        ref $answer ? like($got, $answer) : is($got, $answer);
        $warned ? like("@warned", $warned) : is_deeply(\@warned, []);
    }
    $pump->remove;
};

done_testing;

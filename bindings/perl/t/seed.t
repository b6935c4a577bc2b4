# What Event::Lib::UDPPump 0.01 did, row by row, and its faults, each gone.
use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Helper;
use Event::Lib::UDPPump;    # never Event::Lib: its names come along
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket qw(:all);
use Errno qw(ECONNREFUSED EPERM EACCES);
use Scalar::Util 'weaken';

# One datagram through a pump: what the callback got.
sub received {
    my ($server, $send) = @_;
    my @got;
    my $pump = udppump_new($server, sub { push @got, [@_] }, 'args', 2)->add;
    $send->();
    run_until(sub { @got });
    $pump->remove;
    return $got[0];
}

subtest 'udppump_new($socket, \&callback, @args) is exported, and so are Event::Lib\'s names' => sub {
    ok main->can('udppump_new');
    ok(main->can($_), "$_ comes along") for qw(event_mainloop timer_new EV_READ);
    isa_ok udppump_new(server(), sub { }), 'Event::Lib::UDPPump';
    isa_ok udppump_new(server(), sub { }), 'Event::Lib::base';
    my $server = server();
    my $got = received($server, sub { client($server)->send('hello') });
    is_deeply [@$got[1, 2]], ['args', 2], '@args go to each call';
    is @$got, 3;
};

subtest '$pump->add() starts it, and returns it' => sub {
    my $server = server();
    my $calls = 0;
    my $pump = udppump_new($server, sub { $calls++ });
    client($server)->send('early');
    my $timer = timer_new(sub { })->add(0.02);
    event_mainloop();
    is $calls, 0, 'nothing is received before';
    is $pump->add, $pump;
    ok run_until(sub { $calls }), 'what waited comes then';
    $pump->remove;
};

subtest '$pump->fh() is the very same handle' => sub {
    my $server = server();
    is udppump_new($server, sub { })->fh, $server;
};

subtest 'the callback gets from, buffer, len, errno' => sub {
    my $server = server();
    my $client = client($server);
    my ($hash) = @{received($server, sub { $client->send("\0hello\xff") })};
    is_deeply $hash, {from => pack_sockaddr_in($client->sockport, INADDR_LOOPBACK), buffer => "\0hello\xff", len => 7, errno => 0};
};

subtest 'event_mainloop() runs libevent\'s loop, with other events beside' => sub {
    my $server = server();
    my @order;
    my $pump;
    $pump = udppump_new($server, sub { push @order, 'datagram'; $pump->remove });
    $pump->add;
    timer_new(sub { push @order, 'timer'; client($server)->send('x') })->add(0.01);
    ok event_mainloop();
    is_deeply \@order, ['timer', 'datagram'];
};

subtest 'fork several children, then make a pump in each' => sub {
    my $server = server();
    my @children = map { child(sub {
        my $pump;
        $pump = udppump_new($server, sub { $pump->reply($$); exit_now() if $_[0]{buffer} eq 'end' });
        $pump->add;
        event_mainloop();
    }) } 1 .. 3;
    my $client = client($server);
    my %children = map { $_ => 1 } @children;
    ok $children{ask($client, 'who')}, 'one of them answers' for 1 .. 20;
    my %ended = map { ask($client, 'end') => 1 } @children;
    is_deeply \%ended, \%children, 'each of them serves';
    is ended($_), 7 for @children;
};

subtest 'who is busy takes no datagram, who is idle does' => sub {
    my $server = server();
    pipe(my $wait, my $go) or die $!;
    my @children = map { child(sub {
        close $go;
        my $pump;
        $pump = udppump_new($server, sub {
            exit_now() if $_[0]{buffer} eq 'end';
            $pump->reply($$);
            sysread $wait, my $nothing, 1 if $_[0]{buffer} eq 'work';
        });
        $pump->add;
        event_mainloop();
    }) } 1 .. 2;
    my $client = client($server);
    my $busy = ask($client, 'work');
    isnt ask($client, 'who'), $busy, 'the other one answers' for 1 .. 10;
    close $go;
    my $end = client($server);
    $end->send('end') for @children;
    is ended($_), 7 for @children;
};

subtest 'a fault gone: an IPv6 sender is whole; UDP over IPv6' => sub {
    my $server = eval { require IO::Socket::IP; IO::Socket::IP->new(Proto => 'udp', LocalHost => '::1', LocalPort => 0) };
    plan skip_all => 'no IPv6 on this machine' unless $server;
    my $client = IO::Socket::IP->new(Proto => 'udp', PeerHost => '::1', PeerPort => $server->sockport) or die $!;
    my ($hash) = @{received($server, sub { $client->send('six') })};
    is $hash->{from}, getsockname($client), 'the sender is whole';
    is length $hash->{from}, 28;
};

subtest 'an IPv4 sender on an IPv6 socket comes as recvfrom has it' => sub {
    my $server;
    socket($server, AF_INET6, SOCK_DGRAM, 0) && setsockopt($server, IPPROTO_IPV6, IPV6_V6ONLY, 0)
        && bind($server, pack_sockaddr_in6(0, IN6ADDR_ANY)) or plan skip_all => 'no IPv6 on this machine';
    my ($port) = unpack_sockaddr_in6(getsockname $server);
    my $client = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => $port) or die $!;
    $client->send('x');
    IO::Select->new($server)->can_read(30);
    my $plain = recv($server, my $body, 100, 0);
    my ($hash) = @{received($server, sub { $client->send('x') })};
    is $hash->{from}, $plain;
};

subtest 'Unix datagram sockets, with a name and without; socketpairs' => sub {
    require File::Temp;
    my $folder = File::Temp->newdir;
    my $server = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "$folder/server") or die $!;
    my $client = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "$folder/client", Peer => "$folder/server") or die $!;
    $client->send('x');
    my $plain = recv($server, my $body, 100, 0);
    my ($hash) = @{received($server, sub { $client->send('named') })};
    is $hash->{from}, $plain, 'the address as recv gives it';
    is +(unpack_sockaddr_un $hash->{from})[0], "$folder/client";
    is $hash->{buffer}, 'named';
    socketpair(my $left, my $right, AF_UNIX, SOCK_DGRAM, 0) or die $!;
    ($hash) = @{received($left, sub { send $right, 'pair', 0 })};
    is_deeply $hash, {from => '', buffer => 'pair', len => 4, errno => 0};
};

subtest 'netlink sockets' => sub {
    # AF_NETLINK and NETLINK_ROUTE; netlink(7), rtnetlink(7)
    socket(my $netlink, 16, SOCK_RAW, 0) or die $!;
    my $kernel = pack 'S S L L', 16, 0, 0, 0;
    bind $netlink, $kernel or die $!;
    my $request = pack 'L S S L L C x3 l', 20, 18, 0x301, 7, 0, 0, 0;    # RTM_GETLINK, a request for a dump
    my ($hash) = @{received($netlink, sub { send $netlink, $request, 0, $kernel or die $! })};
    is $hash->{from}, $kernel, 'from the kernel';
    my (undef, $type, undef, $number) = unpack 'L S S L', $hash->{buffer};
    is_deeply [$type, $number, $hash->{errno}], [16, 7, 0], 'RTM_NEWLINK, to this request';
    is $hash->{len}, length $hash->{buffer};
};

subtest 'raw sockets' => sub {
    # Protocol 253 is for experiments (RFC 3692).
    my $allowed = socket(my $raw, AF_INET, SOCK_RAW, 253);
    if (!$allowed) {
        ok $!{EPERM} || $!{EACCES}, "only root may have one: $!";
        return;
    }
    bind $raw, pack_sockaddr_in(0, INADDR_LOOPBACK) or die $!;
    socket(my $sender, AF_INET, SOCK_RAW, 253) or die $!;
    my ($hash) = @{received($raw, sub { send $sender, 'bare', 0, pack_sockaddr_in(0, INADDR_LOOPBACK) or die $! })};
    is +(unpack_sockaddr_in $hash->{from})[1], INADDR_LOOPBACK;
    is substr($hash->{buffer}, 20), 'bare', 'below its header';
    is $hash->{len}, 24;
};

subtest 'a caveat gone: it can be removed, and added again' => sub {
    my $server = server();
    my $client = client($server);
    my $calls = 0;
    my $pump = udppump_new($server, sub { $calls++ })->add;
    is $pump->pending, '0 but true';
    ok $pump->remove;
    ok !$pump->pending;
    ok !$pump->remove, 'it was removed';
    $client->send('x');
    ok event_mainloop(), 'no event is left';
    is $calls, 0;
    $pump->add;
    ok run_until(sub { $calls });
    is $pump->stats->{received}, 1;
    $pump->remove;
    is $pump->stats->{received}, 1, 'its counts stay';
};

subtest 'a fault gone: 65,507 bytes arrive whole, and 65,535 by a Unix socket' => sub {
    my $server = server();
    my $client = client($server);
    my $body = join '', map { chr($_ % 251) } 1 .. 65507;
    my ($hash) = @{received($server, sub { $client->send($body) })};
    ok $hash->{buffer} eq $body && $hash->{len} == 65507;
    socketpair(my $left, my $right, AF_UNIX, SOCK_DGRAM, 0) or die $!;
    ($hash) = @{received($left, sub { send $right, 'x' x 65535, 0 or die $! })};
    ok $hash->{buffer} eq 'x' x 65535 && $hash->{len} == 65535;
};

subtest 'a fault gone: an empty datagram is one' => sub {
    my $server = server();
    my $client = client($server);
    my ($hash) = @{received($server, sub { $client->send('') })};
    is_deeply $hash, {from => getsockname($client), buffer => '', len => 0, errno => 0};
};

subtest 'a fault gone: an error has len -1, errno, and no buffer' => sub {
    my $gone = server();
    my $client = client($gone);
    close $gone;
    my ($hash) = @{received($client, sub { $client->send('nobody') })};
    is_deeply $hash, {from => undef, buffer => undef, len => -1, errno => ECONNREFUSED};
};

subtest 'a fault gone: a non-blocking socket does not spin' => sub {
    my $server = server();
    $server->blocking(0);
    my $calls = 0;
    my $pump = udppump_new($server, sub { $calls++ })->add;
    my @before = times;
    timer_new(sub { })->add(0.3);
    event_one_loop(0.3);
    my @after = times;
    is $calls, 0;
    cmp_ok $after[0] + $after[1] - $before[0] - $before[1], '<', 0.15, 'CPU time';
    $pump->remove;
    event_mainloop();
};

subtest 'a fault gone: an exception in the callback locks nothing' => sub {
    my $server = server();
    my $client = client($server);
    my @got;
    my $pump = udppump_new($server, sub { push @got, $_[0]{buffer}; die "oops $_[0]{buffer}\n" }, 'arg')->add;
    $client->send($_) for 1, 2;
    for my $number (1, 2) {
        eval { run_until(sub { 0 }) };
        is $@, "oops $number\n", 'the program dies with the original message';
    }
    is_deeply \@got, [1, 2], 'and the next datagram is served then';
    my @handled;
    is $pump->except_handler(sub { push @handled, [@_] }), $pump;
    $client->send(3);
    run_until(sub { @handled });
    is_deeply \@handled, [[$pump, "oops 3\n", EV_READ, 'arg']], 'its own handler';
    $pump->except_handler(undef);
    event_register_except_handler(sub { push @handled, [@_] });
    $client->send(4);
    run_until(sub { @handled == 2 });
    is_deeply $handled[1], [$pump, "oops 4\n", EV_READ, 'arg'], 'the registered one';
    event_register_except_handler(undef);
    $pump->remove;
};

subtest 'a fault gone: a fork after add(): parent and child serve' => sub {
    my $server = server();
    my $client = client($server);
    my $stop = 0;
    my $pump;
    $pump = udppump_new($server, sub { $pump->reply($$); $stop = 1 if $_[0]{buffer} eq 'end' })->add;
    my $child = child(sub { run_until(sub { $stop }); 7 });
    is ask($client, 'who'), $child, 'the child serves while the parent does not look' for 1 .. 3;
    is ask($client, 'end'), $child;
    is ended($child), 7;
    my $late = client($server);
    $late->send('x');
    my $answer;
    ok run_until(sub { defined $late->recv($answer, 100, MSG_DONTWAIT) });
    is $answer, $$, 'and the parent when it does';
    $pump->remove;
};

subtest 'a fault gone: two context switches a datagram' => sub {
    my $server = server();
    my $child = child(sub {
        my $pump;
        $pump = udppump_new($server, sub { $pump->reply('x'); exit_now() if $_[0]{buffer} eq 'end' });
        $pump->add;
        event_mainloop();
    });
    my $client = client($server);
    my $switches = sub {
        my $sum = 0;
        for my $thread (glob "/proc/$child/task/*/status") {
            open my $status, '<', $thread or die $!;
            /^voluntary_ctxt_switches:\s+(\d+)/ and $sum += $1 while <$status>;
        }
        return $sum;
    };
    ask($client, 'x') for 1 .. 20;
    my $before = $switches->();
    ask($client, 'x') for 1 .. 100;
    my $each = ($switches->() - $before) / 100;
    my @threads = glob "/proc/$child/task/*";
    if (@threads == 1) {
        cmp_ok $each, '<', 1.5, "with the waiter uring one: $each";
    } else {
        cmp_ok $each, '<', 2.5, "with a waiter that is a thread no more than two: $each";
    }
    ask($client, 'end');
    is ended($child), 7;
};

subtest 'a fork inside the callback: both go on' => sub {
    my $server = server();
    my $client = client($server);
    my ($parent, $pid, $stop) = ($$);
    my $pump;
    $pump = udppump_new($server, sub {
        my $body = $_[0]{buffer};
        $pid = fork if $body eq 'fork';
        alarm 60 if defined $pid && !$pid;
        return if $body eq 'fork' && !$pid;    # the parent answers
        $pump->reply($$);
        if ($body eq 'end') { $$ == $parent ? $stop++ : exit_now() }
    });
    $pump->add;
    $client->send('fork');
    run_until(sub { $pid });
    my $answer;
    $client->recv($answer, 100);
    is $answer, $parent;
    $pump->remove;    # who waits for datagrams and does not look takes the other's wake-up
    is ask($client, 'end'), $pid, 'the child is served by its own loop';
    is ended($pid), 7;
    $pump->add;
    $client->send('end');
    ok run_until(sub { $stop });
    $pump->remove;
};

subtest 'new: stop, after a last turn' => sub {
    my $server = server();
    my $client = client($server);
    my $calls = 0;
    my $pump = udppump_new($server, sub { $calls++ })->add;
    $client->send($_) for 1 .. 3;
    $pump->stop;
    ok $pump->pending, 'not yet';
    ok event_mainloop(), 'the loop ends by itself';
    is $calls, 3, 'what was there was served';
    ok !$pump->pending;
    $client->send('late');
    event_mainloop();
    is $calls, 3, 'and nothing later';
    $pump->add;
    ok run_until(sub { $calls == 4 }), 'it can be added again';
    $pump->remove;
    $pump = udppump_new($server, sub { $calls++; $pump->stop if $_[0]{buffer} eq 'stop' });
    $pump->add;
    $client->send('stop');
    event_mainloop();
    is $calls, 5, 'in the callback';
    $pump->stop;
    ok !$pump->pending, 'of a pump that is on no loop it is nothing';
};

subtest 'new: args, args_del, callback' => sub {
    my $code = sub { };
    my $pump = udppump_new(server(), $code, 1, 2);
    is $pump->callback, $code;
    is_deeply [$pump->args], [1, 2];
    is scalar($pump->args), 2;
    is_deeply [$pump->args(3)], [];
    is_deeply [$pump->args], [3];
    $pump->args_del;
    is_deeply [$pump->args], [];
};

subtest 'new: reply, inside the callback only' => sub {
    my $any;
    socket($any, AF_INET, SOCK_DGRAM, 0) && bind($any, pack_sockaddr_in(0, INADDR_ANY)) or die $!;
    my $asker = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.2',
        PeerPort => (unpack_sockaddr_in getsockname $any)[0]) or die $!;
    my $pump;
    my ($wide, $done);
    $pump = udppump_new($any, sub { eval { $pump->reply("\x{263a}") }; $wide = $@; $done = $pump->reply("re: $_[0]{buffer}") });
    $pump->add;
    $asker->send('hello');
    ok run_until(sub { $done });
    my $answer;
    ok defined $asker->recv($answer, 100);
    is $answer, 're: hello', 'from the address that was asked: a connected socket takes it';
    like $wide, qr/^Wide character/;
    eval { $pump->reply('late') };
    like $@, qr/^reply: there is no datagram.* at \Q${\__FILE__}\E line/;
    $pump->remove;
};

subtest 'new: max_age drops what has waited too long, and counts it' => sub {
    my $server = server();
    my $client = client($server);
    my @got;
    my $pump = udppump_new($server, sub { push @got, $_[0]{buffer} });
    is $pump->max_age(0.2), $pump, 'it returns the pump';
    my @expired;
    is $pump->on_expired(sub { push @expired, [@{$_[0]}{qw(from buffer len errno)}] }), $pump, 'and so does on_expired';
    $pump->add;    # the kernel begins to note when datagrams come, a little later
    for my $try (1 .. 20) {
        $client->send('old');
        select undef, undef, undef, 0.4;
        ok run_until(sub { @got + $pump->stats->{expired} == $try });
        last if $pump->stats->{expired};
    }
    is $pump->stats->{expired}, 1;
    is_deeply \@expired, [[$client->sockname, 'old', 3, 0]], 'on_expired hears of it';
    @got = ();
    $client->send('new');
    ok run_until(sub { @got });
    is_deeply \@got, ['new'];
    eval { $pump->max_age(1) };
    like $@, qr/^max_age: the pump is at work; call it before add.* at \Q${\__FILE__}\E line \d+\.$/;
    $pump->remove;
    is $pump->stats->{expired}, 1, 'it is counted after remove, too';
    for my $wrong (undef, '', 'soon', -1, 1e10, 'nan', 'inf', [1]) {
        eval { $pump->max_age($wrong) };
        like $@, qr/^max_age is a number of seconds from 0 to 1e9 at \Q${\__FILE__}\E line \d+\.$/, 'refused: ' . ($wrong // 'undef');
    }
    @got = ();
    $pump->max_age(0);
    $pump->add;
    $client->send('old');
    select undef, undef, undef, 0.4;
    ok run_until(sub { @got });
    is_deeply \@got, ['old'], 'with 0 none is too old';
    $pump->remove;
};

subtest 'new: client_limit drops what is too much of a client, and counts it' => sub {
    my $server = server();
    my $client = client($server);
    my @got;
    my $pump = udppump_new($server, sub { push @got, $_[0]{buffer} });
    is $pump->client_limit(rate => 0.01, burst => 2), $pump, 'it returns the pump';
    is $pump->client_share, $pump, 'and so does client_share';
    my @over;
    my $slip = sub {
        push @over, $_[0]{buffer};
        $pump->reply("by TCP $_[0]{buffer}") if @over % 2;
    };
    is $pump->on_limited($slip), $pump, 'and so does on_limited';
    eval { $pump->on_limited('slip') };
    like $@, qr/^on_limited: a code reference is needed, or undef for none at \Q${\__FILE__}\E line \d+\.$/;
    $pump->add;
    $client->send($_) for 1 .. 5;
    ok run_until(sub { @got + $pump->stats->{limited} == 5 });
    is_deeply \@got, [1, 2];
    is $pump->stats->{limited}, 3;
    is_deeply \@over, [3, 4, 5], 'on_limited hears of them';
    my @told;
    for (1 .. 2) {
        local $SIG{ALRM} = sub { die "no answer\n" };
        alarm 10;
        $client->recv(my $answer, 100);
        alarm 0;
        push @told, $answer;
    }
    is_deeply \@told, ['by TCP 3', 'by TCP 5'], 'and may answer';
    for my $name ('client_limit', 'client_share', 'on_limited', 'on_expired') {
        eval { $pump->$name($name =~ /^on/ ? undef : ()) };
        like $@, qr/^$name: the pump is at work; call it before add.* at \Q${\__FILE__}\E line \d+\.$/;
    }
    $pump->remove;
    is $pump->stats->{limited}, 3, 'it is counted after remove, too';
    for my $case ([[rate => 0], qr/rate is 0/], [['rate'], qr/give pairs/], [[rate => 'fast'], qr/"rate" is not given a number/],
        [[rate => [1]], qr/is not given a number/], [[rate => 1, colour => 3], qr/no option "colour"; there are: burst/],
        [[rate => 1, ipv4_prefix => 33], qr/give 1 to 32/], [[undef, 1], qr/no option ""/]) {
        eval { $pump->client_limit(@{$case->[0]}) };
        like $@, qr/^client_limit: .*$case->[1].* at \Q${\__FILE__}\E line \d+\.$/;
    }
    eval { $pump->client_share(ipv6_prefix => 0) };
    like $@, qr/^client_share: .*give 1 to 128/;
    $pump->client_limit->client_share(0)->add;
    $client->send($_) for 6 .. 8;
    ok run_until(sub { @got == 5 });
    is_deeply \@got, [1, 2, 6, 7, 8], 'without options there is no limit';
    $pump->remove;
};

subtest 'new: ignore_from drops what comes from other servers, and counts it' => sub {
    my $server = server();
    my $client = client($server);
    # Of the same port, as another server of this kind.
    my $other = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.2', LocalPort => $server->sockport,
        PeerAddr => '127.0.0.1', PeerPort => $server->sockport) or die $!;
    my @got;
    my $pump = udppump_new($server, sub { push @got, $_[0]{buffer} });
    my $drops = sub {
        my ($which, @sources) = @_;
        @got = ();
        is $pump->ignore_from(@sources), $pump, "it returns the pump: @sources";
        my $ignored = $pump->stats->{ignored};
        $pump->add;
        $other->send('other');
        $client->send('client');
        ok run_until(sub { @got + $pump->stats->{ignored} - $ignored == 2 });
        is_deeply \@got, [grep { $_ ne $which } 'other', 'client'];
        $pump->remove;
    };
    $drops->('');
    $drops->('other', 'loops');
    $drops->('other', 'own_port');
    $drops->('client', $client->sockport);
    $drops->('client', 53, $client->sockport, 'own_address');
    $drops->('');
    $pump->add;
    for my $case ([sub { $pump->ignore_from('loops') }, qr/^ignore_from: the pump is at work; call it before add/],
        map { my $source = $_; [sub { udppump_new(server(), sub { })->ignore_from(7, $source) }, qr/^ignore_from: ".*" is no port/] }
            undef, '', 'loop', 65536, -1, 1.5, [7], '192.0.2.0/24', "\x{263a}", ' 7') {
        my ($code, $text) = @$case;
        eval { $code->() };
        like $@, $text;
        like $@, qr/ at \Q${\__FILE__}\E line \d+\.$/;
    }
    $pump->remove;
};

subtest 'new: stats' => sub {
    my $server = server();
    my $client = client($server);
    my $pump = udppump_new($server, sub { });
    $pump->add;
    $client->send('12345') for 1 .. 3;
    ok run_until(sub { $pump->stats->{received} == 3 });
    my $stats = $pump->stats;
    is $stats->{bytes}, 15;
    cmp_ok $stats->{handler_time}, '>=', 0;
    is_deeply $stats->{errors}, {};
    ok exists $stats->{$_}, $_ for qw(truncated control_truncated kernel_drops wakeups empty_wakeups budget_yields stood_by ignored expired limited quarantined send_errors);
    $pump->remove;
};

subtest 'new: a pump is alive while it is pending, and destroyed once' => sub {
    my $server = server();
    our $destroyed = 0;
    { package Counted; our @ISA = 'Event::Lib::UDPPump'; sub DESTROY { $main::destroyed++; $_[0]->SUPER::DESTROY() } }
    my ($calls, $weak) = (0);
    my @warned = warnings_of(sub {
        my $pump = bless udppump_new($server, sub { $calls++; $weak->remove }), 'Counted';
        weaken($weak = $pump);
        $pump->add;
    });
    is_deeply \@warned, [];
    is $destroyed, 0;
    client($server)->send('x');
    event_mainloop();
    is_deeply [$calls, $destroyed], [1, 1];
    my $pump = udppump_new($server, sub { });
    $pump->add;
    weaken(my $again = $pump);
    @warned = warnings_of(sub { undef $pump });
    like $warned[0], qr/^Explicit undef\(\) of or reassignment to pending event at/;
    $again->remove;
    is $again, undef;
};

subtest 'free, set_priority, trace' => sub {
    my $pump = udppump_new(server(), sub { });
    is $pump->set_priority(0), $pump;
    $pump->add;
    $pump->free;
    ok event_mainloop(), 'no event is left';
    eval { $pump->add };
    like $@, qr/^add: the pump was freed; make a new one/;
    eval { udppump_new(server(), sub { })->set_priority(99) };
    like $@, qr/^set_priority: there are priorities from 0/;
};

subtest 'exit in the callback ends the program, with its END blocks' => sub {
    my ($output, $code) = program(<<'TEXT');
use Event::Lib::UDPPump; use IO::Socket::INET;
my $s = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1', LocalPort => 0);
IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => $s->sockport)->send('x');
udppump_new($s, sub { exit 3 })->add; END { print "end" } event_mainloop(); print "no";
TEXT
    is $output, 'end';
    is $code, 3;
};

subtest 'bad arguments croak at the caller\'s line' => sub {
    my $closed = server();
    close $closed;
    my $tcp = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die $!;
    my $late = server();
    my $pump = udppump_new($late, sub { });
    close $late;
    for my $case ([sub { udppump_new('nothing', sub { }) }, qr/^udppump_new: .*no open socket/],
        [sub { udppump_new(undef, sub { }) }, qr/^udppump_new: .*no open socket/],
        [sub { udppump_new($closed, sub { }) }, qr/^udppump_new: .*no open socket/],
        [sub { udppump_new($tcp, sub { }) }, qr/^udppump_new: .*datagram/],
        [sub { udppump_new(\*STDIN, sub { }) }, qr/^udppump_new: .*/],
        [sub { udppump_new(server(), 'name') }, qr/^udppump_new: .*no code reference/],
        [sub { udppump_new(server(), sub { })->add(1) }, qr/^add: a pump takes no timeout/],
        [sub { my $p = udppump_new(server(), sub { })->add; eval { $p->add }; $p->remove; die $@ }, qr/^Attempt to add event a second time/],
        [sub { $pump->add }, qr/^add: the pump's socket was closed/],
        [sub { Event::Lib::UDPPump::add(bless \my $x, 'Event::Lib::UDPPump') }, qr/^add: this is no pump/]) {
        my ($code, $text) = @$case;
        eval { $code->() };
        like $@, $text;
        like $@, qr/ at \Q${\__FILE__}\E line \d+\.$/;
    }
};

done_testing;

sub exit_now { require POSIX; POSIX::_exit(7) }

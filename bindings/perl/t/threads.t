# A threaded perl makes and joins a thread while a pump lives.
use strict;
use warnings;
use Config;
use Test::More;
BEGIN { plan skip_all => 'this perl has no threads' unless $Config{useithreads} }
use threads;
use lib 't/lib';
use Helper;
use Event::Lib;
use Event::Lib::UDPPump;

my $server = server();
my $client = client($server);
my @got;
my $pump = udppump_new($server, sub { push @got, $_[0]{buffer} });
$pump->add;
my $timer = timer_new(sub { push @got, 'timer' });
$timer->add(0.05);
for my $round (1 .. 3) {
    my @seen = threads->create({context => 'list'}, sub {
        return (ref $pump, eval { event_mainloop(); 1 } ? 'ran' : "$@", eval { $pump->add; 1 } ? 'added' : 'refused');
    })->join;
    unlike $seen[0], qr/UDPPump/, 'a pump is nothing in another thread';
    like $seen[1], qr/^Event::Lib: events belong to the thread that loaded the module/;
    is $seen[2], 'refused';
    $client->send($round);
    ok run_until(sub { grep { $_ eq $round } @got }), 'and goes on in its own';
}
ok run_until(sub { grep { $_ eq 'timer' } @got });

my $refused = threads->create(sub { eval { udppump_new($server, sub { }) }; "$@" })->join;
like $refused, qr/^udppump_new: pumps belong to the thread that loaded the module.* at \Q${\__FILE__}\E line/;

{
    pipe(my $over, my $ends) or die $!;
    threads->create(sub { eval { timer_new(sub { })->add }; syswrite $ends, 'x'; return })->detach;
    is sysread($over, my $end, 1), 1, 'a thread that is detached comes and goes';
    $client->send('detached');
    ok run_until(sub { grep { $_ eq 'detached' } @got });
}

my $in_callback = 0;
my $threads = udppump_new(server(), sub { $in_callback += threads->create(sub { 1 })->join })->add;
client($threads->fh)->send($_) for 1, 2;
ok run_until(sub { $in_callback == 2 }), 'a callback makes threads';
$threads->remove;
ok $pump->remove;

my ($said, $code) = program(<<'TEXT');
use threads; use IO::Socket::INET;
my $s = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1', LocalPort => 0);
sub once {
    require Event::Lib::UDPPump;
    my ($calls, $pump) = (0);
    $pump = Event::Lib::UDPPump::udppump_new($s, sub { $calls++; $pump->remove });
    $pump->add;
    IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => $s->sockport)->send('x');
    Event::Lib::event_mainloop();
    return $calls;
}
print threads->create(\&once)->join, once();
TEXT
is $said, '11', 'a thread loads the module first, and then the program does';
is $code, 0;
done_testing;

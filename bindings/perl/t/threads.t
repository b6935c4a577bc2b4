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
ok $pump->remove;
done_testing;

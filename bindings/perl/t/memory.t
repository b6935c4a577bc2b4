# No growth over 100,000 callbacks.
use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Helper;
use Event::Lib;
use Event::Lib::UDPPump;

sub resident { open my $file, '<', '/proc/self/statm' or die $!; return 4096 * (split ' ', <$file>)[1] }

sub grows {
    my ($what, $once) = @_;
    $once->() for 1 .. 200;
    my $before = resident();
    $once->() for 1 .. 1000;
    cmp_ok resident() - $before, '<', 1 << 20, "100,000 $what";
}

my $server = server();
my $client = client($server);
my $calls = 0;
my $pump = udppump_new($server, sub { $calls++; $_[0]{more} = 'x'; die "oops\n" if $calls % 10 == 0 }, 'arg')
    ->except_handler(sub { })->add;
grows('datagrams, a tenth of them with an exception', sub {
    my $until = $calls + 100;
    $client->send('x' x 100) for 1 .. 100;
    run_until(sub { $calls >= $until });
});
$pump->remove;

grows('timers', sub {
    timer_new(sub { }, 'arg')->add(0.0) for 1 .. 100;
    event_mainloop();
});
grows('pumps made', sub { udppump_new($server, sub { }) for 1 .. 100 });

for (1 .. 20) { my $again = udppump_new($server, sub { })->add; $again->remove }
my $before = resident();
for (1 .. 300) { my $again = udppump_new($server, sub { })->add; $again->remove }
cmp_ok resident() - $before, '<', 1 << 20, 'pumps added and removed';
is scalar(() = glob '/proc/self/fd/*') < 40, 1, 'and no descriptor stays open';
done_testing;

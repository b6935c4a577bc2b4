# Event::Lib::UDPPump where another Event::Lib is installed: it is on that one's loop. Run in the distribution's folder.
use strict;
use warnings;
use Test::More;
use Event::Lib::UDPPump;
use Event::Lib::UDPPump::Pool;
use IO::Socket::INET;
use IO::Select;
use POSIX ();

alarm 120;
my $server = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1', LocalPort => 0) or die $!;
my $client = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => $server->sockport) or die $!;
sub answer { IO::Select->new($client)->can_read(30) or return; recv $client, my $data, 100, 0; return $data }

no warnings 'once';
is $Event::Lib::VERSION, '1.04', 'the other one is loaded';
ok !defined $Event::Lib::IMPLEMENTATION;
ok !-e 'blib/lib/Event/Lib.pm' && !-e 'blib/arch/auto/Event/Lib/Lib.so', 'and ours is not there';

my ($pump, @order);
$pump = udppump_new($server, sub { push @order, $_[0]{buffer}; $pump->reply('re'); $pump->remove });
is $pump->add, $pump;
my $timer = timer_new(sub { push @order, 'timer'; $client->send('datagram') });
$timer->add(0.01);
ok event_mainloop(), 'the loop ends when nothing is left';
is_deeply \@order, ['timer', 'datagram'];
is answer(), 're';

my $handled;
$pump = udppump_new($server, sub { die "oops\n" })->except_handler(sub { $handled = $_[1]; $pump->remove })->add;
$client->send('x');
event_mainloop();
is $handled, "oops\n", 'its exception handler';

$pump = udppump_new($server, sub { $pump->reply('child'); POSIX::_exit(7) });
$pump->add;
my $pid = fork // die $!;
if (!$pid) {
    alarm 60;
    event_init();    # as that implementation has it, once a process
    $pump->remove;
    $pump->add;
    event_mainloop();
    POSIX::_exit(1);
}
$client->send('x');
is answer(), 'child', 'a child of a fork makes its loop, and adds the pump there';
waitpid $pid, 0;
is $? >> 8, 7;
$pump->remove;

$pid = fork // die $!;
if (!$pid) {
    alarm 60;
    my $pool;
    $pool = Event::Lib::UDPPump::Pool->new(socket => $server, workers => 2, log => sub { });
    POSIX::_exit($pool->serve(sub { $pool->reply('pool') }));
}
$client->send('x');
is answer(), 'pool', 'a pool';
kill TERM => $pid;
waitpid $pid, 0;
is $?, 0;

$pump = udppump_new($server, sub { die "gone\n" })->add;
$client->send('x');
is eval { event_mainloop(); 1 }, undef;
is $@, "gone\n", 'without a handler, the loop dies';
done_testing;

# The XS code under valgrind: programs that use all of it, without an error.
use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Helper;
use File::Temp;

my ($version) = map { `$_ --version 2>/dev/null` } 'valgrind';
plan skip_all => 'valgrind is not installed' unless $version;
my $program = <<'TEXT';
use strict; use warnings; no warnings 'misc';
use Event::Lib; use Event::Lib::UDPPump; use IO::Socket::INET;
my $s = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1', LocalPort => 0);
my $c = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => $s->sockport);
my $calls = 0;
my $pump; $pump = udppump_new($s, sub { $calls++; $pump->reply('a'); die "oops\n" if $calls % 2; $pump->remove if $calls == 6 }, 1, 2);
$pump->add;
$c->send($_) for '', 'a', 'b' x 60000, 1 .. 3;
for (1 .. 20) { eval { event_one_loop(1) }; last if $calls == 6 }
$pump->args(3, 4); my @args = $pump->args; $pump->stats; $pump->wake_fd; $pump->dispatch; $pump->free;
my $t = timer_new(sub { die {a => 1} }, 'x')->except_handler(sub { $_[0]->args_del });
$t->add(0.0); event_mainloop(); $t->add(10); $t->pending; undef $t;
{ my $own = timer_new(sub { $_[0]->free })->add(0.0) } event_one_loop();
eval { udppump_new(\*STDIN, sub { }) }; eval { udppump_new($s, 1) };
exit($calls == 6 ? 0 : 1);
TEXT
my $pool = <<'TEXT';
use strict; use warnings;
use Event::Lib; use Event::Lib::UDPPump; use Event::Lib::UDPPump::Pool; use IO::Socket::INET;
my $s = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1', LocalPort => 0);
my ($deaths, $pool) = (0);
$pool = Event::Lib::UDPPump::Pool->new(socket => $s, workers => 1, restart => {healthy_after => 0, first_delay => 0}, redeliver => 1, log => sub {
    my ($event) = @_;
    if ($event->{name} eq 'serving') {
        my $c = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => $s->sockport);
        $c->send($_) for 'x', 'die', 'stop';
    }
    $deaths++ if $event->{name} eq 'worker-died' && $event->{text} =~ /last words: "oops"/;
});
my $code = $pool->run(sub {
    my ($worker) = @_;
    my $pump; $pump = udppump_new(($worker->sockets)[0], sub {
        $pool->reply('a');
        die "oops\n" if $_[0]{buffer} eq 'die';
        $pool->stop if $_[0]{buffer} eq 'stop';
    });
    $worker->on_stop(sub { $worker->stopping });
    $pump->add; event_mainloop(); $worker->number;
});
exit($code == 0 && $deaths ? 0 : 1);
TEXT

# A pool's parent sends from address 0 on purpose: the error tells what state the socket is in, and nothing leaves.
my $known = File::Temp->new;
print $known <<'END';
{
   sends-from-address-0
   Memcheck:Param
   socketcall.sendto(msg)
   ...
   fun:*socket_state*try_to_send*
   ...
}
END
close $known;

local $ENV{PERL5LIB} = join ':', grep { !ref } @INC;
for my $case ([pump => $program], [pool => $pool]) {
    my ($name, $text) = @$case;
    my $folder = File::Temp->newdir;
    my $code = system 'valgrind', '-q', "--suppressions=$known", '--error-exitcode=9', "--log-file=$folder/log.%p", $^X, '-e', $text;
    # What valgrind itself does not know is no error.
    my $said = join q(), map { open my $log, q(<), $_ or die $!; grep { !/^--\d+-- Warning: unhandled/ } <$log> } glob "$folder/log.*";
    is $code >> 8, 0, "$name: it does what it should";
    is $said, '', "$name: no error in any process";
}
done_testing;

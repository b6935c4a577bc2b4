# The XS code under valgrind: a program that uses all of it, without an error.
use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Helper;

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
local $ENV{PERL_DESTRUCT_LEVEL} = 0;
local $ENV{PERL5LIB} = join ':', grep { !ref } @INC;
open(my $log, '-|', 'valgrind', '-q', '--error-exitcode=9', '--undef-value-errors=yes', $^X, '-e', $program) or die $!;
my $output = do { local $/; <$log> };
close $log;
is $? >> 8, 0, 'no error' or diag $output;
done_testing;

# Ways to serve a socket in Perl, as bench/perl.cpp starts them.
#
#   perl worker.pl drain WAY            descriptor 3 is a socket. For each line "N" on STDIN takes N datagrams that wait, with
#                                       an empty callback, and prints the CPU time that this process took, in ns.
#   perl worker.pl serve WAY WORKERS    forks into so many workers that answer with what they get. Descriptor 3 has the
#                                       workers' notes (bench/support/worker_processes.hpp), 4 is the socket.
use strict;
use warnings;
use Event::Lib;
use Event::Lib::UDPPump;
use Socket qw(MSG_DONTWAIT);
use Time::HiRes qw(clock_gettime CLOCK_PROCESS_CPUTIME_ID);

my ($mode, $way, $workers) = @ARGV;
my $serves = $mode eq 'serve';
open my $socket, '+<&=', $serves ? 4 : 3 or die "the socket: $!";
my @args = ('argument');

sub datagram_of {
    my ($from, $buffer) = @_;
    return {from => $from, buffer => $buffer, len => length $buffer, errno => 0};
}
sub answer { my ($datagram) = @_; send $socket, $datagram->{buffer}, 0, $datagram->{from}; return }
sub nothing { }

# Each: what takes $_[0] datagrams that wait, and what serves for good.
my ($pump, $seed);
my %ways = (
    recv => {
        drain => sub {
            my ($left) = @_;
            my $callback = \&nothing;
            while ($left > 0) {
                my $from = recv($socket, my $buffer, 65535, MSG_DONTWAIT) // die "recv: $!";
                $callback->({from => $from, buffer => $buffer, len => length $buffer, errno => 0}, @args);
                $left--;
            }
        },
        serve => sub { while (defined(my $from = recv $socket, my $buffer, 65535, 0)) { answer(datagram_of($from, $buffer)) } },
    },
    'event-lib' => {
        drain => sub {
            my ($left) = @_;
            my $callback = \&nothing;
            event_new($socket, EV_READ | EV_PERSIST, sub {
                my ($event) = @_;
                my $from = recv($socket, my $buffer, 65535, MSG_DONTWAIT) // return;
                $callback->({from => $from, buffer => $buffer, len => length $buffer, errno => 0}, @args);
                $event->remove if !--$left;
            })->add;
            event_mainloop();
        },
        serve => sub {
            event_new($socket, EV_READ | EV_PERSIST, sub {
                my $from = recv($socket, my $buffer, 65535, MSG_DONTWAIT) // return;
                answer(datagram_of($from, $buffer));
            })->add;
            event_mainloop();
        },
    },
    'udppump-event-lib' => {
        drain => sub {
            my ($left) = @_;
            $pump ||= udppump_new($socket, \&nothing, @args)->add;
            my $all = $pump->stats->{received} + $left;
            for (;; $left = $all - $pump->stats->{received}) {
                last if $left <= 0;
                event_one_loop() for 1 .. 1 + $left / 64 - ($left % 64 == 0);    # 64 a turn
            }
        },
        serve => sub { $pump = udppump_new($socket, \&answer)->add; event_mainloop() },
    },
    'udppump-dispatch' => {
        drain => sub {
            my ($left) = @_;
            $pump ||= udppump_new($socket, \&nothing, @args);
            my $all = $pump->stats->{received} + $left;
            for (;; $left = $all - $pump->stats->{received}) {
                last if $left <= 0;
                $pump->dispatch for 1 .. 1 + $left / 64 - ($left % 64 == 0);
            }
        },
    },
    'seed-2006' => {
        drain => sub {
            my ($count) = @_;
            our $left = $count;
            $seed ||= do { require Seed2006; Seed2006::serve($socket, sub { $main::left-- }, @args) };
            event_one_loop() while $left > 0;
        },
        serve => sub { require Seed2006; $seed = Seed2006::serve($socket, \&answer); event_mainloop() },
    },
);
my $does = $ways{$way}{$mode} or die "no way \"$way\" to $mode\n";

if (!$serves) {
    local $| = 1;
    while (defined(my $line = <STDIN>)) {
        my $before = clock_gettime(CLOCK_PROCESS_CPUTIME_ID);
        $does->(0 + $line);
        printf "%.0f\n", 1e9 * (clock_gettime(CLOCK_PROCESS_CPUTIME_ID) - $before);
    }
    exit;
}
alarm 120;    # whoever started this may be gone
my $number = 0;
for my $next (1 .. $workers - 1) {
    my $pid = fork // die "fork: $!";
    alarm(120), $number = $next, last if !$pid;
}
# worker_note::process of this worker: what is written to the file is in the memory that maps it. Opened anew, as those
# who inherit a descriptor share its position.
open my $notes, '+<', '/proc/self/fd/3' or die "the notes: $!";
sysseek $notes, 64 * $number + 24, 0;
syswrite $notes, pack 'l', $$;
$does->();

# prefork.pl [PORT [PROCESSES]]: plain fork. Each process answers what it gets; SIGTERM to the first ends all.
use strict;
use warnings;
use Event::Lib::UDPPump;
use IO::Socket::INET;
use POSIX qw(SIGTERM);

my ($port, $processes) = ($ARGV[0] // 5000, $ARGV[1] // 4);
my $socket = IO::Socket::INET->new(Proto => 'udp', LocalPort => $port) or die "port $port: $@";

# The socket first, then the processes, then a pump in each.
my @children;
for (2 .. $processes) {
    my $pid = fork // die "fork: $!";
    @children = (), last if !$pid;
    push @children, $pid;
}

my $pump;
$pump = udppump_new($socket, sub {
    my ($datagram) = @_;
    $pump->reply("$$: $datagram->{buffer}") if $datagram->{len} >= 0;
});
$pump->ignore_from('loops');    # other servers' answers are not answered
$pump->add;
my $end = signal_new(SIGTERM, sub {
    my ($event) = @_;
    kill TERM => @children;
    $pump->stop;    # after what it was woken for
    $event->remove;
});
$end->add;
event_mainloop();
waitpid $_, 0 for @children;

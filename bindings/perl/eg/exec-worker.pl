# A worker of udppump exec, which keeps it alive, reloads it on SIGHUP, and stops it by SIGTERM:
#
#     udppump exec --bind :5000 --workers 4 -- perl exec-worker.pl
use strict;
use warnings;
use Event::Lib::UDPPump;
use POSIX qw(SIGTERM);

open my $socket, '+<&=', 0 or die "descriptor 0: $!";    # the first socket; STDIN itself may only be read
my $pump;
$pump = udppump_new($socket, sub {
    my ($datagram) = @_;
    $pump->reply("$$: $datagram->{buffer}") if $datagram->{len} >= 0;
});
$pump->ignore_from('loops');    # other servers' answers are not answered
$pump->add;
my $end = signal_new(SIGTERM, sub {
    my ($event) = @_;
    $pump->stop;    # after what it was woken for
    $event->remove;
});
$end->add;
event_mainloop();

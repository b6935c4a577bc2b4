use Socket;

open(my $socket, "+<&=", 0) or die "descriptor 0: $!";    # STDIN itself may only be read
setsockopt($socket, SOL_SOCKET, SO_RCVTIMEO, pack("l!l!", 1, 0));
my $own_port = unpack("x2 n", getsockname($socket));
my %unanswered = map { $_ => 1 } 0, 7, 11, 13, 17, 19, 37, $own_port;    # ports that would answer the answer, for ever
my $stop = 0;
$SIG{TERM} = sub { $stop = 1 };
until ($stop) {
    my $peer = recv($socket, my $data, 65535, 0) // next;    # a second is over, or it was told to stop
    next if $unanswered{unpack("x2 n", $peer)};
    1 while !defined send($socket, $data, 0, $peer) && $!{EINTR};
}

use Fcntl;
use Socket;

open(my $socket, "+<&=", 0) or die "descriptor 0: $!";    # STDIN itself may only be read
setsockopt($socket, SOL_SOCKET, SO_RCVTIMEO, pack("l!l!", 1, 0));
my $own_port = unpack("x2 n", getsockname($socket));
my %unanswered = map { $_ => 1 } 0, 7, 11, 13, 17, 19, 37, $own_port;    # ports that would answer the answer, for ever
my $stop = 0;
$SIG{TERM} = sub { $stop = 1 };
until ($stop) {
    if (fcntl($socket, F_GETFL, 0) & O_NONBLOCK) {    # since another program made the socket so for all
        vec(my $readable = "", fileno($socket), 1) = 1;
        select($readable, undef, undef, 1);
    }
    my $peer = recv($socket, my $data, 65535, 0) // next;    # a second is over, or it was told to stop
    next if $unanswered{unpack("x2 n", $peer)};
    1 while !defined send($socket, $data, 0, $peer) && $!{EINTR};
}

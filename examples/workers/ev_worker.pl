use EV;
use Socket;

open(my $inbox, "+<&=", 0) or die "descriptor 0: $!";    # STDIN itself may only be read
my $own_port = unpack("x2 n", getsockname($inbox));
my $waits = EV::io $inbox, EV::READ, sub {
    my $peer = recv($inbox, my $data, 65535, MSG_DONTWAIT) // return;    # another worker was quicker
    my $port = unpack("x2 n", $peer);
    return if $port < 1024 || $port == $own_port;    # would answer the answer, for ever
    1 while !defined send($inbox, $data, 0, $peer) && $!{EINTR};
};
my $stops = EV::signal "TERM", sub { EV::break };
EV::run;

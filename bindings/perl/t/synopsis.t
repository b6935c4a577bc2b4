# The program of 2006, word for word: it never says `use Event::Lib`, yet calls event_mainloop().
use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Helper;
use Event::Lib::UDPPump;
use IO::Socket::INET;

my $synopsis = <<'TEXT';
    my $s = IO::Socket::INET->new(Proto => 'udp', LocalPort => 5000);
    fork() foreach (1..($numchildren - 1));     # as written this makes 2^9 processes, not 10
    my $pump = udppump_new($s, \&callback, @args);
    $pump->add();
    event_mainloop();
TEXT

# Port 5000 may be somebody else's: the kernel chooses one, and the test is told.
pipe(my $told, my $tell) or die $!;
pipe(my $alive, my $life) or die $!;
my $new = IO::Socket::INET->can('new');
my $pid = child(sub {
    close $alive;
    no warnings 'redefine';
    local *IO::Socket::INET::new = sub {
        my ($class, %options) = @_;
        $options{LocalPort} == 5000 or die 'not the port of the synopsis';
        my $socket = $new->($class, %options, LocalPort => 0, LocalAddr => '127.0.0.1') or die "socket: $!";
        syswrite $tell, $socket->sockport . "\n";
        return $socket;
    };
    my $numchildren = 3;    # and so four processes
    my @args = ('an', 'argument');
    sub callback {
        my ($datagram, @args) = @_;
        alarm 60;
        Synopsis::answer($datagram, "$$ @args $datagram->{len}");
        POSIX::_exit(7) if $datagram->{buffer} eq 'end';
    }
    eval "$synopsis; 1" or die $@;
    7;
});
close $life;
{
    package Synopsis;
    # The callback of the synopsis has no socket in sight; it answers from one of its own.
    sub answer {
        my ($datagram, $text) = @_;
        socket my $socket, Socket::AF_INET(), Socket::SOCK_DGRAM(), 0;
        send $socket, $text, 0, $datagram->{from};
    }
}

chomp(my $port = <$told>);
my $client = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1', LocalPort => 0) or die $!;
my $to = Socket::pack_sockaddr_in($port, Socket::INADDR_LOOPBACK());
my %served;
my $ask = sub {
    my ($body) = @_;
    defined send $client, $body, 0, $to or die "send: $!";
    IO::Select->new($client)->can_read(30) or return '';
    recv $client, my $answer, 1000, 0;
    return $answer;
};
like $ask->('hello'), qr/^\d+ an argument 5$/, 'served' for 1 .. 20;
for (1 .. 4) {
    my ($pid) = $ask->('end') =~ /^(\d+) /;
    $served{$pid // 'none'}++;
}
is keys %served, 4, 'two forks make four processes, and each serves';
is ended($pid), 7, 'the first one has ended';
is sysread($alive, my $nothing, 1), 0, 'and so have all';
done_testing;

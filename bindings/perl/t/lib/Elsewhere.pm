package Elsewhere;    # for programs of documents: port 5000 may be somebody else's, so the kernel chooses another one
use strict;
use warnings;
use IO::Socket::INET;

# The port chosen is written into the file that the environment names.
sub note_port {
    my ($port) = @_;
    open my $file, '>', "$ENV{ELSEWHERE}.new" or die "$ENV{ELSEWHERE}: $!";
    print {$file} $port;
    close $file;
    rename "$ENV{ELSEWHERE}.new", $ENV{ELSEWHERE};
    return;
}

no warnings 'redefine';
my $socket = IO::Socket::INET->can('new');
*IO::Socket::INET::new = sub {
    my ($class, %options) = @_;
    my $chosen = ($options{LocalPort} // 0) == 5000;
    my $made = $socket->($class, %options, $chosen ? (LocalPort => 0, LocalAddr => '127.0.0.1') : ()) or return;
    note_port($made->sockport) if $chosen;
    return $made;
};
if (eval { require Event::Lib::UDPPump::Pool }) {
    my $pool = Event::Lib::UDPPump::Pool->can('new');
    *Event::Lib::UDPPump::Pool::new = sub {
        my ($class, %options) = @_;
        my $chosen = ($options{bind} // '') =~ s/:5000\z/:0/r;
        my $made = $pool->($class, %options, bind => $chosen);
        note_port(($made->sockets)[0]->sockport);
        return $made;
    };
}

1;

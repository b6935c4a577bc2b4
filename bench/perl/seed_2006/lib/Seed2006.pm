package Seed2006;    # the design of 2006, under Perl: see Seed2006.xs
use strict;
use warnings;
use Event::Lib;
use XSLoader;

our $VERSION = '1';
XSLoader::load('Seed2006', $VERSION);

# Serves the socket on Event::Lib's loop: one event, added anew for each datagram.
sub serve {
    my ($socket, $callback, @args) = @_;
    open my $end, '+<&=', start(fileno $socket) or die "socketpair: $!";
    return event_new($end, EV_READ, sub {
        my ($event) = @_;
        sysread $end, my $byte, 1;
        $callback->(taken(), @args);
        handled();
        $event->add;
    })->add;
}

1;

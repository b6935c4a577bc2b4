package Event::Lib;    # stands in for another implementation than ours: its loop is libevent's global one
use strict;
use warnings;
use Exporter 'import';
use XSLoader;

our $VERSION = '1.04';
our @EXPORT  = qw(event_init event_mainloop event_one_loop timer_new EV_READ EV_TIMEOUT);
XSLoader::load('Event::Lib', $VERSION);
@Event::Lib::timer::ISA = ('Event::Lib::base');
sub Event::Lib::base::CLONE_SKIP { return 1 }

sub EV_TIMEOUT () { return 1 }
sub EV_READ ()    { return 2 }

1;

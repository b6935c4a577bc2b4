package Event::Lib::UDPPump::Pool;
use 5.014;
use strict;
use warnings;
use Carp ();
use Event::Lib ();
use Event::Lib::UDPPump ();
use IO::Socket::INET;
use IO::Socket::UNIX;
use Scalar::Util 'reftype';
use Socket ();

our $VERSION = '0.10';

# What each option may be.
my %kinds = (
    socket => 'handles', ignore_from => 'texts', bind => 'texts', receive_buffer => 'count', workers => 'count', waiter => 'text',
    user => 'text', group => 'text', groups => 'texts', no_new_privileges => 'flag', restart => 'restart',
    redeliver => 'redeliver', quarantine => 'quarantine', limits => 'limits', max_age => 'age', client_limit => 'client_limit', client_share => 'client_share', stop_timeout => 'seconds', start_timeout => 'seconds', reexecute => 'flag',
    reload_on_change => 'texts', take_over => 'text', pid_file => 'text', pin => 'flag', nice => 'number', log => 'code',
);
my %restart = (
    healthy_after => 'seconds', healthy_after_datagrams => 'count', first_delay => 'seconds', longest_delay => 'seconds',
    crash_limit => 'count',
);
my %client_limit = (rate => 'rate', burst => 'count', ipv4_prefix => 'count', ipv6_prefix => 'count');
my %client_share = (ipv4_prefix => 'count', ipv6_prefix => 'count');
my %quarantine = (deaths => 'count', time => 'seconds');
my %redeliver = (most => 'count', largest => 'count', poison_file => 'text');

my %checks = (
    texts   => sub { my @all = ref $_[0] eq 'ARRAY' ? @{$_[0]} : $_[0]; (grep { !defined || ref || !utf8::downgrade($_, 1) } @all) ? undef : \@all },
    text    => sub { my $text = $_[0]; defined $text && !ref $text && utf8::downgrade($text, 1) ? "$text" : undef },
    flag    => sub { $_[0] ? 1 : 0 },
    count   => sub { defined $_[0] && $_[0] =~ /\A\d{1,15}\z/ ? $_[0] + 0 : undef },
    number  => sub { defined $_[0] && $_[0] =~ /\A[-+]?\d{1,9}\z/ ? $_[0] + 0 : undef },
    seconds => sub { defined $_[0] && $_[0] =~ /\A(?:\d{1,15}(?:\.\d*)?|\.\d+)\z/ ? $_[0] + 0 : undef },
    age     => sub { defined $_[0] && $_[0] =~ /\A(?:\d{1,9}(?:\.\d*)?|\.\d+)\z/ ? $_[0] + 0 : undef },
    rate    => sub { defined $_[0] && $_[0] =~ /\A(?:\d{1,9}(?:\.\d*)?|\.\d+)\z/ ? $_[0] + 0 : undef },
    code    => sub { (reftype($_[0]) // '') eq 'CODE' ? $_[0] : undef },
);
my %meant = (
    texts => 'a string of bytes, or a reference to an array of such', text => 'a string of bytes', count => 'a whole number from 0',
    number => 'a whole number', seconds => 'a number of seconds from 0', age => 'a number of seconds below 1e9', rate => 'a number from 0 to 1e9', code => 'a code reference',
);

sub checked {
    my ($known, $name, $value) = @_;
    my $kind = $known->{$name}
        // Carp::croak("new: there is no option \"$name\"; there are: " . join(', ', sort keys %$known));
    my $check = $checks{$kind} or return $value;
    return $check->($value) // Carp::croak("new: $name is $meant{$kind}");
}

# A resource, and what it may be: NAME => NUMBER, or [SOFT, HARD].
sub limit {
    my ($name, $value) = @_;
    my @both = ref $value eq 'ARRAY' ? @$value : ($value, $value);
    my $wrong = @both != 2 || grep { !defined || !/\A(?:\d{1,19}|unlimited)\z/ } @both;
    Carp::croak("new: limits: $name is a whole number, 'unlimited', or a reference to an array of two such, soft and hard") if $wrong;
    return ($name, @both);
}

# The options of a hash in a hash, under names of their own.
sub flattened {
    my ($known, $of, $given, $prefix) = @_;
    ref $given eq 'HASH' or Carp::croak("new: $of is a reference to a hash of options");
    return map { ($prefix->{$_} // $_) => checked($known, $_, $given->{$_}) } keys %$given;
}

our @CARP_NOT = ('Event::Lib::UDPPump');

sub new {
    my ($class, @options) = @_;
    Carp::croak('new: options are pairs of a name and a value') if @options % 2;
    my (%given, @handles, $ignored);
    while (my ($name, $value) = splice @options, 0, 2) {
        $value = checked(\%kinds, $name, $value);
        if ($name eq 'socket') {
            @handles = ref $value eq 'ARRAY' ? @$value : $value;
            for my $handle (@handles) {
                my $fd = defined $handle && (ref $handle || ref \$handle eq 'GLOB') ? eval { fileno $handle } : undef;
                Carp::croak('new: socket is an open socket, or a reference to an array of them') if !defined $fd || $fd < 0;
                push @{$given{adopt}}, $fd;
            }
        } elsif ($name eq 'restart') {
            %given = (%given, flattened(\%restart, $name, $value, {}));
        } elsif ($name eq 'redeliver') {
            my %prefix = (most => 'redeliver_most', largest => 'redeliver_largest');
            %given = (%given, flattened(\%redeliver, $name, $value, \%prefix)) if ref $value;
            $given{redeliver} = $value ? 1 : 0;
        } elsif ($name eq 'quarantine') {
            my %prefix = (deaths => 'quarantine_deaths', time => 'quarantine_time');
            %given = (%given, flattened(\%quarantine, $name, $value, \%prefix)) if ref $value;
            $given{quarantine} = $value ? 1 : 0;
        } elsif ($name eq 'client_limit') {
            my %prefix = map { $_ => "client_limit_$_" } keys %client_limit;
            %given = (%given, client_limit => 1, flattened(\%client_limit, $name, $value, \%prefix));
        } elsif ($name eq 'client_share') {
            my %prefix = map { $_ => "client_share_$_" } keys %client_share;
            %given = (%given, flattened(\%client_share, $name, $value, \%prefix)) if ref $value;
            $given{client_share} = $value ? 1 : 0;
        } elsif ($name eq 'limits') {
            ref $value eq 'HASH' or Carp::croak('new: limits is a reference to a hash of resources and numbers');
            $given{limits} = [map { limit($_, $value->{$_}) } sort keys %$value];
        } elsif ($name eq 'ignore_from') {
            $ignored = $value;
            carped(sub { Event::Lib::UDPPump::Pool::core::check_ignore_from(@$ignored) });
        } elsif ($name eq 'log') {
            # A warning may die as well.
            $given{log} = sub {
                return if eval { $value->(@_); 1 };
                my $why = $@;
                eval { warn "Event::Lib::UDPPump::Pool: the log's callback died: $why" };
            };
        } else {
            $given{$name} = $value;
        }
    }
    my $core = carped(sub { Event::Lib::UDPPump::Pool::core::make(\%given) });
    my $self = bless {core => $core, ignore_from => $ignored // []}, $class;
    $self->{sockets} = [map { handle_of($_, @handles) } $core->descriptors];
    return $self;
}

# What XS code says about a line here is about the caller's.
sub carped {
    my ($code) = @_;
    my $result;
    return $result if eval { $result = $code->(); 1 };
    die $@ if ref $@;
    (my $text = $@) =~ s/ at \S+ line \d+\.\n\z//;
    Carp::croak($text);
}

# One of @handles if it is that socket's, else a new one.
sub handle_of {
    my ($fd, @handles) = @_;
    my $new = IO::Socket->new;
    open $new, '+<&', $fd or Carp::croak("new: descriptor $fd: $!");    # new_from_fd() would share, and close, the pool's
    binmode $new;
    my $file = join ' ', (stat $new)[0, 1];
    for my $handle (@handles) { return $handle if $file eq join ' ', (stat $handle)[0, 1] }
    my $name = getsockname $new;
    my $family = $name ? Socket::sockaddr_family($name) : 0;
    my $class = $family == Socket::AF_INET() ? 'IO::Socket::INET' : $family == Socket::AF_UNIX() ? 'IO::Socket::UNIX'
        : eval { require IO::Socket::IP; 1 } ? 'IO::Socket::IP' : 'IO::Socket';
    return bless $new, $class;
}

sub serve {
    my ($self, $callback, @args) = @_;
    Carp::croak('serve: the first argument is no code reference') if (reftype($callback) // '') ne 'CODE';
    return $self->run(sub {
        my ($worker) = @_;
        for my $socket ($worker->sockets) {
            my $pump = Event::Lib::UDPPump::udppump_new($socket, $callback, @args);
            $pump->ignore_from(@{$self->{ignore_from}});
            $pump->add;
        }
        Event::Lib::event_mainloop();
    });
}

sub run {
    my ($self, $body) = @_;
    Carp::croak('run: the argument is no code reference') if (reftype($body) // '') ne 'CODE';
    return carped(sub {
        $self->{core}->run(sub {
            Event::Lib::event_init();
            return if eval { $body->(bless {pool => $self}, 'Event::Lib::UDPPump::Pool::Worker'); 1 };
            my $why = $@;
            my $words = eval { "$why" } // ref $why;    # an object may refuse
            die $words =~ /\n\z/ ? $words : "$words\n";
        });
    });
}

sub stop    { $_[0]{core}->request_stop;   return }
sub reload  { $_[0]{core}->request_reload; return }
sub workers { return $_[0]{core}->workers }
sub sockets { return @{$_[0]{sockets}} }

sub CLONE_SKIP                                   { return 1 }
sub Event::Lib::UDPPump::Pool::core::CLONE_SKIP   { return 1 }
sub Event::Lib::UDPPump::Pool::Worker::CLONE_SKIP { return 1 }

sub Event::Lib::UDPPump::Pool::Worker::pool    { return $_[0]{pool} }
sub Event::Lib::UDPPump::Pool::Worker::sockets { return $_[0]{pool}->sockets }

1;
__END__

=head1 NAME

Event::Lib::UDPPump::Pool - a supervised pool of worker processes on one UDP port

=head1 SYNOPSIS

    use Event::Lib::UDPPump::Pool;

    my $pool = Event::Lib::UDPPump::Pool->new(bind => '127.0.0.1:5000', workers => 10, ignore_from => 'loops');
    exit $pool->serve(sub {
        my ($datagram, @args) = @_;
        $pool->reply("$args[0], $datagram->{buffer}") if $datagram->{len} >= 0;
    }, 'hello');

=head1 DESCRIPTION

The process that runs a pool is the parent: it keeps the sockets, forks the workers, replaces those that die, and receives
no datagram. Each worker takes a datagram only when it is idle, from one queue for all. What waits outlives any worker.

Signals, to the parent: SIGTERM and SIGINT stop it: workers finish what they hold, and end; a second one kills those that
have not ended. SIGHUP replaces the workers one by one, each new one before its old one ends. SIGUSR2 starts the program
anew, which takes the sockets over. SIGTERM to a worker has that one finish and be replaced. SIGUSR1, SIGPIPE and others
that would end the parent are told of and ignored, unless C<%SIG> has a handler. While a pool runs, the parent's Perl code
does not, but for C<log>; so handlers in its C<%SIG> wait.

=head1 METHODS

=head2 new(OPTION => VALUE, ...)

Binds the sockets, and drops privileges. It croaks in one line with cause and cure.

=over

=item socket

An open datagram socket, or a reference to an array of them: any handle, of IO::Socket::INET or another. A program that is
started anew would open them once more, so it excludes C<take_over>, C<reexecute> and SIGUSR2.

=item bind

An address, C<':5000'>, C<'192.0.2.1:53'>, C<'[::1]:53'> or C<'unix:/run/socket'>, or a reference to an array of them. Sockets that
systemd passes come by themselves.

=item ignore_from

A source, or a reference to an array of them, as for C<ignore_from> of L<Event::Lib::UDPPump>: what comes from there is
dropped before the callback of C<serve>. A server that answers wants C<'loops'>. The body of C<run> says so to each pump.

=item workers

How many processes; 0, the default, is one for each core that this process may use.

=item restart

A reference to a hash: who lived C<healthy_after> seconds (1) or finished C<healthy_after_datagrams> (100) is replaced at
once; others after C<first_delay> seconds (0.02), doubled each time up to C<longest_delay> (5). After
C<crash_limit> (8) deaths in a row without one datagram the pauses grow up to a minute, and if that is so of all workers,
the pool ends.

=item redeliver

True, or a reference to a hash. The datagram that a worker held when it died is given to another, at most C<most> times (2);
then it is dropped, and written to C<poison_file>. C<largest> (65535) is the longest payload in bytes that workers can
have. So a datagram is handled at least once.

=item quarantine

True, or a reference to a hash, with C<redeliver>: a sender whose datagrams were in work when C<deaths> (3) workers died is
not served for C<time> seconds (600).

=item limits

A reference to a hash of each worker's resource limits, by the names of prlimit(1): C<< {nofile => 256, core => 0} >>. A
value is a number, C<'unlimited'>, or a reference to an array of the soft and the hard one.

=item max_age

Seconds, such as 0.2; 0: any age. What has waited longer in the socket's queue is dropped before the callback, and told in
the log, once a minute at most. If more comes than the workers can serve, the queue grows, and without this each datagram
is served after its sender has given up: three quarters of the time that clients wait are a good choice.

=item client_limit

A reference to a hash: how much each client may ask for, all workers together. C<< {rate => 100, burst => 200} >>: datagrams a
second, and at once (those of a second unless given). A client is an IPv4 address, or the first 56 bits of an IPv6 one;
C<ipv4_prefix> and C<ipv6_prefix> say otherwise. What is over it is dropped before the callback, and told in the log, once a
minute at most.

=item client_share

True: while more comes than the workers can serve, none of the clients is served more than an equal share, and who sends less
loses nothing. What is over it is dropped and told likewise. Or a reference to a hash of C<ipv4_prefix> and C<ipv6_prefix>.

=item stop_timeout, start_timeout

Seconds: after so long a worker that was told to stop (10), or that has not begun to serve (30), is killed.

=item user, group, groups, no_new_privileges

Whom the pool becomes once its sockets are bound; requires root. C<groups> is a reference to an array.
C<no_new_privileges> is true unless given, if there is a user.

=item log

A code reference, called in the parent with a reference to a hash: C<severity> (as syslog numbers them, 3 to 6), C<name>
(such as C<worker-died>), C<text> (a line for people), C<fields> (a hash). If it dies, that is a warning. Without it,
events go to STDERR.

=item reload_on_change

Files that start a reload when they are written or replaced.

=item reexecute

Workers are new executions of this program rather than forks, so that a reload has the program's new text. Each comes to the
same pool, and C<serve> or C<run> makes it a worker there; so exit with what they return.

=item take_over

A Unix socket's path: a second start with the same path takes the sockets over from the first, which then ends. After
SIGUSR2 the path is lost if root made the pool and C<user> is another, for Perl is a file that this user may read: so
workers could trace the new parent, and root's next start would take their sockets. Then the log says C<take-over-path>,
and a second start finds the port taken: stop the pool and start it anew as root, instead of SIGUSR2.

=item pid_file

A file that has the parent's process id while all workers serve. A second pool with the same file is refused. It and
C<poison_file> are to be in a folder that no other user may write to.

=item receive_buffer, waiter, pin, nice

SO_RCVBUF in bytes; C<epoll>, C<uring>, C<thread>, C<poll> or C<auto>; each worker on a core of its own; their nice level.

=back

=head2 serve(\&callback, @args)

Runs the pool; each worker calls C<callback> with every datagram as L<Event::Lib::UDPPump> does: with a reference to a hash of
C<from>, C<buffer>, C<len> and C<errno>, and C<@args>. Returns the exit code for the program: 0 if it was told to stop or
handed over, 4 for workers that could not be kept alive, 5 if some had to be killed.

=head2 run(\&body)

Runs the pool; each worker calls C<body> with its worker object, and ends when C<body> returns. Make the pumps in it:

    exit $pool->run(sub {
        my ($worker) = @_;
        my $pump;
        $pump = udppump_new(($worker->sockets)[0], sub { $pump->reply($_[0]{buffer}) if $_[0]{len} >= 0 });
        $pump->ignore_from('loops');
        $pump->add;
        event_mainloop();
    });

A worker that dies, by an exception that no handler took, says why in the log, and is replaced.

=head2 reply($data)

Inside a callback: answers its datagram, from the address that was asked. Returns true, or false and sets C<$!>.

=head2 stop, reload

As SIGTERM and SIGHUP; from workers and from C<log>.

=head2 workers, sockets

How many workers there are to be; the sockets' handles.

=head1 THE WORKER

=head2 number

From 0. A worker that replaces another has the other's number.

=head2 sockets, pool

The pool's sockets, and the pool. A pump on one of these sockets is the pool's: it is watched, woken and stopped by it. It
works on any loop by C<wake_fd> and C<dispatch>.

=head2 on_stop(\&code)

When the pool wants the worker to end, its pumps have a last turn and are removed. Then C<code> is called, which lets its
loop end: by removing other events, or by EV::break(). Without it, event_mainloop() returns. A worker that has removed its
pumps itself, and goes on with other events, is not told; it looks at C<stopping>.

=head2 stopping, ready

Whether the worker is to end; says that the worker serves. Both are for a body without a pump of the pool's.

=head1 WHAT A WORKER IS

A fork of the parent. Event::Lib's loop is made anew in it, and events that were pending in the parent are pending here as
well. C<rand> is seeded anew. For SIGTERM, SIGINT, SIGHUP, SIGUSR2 and SIGCHLD the pool's own handling is in force, whatever
C<%SIG> has from before; what the body sets there holds. However a worker ends, by return, C<die> or C<exit>, its
buffers are flushed, and END blocks and destructors of global variables do not run: they are the parent's.

A child that a callback forks has no pump of the pool.

=head1 SEE ALSO

L<Event::Lib::UDPPump>, L<Event::Lib>, udppump-exec(1)

=head1 LICENSE

MIT, as udppump.

=cut

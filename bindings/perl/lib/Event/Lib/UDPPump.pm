package Event::Lib::UDPPump;
use 5.014;
use strict;
use warnings;
use Event::Lib ();
use Exporter ();
use XSLoader;

our $VERSION   = '0.10';
our @ISA       = ('Event::Lib::base');
our @EXPORT    = ('udppump_new');
our @EXPORT_OK = @EXPORT;

XSLoader::load('Event::Lib::UDPPump', $VERSION);

# A pump is nothing in another thread.
sub CLONE_SKIP { return 1 }

# As in 0.01, Event::Lib's names come along: a program that only uses this module may call event_mainloop().
sub import {
    my ($class, @names) = @_;
    my $caller = caller;
    Exporter::export('Event::Lib', $caller) if !@names;
    Exporter::export($class, $caller, @names);
    return;
}

1;
__END__

=head1 NAME

Event::Lib::UDPPump - serve one UDP port with many workers, on libevent

=head1 SYNOPSIS

    use Event::Lib::UDPPump;
    use IO::Socket::INET;

    my $socket = IO::Socket::INET->new(Proto => 'udp', LocalPort => 5000) or die "port 5000: $!";
    for (2 .. 4) { last unless fork }    # four processes on one port

    my $pump;
    $pump = udppump_new($socket, sub {
        my ($datagram, @args) = @_;
        $pump->reply("$args[0], $datagram->{buffer}") if $datagram->{len} >= 0;
    }, 'hello');
    $pump->ignore_from('loops');         # never answer another server
    $pump->add;
    event_mainloop();

=head1 DESCRIPTION

A pump is an event of L<Event::Lib>'s loop: it takes datagrams from a socket, one at a time, and calls your code with
each. While your code runs, nothing is received: what waits stays in the kernel's queue, where any other process with a
pump on the same socket can take it. An arrival wakes one idle process, and no busy one.

=head1 FUNCTIONS

=head2 udppump_new($socket, \&callback, @args)

Makes a pump for an open datagram socket of any family: UDP over IPv4 and IPv6, Unix, socket pairs. It is exported by
default, together with the names of L<Event::Lib>. It croaks if C<$socket> is no open datagram socket, or C<\&callback>
no code reference.

Netlink and raw sockets are served as well. The callback gets a reference to a hash, then C<@args>:

=over

=item from

The sender's address, packed, as recv() gives it. Empty for a Unix sender without a name.

=item buffer

What was received, up to 65,535 bytes; tainted, in taint mode. Undefined for an error.

=item len

Its length in bytes; 0 for an empty datagram, -1 for an error.

=item errno

The error's number, 0 if there is none. On a connected socket it is most often ECONNREFUSED.

=back

=head1 METHODS

=head2 add

Puts the pump onto the loop, and returns the pump. It is then alive until C<remove>, whatever happens to your variables.
Adding it twice dies.

=head2 remove

Takes it off the loop: no callback starts any more. It can be added again. Returns whether it was on the loop.

=head2 stop

Has the pump removed after one last turn, in the loop or by the next C<dispatch>. For a worker that ends while others go on
with the socket: what this pump was woken for does not wait until another datagram wakes somebody else, as it might after
C<remove>.

=head2 pending

"0 but true" while it is on the loop, else false.

=head2 reply($data)

Inside the callback only: answers the sender, from the address that was asked. Returns true, or false and sets C<$!>.

=head2 ignore_from(@sources)

What comes from these is dropped before the callback, and counted as C<ignored>. Nothing proves a datagram's source: whoever
forges one makes two servers answer each other for ever. A source is

=over

=item C<'loops'>

what a server that answers everybody must not answer: ports 7, 11, 13, 17, 19 and 37, whose services answer anything, port 0,
C<'own_port'> and C<'own_address'>;

=item a port

of 0 to 65535, such as 53, 69 or 123, or those of other servers of yours, if none of your clients sends from there;

=item C<'own_port'>

the socket's own, which is that of each other server of this kind;

=item C<'own_address'>

the socket itself.

=back

They replace those named before; none: nothing is dropped. Call it before C<add> and C<wake_fd>, or when the pump was
removed. Returns the pump.

=head2 max_age($seconds)

What has waited longer in the socket's queue is dropped before the callback, and counted as C<expired>; 0, as at first: any
age. If more comes than can be served, the queue grows, and without this each datagram is served after its sender has given
up: three quarters of the time that clients wait are a good choice. Call it before C<add> and C<wake_fd>, or when the pump
was removed. In the worker of a pool, 0 is the pool's own C<max_age>. Returns the pump.

=head2 client_limit(rate => 100, burst => 200)

How much each client may ask for: datagrams a second, and at once (those of a second unless given). A client is an IPv4
address, or the first 56 bits of an IPv6 one; C<ipv4_prefix> and C<ipv6_prefix> say otherwise. What is over it is dropped
before the callback, and counted as C<limited>. Processes that are forked after the call hold each client to it together.
Without options there is no limit, as at first. Call it before C<add> and C<wake_fd>, or when the pump was removed. In the
worker of a pool, what the pool was given holds unless the pump has its own. Returns the pump.

=head2 client_share

While more comes than can be served, no client is served more than an equal share, and who sends less loses nothing. What is
over it is dropped and counted as for C<client_limit>, with which it goes together; C<ipv4_prefix> and C<ipv6_prefix> may be
given. C<client_share(0)>: no shares, as at first. Call it when C<client_limit> may be called. Returns the pump.

=head2 on_expired($code), on_limited($code)

Calls C<$code> as the callback is called, but with what C<max_age> has dropped, and with what C<client_limit> or
C<client_share> have: C<reply> tells the sender so, for example every second one to come by TCP. It takes time from what is
served. If it dies, that is handled as if the callback had. C<undef>: none, as at first. Call it before C<add> and
C<wake_fd>, or when the pump was removed. Returns the pump.

=head2 fh, args, args_del, callback, except_handler, set_priority, trace, free

As those of Event::Lib's events. C<fh> is the very handle that was given. A callback that dies calls the pump's
exception handler with the pump, the error, EV_READ and C<@args>; without one the handler of
event_register_except_handler(); without that, event_mainloop() dies with the error. Afterwards the pump goes on with the
next datagram.

=head2 stats

A reference to a hash of what was counted since the pump was made: C<received>, C<bytes>, C<truncated>,
C<control_truncated>, C<kernel_drops>, C<send_errors>, C<wakeups>, C<empty_wakeups>, C<budget_yields>, C<stood_by>,
C<ignored> (what was dropped for its source), C<expired> (for its age), C<limited> (as its client sent too many), C<quarantined> (which stays 0 here),
C<handler_time> (in seconds), and C<errors>, a hash of how often each errno was met.

=head2 wake_fd, dispatch

For another loop: watch the descriptor C<wake_fd> for reading and call C<dispatch> when it is readable. C<dispatch> serves
what is there, at most 64 datagrams or a millisecond, and never blocks. It dies as the callback does. It returns false
if the pump cannot go on, which C<$!> then explains, or was stopped, and C<$!> is then 0: watch it no more. Such a pump is
not to be added. With EV:

    my $watcher = EV::io($pump->wake_fd, EV::READ, sub { $pump->dispatch });

With AnyEvent:

    my $watcher = AnyEvent->io(fh => $pump->wake_fd, poll => 'r', cb => sub { $pump->dispatch });

With IO::Async:

    open my $wake, '<&', $pump->wake_fd or die $!;
    $loop->add(IO::Async::Handle->new(read_handle => $wake, on_read_ready => sub { $pump->dispatch }));

=head1 WORKERS

Three ways to serve one port with many processes:

=over

=item * L<Event::Lib::UDPPump::Pool> starts them, keeps them alive, reloads and stops them.

=item * udppump-exec(1) does so for any program. The worker pumps its descriptor 0: F<eg/exec-worker.pl>.

=item * Plain fork: make the socket first, then fork, and make a pump in each process, as in the synopsis and in
F<eg/prefork.pl>. Nobody replaces a process that dies, and if one is stopped (SIGSTOP), a datagram that it was woken for
waits until the next one wakes another.

=back

=head1 FORKS AND THREADS

A pump that was added before a fork is served by both processes: the child's loop renews it. With another loop, ask for
C<wake_fd> again in the child: it is another descriptor there.

In a thread created later, a pump is an undefined value; it goes on in the thread that made it. Pumps are made in the thread
that loaded the module.

=head1 COMING FROM 0.01

Programs run unchanged. What changed, fault by fault:

=over

=item * Datagrams over 4096 bytes were cut silently. They are whole, up to 65,535 bytes.

=item * IPv6 senders were cut to 16 bytes. C<from> is whole.

=item * An empty datagram or an error came as garbage. An empty one has C<len> 0 and an empty C<buffer>; an error has
C<len> -1, C<errno>, and no C<buffer>.

=item * A non-blocking socket made it spin. It does not matter whether the socket blocks.

=item * After an exception in the callback the next datagram deadlocked. It is served.

=item * After a fork that followed C<add>, the child had no thread. The child's loop renews the pump.

=item * Two context switches a datagram. There is one, and no thread.

=item * It could not be removed. See C<remove> and C<stop>.

=item * It was tested on Solaris only. This one is for Linux, and tested there with each way to wait.

=item * Event::Lib 1.04 does not compile against libevent 2.1. A compatible L<Event::Lib> comes along.

=item * C<< fork() foreach (1..($numchildren - 1)) >>, as its synopsis had it, makes 2 ** ($numchildren - 1) processes. It
still does; L<Event::Lib::UDPPump::Pool> makes as many as are asked for.

=back

If another Event::Lib is installed when this module is built, ours is left out and that one's loop is used: libevent's
global one, of event_init(). There a callback that dies calls the pump's own exception handler, but none that was registered
for all events; and the child of a fork calls event_init(), then removes and adds its pumps. No Event::Lib but ours is known
to work with libevent 2.1; this is tested with a small one that has such a loop.

C<$!> in the callback says nothing: use C<errno>, which is 0 unless C<len> is -1.

=head1 SEE ALSO

L<Event::Lib::UDPPump::Pool>, L<Event::Lib>, udppump-exec(1)

=head1 LICENSE

MIT, as udppump.

=cut

package Helper;    # what the tests share
use strict;
use warnings;
use Exporter 'import';
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Time::HiRes 'time';
use Test::More ();

our @EXPORT = qw(server client ask run_until child ended warnings_of here program);

alarm 240;    # a test that hangs is a failure, and not a hanging build
my %children;

# A UDP socket on a port of its own.
sub server { return IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1', LocalPort => 0) || die "server: $!" }
sub client {
    my ($server) = @_;
    return IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => $server->sockport) || die "client: $!";
}

# Sends and gives the answer back; undef if none comes.
sub ask {
    my ($client, $data) = @_;
    defined send($client, $data, 0) or die "send: $!";
    IO::Select->new($client)->can_read(15) or return;
    defined recv($client, my $answer, 65536, 0) or return;
    return $answer;
}

# Runs Event::Lib's loop until the condition holds.
sub run_until {
    my ($condition) = @_;
    my $until = time + 20;
    while (!$condition->()) {
        return 0 if time > $until;
        Event::Lib::event_one_loop(0.05);
        select undef, undef, undef, 0.001;
    }
    return 1;
}

# A child that runs the code and ends with what it returns; without END blocks and destructors of the test.
sub child {
    my ($code) = @_;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        %children = ();
        alarm 60;    # not inherited
        my $code = eval { $code->() } // do { print STDERR "# child: $@"; 99 };
        POSIX::_exit($code);
    }
    $children{$pid} = 1;
    return $pid;
}

# How a child ended: its exit code.
sub ended {
    my ($pid) = @_;
    waitpid($pid, 0);
    delete $children{$pid};
    return $? >> 8 || $?;
}
my $own = $$;
END { if ($$ == $own) { local $?; for my $pid (keys %children) { kill KILL => $pid; waitpid $pid, 0 } } }

# What the code warned of.
sub warnings_of {
    my ($code) = @_;
    my @warned;
    local $SIG{__WARN__} = sub { push @warned, @_ };
    $code->();
    return @warned;
}

# "at FILE line N" of the line where it is called.
sub here { my (undef, $file, $line) = caller; return qr/ at \Q$file\E line $line\./ }

# Runs a program text in a perl of its own: its output, both streams, and exit code.
sub program {
    my ($text, %environment) = @_;
    local @ENV{keys %environment} = values %environment;
    pipe(my $out, my $in) or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDOUT, '>&', $in;
        open STDERR, '>&', $in;
        exec $^X, (map { "-I$_" } @INC), '-e', $text or POSIX::_exit(99);
    }
    close $in;
    my $output = do { local $/; <$out> } // '';
    waitpid $pid, 0;
    return ($output, $? >> 8);
}

1;

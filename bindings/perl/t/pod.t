# The documents' synopses, as pasted: each is taken from the POD, run, and served a client.
use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Helper;
use Event::Lib;
use File::Temp;
use IO::Socket::INET;

sub synopsis_of {
    my ($module) = @_;
    my ($path) = grep { -e } map { "$_/" . ($module =~ s{::}{/}gr) . '.pm' } grep { !ref } @INC;
    open my $file, '<', $path or die "$path: $!";
    my ($text) = join('', <$file>) =~ /^=head1 SYNOPSIS\n\n(.*?)^=head1 /ms or die "no synopsis in $path";
    return $text;
}

my @groups;
my $own = $$;
END { if ($$ == $own) { local $?; kill KILL => map { -$_ } @groups } }

# The program in a group of processes of its own; it reads what the handle has.
sub start {
    my ($text, $folder, $stdin) = @_;
    pipe(my $out, my $in) or die $!;
    my $pid = child(sub {
        setpgrp;
        $ENV{ELSEWHERE} = "$folder/port";
        open STDIN, '<&', $stdin or die $! if $stdin;
        open STDOUT, '>&', $in;
        open STDERR, '>&', $in;
        exec $^X, (map { "-I$_" } grep { !ref } @INC), '-MElsewhere', '-e', $text or return 99;
    });
    close $in;
    push @groups, $pid;
    return ($pid, $out);
}
sub client_of {
    my ($folder) = @_;
    run_until(sub { -e "$folder/port" }) or return;
    open my $file, '<', "$folder/port" or die $!;
    return IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => scalar <$file>) || die $!;
}

subtest 'Event::Lib::UDPPump' => sub {
    my $folder = File::Temp->newdir;
    my ($pid, $out) = start(synopsis_of('Event::Lib::UDPPump'), $folder);
    my $client = client_of($folder);
    is ask($client, $_), "hello, $_", "answered: $_" for 'world', 1 .. 10;
    kill KILL => -$pid;
    ended($pid);
    is do { local $/; <$out> }, '', 'and nothing was said; all its processes have ended';
};

subtest 'Event::Lib::UDPPump::Pool' => sub {
    my $folder = File::Temp->newdir;
    my ($pid, $out) = start(synopsis_of('Event::Lib::UDPPump::Pool'), $folder);
    my $client = client_of($folder);
    is ask($client, $_), "hello, $_", "answered: $_" for 'world', 1 .. 10;
    my $log = '';
    {
        local $SIG{ALRM} = sub { die "not all workers serve: $log" };
        alarm 60;
        while ($log !~ /10 workers serve/) { $log .= <$out> // last }    # some answer before all serve
        alarm 0;
    }
    kill TERM => $pid;
    is ended($pid), 0;
    $log .= do { local $/; <$out> };
    like $log, qr/10 workers serve 127\.0\.0\.1:/;
};

subtest 'Event::Lib' => sub {
    my $folder = File::Temp->newdir;
    pipe(my $read, my $write) or die $!;
    my ($pid, $out) = start(synopsis_of('Event::Lib'), $folder, $read);
    close $read;
    syswrite $write, 'something to read';
    close $write;
    is ended($pid), 0, 'it ends when there is nothing more to wait for';
    is do { local $/; <$out> }, "a second is over: argument\n";
};

done_testing;

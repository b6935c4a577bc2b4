# The programs in eg/: plain fork, and workers of udppump exec.
use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Helper;
use Event::Lib;
use IO::Select;
use IO::Socket::INET;

# A program as its own process, with what it writes to STDERR.
sub start {
    my (@command) = @_;
    pipe(my $out, my $in) or die $!;
    my $pid = child(sub {
        open STDERR, '>&', $in or die $!;
        exec @command or return 99;
    });
    close $in;
    return ($pid, $out);
}
my @perl = ($^X, map { "-I$_" } grep { !ref } @INC);

# One that the kernel has just chosen, and that is free again.
sub free_port { return server()->sockport }

# Asks until somebody answers; what was asked first may be lost while nobody is there.
sub first_answer {
    my ($client) = @_;
    my $answer;
    run_until(sub {
        $client->send('hello');
        IO::Select->new($client)->can_read(0.2) && defined $client->recv($answer, 100) && length $answer;
    });
    1 while IO::Select->new($client)->can_read(0.3) && defined $client->recv(my $more, 100);
    return $answer;
}
sub children_of {
    my ($parent) = @_;
    my @found;
    for my $process (glob '/proc/[0-9]*') {
        open my $file, '<', "$process/stat" or next;
        push @found, $1 if (<$file> // '') =~ /^(\d+) .*\) \S $parent /;
    }
    return @found;
}
sub id_of { my ($client, $body) = @_; return (ask($client, $body) // '') =~ /^(\d+): \Q$body\E$/ ? $1 : undef }

subtest 'plain fork' => sub {
    my $port = free_port();
    my ($pid, $out) = start(@perl, 'eg/prefork.pl', $port, 3);
    my $client = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => $port) or die $!;
    like first_answer($client), qr/^\d+: hello$/;
    ok id_of($client, $_), "answered: $_" for 1 .. 20;
    my @children = children_of($pid);
    is @children, 2, 'three processes';
    # Those that are left serve.
    kill KILL => $children[0];
    my %left = ($pid => 1, $children[1] => 1);
    my ($answered) = (first_answer($client) // '') =~ /^(\d+)/;
    ok $left{$answered // ''}, 'one of two';
    kill TERM => $pid;
    is ended($pid), 0, 'it ends';
    ok !kill(0 => $_), "$_ is gone" for $pid, @children;
};

subtest 'workers of udppump exec' => sub {
    my ($tool) = grep { -x } map { "$_/udppump" } split /:/, $ENV{PATH};
    plan skip_all => 'the tool udppump is not installed' unless $tool;
    my $port = free_port();
    my ($pid, $out) = start($tool, 'exec', '--bind', "127.0.0.1:$port", '--workers', 2, '--', @perl, 'eg/exec-worker.pl');
    my $client = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => $port) or die $!;
    my ($before) = (first_answer($client) // '') =~ /^(\d+): hello$/;
    ok $before && $before != $pid, 'a worker answers';
    kill KILL => $before;
    my $log = '';
    my $says = sub {
        my ($text) = @_;
        sysread $out, $log, 65536, length $log or return 0 while $log !~ $text;
        return 1;
    };
    ok $says->(qr/pid $before\) was killed .*another is started/), 'one that is killed is replaced';
    isnt id_of($client, 'again'), undef;
    kill HUP => $pid;
    my $asked = 0;
    until ($log =~ /reloaded 2 workers/ || $asked == 100_000) {
        id_of($client, ++$asked) or last;
        sysread $out, $log, 65536, length $log if IO::Select->new($out)->can_read(0);
    }
    like $log, qr/reloaded 2 workers/, "reloaded while $asked datagrams were answered";
    kill TERM => $pid;
    is ended($pid), 0, 'it ends';
    unlike $log, qr/did not stop within/;
};

done_testing;

# What the documents show, as pasted: each piece of program is taken from the POD, run, and served a client.
use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Helper;
use Event::Lib;
use File::Temp;
use IO::Socket::INET;

# All pieces of program of a module's POD: what is indented, until a paragraph that is not.
my %pieces;
sub pieces_of {
    my ($module) = @_;
    my ($path) = grep { -e } map { "$_/" . ($module =~ s{::}{/}gr) . '.pm' } grep { !ref } @INC;
    open my $file, '<', $path or die "$path: $!";
    my ($pod) = join('', <$file>) =~ /^__END__\n(.*)/ms or die "no POD in $path";
    return $pod =~ /^((?: {4}[^\n]*\n|\n(?= {4}))+)/mg;
}
$pieces{$_} = [pieces_of($_)] for qw(Event::Lib Event::Lib::UDPPump Event::Lib::UDPPump::Pool);

# The one piece that has these words; those that were not taken are told at the end.
sub piece {
    my ($module, $words) = @_;
    my @found = grep { /$words/ } @{$pieces{$module}};
    @found == 1 or die "$module shows $words " . @found . ' times';
    $pieces{$module} = [grep { $_ ne $found[0] } @{$pieces{$module}}];
    return $found[0];
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
    my ($pid, $out) = start(piece('Event::Lib::UDPPump', qr/use IO::Socket::INET/), $folder);
    my $client = client_of($folder);
    is ask($client, $_), "hello, $_", "answered: $_" for 'world', 1 .. 10;
    kill KILL => -$pid;
    ended($pid);
    is do { local $/; <$out> }, '', 'and nothing was said; all its processes have ended';
};

subtest 'Event::Lib::UDPPump::Pool' => sub {
    my $folder = File::Temp->newdir;
    my ($pid, $out) = start(piece('Event::Lib::UDPPump::Pool', qr/->serve/), $folder);
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
    my ($pid, $out) = start(piece('Event::Lib', qr/use Event::Lib/), $folder, $read);
    close $read;
    syswrite $write, 'something to read';
    close $write;
    is ended($pid), 0, 'it ends when there is nothing more to wait for';
    is do { local $/; <$out> }, "a second is over: argument\n";
};

subtest 'a body of a pool' => sub {
    my $folder = File::Temp->newdir;
    my $pool = "use Event::Lib::UDPPump; use Event::Lib::UDPPump::Pool;\n"
        . "my \$pool = Event::Lib::UDPPump::Pool->new(bind => '127.0.0.1:5000', workers => 2);\n";
    my ($pid, $out) = start($pool . piece('Event::Lib::UDPPump::Pool', qr/->run/), $folder);
    my $client = client_of($folder);
    is ask($client, $_), $_, "answered: $_" for 'world', 1 .. 10;
    kill TERM => $pid;
    is ended($pid), 0;
};

for my $loop (['EV', qr/EV::io/, 'EV::run();'], ['AnyEvent', qr/AnyEvent->io/, 'AnyEvent->condvar->recv;'],
    ['IO::Async', qr/IO::Async::Handle/, '$loop->run;', 'use IO::Async::Loop; use IO::Async::Handle; my $loop = IO::Async::Loop->new;']) {
    my ($module, $words, $run, $use) = @$loop;
    my $piece = piece('Event::Lib::UDPPump', $words);
    subtest "another loop: $module" => sub {
        $use //= "use $module;";
        plan skip_all => "$module is not installed" unless eval "$use 1";
        my $folder = File::Temp->newdir;
        my ($pid, $out) = start(<<"TEXT", $folder);
use strict; use warnings; use Event::Lib::UDPPump (); use IO::Socket::INET; $use
my \$socket = IO::Socket::INET->new(Proto => 'udp', LocalPort => 5000);
my \$pump; \$pump = Event::Lib::UDPPump::udppump_new(\$socket, sub { \$pump->reply(\$_[0]{buffer}) });
$piece
$run
TEXT
        my $client = client_of($folder) or return fail 'it does not start';
        is ask($client, $_), $_, "answered: $_" for 'world', 1 .. 10;
        kill KILL => -$pid;
        ended($pid);
        is do { local $/; <$out> }, '', 'and nothing was said';
    };
}

is_deeply [map { @$_ } values %pieces], [], 'each piece was run';

# Who answers everybody must not answer other servers.
my @modules = map { pieces_of($_) } qw(Event::Lib Event::Lib::UDPPump Event::Lib::UDPPump::Pool);
my @programs = map { local (@ARGV, $/) = $_; <> } glob 'eg/*.pl';
my @answering = grep { /->reply/ } @modules, @programs;
is @answering, 5, 'three pieces and two programs answer';
like $_, qr/ignore_from(?:\(| => )'loops'/, 'and none of them in a loop: ' . (split /\n/)[0] for @answering;

done_testing;

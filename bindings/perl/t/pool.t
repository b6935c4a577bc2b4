# Event::Lib::UDPPump::Pool, with real processes.
use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Helper;
use Event::Lib;
use Event::Lib::UDPPump;
use Event::Lib::UDPPump::Pool;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use File::Temp;
use POSIX ();
use Socket;
use Time::HiRes 'time';

# A pool in a process of its own, which is its parent. What it logs can be waited for.
{
    package Started;

    # start(OPTIONS, sub { my ($pool) = @_; ...; CODE }): by default on a free port.
    sub start {
        my ($options, $run) = @_;
        pipe(my $told, my $tell) or die $!;
        $tell->autoflush(1);
        my $pid = Helper::child(sub {
            close $told;
            my $pool = Event::Lib::UDPPump::Pool->new(bind => '127.0.0.1:0', workers => 2,
                log => sub { print {$tell} "$_[0]{name}: $_[0]{text}\n" }, @$options);
            my ($socket) = $pool->sockets;
            print {$tell} 'port: ' . ($socket->isa('IO::Socket::INET') ? $socket->sockport : 0) . "\n";
            return $run->($pool);
        });
        close $tell;
        my $self = bless {pid => $pid, told => $told, log => ''}, 'Started';
        Test::More::ok($self->says(qr/^serving: /m), 'it serves') or Test::More::diag($self->{log});
        return $self;
    }

    # Whether the log says this, or will soon.
    sub says {
        my ($self, $text, $times) = @_;
        my $until = time + 30;
        until ((() = $self->{log} =~ /$text/g) >= ($times // 1)) {
            return 0 if time > $until || !IO::Select->new($self->{told})->can_read(1);
            sysread $self->{told}, $self->{log}, 65536, length $self->{log} or return 0;
        }
        return 1;
    }
    # How often it says this up to now.
    sub count {
        my ($self, $text) = @_;
        sysread $self->{told}, $self->{log}, 65536, length $self->{log} if IO::Select->new($self->{told})->can_read(0);
        return scalar(() = $self->{log} =~ /$text/g);
    }
    sub port   { my ($self) = @_; $self->says(qr/^port: \d+\n/m); return $self->{log} =~ /^port: (\d+)$/m ? $1 : die $self->{log} }
    sub client { my ($self) = @_; return IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => $self->port) || die $! }
    sub signal { my ($self, $name) = @_; kill $name => $self->{pid}; return }
    sub stop   { my ($self) = @_; $self->signal('TERM'); return Helper::ended($self->{pid}) }
}
sub start { return Started::start(@_) }
sub echo { my ($pool) = @_; return sub { $pool->reply("$$ $_[0]{buffer}") } }
sub ids_of { my ($client, $count) = @_; my %ids; for (1 .. $count) { $ids{(split ' ', ask($client, 'who') // 'nobody')[0]}++ } return \%ids }

subtest 'workers serve, by another\'s death as well, and end when the parent is told to' => sub {
    my $pool = start([workers => 3], sub {
        my ($pool) = @_;
        is $pool->workers, 3;
        return $pool->serve(sub {
            my ($datagram, @args) = @_;
            $pool->reply(join ' ', $$, sort(keys %$datagram), @args, $datagram->{len});
        }, 'an', 'argument');
    });
    my $client = $pool->client;
    my ($killed, $rest) = ask($client, 'hello') =~ /^(\d+) (.*)/;
    is $rest, 'buffer errno from len an argument 5';
    isnt $killed, $pool->{pid}, 'the parent serves nothing';
    kill KILL => $killed;
    ok $pool->says(qr/^worker-died: .*pid $killed.*another is started/m), 'the log says who was killed';
    my ($other) = ask($client, 'again') =~ /^(\d+) /;
    isnt $other, $killed;
    my %all = map { ("$_" => 1) } $pool->{log} =~ /pid (\d+)/g;
    is $pool->stop, 0;
    ok !kill(0 => $_), "$_ is gone" for keys %all, $other;
};

subtest 'a reload under load loses nothing' => sub {
    my $pool = start([workers => 3], sub { $_[0]->serve(echo($_[0])) });
    my $client = $pool->client;
    my ($sent, $answered, $asked_for, %ids) = (0, 0, 0);
    my $until = time + 30;
    while ($pool->count(qr/^reloaded: /m) < 3 && time < $until) {
        $pool->signal('HUP'), $asked_for++ if $pool->count(qr/^reloaded: /m) == $asked_for;
        $sent++;
        (ask($client, $sent) // '') =~ /^(\d+) $sent$/ or last;
        $answered++, $ids{$1}++;
    }
    is $pool->count(qr/^reloaded: /m), 3, 'three reloads';
    is $answered, $sent, 'every one was answered';
    cmp_ok scalar(keys %ids), '>', 1, 'by several workers';
    is $pool->stop, 0;
};

subtest 'what a worker holds is finished before it ends' => sub {
    pipe(my $begun, my $begin) or die $!;
    my $pool = start([workers => 1], sub {
        my ($pool) = @_;
        timer_new(sub { })->add(1000);    # the loop is left although something is pending
        return $pool->serve(sub { syswrite $begin, 'x'; select undef, undef, undef, 0.2; $pool->reply('done') });
    });
    my $client = $pool->client;
    $client->send('work');
    sysread $begun, my $nothing, 1;
    is $pool->stop, 0;
    ok defined $client->recv(my $answer, 100, MSG_DONTWAIT);
    is $answer, 'done';
};

subtest 'a worker that does not stop is killed after stop_timeout' => sub {
    pipe(my $begun, my $begin) or die $!;
    my $pool = start([workers => 1, stop_timeout => 0.1], sub {
        my ($pool) = @_;
        return $pool->serve(sub { syswrite $begin, 'x'; sleep 1 while 1 });
    });
    $pool->client->send('work');
    sysread $begun, my $nothing, 1;
    is $pool->stop, 5;
};

subtest 'a callback that dies: the log has its words, and a handler takes them' => sub {
    my $pool = start([], sub {
        my ($pool) = @_;
        return $pool->serve(sub {
            event_register_except_handler(sub { $pool->reply("handled: $_[1]") }) if $_[0]{buffer} eq 'handle';
            die "oops, $$\n" if $_[0]{buffer} =~ /die|handle/;
            $pool->reply($$);
        });
    });
    my $client = $pool->client;
    $client->send('die');
    ok $pool->says(qr/^worker-died: .*status 1 .*last words: "oops, \d+"; another is started/m);
    like ask($client, 'who'), qr/^\d+$/, 'served on';
    like ask($client, 'handle'), qr/^handled: oops, \d+\n/, 'the exception handler of Event::Lib';
    is $pool->stop, 0;
};

subtest 'exit in a callback ends the worker with its code, without END blocks and with what it printed' => sub {
    my ($output, $code) = program(<<'TEXT');
use Event::Lib::UDPPump::Pool; use IO::Socket::INET;
$| = 0; print "once\n";
END { print "END ", $$ == $main::parent ? "of the parent" : "of a worker", "\n" }
$main::parent = $$;
my $exited = 0;
my $pool; $pool = Event::Lib::UDPPump::Pool->new(bind => '127.0.0.1:0', workers => 1, log => sub {
    my ($event) = @_;
    IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => ($pool->sockets)[0]->sockport)->send('exit')
        if $event->{name} eq 'serving';
    print "$1\n" if $event->{text} =~ /(exited with status \d)/;
    $pool->stop if $event->{name} eq 'worker-died';
});
exit $pool->serve(sub { print "in the worker\n"; exit 3 });
TEXT
    is $code, 0;
    is((() = $output =~ /^once$/mg), 1, 'buffers of the parent are not printed twice');
    like $output, qr/^in the worker$/m;
    like $output, qr/^exited with status 3$/m;
    is((() = $output =~ /^END/mg), 1);
    like $output, qr/^END of the parent$/m;
};

subtest 'workers that cannot serve end the pool' => sub {
    my ($output, $code) = program(<<'TEXT');
use Event::Lib::UDPPump::Pool;
exit Event::Lib::UDPPump::Pool->new(bind => '127.0.0.1:0', workers => 1, restart => {first_delay => 0.001, crash_limit => 2})
    ->run(sub { die "no database\n" });
TEXT
    is $code, 4;
    like $output, qr/last words: "no database"/;
    ($output, $code) = program(<<'TEXT');
use Event::Lib::UDPPump::Pool;
{ package Mute; use overload '""' => sub { die "never\n" } }
exit Event::Lib::UDPPump::Pool->new(bind => '127.0.0.1:0', workers => 1, restart => {first_delay => 0.001, crash_limit => 1})
    ->run(sub { die bless {}, 'Mute' });
TEXT
    is $code, 4;
    like $output, qr/last words: "Mute"/, 'an exception that cannot be a string';
};

subtest 'redeliver: what a killed worker held is given to another' => sub {
    my $folder = File::Temp->newdir;
    my $pool = start([redeliver => {most => 1, poison_file => "$folder/poison"}], sub {
        my ($pool) = @_;
        return $pool->serve(sub {
            kill KILL => $$ if $_[0]{buffer} eq 'poison' || mkdir "$folder/first";
            $pool->reply($_[0]{buffer});
        });
    });
    is ask($pool->client, 'precious'), 'precious', 'answered, although its first worker was killed';
    $pool->client->send('poison');
    ok $pool->says(qr/^[\w-]*poison[\w-]*: /m), 'who kills all is dropped';
    is $pool->stop, 0;
    open my $file, '<', "$folder/poison" or die $!;
    my $poison = unpack 'H*', 'poison';
    like join('', <$file>), qr/$poison/, 'and saved';
};

subtest 'sockets by handle, by address, and both' => sub {
    my $folder = File::Temp->newdir;
    my $mine = server();
    socketpair(my $left, my $right, AF_UNIX, SOCK_DGRAM, 0) or die $!;
    my $pool = start([socket => [$mine, $left], bind => ['127.0.0.1:0', "unix:$folder/socket"]], sub {
        my ($pool) = @_;
        my @sockets = $pool->sockets;
        is scalar(@sockets), 4;
        is $sockets[0], $mine, 'the very same handle';
        is $sockets[1], $left;
        isa_ok $sockets[2], 'IO::Socket::INET';
        isa_ok $sockets[3], 'IO::Socket::UNIX';
        return Test::More->builder->is_passing ? $pool->serve(sub { $pool->reply("re: $_[0]{buffer}") }) : 1;
    });
    is ask(client($mine), 'mine'), 're: mine';
    is ask($right, 'pair'), 're: pair';
    my $unix = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "$folder/client", Peer => "$folder/socket") or die $!;
    is ask($unix, 'unix'), 're: unix';
    is $pool->stop, 0;
    is received_by($mine), 'late', 'and the handle is the program\'s own when the pool has ended';
};

sub received_by {
    my ($mine) = @_;
    client($mine)->send('late');
    IO::Select->new($mine)->can_read(15) or return;
    recv $mine, my $body, 100, 0;
    return $body;
}

subtest 'perl\'s own state in a worker is that of a process of its own' => sub {
    my $first = rand;    # seeds it
    my $pool = start([workers => 3], sub {
        my ($pool) = @_;
        timer_new(sub { })->add(1000);    # the loop is there before the workers are
        return $pool->run(sub {
            my ($worker) = @_;
            my $drawn = rand;
            my $pid = readlink '/proc/self';
            my ($pump, $parent) = (undef, getppid);
            $pump = udppump_new(($worker->sockets)[0], sub {
                $pump->reply(join ' ', $worker->number, $$ == $pid ? 'same' : 'other', $drawn, $parent, scalar `echo child; exit 3`, $? >> 8);
                sleep 1 while $_[0]{buffer} eq 'sleep';
            });
            $pump->add;
            event_mainloop();
        });
    });
    my $client = $pool->client;
    my (%drawn, %numbers);
    for (1 .. 3) {
        my ($number, $same, $drawn, $parent, $printed, $code) = split ' ', ask($client, 'sleep');
        is_deeply [$same, $parent, $printed, $code], ['same', $pool->{pid}, 'child', 3], '$$, getppid, and children of its own';
        $drawn{$drawn}++, $numbers{$number}++;
    }
    is_deeply [sort keys %numbers], [0, 1, 2], 'numbers';
    is keys %drawn, 3, 'each draws other numbers';
    $pool->signal('TERM');
    ok $pool->says(qr/^stopping: /m);
    $pool->signal('TERM');
    is Helper::ended($pool->{pid}), 5, 'a second SIGTERM does not wait for those that sleep';
};

subtest 'a body with more than pumps: on_stop lets its loop end' => sub {
    my $pool = start([workers => 1], sub {
        my ($pool) = @_;
        return $pool->run(sub {
            my ($worker) = @_;
            is $worker->pool, $pool;
            my $timer = timer_new(sub { })->add(1000);
            my $last = 0;
            $worker->on_stop(sub { $last = $worker->stopping; $timer->remove });
            udppump_new(($worker->sockets)[0], sub { $pool->reply('x') })->add;
            event_mainloop();
            die 'not as it should be' if !$last;
            exit 0;
        });
    });
    is ask($pool->client, 'x'), 'x';
    is $pool->stop, 0;
    ok $pool->says(qr/exited with status 0/), 'it ended by itself';
};

subtest 'a worker\'s pumps can be stopped and removed, one by one' => sub {
    my ($first, $second) = (server(), server());
    my $pool = start([workers => 1, socket => [$first, $second]], sub {
        my ($pool) = @_;
        return $pool->run(sub {
            my ($worker) = @_;
            my @sockets = $worker->sockets;
            my @pumps;
            for my $at (0, 1) {
                $pumps[$at] = udppump_new($sockets[$at], sub {
                    my $asked = $_[0]{buffer};
                    $pumps[$at]->$asked if $asked =~ /^(stop|remove)$/;
                    $pool->reply(join ' ', map { $_->pending ? 'pending' : 'off' } @pumps);
                });
                $pumps[$at]->add;
            }
            my $waits;
            $waits = timer_new(sub { $worker->stopping ? exit 0 : $waits->add(0.01) });
            $waits->add(0.01);
            event_mainloop();
        });
    });
    my ($one, $other) = (client($first), client($second));
    is ask($one, 'who'), 'pending pending';
    is ask($one, 'stop'), 'pending pending', 'within the callback it is still there';
    ok run_until(sub { (ask($other, 'who') // '') eq 'off pending' }), 'the other one serves on';
    is ask($other, 'remove'), 'off off';
    is $pool->stop, 0, 'the worker looks at stopping';
};

subtest 'without pumps of the pool: ready and stopping' => sub {
    my $pool = start([workers => 1], sub {
        my ($pool) = @_;
        return $pool->run(sub {
            my ($worker) = @_;
            my ($socket) = $worker->sockets;
            $worker->ready;
            until ($worker->stopping) {
                IO::Select->new($socket)->can_read(0.02) or next;
                my $from = recv $socket, my $body, 1000, MSG_DONTWAIT;
                send $socket, "plain $body", 0, $from if defined $from;
            }
        });
    });
    is ask($pool->client, 'x'), 'plain x';
    is $pool->stop, 0;
};

subtest 'on another loop: EV' => sub {
    plan skip_all => 'libev-perl is not installed' unless eval { require EV };
    my $pool = start([workers => 2], sub {
        my ($pool) = @_;
        return $pool->run(sub {
            my ($worker) = @_;
            my $pump = udppump_new(($worker->sockets)[0], sub { $pool->reply("$$ by EV") });
            my $watcher = EV::io($pump->wake_fd, EV::READ(), sub { $pump->dispatch });
            $worker->on_stop(sub { EV::break() });
            EV::run();
        });
    });
    my $client = $pool->client;
    like ask($client, 'x'), qr/^\d+ by EV$/;
    $pool->signal('HUP');
    ok $pool->says(qr/^reloaded: /m);
    like ask($client, 'x'), qr/^\d+ by EV$/;
    is $pool->stop, 0;
};

subtest 'workers may ask for a reload and for the end' => sub {
    my $pool = start([], sub {
        my ($pool) = @_;
        return $pool->serve(sub {
            my $asked = $_[0]{buffer};
            $pool->reply($$);
            $pool->$asked if $asked ne 'who';
        });
    });
    my $client = $pool->client;
    ask($client, 'reload');
    ok $pool->says(qr/^reloaded: /m);
    ok ask($client, 'stop');
    is Helper::ended($pool->{pid}), 0;
};

subtest 'a child that a callback forks has no pump of the pool' => sub {
    my $folder = File::Temp->newdir;
    my $pool = start([workers => 1], sub {
        my ($pool) = @_;
        return $pool->run(sub {
            my ($worker) = @_;
            my $pump;
            $pump = udppump_new(($worker->sockets)[0], sub {
                $pool->reply($$);
                return if $_[0]{buffer} ne 'fork' || fork;
                alarm 60;
                ();
            });
            $pump->add;
            my $worker_id = $$;
            event_mainloop();
            return if $$ == $worker_id;
            mkdir "$folder/" . ($pump->pending ? 'pending' : eval { $worker->number; 1 } ? 'worker'
                : $pump->dispatch ? 'child' : 'not to be used');
        });
    });
    my $client = $pool->client;
    my $id = ask($client, 'fork');
    run_until(sub { glob "$folder/*" });
    is_deeply [glob "$folder/*"], ["$folder/child"], 'its loop has ended, and it is no worker';
    is ask($client, 'x'), $id, 'the worker serves on' for 1 .. 3;
    is $pool->stop, 0;
};

subtest 'log: what it gets; it may die, and exit' => sub {
    my ($output, $code) = program(<<'TEXT');
use Event::Lib::UDPPump::Pool;
$SIG{__WARN__} = sub { print STDERR @_; die };
exit Event::Lib::UDPPump::Pool->new(bind => '127.0.0.1:0', workers => 1, log => sub {
    my ($event) = @_;
    print join(' ', map { "$_=" . ref \$event->{$_} } sort keys %$event), " $event->{severity} ", ref $event->{fields}, "\n";
    die "not written\n" if $event->{name} eq 'stopping';
    exit 9 if $event->{name} eq 'stopped';
})->run(sub { $_[0]->ready; $_[0]->pool->stop; select undef, undef, undef, 0.01 until $_[0]->stopping });
TEXT
    like $output, qr/^fields=REF name=SCALAR severity=SCALAR text=SCALAR [3-6] HASH$/m;
    like $output, qr/log's callback died: not written/;
    is $code, 9, 'carried out once the pool has ended';
};

subtest 'privileges' => sub {
    if ($> != 0) {
        eval { Event::Lib::UDPPump::Pool->new(bind => '127.0.0.1:0', user => 'root') }; my $here = here();
        like $@, qr/requires root/;
        like $@, $here;
        return;
    }
    my $pool = start([user => 'nobody', no_new_privileges => 1], sub { my ($pool) = @_; $pool->serve(sub { $pool->reply("$> $)") }) });
    my ($user, $group, @groups) = split ' ', ask($pool->client, 'who');
    is $user, scalar getpwnam('nobody');
    is $group, (getpwnam('nobody'))[3];
    ok !(grep { $_ == 0 } @groups), 'none of root\'s groups';
    is $pool->stop, 0;
};

# A program in a file, with its port in another.
sub write_file { my ($path, $text) = @_; open my $file, '>', "$path.new" or die $!; print {$file} $text; close $file; rename "$path.new", $path; return }
my $program = <<'TEXT';
use Event::Lib::UDPPump::Pool;
my ($folder, @options) = @ARGV;
my $pool = Event::Lib::UDPPump::Pool->new(bind => '127.0.0.1:PORT', workers => 2, @options);
if (open my $file, '>', "$folder/port.$$") { print {$file} ($pool->sockets)[0]->sockport; close $file; rename "$folder/port.$$", "$folder/port" }
exit $pool->serve(sub { $pool->reply("VERSION " . getppid) });
TEXT
sub run_program {
    my ($folder, @options) = @_;
    my $pid = child(sub { open STDERR, '>>', "$folder/log"; exec $^X, (map { "-I$_" } grep { !ref } @INC), "$folder/program", $folder, @options or return 99 });
    ok run_until(sub { -e "$folder/port" });
    open my $file, '<', "$folder/port" or die $!;
    chomp(my $port = <$file>);
    return ($pid, IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => $port));
}

subtest 'reexecute: a reload has the program\'s new text' => sub {
    my $folder = File::Temp->newdir;
    write_file("$folder/program", $program =~ s/PORT/0/r =~ s/VERSION/old/r);
    my ($pid, $client) = run_program($folder, reexecute => 1, reload_on_change => "$folder/program");
    like ask($client, 'x'), qr/^old \d+$/;
    write_file("$folder/program", $program =~ s/PORT/0/r =~ s/VERSION/new/r);
    my $answer = '';
    ok run_until(sub { ($answer = ask($client, 'x') // '') =~ /^new / }), 'a file that changes starts a reload';
    kill TERM => $pid;
    is ended($pid), 0;
};

subtest 'take_over: a second start takes the sockets over' => sub {
    my $folder = File::Temp->newdir;
    write_file("$folder/program", $program =~ s/PORT/0/r =~ s/VERSION/first/r);
    my ($first, $client) = run_program($folder, take_over => "$folder/socket");
    like ask($client, 'x'), qr/^first \d+$/;
    write_file("$folder/program", $program =~ s/PORT/0/r =~ s/VERSION/second/r);
    my ($second) = run_program($folder, take_over => "$folder/socket");
    is ended($first), 0, 'the first one has ended';
    like ask($client, 'x'), qr/^second \d+$/, 'the second one has its port';
    ok -S "$folder/socket";
    kill TERM => $second;
    is ended($second), 0;
};

subtest 'SIGUSR2: the program anew takes the sockets over' => sub {
    my $folder = File::Temp->newdir;
    write_file("$folder/program", $program =~ s/PORT/0/r =~ s/VERSION/first/r);
    my ($first, $client) = run_program($folder);
    is ask($client, 'x'), "first $first";
    write_file("$folder/program", $program =~ s/PORT/0/r =~ s/VERSION/second/r);
    kill USR2 => $first;
    is ended($first), 0, 'the first one has ended';
    like my $answer = ask($client, 'x'), qr/^second \d+$/, 'the second one has its port';
    my ($second) = $answer =~ /(\d+)$/;
    kill TERM => $second;
    ok run_until(sub { !kill 0 => $second }), 'and ends';
};

subtest 'what is logged while a pool is made is told as well' => sub {
    my @told;
    my $pool = Event::Lib::UDPPump::Pool->new(bind => '127.0.0.1:0', receive_buffer => 2e9, log => sub { push @told, $_[0]{name} });
    is_deeply \@told, ['receive-buffer'];
    my ($output, $code) = program('use Event::Lib::UDPPump::Pool;'
        . q(Event::Lib::UDPPump::Pool->new(bind => '127.0.0.1:0', receive_buffer => 2e9, log => sub { exit 9 }); exit 8));
    is $code, 9, 'and its callback may exit';
};

subtest 'pid_file' => sub {
    my $folder = File::Temp->newdir;
    my $pool = start([pid_file => "$folder/pid"], sub { $_[0]->serve(echo($_[0])) });
    ok run_until(sub { -s "$folder/pid" });
    open my $file, '<', "$folder/pid" or die $!;
    is <$file>, "$pool->{pid}\n";
    is eval { Event::Lib::UDPPump::Pool->new(bind => '127.0.0.1:0', pid_file => "$folder/pid"); 1 }, undef, 'a second pool is refused';
    like $@, qr{^new: .*\Q$folder/pid\E};
    is $pool->stop, 0;
    ok !-e "$folder/pid", 'it is removed in the end';
};

subtest 'a pool that is freed in a child of a fork takes nothing down' => sub {
    my $folder = File::Temp->newdir;
    my $pool = Event::Lib::UDPPump::Pool->new(bind => '127.0.0.1:0', take_over => "$folder/socket");
    is ended(child(sub { undef $pool; 7 })), 7;
    ok -S "$folder/socket", 'its path is there';
    undef $pool;
    ok !-e "$folder/socket", 'until its own process frees it';
};

subtest 'limits of the workers' => sub {
    my $started = start([workers => 1, limits => {nofile => [50, 60], core => 0}], sub {
        my ($pool) = @_;
        $pool->serve(sub { open my $limits, '<', '/proc/self/limits' or die $!; $pool->reply(join '', <$limits>) });
    });
    my $limits = ask($started->client, 'limits');
    like $limits, qr/^Max open files +50 +60 /m;
    like $limits, qr/^Max core file size +0 +0 /m;
    is $started->stop, 0;
};

subtest 'quarantine: whose datagrams kill workers is not served any more' => sub {
    my $started = start([workers => 1, redeliver => {most => 0}, quarantine => {deaths => 2, time => 600}, restart => {first_delay => 0, healthy_after => 0}],
        sub { my ($pool) = @_; $pool->serve(sub { POSIX::_exit(3) if $_[0]{buffer} eq 'die'; $pool->reply('alive') }) });
    my $eve = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.2', PeerAddr => '127.0.0.1', PeerPort => $started->port) or die $!;
    for my $deaths (1, 2) {
        $eve->send('die');
        ok $started->says(qr/^worker-died: /m, $deaths);
    }
    $eve->send('hello');
    is ask($started->client, 'hello'), 'alive', 'others are served';
    ok !IO::Select->new($eve)->can_read(0), 'that one is not';
    is $started->stop, 0;
};

subtest 'max_age: a pool drops what has waited too long' => sub {
    my $started = start([workers => 1, max_age => 0.2], sub {
        my ($pool) = @_;
        $pool->serve(sub {
            select undef, undef, undef, 0.5 if $_[0]{buffer} eq 'slow';
            $pool->reply("answer to $_[0]{buffer}");
        });
    });
    my $client = $started->client;
    my $next;
    for my $try (1 .. 20) {    # the kernel begins to note when datagrams come, a little later
        $client->send('slow');
        $client->send('old');
        $client->recv(my $first, 100);
        is $first, 'answer to slow';
        $next = ask($client, 'new');
        last if $next eq 'answer to new';
        $client->recv(my $late, 100);
    }
    is $next, 'answer to new', 'what came in between is not answered';
    is $started->stop, 0;
};

subtest 'client_limit: all workers hold a client to it together' => sub {
    my @both = (client_limit => {rate => 0.01, burst => 3}, client_share => 1);
    my $started = start([workers => 2, @both], sub { my ($pool) = @_; $pool->serve(echo($pool)) });
    my $client = $started->client;
    like ask($client, $_), qr/ $_$/ for 1 .. 3;
    $client->send('too many');
    ok !IO::Select->new($client)->can_read(0.2), 'the fourth is not answered';
    is $started->stop, 0;
};

subtest 'ignore_from: a pool does not answer another server' => sub {
    my $started = start([workers => 1, ignore_from => 'loops'], sub { my ($pool) = @_; $pool->serve(echo($pool)) });
    my $port = $started->port;
    my $server = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.2', LocalPort => $port, PeerAddr => '127.0.0.1',
        PeerPort => $port) or die $!;
    $server->send('loop');
    like ask($started->client, 'hello'), qr/ hello$/, 'a client is answered';
    ok !IO::Select->new($server)->can_read(0), 'and what came before it from the port of the service is not';
    is $started->stop, 0;
};

subtest 'bad arguments croak at the caller\'s line' => sub {
    my $closed = server();
    close $closed;
    my $tcp = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die $!;
    my $new = sub { Event::Lib::UDPPump::Pool->new(@_) };
    my @bind = (bind => '127.0.0.1:0');
    my $pool = $new->(@bind);
    for my $case ([sub { $new->() }, qr/^new: nothing to listen on: give an address/],
        [sub { $new->('bind') }, qr/^new: options are pairs/],
        [sub { $new->(colour => 'red') }, qr/^new: there is no option "colour"; there are: bind, client_limit, /],
        [sub { $new->(bind => undef) }, qr/^new: bind is a string of bytes, or a reference to an array/],
        [sub { $new->(bind => "\x{263a}:5000") }, qr/^new: bind is a string of bytes/],
        [sub { $new->(@bind, pid_file => "/tmp/\x{263a}") }, qr/^new: pid_file is a string of bytes/],
        [sub { $new->(@bind, ignore_from => 'loop') }, qr/^new: ignore_from: "loop" is no port/],
        [sub { $new->(@bind, ignore_from => [53, undef]) }, qr/^new: ignore_from is a string/],
        [sub { $new->(bind => 'nowhere at all:x') }, qr/^new: /],
        [sub { $new->(socket => 'STDIN') }, qr/^new: socket is an open socket/],
        [sub { $new->(socket => $closed) }, qr/^new: socket is an open socket/],
        [sub { $new->(socket => [undef]) }, qr/^new: socket is an open socket/],
        [sub { $new->(socket => $tcp) }, qr/^new: .*stream socket; give a datagram socket/],
        [sub { $new->(socket => \*STDERR) }, qr/^new: .*is no open socket/],
        [sub { $new->(socket => server(), take_over => '/x') }, qr/^new: adopt and take_over exclude each other/],
        [sub { $new->(@bind, max_age => -1) }, qr/^new: max_age is a number of seconds below 1e9/],
        [sub { $new->(@bind, max_age => 'soon') }, qr/^new: max_age is a number of seconds below 1e9/],
        [sub { $new->(@bind, client_limit => 10) }, qr/^new: client_limit is a reference to a hash/],
        [sub { $new->(@bind, client_limit => {rate => 'x'}) }, qr/^new: rate is a number from 0 to 1e9/],
        [sub { $new->(@bind, client_limit => {rate => 0}) }, qr/^new: client_limit: rate is 0/],
        [sub { $new->(@bind, client_share => {ipv4_prefix => 40}) }, qr/^new: client_share: .*give 1 to 32/],
        [sub { $new->(@bind, workers => -1) }, qr/^new: workers is a whole number from 0/],
        [sub { $new->(@bind, workers => 'many') }, qr/^new: workers is a whole number from 0/],
        [sub { $new->(@bind, workers => 1e6) }, qr/^new: workers: 1000000 is too many/],
        [sub { $new->(@bind, stop_timeout => -1) }, qr/^new: stop_timeout is a number of seconds from 0/],
        [sub { $new->(@bind, restart => 1) }, qr/^new: restart is a reference to a hash/],
        [sub { $new->(@bind, restart => {delay => 1}) }, qr/^new: there is no option "delay"; there are: crash_limit, /],
        [sub { $new->(@bind, redeliver => {most => 'x'}) }, qr/^new: most is a whole number from 0/],
        [sub { $new->(@bind, quarantine => {deaths => -1}) }, qr/^new: deaths is a whole number from 0/],
        [sub { $new->(@bind, quarantine => 1) }, qr/^new: quarantine/],
        [sub { $new->(@bind, limits => 5) }, qr/^new: limits is a reference to a hash/],
        [sub { $new->(@bind, limits => {files => 5}) }, qr/^new: limits: there is no resource "files"; there are: as, core, /],
        [sub { $new->(@bind, limits => {nofile => -1}) }, qr/^new: limits: nofile is a whole number/],
        [sub { $new->(@bind, limits => {nofile => [1]}) }, qr/^new: limits: nofile is a whole number/],
        [sub { $new->(@bind, log => 'file') }, qr/^new: log is a code reference/],
        [sub { $new->(@bind, waiter => 'patience') }, qr/^new: waiter: "patience" is none of auto, epoll, uring, thread, poll/],
        [sub { $new->(@bind, nice => 99) }, qr/^new: nice: 99 is not between/],
        [sub { $pool->serve('name') }, qr/^serve: the first argument is no code reference/],
        [sub { $pool->run }, qr/^run: the argument is no code reference/],
        [sub { $pool->reply('x') }, qr/^reply: there is no datagram/],
        [sub { my $error; timer_new(sub { eval { $pool->run(sub { }) }; $error = $@ })->add(0.0); event_mainloop(); die $error },
            qr/^run: event_mainloop\(\) runs/],
        [sub { (bless {pool => $pool}, 'Event::Lib::UDPPump::Pool::Worker')->number }, qr/^number: this process is no worker/]) {
        my ($code, $text) = @$case;
        eval { $code->() };
        like $@, $text;
        like $@, qr/ at \Q${\__FILE__}\E line \d+\.$/;
    }
    cmp_ok $pool->workers, '>=', 1, 'the default is one for each core';
};

done_testing;

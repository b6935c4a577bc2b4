# A pump on other event loops: wake_fd() and dispatch().
use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Helper;
use Event::Lib::UDPPump ();

# serve(NAME, WATCH): WATCH gets the pump and a loop's end as a code reference, and returns what runs the loop.
sub serve {
    my ($run) = @_;
    my $server = server();
    my $client = client($server);
    my ($pump, @got);
    my $stop;
    $pump = Event::Lib::UDPPump::udppump_new($server, sub {
        push @got, $_[0]{buffer};
        $pump->reply("re: $_[0]{buffer}");
        $stop->() if @got == 3;
    });
    $client->send($_) for 1 .. 3;
    $run->($pump, \$stop);
    is_deeply \@got, [1 .. 3];
    my $answer;
    ok defined $client->recv($answer, 100);
    is $answer, 're: 1';
    ok !$pump->pending, 'it is not on the loop of Event::Lib';
}

subtest EV => sub {
    plan skip_all => 'libev-perl is not installed' unless eval { require EV };
    serve(sub {
        my ($pump, $stop) = @_;
        $$stop = sub { EV::break() };
        my $watcher = EV::io($pump->wake_fd, EV::READ(), sub { $pump->dispatch });
        my $limit = EV::timer(30, 0, sub { fail 'too late'; EV::break() });
        EV::run();
    });
};

subtest AnyEvent => sub {
    plan skip_all => 'libanyevent-perl is not installed' unless eval { require AnyEvent };
    serve(sub {
        my ($pump, $stop) = @_;
        my $done = AnyEvent->condvar;
        $$stop = sub { $done->send };
        my $watcher = AnyEvent->io(fh => $pump->wake_fd, poll => 'r', cb => sub { $pump->dispatch });
        my $limit = AnyEvent->timer(after => 30, cb => sub { fail 'too late'; $done->send });
        $done->recv;
    });
};

subtest 'IO::Async' => sub {
    plan skip_all => 'libio-async-perl is not installed' unless eval { require IO::Async::Loop; require IO::Async::Handle };
    serve(sub {
        my ($pump, $stop) = @_;
        my $loop = IO::Async::Loop->new;
        $$stop = sub { $loop->stop };
        open my $wake, '<&', $pump->wake_fd or die $!;
        $loop->add(IO::Async::Handle->new(read_handle => $wake, on_read_ready => sub { $pump->dispatch }));
        $loop->watch_time(after => 30, code => sub { fail 'too late'; $loop->stop });
        $loop->run;
    });
};

subtest 'dispatch dies as the callback did, and goes on then; exceptions and forks' => sub {
    my $server = server();
    my $client = client($server);
    my @got;
    my $pump = Event::Lib::UDPPump::udppump_new($server, sub { push @got, $_[0]{buffer}; die "oops\n" if @got == 1 });
    my $fd = $pump->wake_fd;
    ok $pump->dispatch, 'nothing there';
    $client->send($_) for 1, 2;
    my $look = sub { vec(my $bits = '', $fd, 1) = 1; select $bits, undef, undef, 15 };
    ok $look->(), 'wake_fd is readable';
    is eval { $pump->dispatch; 1 }, undef;
    is $@, "oops\n";
    ok $look->(), 'and still is';
    ok $pump->dispatch;
    is_deeply \@got, [1, 2];
    my $stopped = Event::Lib::UDPPump::udppump_new(server(), sub { });
    ok $stopped->dispatch;
    $stopped->stop;
    ok !$stopped->dispatch, 'false when it was stopped';
    is 0 + $!, 0;
    is ended(child(sub {
        $fd = $pump->wake_fd;    # another one, in a child
        @got = (0);
        client($server)->send('child');
        $look->() or return 1;
        $pump->dispatch until @got == 2;
        $got[1] eq 'child' ? 7 : 2;
    })), 7, 'a child of a fork asks for wake_fd again';
};

done_testing;

use Test2::V0;

use IO::Async::Loop;
use POSIX ();

use PAGI::Server::Signals;

# A server that takes its time, or not, to stop
package Slow {

    sub new {
        my ($class, $loop, $seconds) = @_;

        return bless { loop => $loop, seconds => $seconds, asked => 0, stopped => 0 }, $class;
    }

    sub shutdown {
        my ($self) = @_;

        $self->{asked}++;
        my $done = sub { $self->{stopped} = 1; $self->{signals}->remove };
        return $self->{loop}->new_future->done->on_done($done) unless $self->{seconds};
        return $self->{loop}->delay_future(after => $self->{seconds})->on_done($done);
    }
}

my @log;
my $test_pid = $$;

END { POSIX::_exit($?) if $$ != $test_pid }    # leave the test's own END to the test

sub watched {
    my ($loop, $seconds) = @_;

    my $server  = Slow->new($loop, $seconds);
    my %args    = (loop => $loop, server => $server, log => sub { push @log, [@_] });
    my $signals = $server->{signals} = PAGI::Server::Signals->new(%args);
    ref_is $signals->install, $signals, 'installed';
    return $server;
}

sub run_for {
    my ($loop, $seconds) = @_;

    my $timer  = $loop->watch_time(after => $seconds, code => sub { $loop->stop('too late') });
    my $result = $loop->run;
    $loop->unwatch_time($timer);
    return $result;
}

sub turn {
    my ($loop) = @_;

    $loop->loop_once(0.01) for 1 .. 5;
}

for my $type (qw(Select Poll Epoll Glib Mojo)) {
    my $class = "IO::Async::Loop::$type";
    eval "require $class; 1" or next;
    subtest "loop $type" => sub { behaves($class->new) };
}

sub behaves {
    my ($loop) = @_;

    for my $signal (qw(TERM INT)) {
        my $server = watched($loop, 0.05);
        $server->{signals}->ready;
        kill $signal => $$;
        is run_for($loop, 5), undef, "$signal stops the loop";
        is $server->{asked}, 1, 'the server was asked once';
        is $server->{stopped}, 1, 'and has stopped before';
        is $server->{signals}->is_stopping, 1, 'is_stopping';
        ok !ref $SIG{$signal}, 'no handler is left';
    }

    subtest 'before the server is ready' => sub {
        my $server = watched($loop, 0);
        is $server->{signals}->is_stopping, 0, 'nothing has come';
        kill TERM => $$;
        turn($loop);
        is $server->{signals}->is_stopping, 1, 'remembered';
        is $server->{asked}, 0, 'but not obeyed';
        $server->{signals}->ready;
        is $server->{asked}, 0, 'nor at once, while nobody runs the loop';
        is run_for($loop, 5), undef, 'but as soon as the loop runs';
        is $server->{stopped}, 1, 'stopped';
    };

    subtest 'a further TERM' => sub {
        my $server = watched($loop, 0.1);
        $server->{signals}->ready;
        $loop->watch_time(after => $_ / 50, code => sub { kill TERM => $$ }) for 0 .. 3;
        is run_for($loop, 5), undef, 'changes nothing';
        is $server->{asked}, 1, 'asked once';
        is $server->{stopped}, 1, 'stopped in peace';
    };

    subtest 'several servers' => sub {
        my @servers = map { watched($loop, $_ / 50) } 0 .. 2;
        $_->{signals}->ready for @servers;
        kill TERM => $$;
        is run_for($loop, 5), undef, 'the loop stops';
        is [map { $_->{stopped} } @servers], [1, 1, 1], 'when all have stopped';
    };

    subtest 'one of them stops by itself' => sub {
        my ($first, $second) = map { watched($loop, 0) } 1 .. 2;
        $_->{signals}->ready for $first, $second;
        $first->shutdown;
        kill TERM => $$;
        run_for($loop, 5);
        is [$first->{asked}, $second->{asked}], [1, 1], 'the other one still hears';
    };

    subtest 'one of them fails to start' => sub {
        my ($first, $second) = map { watched($loop, 0) } 1 .. 2;
        kill TERM => $$;
        turn($loop);
        $first->{signals}->remove;
        $second->{signals}->ready;
        is run_for($loop, 5), undef, 'the other one stops the loop';
        is [$first->{asked}, $second->{asked}], [0, 1], 'and was asked alone';
    };

    subtest 'signals for workers' => sub {
        @log = ();
        my $server = watched($loop, 0);
        for my $signal (qw(HUP USR2 TTIN TTOU)) {
            kill $signal => $$;
            turn($loop);
        }
        is \@log,
            [
            [warn => 'Received HUP signal (graceful restart only works in multi-worker mode)'],
            [warn => 'Received USR2 signal (hot restart only works in multi-worker mode)'],
            [warn => 'Received TTIN signal (adding workers only works in multi-worker mode)'],
            [warn => 'Received TTOU signal (removing workers only works in multi-worker mode)'],
            ],
            'are answered with a warning';
        is $server->{asked}, 0, 'and nothing else';
        $server->{signals}->remove;
    };

    subtest 'the object goes' => sub {
        my $foreign = 0;
        my $id      = $loop->attach_signal(HUP => sub { $foreign++ });
        my $server  = watched($loop, 0);
        undef $server;
        ok !ref $SIG{TERM}, 'so does its watch';
        kill HUP => $$;
        turn($loop);
        is $foreign, 1, 'others stay';
        $loop->detach_signal(HUP => $id);
    };

    subtest 'a shutdown that fails' => sub {
        @log = ();
        my $server = watched($loop, 0);
        my $mock   = mock Slow => (override => [shutdown => sub { Future->fail('stuck') }]);
        $server->{signals}->ready;
        kill TERM => $$;
        is run_for($loop, 5), undef, 'the loop stops all the same';
        is \@log, [[error => 'Shutdown error: stuck']], 'and the reason is logged';

        @log = ();
        $server->{signals}->remove->install->ready->stop('TERM', 'max_requests shutdown error');
        is run_for($loop, 5), undef, 'also when it is nobody\'s signal';
        is \@log, [[error => 'max_requests shutdown error: stuck']],
            'in words of the one who asked';
    };

    subtest 'a further INT' => sub {
        is impatient($loop, 'TERM'), 130, 'exits, after TERM';
        is impatient($loop, 'INT'), 130, 'or INT';
        is impatient($loop, 'TERM', 'INT'), 1,
            'but not one that comes with the first, as from a terminal';
    };
    return;
}

# In a process of its own, with an exit that no END block of the test sees
sub impatient {
    my ($loop, @first) = @_;

    my $pid = fork // die "Cannot fork: $!";
    $pid or impatient_child(ref($loop)->new, @first);
    waitpid $pid, 0;
    return $? >> 8;
}

sub impatient_child {
    my ($loop, @first) = @_;

    my $server  = Slow->new($loop, 60);
    my $signals = PAGI::Server::Signals->new(loop => $loop, server => $server);
    $signals->install->ready;
    kill $_ => $$ for @first;
    $loop->watch_time(after => 0.05, code => sub { kill INT => $$ }) if @first == 1;
    run_for($loop, @first == 1 ? 5 : 0.5);
    POSIX::_exit(1);
}

done_testing;

use Test2::V0;

use Future::AsyncAwait;
use IO::Async::Loop;
use Scalar::Util qw(weaken);

use PAGI::Server::Lifespan;

# The protocol by itself: no server, no socket. See PAGI::Spec::Lifespan.

my $loop = IO::Async::Loop->new;
my @log;

sub lifespan {
    my ($app, %args) = @_;

    @log = ();
    my $log = sub { push @log, [@_] };
    return PAGI::Server::Lifespan->new(app => $app, loop => $loop, log => $log, %args);
}

sub wait_for { return $loop->await(shift) }
sub turn     { $loop->loop_once(0) for 1 .. 3 }

# Signals the start, waits for the end, hands both events to $on_shutdown
sub polite {
    my ($on_shutdown) = @_;

    return async sub {
        my ($scope, $receive, $send) = @_;
        my @events = await $receive->();
        await $send->({ type => 'lifespan.startup.complete' });
        push @events, await $receive->();
        await $on_shutdown->($send, @events);
    };
}

sub signal {
    my ($type, @message) = @_;

    return async sub {
        my ($send) = @_;
        await $send->({ type => "lifespan.$type", @message ? (message => @message) : () });
    };
}

sub started {
    my ($app, %args) = @_;

    my $lifespan = lifespan($app, %args);
    wait_for($lifespan->startup)->get;
    return $lifespan;
}

subtest 'Scope' => sub {
    my (@scopes, %state);
    my $app = sub { push @scopes, shift; Future->done };

    started($app, state => \%state);
    is $scopes[0],
        {
        type  => 'lifespan',
        pagi  => { version => '0.3', spec_version => '0.3', is_worker => 0, worker_num => undef },
        state => {},
        },
        'single process';
    ref_is $scopes[0]{state}, \%state, 'the state is the hash itself';

    started($app, is_worker => 1, worker_num => 3);
    is $scopes[1]{pagi}{is_worker}, 1, 'worker';
    is $scopes[1]{pagi}{worker_num}, 3, 'and its number';
};

subtest 'Startup complete, Shutdown complete' => sub {
    my @seen;
    my $lifespan = lifespan(polite(
        async sub {
            my ($send, @events) = @_;
            push @seen, map { $_->{type} } @events;
            await $send->({ type => 'lifespan.shutdown.complete' });
        }
    ));
    is $lifespan->is_supported, 0, 'not supported before';

    my $startup = $lifespan->startup;
    isa_ok $startup, 'IO::Async::Future';
    ok wait_for($startup)->is_done, 'started';
    is $lifespan->is_supported, 1, 'supported';
    is \@seen, [], 'no shutdown yet';

    ok wait_for($lifespan->shutdown)->is_done, 'stopped';
    is \@seen, ['lifespan.startup', 'lifespan.shutdown'], 'both events, in order';
    ok $lifespan->shutdown->is_done, 'stopping again does nothing';
    is \@log, [], 'nothing to say';
};

subtest 'Startup failed' => sub {
    for my $mode (qw(auto on)) {
        my $lifespan = lifespan(
            async sub {
                my ($scope, $receive, $send) = @_;
                await $send->({ type => 'lifespan.startup.failed', message => "no database\n" });
                die "and then it died\n";
            },
            mode => $mode
        );
        is wait_for($lifespan->startup)->failure, "Lifespan startup failed: no database\n", $mode;
        is $lifespan->is_supported, 0, 'not supported';
        is \@log, [[error => 'PAGI Server startup failed: no database']], 'logged once';
        ok $lifespan->shutdown->is_done, 'nothing to shut down';
    }

    my $silent = lifespan(sub { $_[2]->({ type => 'lifespan.startup.failed' }); Future->done });
    is wait_for($silent->startup)->failure, "Lifespan startup failed: \n", 'no message';

    my $worker = lifespan(
        sub { $_[2]->({ type => 'lifespan.startup.failed', message => 'no' }); Future->done },
        is_worker => 1, worker_num => 2
    );
    wait_for($worker->startup);
    is \@log, [[error => "Worker 2 ($$): startup failed: no"]], 'in a worker';
};

subtest 'Declined' => sub {
    my $boom    = 'application raised: no lifespan here';
    my $not     = qr/application raised: Expected a blessed object reference to await at /;
    my %decline = (
        'raises'              => [async sub { die "no lifespan here\n" }, $boom],
        'dies synchronously'  => [sub { die "no lifespan here\n" }, $boom],
        'returns no Future'   => [sub { 'done' }, $not],
        'returns undef'       => [sub { undef }, $not],
        'returns an object'   => [sub { $loop }, $not],
        'returns, no signal'  => [async sub { return }, undef],
        'cancels its Future'  => [sub { my $f = Future->new; $f->cancel; $f }, undef],
        'raises after a wait' => [
            async sub { await $loop->delay_future(after => 0.01); die "no lifespan here\n" }, $boom
        ],
    );

    for my $name (sort keys %decline) {
        my ($app, $why) = @{ $decline{$name} };

        my $lifespan = lifespan($app);
        ok wait_for($lifespan->startup)->is_done, "$name: goes on";
        is $lifespan->is_supported, 0, 'not supported';
        my $line = 'Lifespan not supported, continuing without it';
        $line = ref $why ? qr/\A\Q$line\E \($why/ : "$line ($why)" if defined $why;
        like \@log, [[info => ref $line ? $line : qr/\A\Q$line\E\z/], DNE], 'and says why';
        ok $lifespan->shutdown->is_done, 'no lifespan.shutdown';

        $lifespan = lifespan($app, mode => 'on');
        $why      = 'application returned without signalling startup' unless defined $why;
        $line     = qr/lifespan_mode is 'on' but the @{[ref $why ? $why : quotemeta $why]}/;
        like wait_for($lifespan->startup)->failure, qr/\ALifespan startup failed: $line/, 'mode on';
        like \@log, [[error => qr/\APAGI Server startup failed: $line/], DNE], 'logged';
    }
};

subtest 'Mode off' => sub {
    my $called   = 0;
    my $lifespan = lifespan(sub { $called++; die }, mode => 'off');
    ok $lifespan->startup->is_done, 'goes on';
    ok $lifespan->shutdown->is_done, 'and ends';
    is $called, 0, 'the application was never called';
    is \@log, [], 'nothing to say';
};

subtest 'Startup timeout' => sub {
    my $send;
    my $hung     = $loop->new_future;
    my $lifespan = lifespan(sub { $send = $_[2]; $hung }, startup_timeout => 0.05);

    my $text = 'Lifespan startup timed out after 0.05s';
    is wait_for($lifespan->startup)->failure, "Lifespan startup failed: $text\n", 'fails';
    is \@log, [[error => $text], [error => "PAGI Server startup failed: $text"]], 'logged';

    ok $send->({ type => 'lifespan.startup.complete' })->is_done, 'a late signal';
    ok $send->({ type => 'lifespan.startup.failed' })->is_done, 'and another';
    is $lifespan->is_supported, 0, 'mean nothing';
    ok lives { $hung->fail("too late\n") }, 'nor does a late exception';
    is scalar @log, 2, 'nothing more to say';

    $lifespan = lifespan(sub { $loop->new_future }, startup_timeout => 0);
    my $startup = $lifespan->startup;
    wait_for($loop->delay_future(after => 0.05));
    ok !$startup->is_ready, '0 waits for ever';
};

subtest 'the timers do not outlive their phase' => sub {
    my $lifespan = started(
        polite(signal('shutdown.complete')),
        startup_timeout  => 0.03,
        shutdown_timeout => 0.03
    );
    wait_for($loop->delay_future(after => 0.06));
    is $lifespan->is_supported, 1, 'still started';
    wait_for($lifespan->shutdown);
    wait_for($loop->delay_future(after => 0.06));
    is \@log, [], 'no timeout was seen';
};

subtest 'after the startup' => sub {
    my $crash    = $loop->new_future;
    my $lifespan = started(
        async sub {
            my ($scope, $receive, $send) = @_;
            await $send->({ type => 'lifespan.startup.complete' });
            await $crash;
        }
    );
    $crash->fail("background task crashed\n");
    is \@log, [[error => 'Lifespan app failed after startup: background task crashed']], 'raised';
    is $lifespan->is_supported, 1, 'serving goes on';
    ok $lifespan->shutdown->is_done, 'nobody is left to be told the end';

    $lifespan = started(sub { $_[2]->({ type => 'lifespan.startup.complete' }); Future->done });
    ok $lifespan->shutdown->is_done, 'returned: the same';
    is \@log, [], 'silent';

    $lifespan = started(sub { $_[2]->({ type => 'lifespan.startup.complete' }); 'no Future' });
    is $lifespan->is_supported, 1, 'an answer that is no Future comes too late to decline';
    like \@log, [[error => qr/\ALifespan app failed after startup: Expected a blessed/]], 'logged';
};

subtest 'an application that has returned but still listens' => sub {
    my ($told, $send);
    my $lifespan = started(sub {
        my ($scope, $receive, $s) = @_;
        $send = $s;
        $receive->();
        $send->({ type => 'lifespan.startup.complete' });
        $receive->()->on_done(sub { $told = shift });
        return Future->done;
    });
    my $shutdown = $lifespan->shutdown;
    is $told, { type => 'lifespan.shutdown' }, 'is told';
    ok !$shutdown->is_ready, 'and waited for';
    $send->({ type => 'lifespan.shutdown.complete' });
    ok $shutdown->is_done, 'until it signals';
};

subtest 'Shutdown failed' => sub {
    my %warning = (
        'the pool is stuck'        => ['shutdown.failed', "the pool is stuck\n"],
        'Lifespan shutdown failed' => ['shutdown.failed'],
    );
    for my $text (sort keys %warning) {
        my $lifespan = started(polite(signal(@{ $warning{$text} })));
        ok wait_for($lifespan->shutdown)->is_done, 'the shutdown succeeds';
        is \@log, [[warn => "PAGI Server shutdown warning: $text"]], $text;
    }
};

subtest 'Shutdown without an answer' => sub {
    my $lifespan = started(polite(sub { $loop->new_future }), shutdown_timeout => 0.05);
    my $shutdown = $lifespan->shutdown;
    ref_is $lifespan->shutdown, $shutdown, 'asked twice: one Future';
    ok wait_for($shutdown)->is_done, 'hangs: the shutdown succeeds';
    my $text = 'Lifespan shutdown timed out after 0.05s';
    is \@log, [[warn => "PAGI Server shutdown warning: $text"]], 'with a warning';

    $lifespan = started(polite(async sub { die "cleanup crashed\n" }));
    ok wait_for($lifespan->shutdown)->is_done, 'raises: ends at once';
    is \@log, [[error => 'Lifespan app failed after startup: cleanup crashed']], 'logged';

    $lifespan = started(polite(async sub { return }));
    ok wait_for($lifespan->shutdown)->is_done, 'returns: ends at once';
    is \@log, [], 'silent';
};

subtest 'an application that dies in its own callback' => sub {
    my $lifespan = started(
        sub {
            my ($scope, $receive, $send) = @_;
            $receive->();
            $send->({ type => 'lifespan.startup.complete' });
            $receive->()->on_done(sub { die "in the callback\n" });
            return Future->done;
        },
        shutdown_timeout => 0.01
    );
    ok lives { wait_for($lifespan->shutdown) }, 'does not break the shutdown';
    is $log[0], [error => 'Lifespan app failed after startup: in the callback'], 'logged';
};

subtest 'signals out of place' => sub {
    my ($receive, $send);
    my $lifespan = lifespan(sub { (undef, $receive, $send) = @_; $loop->new_future });
    my $startup  = $lifespan->startup;

    ok $send->({ type => 'lifespan.shutdown.complete' })->is_done, 'end before the start';
    ok $send->({ type => 'lifespan.shutdown.failed' })->is_done, 'or failing to';
    ok !$startup->is_ready, 'decide nothing';
    ok $send->({ type => 'lifespan.startup.complete' })->is_done, 'the start';
    ok $send->({ type => 'lifespan.startup.complete' })->is_done, 'twice';
    ok $send->({ type => 'lifespan.startup.failed', message => 'no' })->is_done, 'or failing now';
    ok $startup->is_done, 'the first one counts';
    ok $send->({ type => 'lifespan.shutdown.failed', message => 'no' })->is_done, 'unasked end';
    is \@log, [], 'nothing to say';

    my $shutdown = $lifespan->shutdown;
    $send->({ type => 'lifespan.shutdown.complete' }) for 1 .. 2;
    ok $shutdown->is_done, 'the asked one counts';
};

subtest 'unrecognized events' => sub {
    my $send;
    started(sub { $send = $_[2]; $send->({ type => 'lifespan.startup.complete' }) });

    my %bad = (
        'lifespan.bogus'      => { type => 'lifespan.bogus' },
        'http.response.start' => { type => 'http.response.start' },
        ''                    => {},
    );
    is $send->($bad{$_})->failure, "Unrecognized event type '$_' for lifespan protocol\n", "'$_'"
        for sort keys %bad;
    for my $no_event (undef, 'lifespan.startup.complete', []) {
        my $sent = $send->($no_event);
        like $sent->failure, qr/\AUnrecognized event type ''/, 'not an event';
    }
};

subtest 'receive' => sub {
    my $receive;
    my $lifespan = started(sub {
        $receive = $_[1];
        $_[2]->({ type => 'lifespan.startup.complete' });
        return $loop->new_future;
    });
    is $receive->()->get, { type => 'lifespan.startup' }, 'the first call';

    my ($cancelled, $waiting, $further) = map { $receive->() } 1 .. 3;
    ok !$waiting->is_ready, 'the next one waits';
    $cancelled->cancel;
    $lifespan->shutdown;
    is $waiting->get, { type => 'lifespan.shutdown' }, 'a cancelled one loses nothing';
    ok !$further->is_ready, 'there is no third event';
};

subtest 'the state is shared' => sub {
    my %state;
    my $lifespan = started(
        async sub {
            my ($scope, $receive, $send) = @_;
            $scope->{state}{early} = 1;
            await $send->({ type => 'lifespan.startup.complete' });
            await $loop->delay_future(after => 0.01);
            $scope->{state}{late} = 1;
        },
        state => \%state
    );
    is \%state, { early => 1 }, 'what the application has put in';
    wait_for($loop->delay_future(after => 0.03));
    is \%state, { early => 1, late => 1 }, 'and what it puts in later';
};

subtest 'no leaks' => sub {
    my %app = (
        'returns'       => polite(signal('shutdown.complete')),
        'never returns' => async sub {
            my ($scope, $receive, $send) = @_;
            while (my $event = await $receive->()) {
                await $send->({ type => "$event->{type}.complete" });
            }
        },
        'declines'       => async sub { return },
        'works on a bit' => async sub {
            my ($scope, $receive, $send) = @_;
            await $receive->();
            await $send->({ type => 'lifespan.startup.complete' });
            await $receive->();
            await $send->({ type => 'lifespan.shutdown.complete' });
            await $loop->delay_future(after => 0.02);
        },
        'fails' => async sub {
            my ($scope, $receive, $send) = @_;
            await $send->({ type => 'lifespan.startup.failed' });
            await $receive->() while 1;
        },
    );
    for my $name (sort keys %app) {
        my $app = $app{$name};
        my ($scope, $receive, $send);
        my $spy = sub {
            weaken($scope   = $_[0]);
            weaken($receive = $_[1]);
            weaken($send    = $_[2]);
            return $app->(@_);
        };

        my $no_warnings = no_warnings {
            my $lifespan = lifespan($spy);
            wait_for($lifespan->startup);
            wait_for($lifespan->shutdown);
            weaken $lifespan;
            wait_for($loop->delay_future(after => 0.04));
            is $lifespan, undef, "$name: the object is gone";
        };
        ok $no_warnings, 'without a warning';
        is [$scope, $receive, $send], [undef, undef, undef], 'and so is all the application got';
    }
};

done_testing;

# PAGI::Spec::Lifespan, startup (contract 07 section 1)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future::AsyncAwait;
use IO::Socket::INET;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Lifespan;
use Test::PAGI::Loop qw(failure_of holds settle test_loop wait_until);
use Test::PAGI::Server;

subtest 'the scope of lifespan: exactly these keys' => sub {
    my $scope;
    with_server { pass 'listening' } app => lifespan_app(sub {
        my ($given, $receive, $send) = @_;
        $scope = $given;
        return serve_lifespan($receive, $send);
    });
    is $scope,
        {
        type  => 'lifespan',
        pagi  => { version => '0.3', spec_version => '0.3', is_worker => 0, worker_num => undef },
        state => {},
        },
        'scope';
};

subtest 'startup.complete: the server listens' => sub {
    my @events;
    with_server {
        my ($t) = @_;
        is \@events, [{ type => 'lifespan.startup' }], 'one event so far';
        is $t->server->is_running, 1, 'is_running';
        is $t->get('/')->body, 'served', 'serves';
    }
    app => lifespan_app(
        async sub {
            my ($scope, $receive, $send) = @_;
            push @events, await $receive->();
            await $send->({ type => 'lifespan.startup.complete' });
            push @events, await $receive->();
            await $send->({ type => 'lifespan.shutdown.complete' });
        }
    );
    is \@events, [{ type => 'lifespan.startup' }, { type => 'lifespan.shutdown' }], 'two events';
};

subtest 'nothing is bound before the startup is complete' => sub {
    my $port = free_port();
    my ($go, $asked) = (Future->new, 0);
    my $t = Test::PAGI::Server->new(
        port => $port,
        app  => lifespan_app(
            async sub {
                my ($scope, $receive, $send) = @_;
                await $receive->();
                $asked = 1;
                await $go;
                await $send->({ type => 'lifespan.startup.complete' });
                await $receive->();
                await $send->({ type => 'lifespan.shutdown.complete' });
            }
        ),
    );
    my $listening = $t->build->listen;
    wait_until { $asked } 'the startup event';
    ok !$listening->is_ready, 'listen waits for the application';
    ok !can_connect($port), 'connections are refused';
    is $t->server->is_running, 0, 'not running';
    $go->done;
    ref_is scalar settle($listening), $t->server, 'listen gives the server';
    ok can_connect($port), 'connections are taken';
    $t->stop;
};

subtest 'startup.failed: listen fails, the message is logged, nothing is bound' => sub {
    for my $mode (qw(auto on)) {
        my $port   = free_port();
        my $result = listen_result(
            port          => $port,
            lifespan_mode => $mode,
            app           => lifespan_app(
                async sub {
                    my ($scope, $receive, $send) = @_;
                    await $receive->();
                    await $send->({ type => 'lifespan.startup.failed', message => 'no database' });
                }
            ),
        );
        is $result->{failure}, "Lifespan startup failed: no database\n", "$mode: failure";
        is $result->{warnings}, ["PAGI Server startup failed: no database\n"], "$mode: logged";
        is $result->{running}, 0, "$mode: not running";
        ok !can_connect($port), "$mode: nothing is bound";
    }
};

subtest 'startup.failed without a message' => sub {
    my $result = listen_result(
        app => lifespan_app(
            async sub {
                my ($scope, $receive, $send) = @_;
                await $send->({ type => 'lifespan.startup.failed' });
            }
        )
    );
    like $result->{failure}, qr/\ALifespan startup failed: .*\n\z/, 'listen fails all the same';
};

# [rule, what the application does, message in auto, message in on]
my @DECLINES = (
    [
        'dies before signalling',
        async sub { die "no lifespan here  \n\n" },
        "Lifespan not supported, continuing without it (application raised: no lifespan here)\n",
        "lifespan_mode is 'on' but the application raised: no lifespan here",
    ],
    [
        'dies synchronously',
        sub { die "no lifespan here\n" },
        "Lifespan not supported, continuing without it (application raised: no lifespan here)\n",
        "lifespan_mode is 'on' but the application raised: no lifespan here",
    ],
    [
        'dies after receiving the startup event',
        async sub { await $_[1]->(); die "no lifespan here\n" },
        "Lifespan not supported, continuing without it (application raised: no lifespan here)\n",
        "lifespan_mode is 'on' but the application raised: no lifespan here",
    ],
    [
        'returns without signalling',
        async sub { return },
        "Lifespan not supported, continuing without it\n",
        "lifespan_mode is 'on' but the application returned without signalling startup",
    ],
    [
        'returns after receiving the startup event',
        async sub { await $_[1]->(); return },
        "Lifespan not supported, continuing without it\n",
        "lifespan_mode is 'on' but the application returned without signalling startup",
    ],
);

for my $case (@DECLINES) {
    my ($rule, $act, $declined, $demanded) = @$case;

    subtest "an application that $rule: auto goes on" => sub {
        with_server {
            my ($t) = @_;
            my @warnings = grep { /Lifespan/ } $t->take_warnings;
            is \@warnings, [$declined], 'logged as information';
            is $t->get('/')->body, 'served', 'serves';
        }
        app => lifespan_app($act), quiet => 0;
    };

    subtest "an application that $rule: quiet says nothing" => sub {
        with_server { is $_[0]->get('/')->body, 'served', 'serves' } app => lifespan_app($act);
    };

    subtest "an application that $rule: on aborts" => sub {
        my $result = listen_result(app => lifespan_app($act), lifespan_mode => 'on');
        is $result->{failure}, "Lifespan startup failed: $demanded\n", 'listen fails';
        is $result->{warnings}, ["PAGI Server startup failed: $demanded\n"], 'logged';
    };
}

subtest 'an application whose lifespan result is not a Future declines' => sub {
    with_server {
        my ($t) = @_;
        my @warnings = grep { /Lifespan/ } $t->take_warnings;
        is scalar @warnings, 1, 'one line';
        like $warnings[0],
            qr/\ALifespan not supported.*\(application raised: Expected a blessed object/,
            'a raise';
        is $t->get('/')->body, 'served', 'serves';
    }
    app => lifespan_app(sub { 42 }), quiet => 0;
};

subtest 'lifespan_mode off: the application never sees lifespan' => sub {
    my $called = 0;
    with_server {
        is $_[0]->get('/')->body, 'served', 'serves';
    }
    app => lifespan_app(sub { $called++; die "never\n" }), lifespan_mode => 'off';
    is $called, 0, 'not called';
};

for my $mode (qw(auto on)) {
    subtest "no signal within lifespan_startup_timeout: $mode aborts" => sub {
        my $go     = Future->new;
        my $result = listen_result(
            lifespan_mode            => $mode,
            lifespan_startup_timeout => 0.3,
            app                      => lifespan_app(
                async sub {
                    my ($scope, $receive, $send) = @_;
                    await $receive->();
                    await $go;
                    await $send->({ type => 'lifespan.startup.complete' });
                }
            ),
        );
        like $result->{failure}, qr/\ALifespan startup failed: .*startup timed out after 0\.3s/i,
            'listen fails';
        like $result->{warnings}, bag { item qr/startup timed out after 0\.3s/i; etc }, 'logged';
        is $result->{running}, 0, 'not running';
        ok lives { $go->done; Test::PAGI::Loop::turn() }, 'a late signal does no harm';
    };
}

subtest 'lifespan_startup_timeout 0 waits as long as it takes' => sub {
    with_server { is $_[0]->get('/')->body, 'served', 'serves' } app => lifespan_app(
        async sub {
            my ($scope, $receive, $send) = @_;
            await test_loop()->delay_future(after => 0.5);
            await serve_lifespan($receive, $send);
        }
        ),
        lifespan_startup_timeout => 0;
};

subtest 'repeated startup signals do no harm' => sub {
    my @failures;
    with_server { is $_[0]->get('/')->body, 'served', 'serves' } app => lifespan_app(
        async sub {
            my ($scope, $receive, $send) = @_;
            await $receive->();
            push @failures, failure_of($send->({ type => "lifespan.startup.$_" }))
                for qw(complete complete failed);
            await $receive->();
            await $send->({ type => 'lifespan.shutdown.complete' });
        }
    );
    is \@failures, [undef, undef, undef], 'none failed';
};

subtest 'an unknown event type fails that send alone' => sub {
    my @failures;
    with_server { is $_[0]->get('/')->body, 'served', 'serves' } app => lifespan_app(
        async sub {
            my ($scope, $receive, $send) = @_;
            push @failures, failure_of($send->({ type => $_ }))
                for 'lifespan.nonsense', 'http.response.start';
            await serve_lifespan($receive, $send);
        }
    );
    is \@failures,
        [
        map { "Unrecognized event type '$_' for lifespan protocol\n" } 'lifespan.nonsense',
        'http.response.start'
        ],
        'texts';
};

subtest 'dies after startup.complete: the server goes on, the error is logged though quiet' => sub {
    my $crash = Future->new;
    with_server {
        my ($t) = @_;
        $crash->fail("worker crashed\n");
        my @warnings = $t->wait_warning(qr/crashed/);
        is \@warnings, ["Lifespan app failed after startup: worker crashed\n"], 'logged';
        is $t->server->is_running, 1, 'is_running';
        is $t->get('/')->body, 'served', 'serves';
    }
    app => lifespan_app(
        async sub {
            my ($scope, $receive, $send) = @_;
            await $receive->();
            await $send->({ type => 'lifespan.startup.complete' });
            await $crash;
        }
    );
};

subtest 'returns after startup.complete: fine, and silent' => sub {
    with_server { is $_[0]->get('/')->body, 'served', 'serves' } app => lifespan_app(
        async sub {
            my ($scope, $receive, $send) = @_;
            await $receive->();
            await $send->({ type => 'lifespan.startup.complete' });
        }
        ),
        shutdown_timeout => 0.3, quiet => 0, log_level => 'error';
};

# Starts up when it is told to; what it was sent, and how often it was called.
sub slow_start {
    my ($go, $seen) = @_;
    return lifespan_app(
        async sub {
            my ($scope, $receive, $send) = @_;
            $seen->{calls}++;
            await $receive->();
            await $go;
            push @{ $seen->{events} }, await serve_rest($receive, $send);
        }
    );
}

async sub serve_rest {
    my ($receive, $send) = @_;
    await $send->({ type => 'lifespan.startup.complete' });
    my $event = await $receive->();
    await $send->({ type => 'lifespan.shutdown.complete' });
    return $event->{type};
}

subtest 'who gives up waiting for the start does not end it' => sub {
    my ($go, %seen) = (Future->new);
    my $t         = Test::PAGI::Server->new(app => slow_start($go, \%seen));
    my $listening = $t->build->listen;
    $listening->cancel;
    ok $t->server->listen->is_done, 'the start goes on';
    $go->done;
    wait_until { $t->server->is_running } 'the start';
    is $t->get('/')->body, 'served', 'it serves';
    $t->stop;
    is \%seen, { calls => 1, events => ['lifespan.shutdown'] }, 'one lifespan, to its end';
};

subtest 'a shutdown during the start' => sub {
    my ($go, %seen) = (Future->new);
    my $t         = Test::PAGI::Server->new(app => slow_start($go, \%seen));
    my $listening = $t->build->listen;
    my $shutdown  = $t->server->shutdown;
    my $cancelled = $t->server->shutdown;
    $cancelled->cancel;
    holds { !$shutdown->is_ready } 'waits for the application';
    $go->done;
    ref_is settle($shutdown, 'the shutdown'), $t->server, 'is done when that is over';
    is failure_of($listening), "PAGI::Server was shut down before it had started\n", 'listen fails';
    is $t->server->is_running, 0, 'nothing runs';
    is \%seen, { calls => 1, events => ['lifespan.shutdown'] }, 'the lifespan had its end';
    settle($t->server->listen, 'a second listen');
    is $t->get('/')->body, 'served', 'is none of its business';
    $t->stop;

    my $failing = Test::PAGI::Server->new(
        app => lifespan_app(
            async sub {
                my ($scope, $receive, $send) = @_;
                await $go;
                await $send->({ type => 'lifespan.startup.failed', message => 'no' });
            }
        ),
    );
    $go        = Future->new;
    $listening = $failing->build->listen;
    $shutdown  = $failing->server->shutdown;
    my $warnings = warnings { $go->done };
    is $warnings, ["PAGI Server startup failed: no\n"], 'a start that fails by itself';
    ok $shutdown->is_done, 'ends it, too';
    is failure_of($listening), "Lifespan startup failed: no\n", 'with its own failure';
    $failing->stop;
};

subtest 'what the start cannot tell of' => sub {
    my $port = free_port();
    my %seen;
    my $t = Test::PAGI::Server->new(
        quiet => 0,
        port  => $port,
        app   => slow_start(Future->done, \%seen),
    );
    my $server = $t->build;
    no warnings qw(once redefine);
    local *PAGI::Server::Banner::show = sub { die "no banner\n" };
    my $listening = $server->listen;
    wait_until { $listening->is_ready } 'listen';
    is failure_of($listening), "no banner\n", 'it fails';
    is $server->is_running, 0, 'nothing runs';
    wait_until { !can_connect($port) } 'the port to be free';
    is $seen{events}, ['lifespan.shutdown'], 'the lifespan had its end';
    $t->stop;
};

subtest 'a handler of warnings that dies does not fail the start' => sub {
    my @told;
    local $SIG{__WARN__} = sub { push @told, $_[0]; die $_[0] };
    local *STDERR;
    open STDERR, '>', \my $text or die $!;
    my $t = Test::PAGI::Server->new(quiet => 0, app => lifespan_app(sub { die "none\n" }));
    settle($t->build->listen, 'listen');
    is scalar @told, 2, 'the lines of a start';
    is $text, join("", @told), 'are not lost';
    is $t->get("/")->body, 'served', 'it serves';
    $t->stop;
};

done_testing;

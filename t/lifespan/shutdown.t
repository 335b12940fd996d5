# PAGI::Spec::Lifespan, shutdown (contract 07 sections 1 and 5)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future;
use Future::AsyncAwait;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Lifespan;
use Test::PAGI::Loop qw(failure_of holds settle wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Time::HiRes qw(time);

# Starts up, then leaves the shutdown to the coderef.
sub shutdown_app {
    my ($end) = @_;
    return lifespan_app(
        async sub {
            my ($scope, $receive, $send) = @_;
            await $receive->();
            await $send->({ type => 'lifespan.startup.complete' });
            my $event = await $receive->();
            await $end->($event, $receive, $send);
        }
    );
}

my @LOUD = (quiet => 0, log_level => 'warn');

subtest 'shutdown sends lifespan.shutdown and waits for the answer' => sub {
    my ($event, $go) = (undef, Future->new);
    with_server {
        my ($t)      = @_;
        my $server   = $t->server;
        my $shutdown = $server->shutdown;
        wait_until { $event } 'the shutdown event';
        is $event, { type => 'lifespan.shutdown' }, 'event';
        is $server->is_running, 0, 'not running any more';
        holds { !$shutdown->is_ready } 'shutdown waits';
        $go->done;
        ref_is scalar settle($shutdown), $server, 'shutdown gives the server';
    }
    app => shutdown_app(
        async sub {
            my ($received, $receive, $send) = @_;
            $event = $received;
            await $go;
            await $send->({ type => 'lifespan.shutdown.complete' });
        }
    ), @LOUD;
};

subtest 'the receive of lifespan is pending until the shutdown' => sub {
    my ($waiting, @got);
    with_server {
        my ($t) = @_;
        wait_until { $waiting } 'the second receive';
        holds { !$waiting->is_ready } 'pending while the server serves';
        is $t->get('/')->body, 'served', 'serves';
        ok !$waiting->is_ready, 'and still';
    }
    app => lifespan_app(
        async sub {
            my ($scope, $receive, $send) = @_;
            await $receive->();
            await $send->({ type => 'lifespan.startup.complete' });
            push @got, await($waiting = $receive->());
            await $send->({ type => 'lifespan.shutdown.complete' });
        }
    );
    is \@got, [{ type => 'lifespan.shutdown' }], 'then the event';
};

subtest 'connections are drained first' => sub {
    my (@order, $request);
    my $lifespan = shutdown_app(
        async sub {
            my ($event, $receive, $send) = @_;
            push @order, 'lifespan.shutdown';
            await $send->({ type => 'lifespan.shutdown.complete' });
        }
    );
    with_server {
        my ($t) = @_;
        my $client = $t->client;
        $client->write($client->request_bytes(GET => '/'));
        wait_until { $request } 'the request';
        my $shutdown = $t->server->shutdown;
        holds { !@order } 'not while a request runs';
        push @order, 'response';
        reply($request->{send}, 'drained');
        $request->{done}->done;
        is $client->read_response->body, 'drained', 'the request is answered';
        settle($shutdown, 'the shutdown');
        is \@order, ['response', 'lifespan.shutdown'], 'order';
    }
    app => sub {
        my ($scope, $receive, $send) = @_;
        return $lifespan->(@_) if $scope->{type} eq 'lifespan';
        $request = { send => $send, done => Future->new };
        return $request->{done};
    }, @LOUD;
};

subtest 'shutdown.failed: the message is warned about, shutdown is done' => sub {
    for my $case ([{ message => 'disk full' }, 'disk full'], [{}, 'Lifespan shutdown failed']) {
        my ($extra, $message) = @$case;
        with_server {
            my ($t) = @_;
            settle($t->server->shutdown, 'the shutdown');
            is [$t->take_warnings], ["PAGI Server shutdown warning: $message\n"], $message;
        }
        app => shutdown_app(
            async sub {
                my ($event, $receive, $send) = @_;
                await $send->({ type => 'lifespan.shutdown.failed', %$extra });
            }
        ), @LOUD;
    }
};

subtest 'no answer within shutdown_timeout: warned about, shutdown is done' => sub {
    my $never = Future->new;
    with_server {
        my ($t) = @_;
        my $begin = time;
        settle($t->server->shutdown, 'the shutdown');
        cmp_ok time - $begin, '>', 0.3, 'after the timeout';
        is [$t->take_warnings],
            ["PAGI Server shutdown warning: Lifespan shutdown timed out after 0.4s\n"], 'warned';
    }
    app => shutdown_app(async sub { await $never }), shutdown_timeout => 0.4, @LOUD;
};

subtest 'the application dies in its shutdown: shutdown is done' => sub {
    with_server {
        my ($t) = @_;
        settle($t->server->shutdown, 'the shutdown');
        is $t->server->is_running, 0, 'not running';
        $t->take_warnings;
    }
    app => shutdown_app(async sub { die "boom\n" }), shutdown_timeout => 1, @LOUD;
};

subtest 'no lifespan.shutdown after a decline' => sub {
    my $received = 0;
    with_server {
        settle($_[0]->server->shutdown, 'the shutdown');
    }
    app => lifespan_app(
        async sub {
            my ($scope, $receive, $send) = @_;
            await $receive->();
            $receive->()->on_ready(sub { $received++ if !$_[0]->is_cancelled });
            return;
        }
    );
    is $received, 0, 'nothing received';
};

subtest 'shutdown is idempotent' => sub {
    my $times = 0;
    with_server {
        my ($t)    = @_;
        my $server = $t->server;
        my @both   = ($server->shutdown, $server->shutdown);
        settle($_, 'the shutdown') for @both;
        settle($server->shutdown, 'one more');
        is $times, 1, 'one lifespan.shutdown';
    }
    app => shutdown_app(
        async sub {
            my ($event, $receive, $send) = @_;
            $times++;
            await $send->({ type => 'lifespan.shutdown.complete' });
        }
    ), @LOUD;
};

subtest 'who gives up waiting for the shutdown does not end it' => sub {
    my ($times, $request) = (0, undef);
    my $lifespan = shutdown_app(
        async sub {
            my ($event, $receive, $send) = @_;
            $times++;
            await $send->({ type => 'lifespan.shutdown.complete' });
        }
    );
    with_server {
        my ($t)    = @_;
        my $server = $t->server;
        my $client = $t->client;
        $client->write($client->request_bytes(GET => '/'));
        wait_until { $request } 'the request';
        $server->shutdown->cancel;
        my $again = $server->shutdown;
        my $first = Future->wait_any($again, Future->fail("tired\n"));
        is scalar $first->failure, "tired\n", 'a race is lost';
        my $last = $server->shutdown;
        holds { !$last->is_ready && !$times } 'the request is still waited for';
        reply($request->{send}, 'drained');
        $request->{done}->done;
        is $client->read_response->body, 'drained', 'the request is answered';
        settle($last, 'the shutdown');
        is $times, 1, 'lifespan.shutdown came, once';
        is [grep { defined $server->{$_} } qw(_core _lifespan _signals _bell _sockets)], [],
            'nothing is left';
    }
    app => sub {
        my ($scope, $receive, $send) = @_;
        return $lifespan->(@_) if $scope->{type} eq 'lifespan';
        $request = { send => $send, done => Future->new };
        return $request->{done};
    }, @LOUD;
    is $times, 1, 'not again';
};

subtest 'shutdown of a server that does not run is done at once' => sub {
    my $t        = Test::PAGI::Server->new(app => hello());
    my $shutdown = $t->build->shutdown;
    ok $shutdown->is_done, 'done';
    $t->stop;
};

subtest 'an idle server stops at once' => sub {
    with_server {
        my ($t)  = @_;
        my $port = $t->port;
        my $idle = $t->client;
        is $idle->get('/')->body, 'served', 'a kept connection';
        my $begin = time;
        settle($t->server->shutdown, 'the shutdown');
        cmp_ok time - $begin, '<', 1, 'far less than shutdown_timeout';
        is $idle->read_until_eof, '', 'the kept connection is closed';
        ok !can_connect($port), 'nothing listens';
    }
    app => shutdown_app(
        async sub {
            my ($event, $receive, $send) = @_;
            await $send->({ type => 'lifespan.shutdown.complete' });
        }
        ),
        shutdown_timeout => 30;
};

subtest 'background work in the lifespan runs as long as the server' => sub {
    my ($ticks, $stop) = (0, 0);
    with_server {
        my ($t) = @_;
        wait_until { $ticks >= 3 } 'three ticks';
        is $t->get('/')->body, 'served', 'while serving';
    }
    app => lifespan_app(
        async sub {
            my ($scope, $receive, $send) = @_;
            my $work = (
                async sub {
                    while (!$stop) {
                        await IO::Async::Loop->new->delay_future(after => 0.01);
                        $ticks++;
                    }
                }
            )->();
            await $receive->();
            await $send->({ type => 'lifespan.startup.complete' });
            await $receive->();
            $stop = 1;
            await $work;
            await $send->({ type => 'lifespan.shutdown.complete' });
        }
    );
    is $stop, 1, 'stopped by lifespan.shutdown';
};

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;
        my $client = $t->client->begin(POST => '/', length => 10, more => 1);
        $puppet->next_call->reply('fine');
        is $client->read_response->body, 'fine', 'answered';
        settle($t->server->shutdown, 'the shutdown, which does not wait for the rest of a body');
    }
    on => $on, app => $puppet->app, shutdown_timeout => 60;
}
accepts => 1;

done_testing;

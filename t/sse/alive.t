# PAGI::Spec::Www, "SSE Keepalive"; sse_idle_timeout (contract 04 sections 4 and 7, E13)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use PAGI::Server;
use Test2::V0;
use Test::PAGI::Loop   qw(failure_of holds settle turn wait_until);
use Test::PAGI::Matrix qw(-at_once);
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Time::HiRes qw(time);

my $IDLE = { type => 'sse.disconnect', reason => 'idle_timeout' };

for_each_transport {
    my ($on)   = @_;
    my $puppet = Test::PAGI::Puppet->new;
    my $open   = sub {
        my ($t)    = @_;
        my $client = $t->client->subscribe('/');
        my $call   = $puppet->next_call;
        $call->event;
        return ($client, $call);
    };

    # Nothing comes any more, but for what was under way.
    my $silent = sub {
        my ($client, $what) = @_;
        $client->partial->{seen} = length $client->partial->body;
        holds { $client->partial->unread eq '' } $what, 0.3;
    };

    with_server {
        my ($t) = @_;

        subtest 'comments at an interval' => sub {
            my ($client, $call) = $open->($t);
            $call->send(type => 'sse.start');
            $client->read_head;
            my $begun = time;
            $call->send(type => 'sse.keepalive', interval => 0.1, comment => 'ping');
            $call->send(type => 'sse.send', data          => 'a');
            is $client->read_data(qr/:ping\n\n/), "data: a\n\n:ping\n\n",
                'the event, then a comment';
            cmp_ok time - $begun, '>=', 0.09, 'not before the interval is over';
            $client->read_data(qr/:ping\n\n/);
            $call->send(type => 'sse.send', data => 'b');
            like $client->read_data(qr/data: b\n\n/), qr/data: b/, 'events in between';

            $call->send(type => 'sse.keepalive', interval => 0.05);
            $client->read_data(qr/(?:\A|\n):\n\n/);
            is $client->read_data(qr/\n\n/), ":\n\n", 'the last settings count';

            $call->send(type => 'sse.keepalive', interval => 0.05, comment => ":a\nb");
            $client->read_data(qr/:a\n:b\n\n/);
            pass 'a comment of two lines';

            $call->send(type => 'sse.keepalive', interval => 0);
            turn(0.01) for 1 .. 10;
            $silent->($client, 'an interval of 0 stops them');
            $call->send(type => 'sse.keepalive', interval => 0.05, comment => 'again');
            $client->read_data(qr/:again\n\n/);
            $call->send(type => 'sse.keepalive');
            turn(0.01) for 1 .. 10;
            $silent->($client, 'so does none');
            $call->finish;
        };

        subtest 'before the start it is set, and silent (E11)' => sub {
            my ($client, $call) = $open->($t);
            $call->send(type => 'sse.keepalive', interval => 0.05, comment => 'ping');
            holds { $client->buffer eq '' } 'nothing is written', 0.2;
            $call->send(type => 'sse.start');
            is $client->read_head->status, 200, 'the head';
            is $client->read_data(qr/:ping\n\n/), ":ping\n\n", 'comments follow';
            $call->finish;
        };

        subtest 'nothing is written after the end' => sub {
            my ($client, $call) = $open->($t);
            $call->send(type => 'sse.start');
            $call->send(type => 'sse.keepalive', interval => 0.02);
            $client->read_data(qr/:\n\n/);
            $call->send(type => 'sse.close');
            my $response = $client->read_response;
            like $response->body, qr/\A(?::\n\n)+\z/, 'comments, and nothing else';
            ok !$response->is_truncated, 'the end comes last';
            ok $client->ends, 'nothing behind it';
            $call->finish;
        };
    }
    on => $on, app => $puppet->app, timeout => 60;

    with_server {
        my ($t) = @_;
        my @warning = ("SSE idle timeout (0.4s) - closing connection\n");

        subtest 'a stream on which nothing happens' => sub {
            my ($client, $call) = $open->($t);
            my $pending = $call->receive;
            $call->send(type => 'sse.start');
            my $begun = time;
            is settle($pending), $IDLE, 'sse.disconnect';
            cmp_ok time - $begun, '>=', 0.38, 'not too early';
            cmp_ok time - $begun, '<', 2, 'nor too late';
            my $response = $client->read_response;
            is [$response->status, $response->body], [200, ''], 'what was there';
            ok $response->is_truncated, 'is broken off';
            is failure_of($call->send(type => 'sse.send', data => 'x')), undef, 'sends are silent';
            is [$t->take_warnings], \@warning, 'warning';
            $call->finish;
        };

        subtest 'a stream that never starts' => sub {
            my ($client, $call) = $open->($t);
            is $call->event, $IDLE, 'sse.disconnect';
            is $client->read_response, undef, 'closed';
            is [$t->take_warnings], \@warning, 'warning';
            $call->finish;
        };

        subtest 'every send starts it anew' => sub {
            my ($client, $call) = $open->($t);
            my $pending = $call->receive;
            my $is_open = sub { !$pending->is_ready };
            my $pass    = sub {
                my ($what) = @_;
                my $end = time + 0.15;       # of 0.4, and in the end many times that
                turn(0.02) while time < $end && $is_open->();
                ok $is_open->(), "open: $what";
            };
            $pass->('nothing yet');
            for my $event (
                { type => 'sse.keepalive', interval => 0 },
                { type => 'sse.send', data          => 'before the start' },
                { type => 'sse.start' },
                { type => 'sse.start' },
                map({ (
                        { type => 'sse.send', data       => $_ },
                        { type => 'sse.comment', comment => $_ }
                    ) } 1,
                    2),
                )
            {
                is failure_of($call->send(%$event)), undef, $event->{type};
                $pass->($event->{type});
            }
            is settle($pending), $IDLE, 'until there is none';
            $t->take_warnings;
            $call->finish;
        };

        subtest 'comments of a shorter keepalive keep it open (E13)' => sub {
            my ($client, $call) = $open->($t);
            my $pending = $call->receive;
            $call->send(type => 'sse.start');
            $call->send(type => 'sse.keepalive', interval => 0.1, comment => 'ping');
            holds { !$pending->is_ready } 'three times as long', 1.3;
            my $count = () = $client->partial->body =~ /:ping/g;
            cmp_ok $count, '>=', 5, 'comments came';
            $call->send(type => 'sse.keepalive', interval => 0);
            is settle($pending), $IDLE, 'without them it is over';
            $t->take_warnings;
            $call->finish;
        };

        subtest 'comments of a longer keepalive do not' => sub {
            my ($client, $call) = $open->($t);
            $call->send(type => 'sse.start');
            $call->send(type => 'sse.keepalive', interval => 5);
            is $call->event, $IDLE, 'idle';
            $t->take_warnings;
            $call->finish;
        };

        subtest 'what the client sends does not count' => sub {
            my $client = $t->client->subscribe('/', method => 'POST', length => 9, more => 1);
            my $call   = $puppet->next_call;
            $call->send(type => 'sse.start');
            $client->body('x') and turn(0.05) for 1 .. 4;
            my ($event, $body) = ($call->event, '');
            while ($event->{type} eq 'sse.request') {
                $body .= $event->{body};
                $event = $call->event;
            }
            is $body, 'xxxx', 'what came';
            is $event, $IDLE, 'idle';
            $t->take_warnings;
            $call->finish;
        };
    }
    on        => $on, app     => $puppet->app, sse_idle_timeout => 0.4,
        quiet => 0, log_level => 'warn', max_connections        => 100;

    with_server {
        my ($t) = @_;
        my ($client, $call) = $open->($t);
        my $pending = $call->receive;
        $call->send(type => 'sse.start');
        holds { !$pending->is_ready } 'timeout and request_timeout are not for streams', 1;
        $call->finish;
    }
    on => $on, app => $puppet->app, timeout => 0.2, request_timeout => 0.2;
};

for my $value (qw(connection stream)) {
    ok lives {
        PAGI::Server->new(app => sub { }, quiet => 1, sse_idle_timeout_scope => $value)
    }, "sse_idle_timeout_scope => '$value'";
}
like dies {
    PAGI::Server->new(app => sub { }, quiet => 1, sse_idle_timeout_scope => 'server')
},
    qr/sse_idle_timeout_scope/, 'nothing else';

done_testing;

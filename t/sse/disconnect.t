# PAGI::Spec::Www, "SSE Disconnect" (contract 04 sections 3, 5, 10; E09)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Loop qw(failure_of holds settle turn wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Time::HiRes qw(time);

my $DATA = 'x' x 20_000;

sub gone {
    my ($reason) = @_;
    return { type => 'sse.disconnect', reason => $reason };
}

for_each_transport {
    my ($on)   = @_;
    my %leave  = $on->ways_to_leave;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        my $open = sub {
            my ($is_started, @options) = @_;
            my $client = $t->client(@options)->subscribe('/');
            my $call   = $puppet->next_call;
            $call->event;
            $call->send(type => 'sse.start') if $is_started;
            $client->read_head               if $is_started;
            return ($client, $call);
        };

        for my $how (sort keys %leave) {
            for my $is_started (0, 1) {
                my $when = $is_started ? 'in the stream' : 'before the start';
                subtest "the client $how $when" => sub {
                    my ($client, $call) = $open->($is_started);
                    my $pending = $call->receive;
                    $call->send(type => 'sse.keepalive', interval => 0.05);
                    $leave{$how}->($client);
                    is settle($pending), gone('client_closed'), 'a waiting receive learns of it';
                    is $call->event, gone('client_closed'), 'and every later one';
                    for my $event (
                        [type => 'sse.send', data => 'x'], [type => 'nonsense'],
                        [type => 'sse.start'], [type => 'sse.close'],
                        [type => 'sse.send', id => "\n"]
                        )
                    {
                        is failure_of($call->send(@$event)), undef, 'sends are silent';
                    }
                    $call->finish;
                };
            }
        }

        subtest 'a client that leaves while a send waits for it' => sub {
            my ($client, $call) = $open->(1, rcvbuf => 4096);
            $client->stop_reading;
            my $sent;
            for (1 .. 2000) {
                $sent = $call->send(type => 'sse.send', data => $DATA);
                turn(0);
                last if !$sent->is_ready;
            }
            ok !$sent->is_ready, 'it waits';
            $client->reset;
            settle($sent, 'the send');
            like $call->event->{reason}, qr/\A(?:client_closed|write_error)\z/, 'and a reason';
            $call->finish;
        };

        subtest 'the others go on' => sub {
            my @pairs = map { [$open->(1)] } 1 .. 3;
            $pairs[1][0]->close;
            is $pairs[1][1]->event, gone('client_closed'), 'one leaves';
            for my $n (0, 2) {
                my ($client, $call) = @{ $pairs[$n] };
                $call->send(type => 'sse.send', data => $n);
                is $client->read_data(qr/\n\n/), "data: $n\n\n", 'the others do not';
            }
            $_->[1]->finish for @pairs;
        };
    }
    on => $on, app => $puppet->app;
};

for_each_transport {
    my ($on) = @_;

    subtest 'a shutdown ends streams at once, in order (E09)' => sub {
        my $puppet = Test::PAGI::Puppet->new;
        with_server {
            my ($t)     = @_;
            my @clients = map { $t->client->subscribe('/') } 1 .. 3;
            my @calls   = map { $puppet->next_call } @clients;
            $_->event for @calls;
            my @pending = map { $_->receive } @calls;
            $_->send(type => 'sse.start')             for @calls;
            $_->send(type => 'sse.send', data => 'x') for @calls;
            my $begun    = time;
            my $shutdown = $t->server->shutdown;
            is settle($_), gone('server_shutdown'), 'each is told' for @pending;
            is $calls[0]->event, gone('server_shutdown'), 'again';
            is failure_of($calls[0]->send(type => 'sse.send', data => 'y')), undef,
                'sends are silent';

            for my $client (@clients) {
                is $client->read_data(qr/\n\n/), "data: x\n\n", 'what was sent';
                ok $client->ends, 'a whole stream';
            }
            $_->finish for @calls;
            settle($shutdown, 'the shutdown');
            cmp_ok time - $begun, '<', 5, 'long before shutdown_timeout';
        }
        on => $on, app => $puppet->app, shutdown_timeout => 30;
    };

    subtest 'a request that has not started may still be answered in a shutdown' => sub {
        my $puppet = Test::PAGI::Puppet->new;
        with_server {
            my ($t)     = @_;
            my @clients = map { $t->client->subscribe('/') } 1 .. 2;
            my @calls   = map { $puppet->next_call } @clients;
            $_->event for @calls;
            my $shutdown = $t->server->shutdown;
            turn(0.01) for 1 .. 5;
            $calls[0]->send(type => 'sse.http.response.start', status => 204);
            $calls[0]->send(type => 'sse.http.response.body');
            $calls[1]->send(type => 'sse.start');
            is $calls[1]->event, gone('server_shutdown'), 'a stream ends as it starts';
            my @statuses = sort map { $_->read_response->status } @clients;
            is \@statuses, [200, 204], 'both are answered';
            $_->finish for @calls;
            settle($shutdown, 'the shutdown');
        }
        on => $on, app => $puppet->app, shutdown_timeout => 30;
    };

    subtest 'shutdown_timeout ends what does neither' => sub {
        my $puppet = Test::PAGI::Puppet->new;
        with_server {
            my ($t)    = @_;
            my $client = $t->client->subscribe('/');
            my $call   = $puppet->next_call;
            $call->event;
            my $pending  = $call->receive;
            my $shutdown = $t->server->shutdown;
            is settle($pending), gone('server_shutdown'), 'told';
            $call->finish;
            settle($shutdown, 'the shutdown');
            $t->take_warnings;
        }
        on => $on, app => $puppet->app, shutdown_timeout => 0.3;
    };
};

done_testing;

# PAGI::Spec::Www, "Keepalive" of WebSockets; idle connections (contract 03 section 6)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Loop   qw(failure_of holds settle turn wait_until);
use Test::PAGI::Matrix qw(-at_once);
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Test::PAGI::WebSocket qw(accept_socket);
use Time::HiRes           qw(time);

sub lost { return { type => 'websocket.disconnect', code => 1006, reason => $_[0] } }

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    my ($ws, $call);
    my $open = sub {
        my ($t) = @_;
        $ws   = Test::PAGI::WebSocket->open($t);
        $call = accept_socket($puppet->next_call);
        $ws->accepted;
    };

    with_server {
        my ($t) = @_;

        subtest 'pings' => sub {
            $open->($t);
            $call->send(type => 'websocket.keepalive', interval => 0.05);
            my $ping = { fin => 1, rsv => 0, opcode => 9, payload => '' };
            is $ws->frame, $ping, 'come' for 1 .. 3;
            $call->send(type => 'websocket.keepalive', interval => 0);
            turn(0.1);
            $ws->client->read_bytes(length $ws->client->buffer);
            holds { $ws->client->buffer eq '' } 'stop at interval 0', 0.2;
            $call->send(type => 'websocket.keepalive', interval => 0.05, timeout => 0);
            is $ws->frame, $ping, 'come again';
            $call->send(type => 'websocket.keepalive');
            turn(0.1);
            $ws->client->read_bytes(length $ws->client->buffer);
            holds { $ws->client->buffer eq '' } 'and stop without one', 0.2;
            $call->finish;
        };

        subtest 'a client that answers' => sub {
            $open->($t);
            $call->send(type => 'websocket.keepalive', interval => 0.05, timeout => 0.2);
            my $end = time + 0.6;
            while (time < $end) {
                $ws->pong if $ws->frame->{opcode} == 9;
            }
            $ws->text('here');
            is $call->event->{text}, 'here', 'stays';
            $call->finish;
        };

        subtest 'a client that does not answer' => sub {
            $open->($t);
            my $waiting = $call->receive;
            $call->send(type => 'websocket.keepalive', interval => 0.05, timeout => 0.2);
            is settle($waiting), lost('keepalive_timeout'), 'is given up';
            my $bytes = $ws->client->read_until_eof;
            like $bytes, qr/\A(?:\x89\x00)+\z/, 'after pings, without a Close';
            $call->finish;
        };

        subtest 'what is no number' => sub {
            $open->($t);
            is failure_of($call->send(type => 'websocket.keepalive', interval => 'often')),
                "websocket.keepalive 'interval' must be a number\n", 'is refused';
            is failure_of($call->send(type => 'websocket.keepalive', interval => -1)), undef,
                'a negative one stops';
            $call->finish;
        };

        subtest 'an interval near nothing holds nobody up' => sub {
            $open->($t);
            my $other = $t->client;
            $call->send(type => 'websocket.keepalive', interval => 1e-9);
            is $ws->frame->{opcode}, 9, 'pings come';
            $other->begin(GET => '/');
            $puppet->next_call->reply('served');
            is $other->read_response->body, 'served', 'others are served';
            $ws->client->read_bytes(length $ws->client->buffer);
            turn(0.02) for 1 .. 5;
            cmp_ok length $ws->client->buffer, '<', 100, 'it is not taken at its word';
            $call->finish;
        };

        subtest 'the timeouts of http are not for WebSockets' => sub {
            $open->($t);
            holds { !$ws->client->is_eof } 'an idle one lives on', 1;
            $ws->text('here');
            is $call->event->{text}, 'here', 'and works';
            $call->finish;
        };
    }
    on => $on, app => $puppet->app, timeout => 0.3, request_timeout => 0.3;

    my @log;
    with_server {
        my ($t)    = @_;
        my $warned = sub { [map { s/ at .*//sr } $t->take_warnings] };
        my $text   = ["WebSocket idle timeout (0.5s) - closing connection\n"];

        subtest 'an idle WebSocket' => sub {
            $open->($t);
            my $waiting = $call->receive;
            is settle($waiting), lost('idle_timeout'), 'is closed';
            is $ws->close_frame, [1001, 'Idle timeout'], 'the client is told';
            ok $ws->ends, 'the end';
            is $warned->(), $text, 'and the operator';
            $call->finish;
        };

        subtest 'an idle handshake' => sub {
            my $client = Test::PAGI::WebSocket->open($t)->client;
            $call = $puppet->next_call;
            $call->event;
            is settle($call->receive), lost('idle_timeout'), 'is closed';
            is $client->read_until_eof, '', 'without an answer';
            is $warned->(), $text, 'with a warning';
            $call->finish;
        };

        my %traffic = (
            'messages in'  => sub { $ws->text('x') },
            'parts of one' => sub { $ws->write($_[0] ? 'x' : "\x81\xFEabcdef") },
            'messages out' => sub { $call->send(type => 'websocket.send', text => 'x') },
            'pongs'        => sub { $ws->pong },
        );
        for my $what (sort keys %traffic) {
            subtest "$what keep it alive" => sub {
                $open->($t);
                for my $round (0 .. 4) {
                    $traffic{$what}->($round);
                    turn(0.05) for 1 .. 5;
                }
                ok !$ws->client->is_eof, 'longer than the timeout';
                is $warned->(), [], 'no warnings';
                $call->finish;
            };
        }

        subtest 'pings keep it alive' => sub {
            $open->($t);
            $call->send(type => 'websocket.keepalive', interval => 0.2);
            holds { !$ws->client->is_eof } 'longer than the timeout', 1.2;
            $call->finish;
        };
    }
    on => $on, app => $puppet->app, ws_idle_timeout => 0.5, quiet => 0, log_level => 'warn';
};

done_testing;

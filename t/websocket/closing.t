# PAGI::Spec::Www, "Close" and "Disconnect" of WebSockets (contract 03 section 7)
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Loop   qw(failure_of settle wait_until);
use Test::PAGI::Matrix qw(-at_once);
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Test::PAGI::WebSocket qw(accept_socket close_bytes frame_bytes);

sub gone {
    my ($code, $reason) = @_;
    return { type => 'websocket.disconnect', code => $code, reason => $reason };
}

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    my ($ws, $call);
    with_server {
        my ($t) = @_;
        my $open = sub {
            $ws   = Test::PAGI::WebSocket->open($t);
            $call = accept_socket($puppet->next_call);
            $ws->accepted;
        };

        subtest 'the client closes' => sub {
            for my $case (
                [[1000, 'bye'], gone(1000, 'bye')],
                [[4999, 'grüß'], gone(4999, 'grüß')],
                [[1014], gone(1014, '')],
                [[], gone(1005, '')],
                )
            {
                my ($close, $event) = @$case;
                $open->();
                my $waiting = $call->receive;
                $ws->send_close(@$close);
                my ($code, $reason) = @$close;
                is $ws->close_frame, defined $code ? [$code, $reason // ''] : [],
                    'answered in kind';
                is settle($waiting), $event, 'the application hears of it';
                is $call->event, $event, 'each time';
                is failure_of($call->send(type => 'websocket.send', text => 'late')), undef,
                    'sends are silent';
                is failure_of($call->send(type => 'websocket.close')), undef, 'a close, too';
                ok $ws->ends, 'nothing follows';
                $call->finish;
            }
        };

        subtest 'the application closes' => sub {
            for my $case (
                [{}, [1000, '']],
                [{ code   => 1001, reason => 'grüß' }, [1001, 'grüß']],
                [{ code   => 4000 }, [4000, '']],
                [{ reason => 'done' }, [1000, 'done']],
                [{ reason => '日' x 100 }, [1000, '日' x 41]],
                )
            {
                my ($event, $frame) = @$case;
                $open->();
                $call->send(type => 'websocket.close', %$event);
                is $ws->close_frame, $frame, 'the frame';
                my $waiting = $call->receive;
                is failure_of($call->send(type => 'websocket.send', text => 'late')), undef,
                    'sends are silent from here on';
                is failure_of($call->send(type => 'websocket.close', code => 1)), undef,
                    'a second close, too';
                $ws->text('on its way')->send_close(@$frame);
                is settle($waiting), gone(@$frame), 'the answer is the end, and the only event';
                ok $ws->ends, 'closed by the server';
                $call->finish;
            }
        };

        subtest 'codes that nobody may send' => sub {
            $open->();
            for my $code (0, 999, 1004, 1005, 1006, 1015, 2999, 5000) {
                like failure_of($call->send(type => 'websocket.close', code => $code)),
                    qr/\Awebsocket\.close 'code' must be/, "code $code";
            }
            $call->send(type => 'websocket.close', code => 1013);
            is $ws->close_frame, [1013, ''], 'refusals change nothing';
            $call->finish;
        };

        subtest 'the application returns' => sub {
            $open->();
            $call->send(type => 'websocket.send', text => 'last');
            $call->finish;
            is $ws->message, 'last', 'what was sent comes';
            is $ws->close_frame, [1000, ''], 'then a Close';
            ok !$ws->client->is_eof, 'whose answer is waited for';
            $ws->send_close(1000);
            ok $ws->ends, 'the end';
        };

        subtest 'the application returns after its close' => sub {
            $open->();
            $call->send(type => 'websocket.close', code => 4001)->get;
            $call->finish;
            is $ws->close_frame, [4001, ''], 'one Close';
            $ws->send_close(4001);
            ok $ws->ends, 'and no other';
        };

        subtest 'a client that does not answer the Close' => sub {
            $open->();
            $call->send(type => 'websocket.close');
            is $ws->close_frame, [1000, ''], 'the Close';
            my $waiting = $call->receive;
            is settle($waiting), gone(1006, 'client_timeout'), 'is waited for, not for ever';
            ok $ws->ends, 'then the connection ends';
            $call->finish;
        };

        subtest 'the application dies' => sub {
            $open->();
            $call->fail("broken\n");
            is $ws->close_frame, [1011, ''], 'the client is told';
            is [$t->take_warnings], ["PAGI application error (WebSocket): broken\n"], 'and we are';
            $ws->send_close(1011);
            ok $ws->ends, 'the end';
        };

        subtest 'the application dies after the end' => sub {
            $open->();
            $ws->send_close(1000);
            $call->event;
            $call->fail("too late\n");
            is [$t->wait_warning(qr/too late/)],
                ["PAGI application error (WebSocket): too late\n"], 'a warning';
        };

        subtest 'the application dies or returns before it accepts' => sub {
            my %end = (
                dies => [
                    sub { $_[0]->fail("no\n") }, qr/\APAGI application error \(WebSocket\): no\n\z/
                ],
                returns => [sub { $_[0]->finish }, qr/returned without starting a response/],
            );
            for my $how (sort keys %end) {
                my ($run, $warning) = @{ $end{$how} };
                my $client = Test::PAGI::WebSocket->open($t)->client;
                $call = $puppet->next_call;
                $call->event;
                my $waiting = $call->receive;
                $run->($call);
                my $response = $client->read_response;
                is $response->status, 500, "$how: 500";
                is $response->body, $on->says('Internal Server Error'), 'in words';
                like [$t->take_warnings], [$warning], 'and a warning';
                is settle($waiting), gone(1006, ''), 'a receive that waits hears of it';
                ok $client->read_until_eof eq '', 'the end';
            }
        };

        subtest 'a client that goes before the accept' => sub {
            for my $how (qw(close reset half_close)) {
                $ws   = Test::PAGI::WebSocket->open($t);
                $call = $puppet->next_call;
                $call->event;
                my $waiting = $call->receive;
                $ws->client->$how;
                is settle($waiting), gone(1006, 'client_closed'), $how;
                is failure_of($call->send(type => 'websocket.accept')), undef, 'silence';
                $call->finish;
            }
        };

        subtest 'a client that resets' => sub {
            $open->();
            my $waiting = $call->receive;
            $ws->client->reset;
            is settle($waiting), gone(1006, 'client_closed'), 'reason';
            $call->finish;
        };

        subtest 'after its Close the client is not listened to' => sub {
            $open->();
            $ws->write(
                frame_bytes(1, 'one'), close_bytes(1000), frame_bytes(1, 'two'),
                frame_bytes(9, ''), close_bytes(1001)
            );
            is $call->event->{text}, 'one', 'what came before';
            is $call->event, gone(1000, ''), 'the end';
            is $ws->close_frame, [1000, ''], 'one answer';
            ok $ws->ends, 'and no other';
            $call->finish;
        };

        subtest 'a receive after the return' => sub {
            $open->();
            my $waiting = $call->receive;
            $call->finish;
            is settle($waiting), gone(1006, ''), 'is not left waiting';
        };

        subtest 'connections are given back' => sub {
            $ws->client->close;
            wait_until { !$t->server->connection_count } 'all connections to be gone';
            pass 'none is left';
        };
    }
    on => $on, app => $puppet->app;

    subtest 'the server shuts down' => sub {
        my $server = Test::PAGI::Server->new(on => $on, app => $puppet->app)->start;
        $ws   = Test::PAGI::WebSocket->open($server);
        $call = accept_socket($puppet->next_call);
        $ws->accepted;
        my $waiting = $call->receive;
        my $down    = $server->server->shutdown;
        is $ws->close_frame, [1001, 'Server shutdown'], 'the client is told';
        is settle($waiting), gone(1006, 'server_shutdown'), 'and the application';
        $call->finish;
        $ws->send_close(1001)->client->close;
        settle($down, 'the shutdown');
        $server->stop;
    };
};

done_testing;

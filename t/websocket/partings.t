# Ends that come while something is under way yet (contract 03 sections 3 and 7)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Loop   qw(failure_of settle wait_until);
use Test::PAGI::Matrix qw(-at_once);
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Test::PAGI::WebSocket qw(accept_socket close_bytes frame_bytes);

# More than sockets hold, and more than the windows of a stream.
my %LARGE = (h1 => 'x' x (6 * 1024 * 1024), h2 => 'x' x (512 * 1024));

sub gone {
    my ($code, $reason) = @_;
    return { type => 'websocket.disconnect', code => $code, reason => $reason };
}

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;
        my $open = sub {
            my $ws   = Test::PAGI::WebSocket->open($t, @_);
            my $call = accept_socket($puppet->next_call);
            $ws->accepted;
            return ($ws, $call);
        };

        # The server has seen what other clients did before.
        my $see = sub {
            my ($ws, $call) = $open->();
            $ws->send_close(1000);
            $call->event;
            $call->finish;
        };

        subtest 'messages and the end before the accept' => sub {
            for my $case (
                ['FIN', '', gone(1006, 'client_closed')],
                ['Close and FIN', close_bytes(1000, 'bye'), gone(1000, 'bye')],
                )
            {
                my ($what, $last, $end) = @$case;
                my $more = frame_bytes(1, 'one') . frame_bytes(2, 'two') . $last;
                my $ws   = Test::PAGI::WebSocket->open($t, more => $more);
                my $call = $puppet->next_call;
                $ws->client->half_close;
                $call->event;
                $see->();
                $call->send(type => 'websocket.accept');
                is $call->event, { type => 'websocket.receive', text => 'one' }, "$what: the first";
                is $call->event, { type => 'websocket.receive', bytes => 'two' }, 'the second';
                is $call->event, $end, 'the end';
                ok $ws->accepted, 'the client was accepted';
                $call->finish;
            }
        };

        my $is_h2 = $t->client->can('tunnel');
        my $large = $LARGE{ $is_h2 ? 'h2' : 'h1' };

        subtest 'an application that waits for them without having accepted' => sub {
            my $ws   = Test::PAGI::WebSocket->open($t, more => frame_bytes(1, 'one'));
            my $call = $puppet->next_call;
            $ws->client->half_close;
            $call->event;
            $see->();
            my $waiting = $call->receive;
            is settle($waiting), gone(1006, 'client_closed'), 'hears of the end';
            $call->finish;
        };

        subtest 'one that waits before they and the end come' => sub {
            my $ws   = Test::PAGI::WebSocket->open($t);
            my $call = $puppet->next_call;
            $call->event;
            my $waiting = $call->receive;
            $ws->text($_) for qw(one two);
            $ws->client->half_close;
            is settle($waiting), gone(1006, 'client_closed'), 'hears of the end, too';
            is failure_of($call->send(type => 'websocket.accept')), undef, 'an accept is late';
            $call->finish;
            $ws->client->read_until_eof;
        };

        subtest 'a client that is not through when the server closes' => sub {
            my ($slow, $call)  = $open->(client => { rcvbuf => 4096 });
            my ($mute, $other) = $open->();
            $slow->client->stop_reading;
            $call->send(type => 'websocket.send', bytes => $large);
            $call->send(type => 'websocket.close', code => 4000);
            my $waiting = $call->receive;
            $other->send(type => 'websocket.close');
            is settle($other->receive), gone(1006, 'client_timeout'), 'when others had their time';
            ok !$waiting->is_ready, 'it has its own yet';
            $slow->client->start_reading;
            is length $slow->message(30), length $large, 'it gets all of it';
            is $slow->close_frame, [4000, ''], 'and the Close';
            $slow->send_close(4000);
            is settle($waiting), gone(4000, ''), 'its answer counts';
            $_->finish for $call, $other;
        };

       # PAGI::Spec::Www "Standard Disconnect Reasons": write_error is EPIPE or ECONNRESET. A stream
       # of HTTP/2 is reset by a frame, which fails no write.
        subtest 'a client that resets with output before it' => sub {
            my ($ws, $call) = $open->(client => { rcvbuf => 4096 });
            $ws->client->stop_reading;
            my $sent    = $call->send(type => 'websocket.send', bytes => $large);
            my $waiting = $call->receive;
            $ws->client->reset;
            is settle($waiting), gone(1006, $is_h2 ? 'client_closed' : 'write_error'), 'the end';
            is failure_of($sent), undef, 'the send is told nothing';
            $call->finish;
        };
    }
    on => $on, app => $puppet->app;
};

done_testing;

# Queues and backpressure, both ways (contract 03 sections 5 and 11)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Loop   qw(failure_of holds resident_kb settle turn wait_until);
use Test::PAGI::Matrix qw(-at_once);
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Test::PAGI::WebSocket qw(accept_socket frame_bytes);

# Sends until one waits, and not only until the kernel has taken more: its Future, and how many
# were sent before.
sub fill {
    my ($call) = @_;
    for my $sent (0 .. 2000) {
        my $future = $call->send(type => 'websocket.send', bytes => 'x' x 10_000);
        turn(0.02) for 1 .. ($future->is_ready ? 0 : 5);
        return ($future, $sent) if !$future->is_ready;
    }
    die "no send waits\n";
}

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    my ($ws, $call);
    my $open = sub {
        my ($t, %client) = @_;
        $ws   = Test::PAGI::WebSocket->open($t, client => \%client);
        $call = accept_socket($puppet->next_call);
        $ws->accepted;
    };

    with_server {
        my ($t) = @_;

        subtest 'a queue that overflows' => sub {
            $open->($t);
            $ws->text("message $_") for 1 .. 10;
            is $ws->close_frame, [1008, 'Message queue overflow'], 'the client is told';
            ok $ws->ends, 'and cut off';
            is [map { $call->event->{text} } 1 .. 5], [map { "message $_" } 1 .. 5],
                'what had room is delivered';
            is $call->event,
                { type => 'websocket.disconnect', code => 1008, reason => 'queue_overflow' },
                'then the end';
            $call->finish;
        };

        subtest 'a queue that is full stops the reading first' => sub {
            $open->($t);
            $ws->text("message $_") for 1 .. 10;
            my @events;
            for my $n (1 .. 10) {
                turn(0.05);
                push @events, $call->event->{text};
            }
            is \@events, [map { "message $_" } 1 .. 10], 'an application that is late gets all';
            $ws->text('more');
            is $call->event->{text}, 'more', 'and the connection goes on';
            $call->finish;
        };

        subtest 'a client that stops at a full queue' => sub {
            $open->($t);
            $ws->text("message $_") for 1 .. 5;
            holds { !$ws->client->is_eof && $ws->client->buffer eq '' } 'is left alone', 1.5;
            is $call->event->{text}, "message $_", "message $_" for 1 .. 5;
            $ws->text('more');
            is $call->event->{text}, 'more', 'and heard again';
            $call->finish;
        };
    }
    on => $on, app => $puppet->app, max_receive_queue => 5;

    with_server {
        my ($t) = @_;

        subtest 'large messages that nobody takes' => sub {
            $open->($t, sndbuf => 65_536);
            my $before = resident_kb();
            $ws->binary('x' x 60_000) for 1 .. 300;
            holds { $ws->client->unsent > 8_000_000 } 'stop the reading', 0.5;
            cmp_ok resident_kb() - $before, '<', 30_000, 'before they are in memory'
                if defined $before;
            my $sum = 0;
            $sum += length $call->event->{bytes} for 1 .. 300;
            is $sum, 18_000_000, 'all come once they are wanted';
            $call->finish;
        };

        subtest 'a client that does not read' => sub {
            $open->($t, rcvbuf => 16_384);
            $ws->client->stop_reading;
            my $drained = 0;
            $call->transport->on_drain(sub { $drained++ });
            my ($future, $sent) = fill($call);
            ok !$future->is_ready, "a send waits, after $sent";
            # The kernel may have taken some since it was at the high mark.
            cmp_ok $call->transport->buffered_amount, '>=', 16_384, 'not below the low mark';
            $ws->client->start_reading;
            settle($future, 'the send that waits');
            is length $ws->message, 10_000, 'each message comes' for 0 .. $sent;
            wait_until { !$call->transport->buffered_amount } 'the backlog to go';
            cmp_ok $drained, '>=', 1, 'watchers hear of it';
            $call->finish;
        };

        subtest 'a client that pings and does not read' => sub {
            $open->($t, rcvbuf => 16_384);
            $ws->client->stop_reading;
            my $ping   = frame_bytes(9, 'p' x 125) x 1000;
            my $before = resident_kb();
            for (1 .. 60) {
                $ws->write($ping);
                turn(0.001);
            }
            wait_until { !$ws->client->unsent } 'the server to read all pings';
            cmp_ok $call->transport->buffered_amount, '<', 200_000, 'answers do not pile up';
            $ws->text('last')->ping('final');
            is $call->event->{text}, 'last', 'it is still heard';
            $ws->client->start_reading;
            my $frame = { payload => '' };
            $frame = $ws->frame while $frame->{payload} ne 'final';
            is $frame->{opcode}, 10, 'the last ping is answered';
            $call->finish;
        };

        subtest 'a client that reads nothing and goes' => sub {
            $open->($t, rcvbuf => 16_384);
            $ws->client->stop_reading;
            my ($future) = fill($call);
            $ws->client->reset;
            settle($future, 'the send that waits');
            is $call->event->{code}, 1006, 'the end';
            $call->finish;
        };

        subtest 'a client that closes and does not read' => sub {
            $open->($t, rcvbuf => 16_384);
            $ws->client->stop_reading;
            my ($future) = fill($call);
            $ws->send_close(1000);
            settle($future, 'the send that waits');
            is $call->event->{code}, 1000, 'the end';
            $call->finish;
        };
    }
    on => $on, app => $puppet->app;
};

done_testing;

# pagi.transport, backpressure, fan-out, fullflush, validate_events in sse scopes
# (contract 04 sections 8 to 11)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Loop   qw(failure_of holds settle turn wait_until);
use Test::PAGI::Matrix qw(-at_once);
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Time::HiRes qw(time);

my $DATA = 'x' x 10_000;

for_each_transport {
    my ($on)   = @_;
    my $puppet = Test::PAGI::Puppet->new;
    my $open   = sub {
        my ($t, @options) = @_;
        my $client = $t->client(@options)->subscribe('/');
        my $call   = $puppet->next_call;
        $call->send(type => 'sse.start');
        $client->read_head;
        return ($client, $call);
    };
    # Sends until a send waits, and goes on waiting; the Future of that one.
    my $fill = sub {
        my ($call) = @_;
        for (1 .. 5000) {
            my $sent = $call->send(type => 'sse.send', data => $DATA);
            turn(0) for 1 .. 10;
            my $patience = time + 0.5;    # the kernel takes more of it now and then
            turn(0.02) while !$sent->is_ready && time < $patience;
            return $sent if !$sent->is_ready;
        }
        die "no send ever waited\n";
    };

    with_server {
        my ($t) = @_;

        subtest 'a client that reads slowly parks the sends' => sub {
            my ($client, $call) = $open->($t, rcvbuf => 4096);
            my $transport = $call->transport;
            is $transport->buffered_amount, 0, 'nothing is buffered';
            my @order;
            $transport->on_high_water(sub { push @order, 'high' });
            $transport->on_drain(sub { push @order, 'drain' });
            $client->stop_reading;
            my $sent = $fill->($call);
            # Some may have left since; a send is done only below the low mark.
            $call->send(type => 'sse.send', data => $DATA)
                while $transport->buffered_amount < $transport->high_water_mark;
            cmp_ok $transport->buffered_amount, '>=', $transport->high_water_mark,
                'at the high mark';
            is $order[-1], 'high', 'on_high_water';
            @order = ('high');
            is failure_of($call->send(type => 'sse.comment', comment => 'c')), undef,
                'a comment never waits';
            my $before = $transport->buffered_amount;
            $call->send(type => 'sse.keepalive', interval => 0.02, comment => 'k');
            turn(0.02) for 1 .. 10;
            is $transport->buffered_amount, $before,
                'comments of the keepalive are not piled up for it';
            ok !$sent->is_ready, 'the send still waits';
            $client->start_reading;
            settle($sent, 'the send');
            wait_until { @order == 2 } 'on_drain';
            is \@order, ['high', 'drain'], 'on_drain, once';
            wait_until { $transport->buffered_amount < 1000 } 'all to be read';
            like $client->read_data(qr/:k\n\n/), qr/:c\n\n/, 'and comments come again';
            $call->finish;
        };

        subtest 'fan-out: one slow subscriber delays nobody' => sub {
            my @pairs = ([$open->($t, rcvbuf => 4096)], map { [$open->($t)] } 1 .. 4);
            my ($slow, @fast) = @pairs;
            $slow->[0]->stop_reading;
            my $parked = $fill->($slow->[1]);
            for my $round (1 .. 20) {
                my $text = "$round " . 'y' x 20_000;
                my @sent = map { $_->[1]->send(type => 'sse.send', data => $text) } @fast;
                my $want = "data: $text\n\n";
                for my $pair (@fast) {
                    my $got = $pair->[0]->read_data(length $want);
                    die "round $round: another event\n" if $got ne $want;
                }
                settle($_) for @sent;
            }
            pass 'twenty large events each, unmixed';
            ok !$parked->is_ready, 'while it is parked';
            $_->[1]->finish for @pairs;
        };

        subtest 'events of many sizes and streams are never mixed' => sub {
            my @pairs = map { [$open->($t)] } 1 .. 3;
            my @want  = ('') x 3;
            for my $step (1 .. 120) {
                my $to   = $step % 3;
                my $text = ($step % 4 ? 'same' : $step) x (1 + 1300 * ($step % 7));
                my $sent = $pairs[$to][1]->send(type => 'sse.send', data => $text);
                $want[$to] .= "data: $text\n\n";
                settle($sent);
            }
            for my $to (0 .. 2) {
                $pairs[$to][1]->finish;
                ok $pairs[$to][0]->read_response->body eq $want[$to], "stream $to";
                ok $pairs[$to][0]->ends, 'and its end';
            }
        };

        subtest 'fullflush needs the extension' => sub {
            my ($client, $call) = $open->($t);
            is failure_of($call->send(type => 'http.fullflush')),
                "Extension not enabled: fullflush\n", 'refused';
            is [$t->take_warnings],
                ["PAGI: http.fullflush event rejected - extension not enabled\n"], 'warning';
            $call->finish;
        };
    }
    on => $on, app => $puppet->app;

    with_server {
        my ($t) = @_;
        subtest 'fullflush' => sub {
            my ($client, $call) = $open->($t);
            ok $call->scope->{extensions}{fullflush}, 'advertised';
            $call->send(type => 'sse.send', data => 'x');
            is failure_of($call->send(type => 'http.fullflush')), undef, 'accepted';
            is $client->read_data(qr/\n\n/), "data: x\n\n", 'and there';
            $call->finish;
        };
    }
    on => $on, app => $puppet->app, extensions => { fullflush => {} };

    with_server {
        my ($t) = @_;
        subtest 'validate_events' => sub {
            my $client  = $t->client->subscribe('/');
            my $call    = $puppet->next_call;
            my $refused = sub {
                my ($text, %event) = @_;
                like failure_of($call->send(%event)), qr/\A\Q$text\E at /, $text;
            };
            $refused->("sse.start 'status' must be an integer", type => 'sse.start', status => 'x');
            $refused->(
                "sse.start 'headers' must be an array reference",
                type => 'sse.start', headers => {}
            );
            $refused->(
                "sse.http.response.start requires 'status' field",
                type => 'sse.http.response.start'
            );
            is failure_of($call->send(type => 'sse.start')), undef, 'what is right passes';
            $refused->("sse.send requires 'data' field", type       => 'sse.send');
            $refused->("sse.send 'data' must be a string", type     => 'sse.send', data => {});
            $refused->("sse.comment requires 'comment' field", type => 'sse.comment');
            $refused->(
                "sse.comment 'comment' must be a string",
                type => 'sse.comment', comment => []
            );
            $refused->("sse.keepalive requires 'interval' field", type => 'sse.keepalive');
            $refused->(
                "sse.keepalive 'interval' must be a number",
                type => 'sse.keepalive', interval => 'x'
            );
            $refused->("sse.close 'reason' must be a string", type => 'sse.close', reason => []);
            $call->send(type => 'sse.send', data => 'x');
            $call->send(type => 'sse.close');
            is failure_of($call->send(type => 'sse.send')),
                "cannot send 'sse.send' after sse.close\n",
                'too late comes before wrong';
            is $client->read_response->body, "data: x\n\n", 'a refused event changes nothing';
            $call->finish;
        };
    }
    on => $on, app => $puppet->app, validate_events => 1;
};

done_testing;

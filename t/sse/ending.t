# PAGI::Spec::Www, "Close SSE", "Return vs sse.close" (contract 04 sections 4, 5, 10, 11)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Loop qw(failure_of holds settle wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

sub gone {
    my ($reason) = @_;
    return { type => 'sse.disconnect', reason => $reason };
}

for_each_transport {
    my ($on)   = @_;
    my $puppet = Test::PAGI::Puppet->new;
    my $none   = $on->blames('PAGI application returned without starting a response');
    open my $log, '>', \my $lines or die $!;
    with_server {
        my ($t) = @_;

        my $open = sub {
            my $client = $t->client->subscribe('/events?a=b');
            return ($client, $puppet->next_call);
        };
        my $logged = sub {
            my ($status) = @_;
            wait_until { $lines =~ /\n/ } 'a line of the log';
            like $lines, qr{\A"GET /events\?a=b" $status\n\z}, "one line: $status";
            seek $log, 0, 0;
            $lines = '';
        };

        subtest 'sse.close' => sub {
            my ($client, $call) = $open->();
            $call->event;
            my $pending = $call->receive;
            $call->send(type => 'sse.start');
            $call->send(type => 'sse.send', data => 'last');
            is failure_of($call->send(type => 'sse.close', reason => 'job_complete')), undef,
                'accepted';
            is $client->read_data(qr/\n\n/), "data: last\n\n", 'the event before it';
            ok $client->ends, 'the end, EOF: while the application runs';
            $logged->('200 0');
            is settle($pending), gone('job_complete'), 'the waiting receive has the reason';
            is $call->event, gone('job_complete'), 'so has every later one';

            for my $type (
                qw(sse.start sse.send sse.comment sse.keepalive http.fullflush x),
                qw(sse.http.response.start sse.http.response.body http.response.start)
                )
            {
                is failure_of($call->send(type => $type)),
                    "cannot send '$type' after sse.close\n", "$type fails";
            }
            is failure_of($call->send(type => 'sse.close', reason => 'other')), undef,
                'a second close does nothing';
            is $call->event, gone('job_complete'), 'the first reason stays';
            $call->finish;
            holds { $lines eq '' } 'no second line', 0.1;
            unlike $lines, qr/job_complete/, 'nothing of the reason';
        };

        subtest 'sse.close without a reason' => sub {
            my ($client, $call) = $open->();
            $call->send(type => 'sse.start');
            $call->send(type => 'sse.close');
            is $client->read_response->body, '', 'an empty stream';
            is $call->event, gone('client_closed'), 'client_closed';
            $call->finish;
            $logged->('200 0');
        };

        subtest 'the application returns' => sub {
            my ($client, $call) = $open->();
            $call->send(type => 'sse.start', status => 202);
            $call->send(type => 'sse.send', data    => 'x');
            $call->finish;
            is $client->read_response->body, "data: x\n\n", 'the same on the wire';
            ok $client->ends, 'EOF';
            $logged->('202 0');
        };

        subtest 'the application dies before the start' => sub {
            my ($client, $call) = $open->();
            $call->fail("boom\n");
            my $response = $client->read_response;
            is [$response->status, $response->body], [500, $on->says('Internal Server Error')],
                '500';
            ok $client->ends, 'EOF';
            is [$t->take_warnings], ["PAGI application error (SSE): boom\n"], 'warning';
            $logged->('500 0');
        };

        subtest 'the application dies in the stream' => sub {
            my ($client, $call) = $open->();
            $call->send(type => 'sse.start');
            $call->send(type => 'sse.send', data => 'x');
            $call->fail("boom\n");
            is $client->read_response->body, "data: x\n\n", 'what was sent';
            ok $client->ends, 'ended as always';
            is [$t->take_warnings], ["PAGI application error (SSE): boom\n"], 'warning';
            $logged->('200 0');
        };

        subtest 'the application dies after its close' => sub {
            my ($client, $call) = $open->();
            $call->send(type => 'sse.start');
            $call->send(type => 'sse.close');
            $call->fail("boom\n");
            is $client->read_response->is_truncated, 0, 'the stream is whole';
            is [$t->take_warnings], ["PAGI application error (SSE): boom\n"], 'warning';
            $logged->('200 0');
        };

        subtest 'neither a stream nor a response (E03)' => sub {
            my ($client, $call) = $open->();
            $call->send(type => 'sse.send', data       => 'x');
            $call->send(type => 'sse.comment', comment => 'x');
            is failure_of($call->send(type => 'sse.keepalive', interval => 9)), undef,
                'what comes before the start is ignored (E10)';
            $call->finish;
            my $response = $client->read_response;
            is [$response->status, $response->body], [500, $on->says('Internal Server Error')],
                '500';
            ok $client->ends, 'EOF';
            like [$t->take_warnings], [$none], 'warning';
            $logged->('500 0');
        };

        subtest 'sse.close before the start' => sub {
            my ($client, $call) = $open->();
            $call->send(type => 'sse.close');
            is $client->read_response->status, 500, 'no answer is a 500';
            like failure_of($call->send(type => 'sse.start')), qr/after sse.close/,
                'nothing can start';
            $call->finish;
            like [$t->take_warnings], [$none], 'warning';
            $logged->('500 0');
        };

        subtest 'a response in its stead' => sub {
            my ($client, $call) = $open->();
            $call->send(type => 'sse.http.response.start', status => 404);
            $call->send(type => 'sse.http.response.body', body    => 'none');
            $call->finish;
            is $client->read_response->status, 404, 'sent';
            $logged->('404 4');
        };

        subtest 'events of other scopes' => sub {
            my ($client, $call) = $open->();
            for my $type (qw(http.response.start http.response.body websocket.send bogus)) {
                is failure_of($call->send(type => $type)),
                    "Unrecognized event type '$type' for sse protocol\n", $type;
            }
            $call->send(type => 'sse.start');
            is failure_of($call->send(type => 'sse.start', status => 500)), undef,
                'a second start is ignored';
            for my $case (
                [event => "a\nb" => 'Invalid SSE event name: contains newline'],
                [id    => "a\rb" => 'Invalid SSE id: contains newline'],
                [retry => 'soon' => 'Invalid SSE retry: must be a non-negative integer'],
                )
            {
                my ($field, $value, $text) = @$case;
                is failure_of($call->send(type => 'sse.send', data => 'x', $field => $value)),
                    "$text\n", "$field";
            }
            is failure_of($call->send(type => 'sse.send', data => [])),
                "sse.send 'data' must be a string\n", 'data';
            is failure_of($call->send(type => 'sse.keepalive', interval => 'x')),
                "sse.keepalive 'interval' must be a number\n", 'interval';
            $call->finish;
            is $client->read_response->body, '', 'nothing of them was sent';
            $logged->('200 0');
        };
    }
    on => $on, app => $puppet->app, access_log => $log, access_log_format => '"%m %U%q" %s %B';
};

done_testing;

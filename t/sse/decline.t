# PAGI::Spec::Www, "Decline SSE" (contract 04 section 6)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future::AsyncAwait;
use PAGI::Server;
use Scalar::Util qw(weaken);
use Test2::V0;
use Test::PAGI::Loop qw(failure_of holds wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

my $ACCEPT  = "Host: x\r\nAccept: text/event-stream\r\n";
my $START   = 'sse.http.response.start';
my $BODY    = 'sse.http.response.body';
my $VERSION = PAGI::Server->VERSION;

async sub watch {
    my ($receive, $kept) = @_;
    1 until (await $receive->())->{type} eq 'sse.disconnect';
    return $kept;
}

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        my $open = sub {
            my $client = $t->client->subscribe('/events', @_);
            return ($client, $puppet->next_call);
        };

        subtest '404 with a body' => sub {
            my ($client, $call) = $open->();
            $call->send(type => $START, status => 404, headers => [['X-A', 'b']]);
            holds { $client->buffer eq '' } 'nothing is sent before the body is whole', 0.1;
            $call->send(type => $BODY, body => 'not here');
            my $response = $client->read_response;
            is [$response->status, $response->body], [404, 'not here'], 'a plain response';
            is $response->own_names, [qw(x-a content-length date server)], 'fields';
            is [map { $response->header($_) } qw(x-a content-length)], ['b', 8], 'values';
            ok $client->ends, 'then the end, before the application returns';
            is $response->raw_head =~ s/^date: .*GMT\r$/date: DATE\r/mr,
                "HTTP/1.1 404 Not Found\r\nX-A: b\r\ncontent-length: 8\r\ndate: DATE\r\n"
                . "connection: close\r\nServer: PAGI::Server/$VERSION\r\n\r\n",
                'its bytes over HTTP/1'
                if $on->protocol eq 'h1';
            $call->finish;
        };

        subtest 'without a status, without a body' => sub {
            my ($client, $call) = $open->();
            $call->send(type => $START);
            $call->send(type => $BODY);
            my $response = $client->read_response;
            is [$response->status, $response->body], [200, ''], '200, empty';
            is $response->all('content-type'), [], 'no type of the server\'s';
            $call->finish;
        };

        subtest '204 stops an EventSource (E14)' => sub {
            my ($client, $call) = $open->();
            my @fields = (['Content-Length', 0], ['Date', 'then']);
            $call->send(type => $START, status => 204, headers => \@fields);
            $call->send(type => $BODY, body    => 'dropped');
            my $response = $client->read_response;
            is $response->status, 204, 'status';
            is $response->own_names, [qw(date server)], 'no length, one date';
            ok $client->ends, 'no body';
            $call->finish;
        };

        subtest '401 with a header, in parts' => sub {
            my ($client, $call) = $open->();
            my @fields = (['WWW-Authenticate', 'Bearer'], ['Content-Length', 99]);
            $call->send(type => $START, status => 401, headers => \@fields);
            $call->send(type => $START, status => 500);
            $call->send(type => $BODY, body    => 'un', more => 1);
            $call->send(type => $BODY, body    => 'authorized');
            my $response = $client->read_response;
            is $response->status, 401, 'the first start counts';
            is $response->body, 'unauthorized', 'the whole body';
            is $response->all('www-authenticate'), ['Bearer'], 'header';
            is $response->all('content-length'), [12], 'one length, the right one';
            $call->finish;
        };

        subtest 'a redirect' => sub {
            my ($client, $call) = $open->();
            $call->send(type => $START, status => 302, headers => [['location', '/x']]);
            $call->send(type => $BODY);
            is $client->read_response->header('location'), '/x', 'location';
            $call->finish;
        };

        subtest 'HEAD' => sub {
            my ($client, $call) = $open->(method => 'HEAD');
            $call->send(type => $START, status => 404);
            $call->send(type => $BODY, body    => 'not here');
            is $client->read_response->header('content-length'), 8, 'the length';
            ok $client->ends, 'no body';
            $call->finish;
        };

        subtest 'the first send wins: a response' => sub {
            my ($client, $call) = $open->();
            $call->send(type => $START, status => 404);
            my $refused = sub {
                my ($when) = @_;
                for my $type (qw(sse.start sse.send sse.comment sse.keepalive sse.close x)) {
                    is failure_of($call->send(type => $type)),
                        "cannot send '$type' after $START\n", "$type $when";
                }
            };
            $refused->('before the body');
            $call->send(type => $BODY, body => 'x', more => 1);
            $refused->('in the body');
            is failure_of($call->send(type => $BODY, body => 'y')), undef, 'the body goes on';
            $refused->('after it');
            is $client->read_response->body, 'xy', 'and arrives';
            $refused->('after the end of the connection');
            is failure_of($call->send(type => $BODY, body => 'z')), undef, 'more body is ignored';
            is failure_of($call->send(type => $START)), undef, 'another start too';
            $call->finish;
        };

        subtest 'the first send wins: a stream' => sub {
            my ($client, $call) = $open->();
            is failure_of($call->send(type => $BODY, body => 'x')), undef,
                'a body without its start is ignored';
            $call->send(type => 'sse.start');
            is failure_of($call->send(type => $START, status => 404)),
                "cannot decline with $START after sse.start\n", 'start';
            is failure_of($call->send(type => $BODY)),
                "cannot decline with $BODY after sse.start\n", 'body';
            $call->send(type => 'sse.send', data => 'x');
            $call->finish;
            is $client->read_response->body, "data: x\n\n", 'the stream is as it was';
        };

        subtest 'a refused start leaves the way open' => sub {
            my ($client, $call) = $open->();
            like failure_of($call->send(type => $START, headers => [['x', "a\nb"]])),
                qr/Invalid header value/, 'a header that breaks the line';
            like failure_of($call->send(type => $START, status => 'x')),
                qr/'status' must be an integer/, 'a status that is none';
            is failure_of($call->send(type => 'sse.start')), undef, 'start a stream instead';
            $call->finish;
            is $client->read_response->status, 200, 'sent';
        };

        subtest 'no sse.disconnect afterwards' => sub {
            my ($client, $call) = $open->();
            $call->event;
            my $early = $call->receive;
            $call->send(type => $START, status => 404);
            $call->send(type => $BODY);
            $client->read_response;
            my $late = $call->receive;
            holds { !$early->is_ready && !$late->is_ready } 'neither receive is resolved', 0.2;
            $call->finish;
            holds { !$early->is_ready && !$late->is_ready } 'nor by the return', 0.1;
        };

        subtest 'who waits for the end in vain is let go' => sub {
            my ($client, $call)  = $open->();
            my ($kept, $watcher) = ({});
            weaken(my $weak = $kept);
            $watcher = watch($call->{receive}, $kept);
            $call->send(type => $START, status => 204);
            $call->send(type => $BODY);
            $client->read_response;
            $call->finish;
            undef $_ for $kept, $watcher, $call;
            wait_until { !$weak } 'what it held to be freed';
            ok !$weak, 'once the application returned';
        };

        subtest 'a response that is never finished' => sub {
            my ($client, $call) = $open->();
            $call->send(type => $START, status => 404);
            $call->send(type => $BODY, body    => 'x', more => 1);
            $call->finish;
            is $client->read_response->status, 500, '500: nothing of it had been sent';
            my $text = $on->blames('PAGI application returned with an incomplete response');
            like [$t->take_warnings], [$text], 'a warning';
        };
    }
    on => $on, app => $puppet->app;
};

# A version that only HTTP/1 has.
for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        subtest 'an HTTP/1.0 client' => sub {
            my $client = $t->client->write("GET / HTTP/1.0\r\n$ACCEPT\r\n");
            my $call   = $puppet->next_call;
            $call->send(type => $START, status => 404);
            $call->send(type => $BODY, body    => 'not here');
            like $client->read_until_eof, qr{\AHTTP/1.0 404 .*not here\z}s, 'its version';
            $call->finish;
        };
    }
    on => $on, app => $puppet->app;
}
protocol => 'h1';

done_testing;

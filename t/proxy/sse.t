# Event streams behind nginx that passes on what it has
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Loop qw(settle wait_until);
use Test::PAGI::Proxy;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

Test::PAGI::Proxy->need('nginx');

my $GET = "GET /events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";

my $puppet = Test::PAGI::Puppet->new;
with_server {
    my ($t) = @_;
    my $nginx = Test::PAGI::Proxy->nginx($t->port);

    subtest 'events arrive one by one' => sub {
        my $client = $nginx->client('direct')->write($GET);
        my $call   = $puppet->next_call;
        is $call->scope->{type}, 'sse', 'it is one for nginx, too';
        # Else nginx may give the connection its next request, in the moment before it is closed.
        $call->send(type => 'sse.start', headers => [['connection', 'close']]);
        like $client->read_until(qr/\r\n\r\n/),
            qr{\AHTTP/1.1 200 OK\r\n.*Content-Type: text/event-stream\r\n}is, 'the head, at once';
        for my $n (1 .. 5) {
            $call->send(type => 'sse.send', data => "event $n", id => $n);
            like $client->read_until(qr/id: $n\n\n/), qr/data: event $n\n/, "event $n";
        }
        $call->send(type => 'sse.keepalive', interval => 0.05, comment => 'ping');
        $client->read_until(qr/:ping\n\n/);
        $call->finish;
        wait_until { $client->buffer =~ /\r\n0\r\n\r\n\z/ } 'the end';
        pass 'the end';
    };

    subtest 'a client that leaves nginx' => sub {
        my $client = $nginx->client('direct')->write($GET);
        my $call   = $puppet->next_call;
        $call->event;
        $call->send(type => 'sse.start');
        $client->read_until(qr/\r\n\r\n/);
        my $gone = $call->receive;
        $client->close;
        is settle($gone), { type => 'sse.disconnect', reason => 'client_closed' }, 'is noticed';
        $call->finish;
    };

    subtest 'a response in its stead, and then a stream' => sub {
        my $client = $nginx->client('direct')->write($GET);
        my $call   = $puppet->next_call;
        $call->send(type => 'sse.http.response.start', status => 204);
        $call->send(type => 'sse.http.response.body');
        $call->finish;
        is $client->read_response->status, 204, '204';
        $client->write($GET);
        $call = $puppet->next_call;
        $call->send(type => 'sse.start');
        $call->send(type => 'sse.send', data => 'x');
        $call->finish;
        is $client->read_response->body, "data: x\n\n", 'nginx keeps its client';
    };

    $nginx->stop;
    is [$nginx->complaints], [], 'nothing in its logs';
}
app => $puppet->app;

done_testing;

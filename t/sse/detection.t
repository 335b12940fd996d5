# PAGI::Spec::Www, "SSE Connection Detection" (contract 04 sections 1 and 11)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Test::PAGI::WebSocket qw(handshake);

my @SSE = (
    ['text/event-stream'],
    ['TEXT/Event-Stream'],
    ['text/html, text/event-stream'],
    ['text/event-stream;q=0.1'],
    ['text/event-stream; charset=utf-8 ; q=0.001'],
    ['text/html,text/event-stream ; q=1 , */*;q=0.8'],
    ['text/html', 'text/event-stream'],
    ['text/event-stream;q=0', 'text/event-stream;q=0.5'],
    ['a/b;c="x, y";q=0.3, text/event-stream'],
);

my @HTTP = (
    [],
    [''],
    ['*/*'],
    ['text/*'],
    ['text/event-stream;q=0'],
    ['text/event-stream;q=0.000'],
    ['text/event-stream ; Q=0'],
    ['text/event-streams'],
    ['x-text/event-stream'],
    ['text/event-stream/x'],
    ['text/html;p="text/event-stream"'],
    ['text/html;p="a,text/event-stream,b"'],
    ['application/json, text/plain, */*'],
);

my @METHODS = qw(GET POST PUT PATCH DELETE OPTIONS QUERY);

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        my $scope = sub {
            my ($method, @fields) = @_;
            my $client = $t->client->begin($method => '/events', headers => \@fields);
            my $call   = $puppet->next_call;
            $call->finish;
            $client->read_response;
            $t->take_warnings;
            return $call->scope;
        };
        my $accept = sub {
            return map { [Accept => $_] } @_;
        };

        for my $case (@SSE) {
            is $scope->('GET', $accept->(@$case))->{type}, 'sse', "sse: @$case";
        }
        for my $case (@HTTP) {
            is $scope->('GET', $accept->(@$case))->{type}, 'http', "http: @$case";
        }
        for my $method (@METHODS) {
            my $found = $scope->($method, [Accept => 'text/event-stream']);
            is [@{$found}{qw(type method)}], ['sse', $method], "$method is preserved";
        }

        subtest 'the keys of the scope' => sub {
            my $client = $t->client->begin(
                POST    => '/e%C3%A9/x?a=b%20c',
                body    => 'x',
                headers => [[Accept => 'text/event-stream'], ['X-A' => '1'], ['x-a' => '2']],
            );
            my $call  = $puppet->next_call;
            my $found = $call->scope;
            is [sort keys %$found],
                [
                $on->has_addresses ? 'client' : (),
                qw(extensions headers http_version method pagi pagi.transport path
                    query_string raw_path root_path scheme server state type)
                ],
                'those of http but pagi.connection';
            is [@{$found}{qw(type scheme http_version path raw_path query_string root_path)}],
                [
                'sse', $on->is_secure ? 'https' : 'http', $on->protocol eq 'h1' ? '1.1' : '2',
                "/e\x{e9}/x", '/e%C3%A9/x',
                'a=b%20c', ''
                ],
                'values';
            is [grep { $_->[0] eq 'x-a' } @{ $found->{headers} }], [['x-a', 1], ['x-a', 2]],
                'headers as they came';
            is $found->{client}, ['127.0.0.1', $client->port], 'client' if $on->has_addresses;
            $call->finish;
            $client->read_response;
            $t->take_warnings;
        };

        subtest 'what is refused before a scope is, is refused here as well' => sub {
            my $count = $puppet->count;
            my $open  = $t->client->subscribe('/', method => 'POST', length => 101, more => 1);
            is $open->read_response->status, 413, 'a body too large';
            is $puppet->count, $count, 'the application is not called';
        };
    }
    on => $on, app => $puppet->app, max_body_size => 100;
};

# Two Hosts and an Upgrade are HTTP/1's.
for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t)    = @_;
        my $accept = "Accept: text/event-stream\r\n";
        my $answer = $t->exchange("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n$accept\r\n");
        like $answer, qr{\AHTTP/1.1 400 }, 'a bad head';
        is $puppet->count, 0, 'the application is not called';
        my $client = $t->client->write(handshake(fields => { Accept => 'text/event-stream' }));
        my $call   = $puppet->next_call;
        is $call->scope->{type}, 'websocket', 'a WebSocket handshake wins';
        $call->finish;
        $client->read_response;
        $t->take_warnings;
    }
    on => $on, app => $puppet->app;
}
protocol => 'h1';

done_testing;

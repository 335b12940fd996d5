# PAGI::Spec::Www, "WebSocket": which requests become one, and how they are accepted
# (contract 03 sections 1, 2 and 4)
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Loop qw(failure_of settle);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Test::PAGI::WebSocket qw(accept_socket handshake);

sub request {
    my ($t, %args) = @_;
    return $t->client->write(handshake(%args));
}

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        subtest 'what is refused' => sub {
            my $count = $puppet->count;
            for my $version (undef, 8, 'x', ['13', '13'], '013') {
                my $name   = ref $version ? "@$version" : $version // 'none';
                my %fields = ('Sec-WebSocket-Version' => $version);
                my $response =
                    Test::PAGI::WebSocket->open($t, fields => \%fields)->client->read_response;
                is $response->status, 426, "version $name";
                is $response->header('sec-websocket-version'), '13', 'the one that works';
                is $response->body, $on->says('Upgrade Required'), 'in words';
            }
            is $puppet->count, $count, 'the application is not called';
        };

        subtest 'the scope' => sub {
            my $ws = Test::PAGI::WebSocket->open(
                $t,
                path   => '/ws/%E6%97%A5%E6%9C%AC?a=b%20c',
                fields => { 'Sec-WebSocket-Protocol' => ['echo, chat', ' third '] }
            );
            my $call  = $puppet->next_call;
            my $scope = $call->scope;
            is [sort keys %$scope], [
                sort qw(
                    type pagi http_version scheme path raw_path query_string root_path headers
                    server state extensions subprotocols pagi.transport
                ), $on->has_addresses ? 'client' : ()
                ],
                'its keys';
            my %expected = (
                type         => 'websocket', http_version => $on->protocol eq 'h1' ? '1.1' : '2',
                scheme       => $on->is_secure ? 'wss' : 'ws',
                path         => '/ws/日本', raw_path   => '/ws/%E6%97%A5%E6%9C%AC',
                query_string => 'a=b%20c', root_path => '', subprotocols => [qw(echo chat third)],
            );
            is $scope->{$_}, $expected{$_}, $_ for sort keys %expected;
            is $scope->{extensions}{'websocket.http.response'}, {}, 'a denial can be a response';
            my %header = map { @$_ } @{ $scope->{headers} };
            is $header{'sec-websocket-version'}, 13, 'headers, in lower case';
            is $header{upgrade}, $on->protocol eq 'h1' ? 'websocket' : undef, 'those of its kind';
            isa_ok $scope->{'pagi.transport'}, 'PAGI::Server::TransportState';
            is $scope->{client}[0], '127.0.0.1', 'client'   if $on->has_addresses;
            is $scope->{server}[1], $on->port($t), 'server' if $on->has_addresses;
            accept_socket($call)->finish;
            $ws->accepted;
        };

        subtest 'the extension is no other scope\'s' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            ok !exists $call->scope->{extensions}{'websocket.http.response'}, 'not in http';
            $call->reply('');
        };

        subtest 'no subprotocols' => sub {
            my $ws   = Test::PAGI::WebSocket->open($t);
            my $call = $puppet->next_call;
            is $call->scope->{subprotocols}, [], 'an empty list';
            accept_socket($call);
            is $ws->accepted->answer->header('sec-websocket-protocol'), undef, 'and none agreed';
            is $ws->head,
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                . "Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                . "\r\n", 'the response, byte for byte'
                if $on->protocol eq 'h1';
            $call->finish;
        };

        subtest 'accepting with a subprotocol and headers' => sub {
            my $ws = Test::PAGI::WebSocket->open($t, fields => { 'Sec-WebSocket-Protocol' => 'a' });
            my $call = $puppet->next_call;
            accept_socket(
                $call,
                subprotocol => 'a',
                headers     => [['X-One', '1'], ['Connection', 'close'], ['set-cookie', 'b=c']]
            );
            my @fields = grep { !/\A(?:upgrade|connection|sec-websocket-accept)\z/i }
                @{ $ws->accepted->answer->names };
            is [map { lc } @fields], [qw(sec-websocket-protocol x-one set-cookie)],
                'in their order, without those that are the server\'s';
            is $ws->answer->header($_->[0]), $_->[1], $_->[0]
                for ['sec-websocket-protocol', 'a'], ['x-one', 1], ['set-cookie', 'b=c'];
            $call->finish;
        };

        subtest 'a failing accept leaves the handshake open' => sub {
            my $ws =
                Test::PAGI::WebSocket->open($t, fields => { 'Sec-WebSocket-Protocol' => 'a!b' });
            my $call = $puppet->next_call;
            $call->event;
            my $space = "Invalid subprotocol: contains CR, LF, null, or whitespace\n";
            my $token = "Invalid subprotocol: must be alphanumeric, dash, underscore, or dot\n";
            for my $case (
                ["a\r\nX: y", $space], ["a\0", $space], ['a b', $space], ["a\tb", $space],
                ['a,b', $token], ['ä', $token], ['a/b', $token],
                )
            {
                my ($name, $text) = @$case;
                is failure_of($call->send(type => 'websocket.accept', subprotocol => $name)), $text,
                    $text;
            }
            like failure_of($call->send(type => 'websocket.accept', headers => [['x', "a\r\nb"]])),
                qr/Invalid header value/, 'headers are checked, too';
            is failure_of($call->send(type => 'websocket.accept', subprotocol => 'a!b')), undef,
                'any token will do';
            my $answer = $ws->accepted->answer;
            is $answer->all('sec-websocket-protocol'), ['a!b'], 'accepted at last';
            is $answer->header('x'), undef, 'nothing of the others';
            is failure_of($call->send(type => 'websocket.accept')), undef, 'a second one is silent';
            $call->finish;
        };

        subtest 'data that comes with the handshake' => sub {
            my $ws = Test::PAGI::WebSocket->open(
                $t,
                more => join '', map { Test::PAGI::WebSocket::frame_bytes(1, $_) } qw(one two)
            );
            my $call = $puppet->next_call;
            is $call->event, { type => 'websocket.connect' }, 'connect is the first event';
            my $pending = $call->receive;
            ok !$pending->is_ready, 'no message before the accept';
            $call->send(type => 'websocket.accept');
            is settle($pending)->{text}, 'one', 'then the first';
            is $call->event->{text}, 'two', 'and the second';
            $call->finish;
        };

    }
    on => $on, app => $puppet->app;
};

# Upgrade, Connection and the key are HTTP/1's.
for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        subtest 'what becomes a WebSocket' => sub {
            my %fields = (
                'as browsers ask'      => { Connection => 'keep-alive, Upgrade' },
                'in capitals'          => { Upgrade    => 'WebSocket', Connection => 'UPGRADE' },
                'one protocol of some' => { Upgrade    => 'h2c, websocket' },
                'event streams, too'   => { Accept     => 'text/event-stream' },
            );
            for my $how (sort keys %fields) {
                my $client = request($t, fields => $fields{$how});
                my $call   = $puppet->next_call;
                is $call->scope->{type}, 'websocket', $how;
                $client->close;
                is $call->event->{type}, 'websocket.connect', 'it connects first';
                is $call->event->{type}, 'websocket.disconnect', 'then its client is gone';
                $call->finish;
            }
        };

        subtest 'what stays an ordinary request' => sub {
            my %request = (
                'another method'     => { line   => 'POST / HTTP/1.1' },
                'HTTP/1.0'           => { line   => 'GET / HTTP/1.0' },
                'without Upgrade'    => { fields => { Upgrade             => undef } },
                'without Connection' => { fields => { Connection          => undef } },
                'without a key'      => { fields => { 'Sec-WebSocket-Key' => undef } },
                'upgrade in a word'  => { fields => { Connection          => 'xupgrade' } },
            );
            for my $how (sort keys %request) {
                my $client = request($t, %{ $request{$how} });
                my $call   = $puppet->next_call;
                is $call->scope->{type}, 'http', $how;
                $call->reply('ok');
                is $client->read_response->status, 200, 'answered';
            }
        };

        subtest 'keys that are none' => sub {
            my $count = $puppet->count;
            my $key   = 'dGhlIHNhbXBsZSBub25jZQ==';
            for my $bad ('', 'x', 'dGhlIHNhbXBsZSBub25jZQ', "$key=", [$key, $key]) {
                my $response =
                    request($t, fields => { 'Sec-WebSocket-Key' => $bad })->read_response;
                is $response->status, 400, 'key ' . (ref $bad ? "@$bad" : "'$bad'");
                is $response->body, 'Bad Request', 'in words';
            }
            is $puppet->count, $count, 'the application is not called';
        };

        subtest 'a body of the handshake is nobody\'s' => sub {
            my $client = $t->client->write(handshake(fields => { 'Content-Length' => 5 }) . 'hello'
                    . Test::PAGI::WebSocket::frame_bytes(1, 'after'));
            my $call = $puppet->next_call;
            accept_socket($call);
            is $call->event->{text}, 'after', 'what follows it is';
            $call->finish;
        };
    }
    on => $on, app => $puppet->app;
}
protocol => 'h1';

done_testing;

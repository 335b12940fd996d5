# PAGI::Spec::Www, "WebSocket Denial Response" and rejection (contract 03 sections 4 and 8)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Loop qw(failure_of holds settle);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Test::PAGI::WebSocket;

my $GONE = { type => 'websocket.disconnect', code => 1006, reason => '' };

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    my ($ws, $client, $call);
    with_server {
        my ($t) = @_;
        my $open = sub {
            $ws     = Test::PAGI::WebSocket->open($t);
            $client = $ws->client;
            $call   = $puppet->next_call;
            $call->event;
        };
        my $start = sub { $call->send(type => 'websocket.http.response.start', @_) };
        my $body  = sub { $call->send(type => 'websocket.http.response.body', @_) };

        subtest 'a close before the accept' => sub {
            $open->();
            $call->send(type => 'websocket.close', code => 1008);
            my $response = $client->read_response;
            is [$response->status, $response->body], [403, 'Forbidden'], 'is a 403';
            is $client->read_until_eof, '', 'and closes at once';
            is failure_of($call->send(type => 'websocket.accept')), undef, 'an accept is silent';
            is $call->event, $GONE, 'a receive hears that it is over';
            $call->finish;
        };

        subtest 'a denial' => sub {
            $open->();
            my $waiting = $call->receive;
            $start->(status => 401, headers => [['x-custom', 'v'], ['content-type', 'text/json']]);
            is failure_of($start->(status => 500)), undef, 'a second start is ignored';
            is failure_of($call->send(type => 'websocket.accept')), undef, 'an accept, too';
            holds { $client->buffer eq '' } 'nothing is written yet', 0.05;
            $body->(body => '{"error":', more => 1);
            $body->(body => '"no"}');
            my $response = $client->read_response;
            is $response->status, 401, 'status';
            is $response->header('x-custom'), 'v', 'header';
            is $response->header('content-length'), 14, 'length';
            ok $response->header('date'), 'date';
            like $response->header('server'), qr/PAGI::Server/, 'server';
            is $response->body, '{"error":"no"}', 'the whole body';
            is $client->read_until_eof, '', 'and the end';
            is settle($waiting), $GONE, 'a receive that waited';
            is failure_of($body->(body => 'more')), undef, 'what follows is silent';
            is failure_of($call->send(type => 'websocket.accept')), undef, 'whatever it is';
            $call->finish;
        };

        subtest 'defaults' => sub {
            $open->();
            is failure_of($body->(body => 'x')), undef, 'a body without a start is ignored';
            $start->();
            $body->();
            my $response = $client->read_response;
            is [$response->status, $response->body], [403, ''], '403 and nothing';
            $call->finish;
        };

        subtest 'fields of the application\'s own' => sub {
            $open->();
            $start->(
                status  => 429,
                headers => [['Content-Length', 99], ['Date', 'today'], ['Transfer-Encoding', 'x']]
            );
            $body->(body => 'wait');
            my $response = $client->read_response;
            is $response->own_names, [qw(content-length date server)], 'each once';
            is [map { $response->header($_) } qw(content-length date)], [4, 'today'],
                'and the length is true';
            is $response->raw_head =~ s/\r\n/ /gr =~ s/Server: \S+ //r,
                'HTTP/1.1 429 Too Many Requests Content-Length: 4 Date: today connection: close  ',
                'as it was over HTTP/1'
                if $on->protocol eq 'h1';
            is $response->body, 'wait', 'body';
            $call->finish;
        };

        subtest '204' => sub {
            $open->();
            $start->(status => 204);
            $body->(body => 'not for a 204');
            my $response = $client->read_response;
            is [map { $response->$_ } qw(status body)], [204, ''], 'has no body';
            is $response->all('content-length'), [], 'nor a length';
            is $client->read_until_eof, '', 'and nothing follows';
            $call->finish;
        };

        subtest '205' => sub {
            $open->();
            $start->(status => 205);
            $body->(body => 'not for a 205');
            my $response = $client->read_response;
            is [map { $response->$_ } qw(status body)], [205, ''], 'has no body';
            is $response->all('content-length'), [0], 'and says so';
            is $client->read_until_eof, '', 'and nothing follows';
            $call->finish;
        };

        subtest 'refusals' => sub {
            $open->();
            like failure_of($start->(status => 101)), qr/start 'status' must be an integer between/,
                'status';
            like failure_of($start->(headers => [['a b', 'c']])), qr/Invalid header name/,
                'headers';
            $call->send(type => 'websocket.accept');
            is failure_of($start->(status => 404)), undef, 'after an accept it is ignored';
            is failure_of($body->(body => 'x')), undef, 'its body, too';
            ok $ws->accepted, 'the accept counted';
            $call->finish;
        };

        subtest 'a denial without its end' => sub {
            $open->();
            $start->(status => 401);
            $body->(body => 'part', more => 1);
            $call->finish;
            is $client->read_response->status, 500, 'is no answer';
            like [$t->take_warnings], [qr/without starting a response/], 'warned of';
        };
    }
    on => $on, app => $puppet->app;
};

done_testing;

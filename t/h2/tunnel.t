# contract 03 section 10, 04 section 8: WebSocket and event streams over HTTP/2
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Loop qw(settle turn wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Test::PAGI::WebSocket qw(frame_bytes);

# The stream of a handshake.
sub upgrade {
    my ($h2, %opt) = @_;
    my @fields = (['sec-websocket-version', $opt{version} // 13], @{ $opt{headers} // [] });
    return $h2->tunnel(path => '/chat?x', protocol => $opt{protocol}, fields => \@fields)->id;
}

# A masked frame, with other bits than those of a whole message.
sub message {
    my ($opcode, $payload, $flags) = @_;
    return frame_bytes($opcode, $payload, rsv => ($flags // 0) >> 4 & 7);
}

sub says { my ($h2, $id, @message) = @_; return $h2->frame(DATA => $id, message(@message)) }

sub hears {
    my ($h2, $id, $bytes) = @_;
    my $response = $h2->partial($id);
    my $from     = $response->{heard} // 0;
    $h2->wait_for(
        'a message',
        sub { length $response->body >= $from + length $bytes || $response->is_over }
    );
    $response->{heard} = $from + length $bytes;
    return substr $response->body, $from, length $bytes;
}

for_each_transport {
    my ($on)   = @_;
    my $puppet = Test::PAGI::Puppet->new;
    my $accept = sub { $_[0]->event; $_[0]->send(type => 'websocket.accept', @_[1 .. $#_]) };
    &with_server(
        sub {
            my ($t) = @_;
            my $h2 = $t->client;

            subtest 'accept, messages, close' => sub {
                my $id    = upgrade($h2, headers => [['sec-websocket-protocol', 'a, b']]);
                my $call  = $puppet->next_call;
                my $scope = $call->scope;
                is [@{$scope}{qw(type http_version path query_string scheme)}],
                    ['websocket', '2', '/chat', 'x', $on->is_secure ? 'wss' : 'ws'], 'scope';
                is $scope->{subprotocols}, ['a', 'b'], 'subprotocols';
                ok $scope->{'pagi.transport'}, 'pagi.transport';
                says($h2, $id, 1, 'early');
                $accept->($call, subprotocol => 'b', headers => [['X-A', 'y']]);
                $h2->wait_for('the answer', sub { defined $h2->partial($id)->status });
                my $answer = $h2->partial($id);
                is $answer->status, 200, 'status';
                is $answer->header('sec-websocket-protocol'), 'b', 'the subprotocol';
                is $answer->header('x-a'), 'y', 'a field of the application';
                is [grep { defined } map { $answer->header($_) } qw(upgrade sec-websocket-accept)],
                    [],
                    'none of HTTP/1';
                is $call->event->{text}, 'early', 'what came before the accept';
                $call->send(type => 'websocket.send', text => 'hello');
                is hears($h2, $id, "\x81\x05hello"), "\x81\x05hello", 'a text';
                says($h2, $id, 2, "\x00\xff\xfe");
                is $call->event->{bytes}, "\x00\xff\xfe", 'bytes';
                says($h2, $id, 9, 'p');
                is hears($h2, $id, "\x8a\x01p"), "\x8a\x01p", 'a pong';
                says($h2, $id, 8, pack('n', 1000) . 'bye');
                my $event = $call->event;
                is [@{$event}{qw(type code reason)}], ['websocket.disconnect', 1000, 'bye'],
                    'the end';
                $call->finish;
                ok !$h2->response($id)->is_truncated, 'END_STREAM';
                is substr($h2->partial($id)->body, -7), "\x88\x05\x03\xe8bye", 'an echo';
            };

            subtest 'two at once, and the end of one' => sub {
                my @ids   = map { upgrade($h2) } 1, 2;
                my @calls = map { $puppet->next_call } @ids;
                $accept->($_)                                                      for @calls;
                $calls[$_]->send(type => 'websocket.send', text => "n$_")          for 1, 0;
                is hears($h2, $ids[$_], "\x81\x02n$_"), "\x81\x02n$_", "stream $_" for 0, 1;
                $h2->reset_stream($ids[0]);
                is $calls[0]->event->{code}, 1006, 'a reset is 1006';
                says($h2, $ids[1], 1, 'still');
                is $calls[1]->event->{text}, 'still', 'the other one lives';
                $calls[0]->finish;
                $h2->frame(DATA => $ids[1], '', END_STREAM => 1);
                is $calls[1]->event->{code}, 1006, 'END_STREAM without a Close is 1006';
                $calls[1]->finish;
                $h2->response($ids[1]);
                ok $h2->partial($ids[1])->is_over, 'its other half ends as well';
            };

            subtest 'a frame that is too large fails its stream alone' => sub {
                my $id   = upgrade($h2);
                my $call = $puppet->next_call;
                $accept->($call);
                says($h2, $id, 2, 'x' x 2000);
                is $call->event->{code}, 1009, 'told 1009';
                $t->wait_warning(qr/Payload is too big/);
                $call->finish;
                $h2->response($id);
                my $get = $h2->open(GET => '/');
                $puppet->next_call->reply('fine');
                is $h2->response($get)->body, 'fine', 'the connection lives';
            };

            subtest 'returning, refusing, denying' => sub {
                my $id   = upgrade($h2);
                my $call = $puppet->next_call;
                $accept->($call);
                $call->finish;
                is substr($h2->response($id)->body, 0, 4), "\x88\x02\x03\xe8", 'return: Close 1000';
                ok !$h2->partial($id)->is_truncated, 'and END_STREAM';
                $id   = upgrade($h2);
                $call = $puppet->next_call;
                $call->event;
                $call->send(type => 'websocket.close');
                $call->finish;
                is [map { ($_->status, $_->body) } $h2->response($id)], [403, 'Forbidden'],
                    'refused';
                $id   = upgrade($h2);
                $call = $puppet->next_call;
                $call->event;
                $call->send(
                    type    => 'websocket.http.response.start', status => 401,
                    headers => [['x-why', 'no']]
                );
                $call->send(type => 'websocket.http.response.body', body => 'a', more => 1);
                $call->send(type => 'websocket.http.response.body', body => 'b');
                $call->finish;
                my $denied = $h2->response($id);
                is [$denied->status, $denied->header('x-why'), $denied->body], [401, 'no', 'ab'],
                    'denied';
                is $h2->response(upgrade($h2, protocol => 'other'))->status, 501,
                    'another protocol';
                is $h2->response(upgrade($h2, version => 8))->status, 426, 'another version';
            };

            subtest 'compression' => sub {
                my $id =
                    upgrade($h2, headers => [['sec-websocket-extensions', 'permessage-deflate']]);
                my $call = $puppet->next_call;
                $accept->($call);
                $h2->wait_for('the answer', sub { defined $h2->partial($id)->status });
                my $agreed = $h2->partial($id)->header('sec-websocket-extensions');
                like $agreed, qr/\Apermessage-deflate/, 'agreed';
                says($h2, $id, 1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 128 | 64);
                is $call->event->{text}, 'Hello', 'a compressed message';
                $h2->reset_stream($id);
                $call->finish;
            };

            subtest 'event streams' => sub {
                my @ids =
                    map { $h2->open(GET => "/$_", headers => [['accept', 'text/event-stream']]) } 0,
                    1;
                my @calls = map { $puppet->next_call } @ids;
                is $calls[0]->scope->{type}, 'sse', 'scope';
                $_->send(type => 'sse.start') for @calls;
                $calls[$_]->send(type => 'sse.send', data => "d$_") for 1, 0;
                for my $at (0, 1) {
                    $h2->wait_for('an event', sub { $h2->partial($ids[$at])->body =~ /\n\n/ });
                    is $h2->partial($ids[$at])->body, "data: d$at\n\n",
                        'its event, without framing';
                }
                my $answer = $h2->partial($ids[0]);
                like $answer->header('content-type'), qr{\Atext/event-stream}, 'content-type';
                is $answer->header('cache-control'), 'no-cache', 'cache-control';
                $_->event for @calls;
                my $end = $calls[0]->receive;
                $h2->reset_stream($ids[0]);
                is settle($end, 'the end'),
                    { type => 'sse.disconnect', reason => 'client_closed' }, 'reset';
                $calls[0]->finish;
                $calls[1]->finish;
                ok !$h2->response($ids[1])->is_truncated, 'END_STREAM when the call returns';
            };

            subtest 'shutdown ends them' => sub {
                my $id   = upgrade($h2);
                my $call = $puppet->next_call;
                $accept->($call);
                my $sse    = $h2->open(GET => '/', headers => [['accept', 'text/event-stream']]);
                my $stream = $puppet->next_call;
                $stream->send(type => 'sse.start');
                $stream->event;
                my $end  = $stream->receive;
                my $done = $t->server->shutdown;
                is settle($end, 'the end')->{reason}, 'server_shutdown', 'of the event stream';
                $stream->finish;
                my $close = $call->event;
                is $close->{type}, 'websocket.disconnect', 'of the WebSocket';
                says($h2, $id, 8, pack 'n', 1001);
                $call->finish;
                settle($done, 'the shutdown');
            };
        },
        on                => $on,
        app               => $puppet->app,
        max_ws_frame_size => 1000
    );
}
protocol => 'h2';

my ($h2c) = Test::PAGI::Matrix::transport('h2c');
for my $case (['connection', 1], ['stream', 0]) {
    my ($scope, $takes_all) = @$case;
    subtest "sse_idle_timeout_scope => '$scope'" => sub {
        my $puppet = Test::PAGI::Puppet->new;
        &with_server(
            sub {
                my ($t)   = @_;
                my $h2    = $t->client;
                my $sse   = $h2->open(GET => '/', headers => [['accept', 'text/event-stream']]);
                my $idle  = $puppet->next_call;
                my $other = $h2->open(GET => '/');
                my $call  = $puppet->next_call;
                $idle->event;
                $idle->send(type => 'sse.start');
                is settle($idle->receive, 'its end')->{reason}, 'idle_timeout', 'the reason';
                $idle->finish;

                if ($takes_all) {
                    $h2->wait_for('the end', sub { $h2->is_eof });
                    wait_until { !$call->connection->is_connected } 'the end of the other';
                    $call->finish;
                }
                else {
                    $h2->response($sse);
                    $call->reply('lives');
                    is $h2->response($other)->body, 'lives', 'the other one lives';
                }
            },
            on                     => $h2c,
            app                    => $puppet->app,
            sse_idle_timeout       => 0.2,
            sse_idle_timeout_scope => $scope
        );
    };
}

subtest 'extended CONNECT where it is off' => sub {
    my $puppet = Test::PAGI::Puppet->new;
    &with_server(
        sub {
            my ($t)        = @_;
            my $h2         = $t->client;
            my ($settings) = $h2->wait_frame('SETTINGS');
            my %sent       = unpack '(nN)*', $settings->{payload};
            ok !$sent{8}, 'not offered';
            my $id = upgrade($h2);
            is $h2->wait_frame(RST_STREAM => $id)->{code}, 'PROTOCOL_ERROR', 'reset';
        },
        on                         => $h2c,
        app                        => $puppet->app,
        h2_enable_connect_protocol => 0
    );
};

done_testing;

# PAGI::Spec::Www, "Receive" and "Send" of WebSockets (contract 03 sections 3 and 4)
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Encode qw(encode_utf8);
use Test2::V0;
use Test::PAGI::Loop qw(failure_of settle);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Test::PAGI::WebSocket qw(accept_socket frame_bytes);

sub text { return { type => 'websocket.receive', text => $_[0] } }

sub bytes { return { type => 'websocket.receive', bytes => $_[0] } }

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    my ($ws, $call);
    with_server {
        my ($t) = @_;
        my $open = sub {
            $ws   = Test::PAGI::WebSocket->open($t);
            $call = accept_socket($puppet->next_call);
            $ws->accepted;
        };

        subtest 'what is received' => sub {
            $open->();
            $ws->text('Hello')->text('grüß 日本 🐪')->binary("\x00\x01\xFF\xFE")->text('')->binary('');
            is $call->event, text('Hello'), 'text';
            is $call->event, text('grüß 日本 🐪'), 'characters';
            is $call->event, bytes("\x00\x01\xFF\xFE"), 'bytes, exactly';
            is $call->event, text(''), 'an empty text';
            is $call->event, bytes(''), 'no bytes';
            my $waiting = $call->receive;
            $ws->text('later');
            is settle($waiting), text('later'), 'a receive that waited';
            $call->finish;
        };

        subtest 'fragments, with a ping between them' => sub {
            $open->();
            my @bytes = unpack '(a1)*', encode_utf8('日本');
            $ws->write(frame_bytes(1, shift @bytes, fin => 0), frame_bytes(9, 'ping'));
            $ws->write(map({ frame_bytes(0, $_, fin => 0) } @bytes), frame_bytes(0, ''));
            is $call->event, text('日本'), 'one message';
            is $ws->frame, { fin => 1, rsv => 0, opcode => 10, payload => 'ping' }, 'the pong';
            $ws->pong('unasked')->text('after');
            is $call->event, text('after'), 'pongs are nobody\'s';
            $call->finish;
        };

        subtest 'byte by byte' => sub {
            $open->();
            $ws->client->drip(frame_bytes(1, 'slow') . frame_bytes(2, 'x' x 200));
            is $call->event, text('slow'), 'text';
            is $call->event, bytes('x' x 200), 'bytes';
            $call->finish;
        };

        subtest 'what is sent' => sub {
            $open->();
            my $wide = "日\x{1F42A}";
            my @sent = (
                [{ text  => 'plain' }, 1, 'plain', 'ASCII'],
                [{ text  => $wide }, 1, encode_utf8($wide), 'characters'],
                [{ text  => encode_utf8($wide) }, 1, encode_utf8($wide), 'encoded before'],
                [{ text  => "\xE9t\xE9" }, 1, "\xC3\xA9t\xC3\xA9", 'Latin-1'],
                [{ text  => '' }, 1, '', 'an empty text'],
                [{ bytes => "\x00\xFF" }, 2, "\x00\xFF", 'bytes'],
                [{ bytes => '' }, 2, '', 'no bytes'],
                [{ text  => 'wins', bytes => 'not' }, 1, 'wins', 'text before bytes'],
                [{ text  => undef, bytes  => 'b' }, 2, 'b', 'undef is not given'],
                [{ text  => 42 }, 1, '42', 'a number'],
                [{ bytes => 'x' x 125 }, 2, 'x' x 125, '125 bytes'],
                [{ bytes => 'x' x 126 }, 2, 'x' x 126, '126 bytes'],
                [{ bytes => 'x' x 65_536 }, 2, 'x' x 65_536, '65536 bytes'],
                [{ bytes => 'x' x 300_000 }, 2, 'x' x 300_000, '300000 bytes'],
            );
            my $upgraded = "\xE9";
            utf8::upgrade($upgraded);
            push @sent, [{ text => $upgraded }, 1, "\xC3\xA9", 'a flagged character'];
            for my $case (@sent) {
                my ($event, $opcode, $payload, $name) = @$case;
                my $future = $call->send(type => 'websocket.send', %$event);
                is $ws->frame,
                    { fin => 1, rsv => 0, opcode => $opcode, payload => $payload }, $name;
                settle($future);
            }
            is failure_of($call->send(type => 'websocket.send')), undef, 'nothing is nothing';
            like failure_of($call->send(type => 'websocket.send', bytes => "\x{263A}")),
                qr/\Awebsocket\.send 'bytes' must be bytes/, 'characters are no bytes';
            like failure_of($call->send(type => 'websocket.send', text => [])),
                qr/\Awebsocket\.send 'text' must be a string/, 'nor is a reference text';
            like failure_of($call->send(type => 'websocket.send', text => chr 0xD800)),
                qr/'text' must be text/, 'nor half a character';
            is failure_of($call->send(type => 'websocket.bogus')),
                "Unrecognized event type 'websocket.bogus' for websocket protocol\n",
                'an event that is none';
            is failure_of($call->send(type => 'http.response.start')),
                "Unrecognized event type 'http.response.start' for websocket protocol\n",
                'nor another scope\'s';
            $call->send(type => 'websocket.send', text => 'still here');
            is $ws->message, 'still here', 'refusals change nothing';
            $call->finish;
        };

        subtest 'before the accept' => sub {
            $ws   = Test::PAGI::WebSocket->open($t);
            $call = $puppet->next_call;
            is failure_of($call->send(type => 'websocket.send', text => 'early')), undef, 'send';
            is failure_of($call->send(type => 'websocket.keepalive', interval => 0.01)), undef,
                'keepalive';
            accept_socket($call);
            $call->send(type => 'websocket.send', text => 'first');
            is $ws->message, 'first', 'were ignored';
            $call->finish;
        };

        subtest 'several receives at once' => sub {
            $open->();
            my @waiting = map { $call->receive } 1 .. 3;
            $ws->text($_) for 1 .. 3;
            is [map { settle($_)->{text} } @waiting], [1 .. 3], 'are served in order';
            $call->finish;
        };

        subtest 'a consumer that is slow, a client that leaves' => sub {
            $open->();
            $ws->text("message $_") for 1 .. 100;
            $ws->send_close(1001, 'off');
            is $ws->close_frame, [1001, 'off'], 'closed';
            is [map { $call->event->{text} } 1 .. 100], [map { "message $_" } 1 .. 100],
                'all messages come';
            is $call->event, { type => 'websocket.disconnect', code => 1001, reason => 'off' },
                'then the disconnect';
            is $call->event, { type => 'websocket.disconnect', code => 1001, reason => 'off' },
                'each time';
            $call->finish;
        };

        subtest 'a client that leaves without a Close' => sub {
            $open->();
            $ws->text("message $_") for 1 .. 3;
            $ws->client->half_close;
            is [map { $call->event->{text} } 1 .. 3], [map { "message $_" } 1 .. 3], 'messages';
            is $call->event,
                { type => 'websocket.disconnect', code => 1006, reason => 'client_closed' }, 'end';
            is failure_of($call->send(type => 'websocket.send', text => 'x')), undef, 'silence';
            is failure_of($call->send(type => 'nonsense')), undef, 'whatever it is';
            $call->finish;
            ok $ws->ends, 'the other half ends as well';
        };
    }
    on => $on, app => $puppet->app;
};

done_testing;

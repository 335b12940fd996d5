# RFC 6455: what a client must not do, and what it is told (contract 03 section 5)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Test::PAGI::WebSocket qw(accept_socket close_bytes frame_bytes);

my $RSV      = 'RSV bits must be 0';
my $OPCODE   = 'Reserved opcode';
my $UTF8     = 'Invalid UTF-8';
my $BIG      = 'Message too big';
my $CODE     = 'Invalid close code';
my $CONTINUE = 'Expected a continuation frame';

# [name, bytes, code, reason text]
my @VIOLATIONS = (
    (map { ["RSV $_", frame_bytes(1, 'x', rsv => $_), 1002, $RSV] } 1 .. 7),
    (map { ["opcode $_", frame_bytes($_, ''), 1002, $OPCODE] } 3 .. 7, 11 .. 15),
    ['a ping of 126 bytes', frame_bytes(9, 'x' x 126), 1002, 'Control frame too large'],
    ['a close of 126 bytes', frame_bytes(8, "\x03\xE8" x 63), 1002, 'Control frame too large'],
    [
        'a fragmented ping', frame_bytes(9, 'x', fin => 0), 1002,
        'Control frame must not be fragmented'
    ],
    ['no mask', frame_bytes(1, 'x', mask => 0), 1002, 'Frames must be masked'],
    ['a length in too many bytes', "\x81\xFE\x00\x01abcdx", 1002, 'Invalid payload length'],
    ['a continuation of nothing', frame_bytes(0, 'x'), 1002, 'Unexpected continuation frame'],
    [
        'text inside of a message', frame_bytes(1, 'x', fin => 0) . frame_bytes(1, 'y'), 1002,
        $CONTINUE
    ],
    [
        'bytes inside of a message', frame_bytes(2, 'x', fin => 0) . frame_bytes(2, 'y'), 1002,
        $CONTINUE
    ],
    ['text that is not UTF-8', frame_bytes(1, "\xFF\xFE\x80\x81"), 1007, $UTF8],
    ['half a surrogate pair', frame_bytes(1, "\xED\xA0\x80"), 1007, $UTF8],
    ['an overlong slash', frame_bytes(1, "\xC0\xAF"), 1007, $UTF8],
    ['beyond U+10FFFF', frame_bytes(1, "\xF4\x90\x80\x80"), 1007, $UTF8],
    ['a character cut short', frame_bytes(1, "ok\xE2\x82"), 1007, $UTF8],
    ['bad before the end', frame_bytes(1, "\xFF", fin => 0), 1007, $UTF8],
    ['bad within a frame', substr(frame_bytes(1, "\xFF" . 'x' x 100), 0, 20), 1007, $UTF8],
    ['a close of one byte', frame_bytes(8, 'x'), 1002, 'Invalid close frame'],
    (
        map { ["close code $_", close_bytes($_), 1002, $CODE] } 0, 999, 1004 .. 1006, 1015, 2999,
        5000
    ),
    [
        'a close reason that is not UTF-8', frame_bytes(8, "\x03\xE8\xFF"), 1007,
        'Invalid UTF-8 in close reason'
    ],
    ['a frame too big', frame_bytes(2, '', length => 1001), 1009, $BIG],
    ['a frame far too big', frame_bytes(2, '', length => 2**62), 1009, $BIG],
    ['a frame too big for numbers', "\x82\xFF" . "\xFF" x 8 . 'abcd', 1009, $BIG],
    [
              'a message too big', frame_bytes(2, 'x' x 1000, fin => 0)
            . frame_bytes(0, 'x' x 1000, fin => 0) x 127
            . frame_bytes(0, 'x'),
        1009, $BIG
    ],
);

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        for my $case (@VIOLATIONS) {
            my ($name, $bytes, $code, $text) = @$case;
            subtest $name => sub {
                my $ws   = Test::PAGI::WebSocket->open($t);
                my $call = accept_socket($puppet->next_call);
                $ws->accepted->text('before')->write($bytes, frame_bytes(1, 'after'));
                is $call->event->{text}, 'before', 'what came before';
                $call->send(type => 'websocket.send', text => 'reply');
                is $call->event,
                    { type => 'websocket.disconnect', code => $code, reason => 'protocol_error' },
                    'the application hears of it';
                is $ws->message, 'reply', 'a reply still leaves';
                is $ws->close_frame, [$code, $text], 'the client is told';
                ok $ws->ends, 'and cut off';
                $call->finish;
                my $warned = $code == 1009 ? [qr/\APAGI connection error: Payload is too big/] : [];
                like [$t->take_warnings], $warned, 'warnings';
            };
        }

        subtest 'a violation that the application does not wait for' => sub {
            my $ws   = Test::PAGI::WebSocket->open($t);
            my $call = accept_socket($puppet->next_call);
            $ws->accepted->text('before')->write(frame_bytes(3, ''));
            is $ws->close_frame, [1002, $OPCODE], 'is answered all the same';
            is $call->event->{text}, 'before', 'the message is there';
            is $call->event->{code}, 1002, 'then the end';
            $call->finish;
        };

        subtest 'at the limits' => sub {
            my $ws   = Test::PAGI::WebSocket->open($t);
            my $call = accept_socket($puppet->next_call);
            $ws->accepted->binary('x' x 1000)->ping('x' x 125);
            $ws->write(
                frame_bytes(2, 'x' x 1000, fin => 0),
                frame_bytes(0, 'x' x 1000, fin => 0) x 126, frame_bytes(0, 'x' x 1000)
            );
            is length $call->event->{bytes}, 1000, 'the largest frame';
            is length $call->event->{bytes}, 128_000, 'the largest message';
            is $ws->frame->{payload}, 'x' x 125, 'the largest ping';
            $call->finish;
        };

        subtest 'noise' => sub {
            my $seed = $ENV{PAGI_TEST_SEED} // time;
            srand $seed;
            for my $round (1 .. 60) {
                my $ws    = Test::PAGI::WebSocket->open($t);
                my $call  = accept_socket($puppet->next_call);
                my $noise = join '', map { chr int rand 256 } 1 .. 1 + rand 300;
                $noise =
                    frame_bytes(int rand 16, $noise, fin => rand > .5, rsv => rand > .8 ? 4 : 0)
                    if $round % 2;
                $ws->accepted->write($noise)->client->half_close;
                1 while $call->event->{type} ne 'websocket.disconnect';
                $call->finish;
                $ws->client->read_until_eof;
            }
            $t->take_warnings;
            my $client = $t->client->begin(GET => '/');
            $puppet->next_call->reply('alive');
            is $client->read_response->body, 'alive', "the server lives (seed $seed)";
        };
    }
    on => $on, app => $puppet->app, max_ws_frame_size => 1000;
};

done_testing;

# Requests that never reach the application (contract 02 section 4, 10-known-gaps H05..H13)
# HTTP/1 alone: request lines, field lines and framing that its parser refuses. What HTTP/2 refuses is
# in t/h2.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Matrix;
use Test::PAGI::Server;

my $DATE = qr/\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT/;

my %PHRASE = (
    400 => qr/Bad Request/,
    413 => qr/(?:Payload|Content) Too Large/,
    414 => qr/URI Too Long/,
    431 => qr/Request Header Fields Too Large/,
    501 => qr/Not Implemented/,
);

# The one layout of every answer the server makes itself: order, case, no newline after the body.
sub layout {
    my ($status, $body) = @_;
    my $length = length $body;
    return qr{
        \A HTTP/1\.1\ $status\ $PHRASE{$status} \r\n
        content-type:\ text/plain \r\n
        content-length:\ $length \r\n
        date:\ $DATE \r\n
        Server:\ PAGI::Server/[0-9._]+ \r\n
        \r\n
        \Q$body\E \z
    }x;
}

my $calls = 0;
my $app   = http_app { my ($scope, $receive, $send) = @_; $calls++; return reply($send, 'ok') };

sub refused {
    my ($t, $rule, $bytes, $status, $body) = @_;
    subtest "$rule: $status" => sub {
        my $before = $calls;
        my $answer = $t->exchange($bytes);
        like $answer, layout($status, $body), 'the exact answer, then the connection closes';
        is $calls, $before, 'the application is not called';
    };
    return;
}

sub served {
    my ($t, $rule, $bytes) = @_;
    subtest "$rule: served" => sub {
        my $client = $t->client->write($bytes);
        is $client->read_response->status, 200, 'status';
        $client->close;
    };
    return;
}

sub with_lines { return join "\r\n", 'GET / HTTP/1.1', 'Host: x', @_, '', '' }
sub with_line  { return join "\r\n", $_[0], 'Host: x', '', '' }

my $BAD = 'Bad Request';

# [rule, request line]
my @BAD_LINES = (
    ['no version', 'GET /'],
    ['HTTP/0.9', 'GET / HTTP/0.9'],
    ['HTTP/2.0', 'GET / HTTP/2.0'],
    ['HTTP/1', 'GET / HTTP/1'],
    ['HTTP/1.10', 'GET / HTTP/1.10'],
    ['lower-case http/1.1', 'GET / http/1.1'],
    ['another protocol', 'GET / RTSP/1.0'],
    ['two spaces', 'GET  / HTTP/1.1'],
    ['a TAB for a space', "GET\t/ HTTP/1.1"],
    ['a leading space', ' GET / HTTP/1.1'],
    ['a fourth word', 'GET / HTTP/1.1 x'],
    ['one word', 'GET'],
    ['no method', '/ HTTP/1.1'],
    ['a NUL in the method', "G\0T / HTTP/1.1"],
    ['a bare CR in the line', "GET /\r HTTP/1.1"],
);

# [rule, header line]
my @BAD_FIELDS = (
    ['a header without colon', 'nonsense'],
    ['an empty header name', ': v'],
    ['a blank before the colon (H05)', 'Name : v'],
    ['a TAB before the colon', "Name\t: v"],
    ['a blank in a name', 'Na me: v'],
    ['a control byte in a name', "Na\x01me: v"],
    ['a high byte in a name', "N\xE4me: v"],
    ['a NUL in a value', "Name: a\0b"],
    ['a control byte in a value', "Name: a\x01b"],
    ['DEL in a value', "Name: a\x7Fb"],
    ['a bare CR in a value', "Name: a\rb"],
    ['a folded line (obs-fold, H06)', "Name: a\r\n b"],
    ['a TAB-folded line', "Name: a\r\n\tb"],
    ['a second Host (H13)', 'Host: y'],
    ['the same Host twice', 'Host: x'],
);

# [rule, header lines, status, body]
my $FINAL   = 'chunked must be the final Transfer-Encoding';
my $BOTH    = 'Transfer-Encoding and Content-Length are mutually exclusive';
my $TE      = 'Unsupported Transfer-Encoding';
my $LARGE   = 'Payload Too Large';
my @FRAMING = (
    ['a negative content-length', ['Content-Length: -5'], 400, $BAD],
    ['a plus sign in content-length', ['Content-Length: +5'], 400, $BAD],
    ['a blank inside content-length', ['Content-Length: 5 5'], 400, $BAD],
    ['an empty content-length', ['Content-Length:'], 400, $BAD],
    ['letters in content-length', ['Content-Length: 5x'], 400, $BAD],
    ['a hex content-length', ['Content-Length: 0x5'], 400, $BAD],
    ['a list in content-length', ['Content-Length: 5, 5'], 400, $BAD],
    ['content-length twice, equal', [('Content-Length: 5') x 2], 400, $BAD],
    ['content-length twice, different', ['Content-Length: 5', 'Content-Length: 6'], 400, $BAD],
    ['content-length of eleven digits', ['Content-Length: 12345678901'], 413, $LARGE],
    ['content-length above 2147483647', ['Content-Length: 2147483648'], 413, $LARGE],
    ['content-length above the limit', ['Content-Length: 10000001'], 413, $LARGE],
    ['chunked not last', ['Transfer-Encoding: chunked, gzip'], 400, $FINAL],
    [
        'chunked not last, in two lines',
        ['Transfer-Encoding: chunked', 'Transfer-Encoding: gzip'], 400, $FINAL
    ],
    ['transfer-encoding gzip', ['Transfer-Encoding: gzip'], 501, $TE],
    ['transfer-encoding identity', ['Transfer-Encoding: identity'], 501, $TE],
    ['transfer-encoding empty', ['Transfer-Encoding:'], 501, $TE],
    ['transfer-encoding xchunked', ['Transfer-Encoding: xchunked'], 501, $TE],
    [
        'chunked and content-length',
        ['Transfer-Encoding: chunked', 'Content-Length: 5'], 400, $BOTH
    ],
    [
        'content-length and chunked',
        ['Content-Length: 5', 'Transfer-Encoding: chunked'], 400, $BOTH
    ],
);

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;
        refused($t, "request line: $_->[0]", with_line($_->[1]), 400, $BAD)  for @BAD_LINES;
        refused($t, "header: $_->[0]", with_lines($_->[1]), 400, $BAD)       for @BAD_FIELDS;
        refused($t, "framing: $_->[0]", with_lines(@{ $_->[1] }), @$_[2, 3]) for @FRAMING;

        subtest 'chunked twice (RFC 9112 6.1): 400' => sub {
            my $before = $calls;
            for my $lines (['chunked, chunked'], ['chunked', 'chunked']) {
                my $answer = $t->exchange(with_lines(map { "Transfer-Encoding: $_" } @$lines));
                like $answer, qr/\AHTTP\/1\.1 400 Bad Request\r\n/, "@$lines";
            }
            is $calls, $before, 'the application is not called';
        };

        refused($t, 'HTTP/1.1 without Host', "GET / HTTP/1.1\r\n\r\n", 400, $BAD);
        refused($t, 'two empty lines first', "\r\n\r\n" . with_lines(), 400, $BAD);
        refused($t, 'the HTTP/2 preface', "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, $BAD);
        refused($t, 'binary junk', "\x16\x03\x01\x02\0\x01\0\x01\xFC\x03\x03\r\n\r\n", 400, $BAD);
        refused(
            $t, 'an HTTP/1.0 request, answered as 1.1',
            "GET / HTTP/1.0\r\nnonsense\r\n\r\n", 400, $BAD
        );

        served($t, 'HTTP/1.0 without Host', "GET / HTTP/1.0\r\n\r\n");
        served($t, 'an empty Host value', "GET / HTTP/1.1\r\nHost:\r\n\r\n");
        served($t, 'one empty line first', "\r\n" . with_lines());
        served($t, 'leading zeros in content-length', with_lines('Content-Length: 005') . 'hello');
        served($t, 'blanks around content-length', with_lines("Content-Length: \t5 ") . 'hello');
        served(
            $t, 'CHUNKED in capitals',
            with_lines('Transfer-Encoding: CHUNKED') . "0\r\n\r\n"
        );
        served($t, 'gzip, chunked', with_lines('Transfer-Encoding: gzip, chunked') . "0\r\n\r\n");

        subtest 'after all this the server serves as before' => sub {
            is $t->get('/')->body, 'ok', 'another connection';
        };
    }
    on => $on, app => $app;
}
protocol => 'h1';

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;

        subtest 'a refusal ends the connection: what follows is not a request' => sub {
            my $before = $calls;
            my $answer = $t->exchange(with_lines('nonsense') . with_lines());
            like $answer, layout(400, $BAD), 'one answer';
            is $calls, $before, 'the application is not called';
        };

        subtest 'requests before the bad one are answered first' => sub {
            my $client = $t->client->write(with_lines() . with_lines('nonsense'));
            is $client->read_response->status, 200, 'the good one';
            like $client->read_until_eof, layout(400, $BAD), 'then the refusal';
        };

        subtest 'a bare LF is answered, never waited for (H07)' => sub {
            for my $bytes (
                "GET / HTTP/1.1\nHost: x\n\n", "GET / HTTP/1.1\r\nHost: x\n\n",
                "\n\n", "GET / HTTP/1.1\nHost: x\r\n\r\n"
                )
            {
                my $response = $t->client->write($bytes)->read_response;
                ok $response && $response->status =~ /\A(?:200|400)\z/, 'served or refused';
            }
        };

        # As nginx does with a request that it has stored: it writes, and reads after that.
        for my $case ([413, 20_000_000], [200, 8_000_000]) {
            my ($status, $length) = @$case;
            subtest "a client that reads nothing before $length bytes are sent" => sub {
                my $client = $t->client->stop_reading;
                $client->write_all($client->request_bytes(POST => '/', body => 'x' x $length));
                is $client->error, undef, 'all of it is taken';
                is $client->start_reading->read_response->status, $status, 'and the answer comes';
            };
        }

        subtest 'the client gets the refusal whole though it keeps sending' => sub {
            my $client = $t->client;
            $client->write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n");
            $client->write('x' x 2_000_000);
            my $response = $client->read_response;
            is $response->status, 413, 'status';
            is $response->body, 'Payload Too Large', 'body';
        };
    }
    on => $on, app => $app;
}
protocol => 'h1';

done_testing;

# Bytes from people who mean no good
# HTTP/1 alone: its bytes, cut, replaced and doubled. HTTP/2's frames are in t/h2/abuse.t.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future::AsyncAwait;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Server;

# The random bytes of a run can be had again with PAGI_TEST_SEED.
my $SEED = $ENV{PAGI_TEST_SEED} // time ^ $$;

# Every path the application was asked for; answers with the length of the body.
my @paths;
my $app = http_app {
    my ($scope, $receive, $send) = @_;
    push @paths, $scope->{path};
    return answer($receive, $send);
};

async sub answer {
    my ($receive, $send) = @_;
    my ($body, $events)  = await read_body($receive);
    await reply($send, length $body) if $events->[-1]{type} eq 'http.request';
}

my $VALID   = "POST /valid?q HTTP/1.1\r\nHost: x\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello";
my $CHUNKED = "POST /valid HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    . "3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n";

sub still_serves {
    my ($t) = @_;
    is $t->get('/alive')->status, 200, 'the server serves as before';
    return;
}

for_each_transport {
    my ($on) = @_;

    subtest "random bytes (PAGI_TEST_SEED=$SEED)" => sub {
        srand $SEED;
        my @alphabets = (
            [map { chr } 0 .. 255],
            [map { chr } 32 .. 126],
            ["\r", "\n", ' ', ':', "\t", "\0", 'G', 'H', '/', '1', '.'],
            [
                "GET ", "/ ", "HTTP/1.1", "\r\n", "Host:", "x", "\r\n\r\n", "Content-Length:", "5",
                ' ',
                "Transfer-Encoding:", "chunked", ",", "POST ", "\n", "0"
            ],
        );
        with_server {
            my ($t) = @_;
            for my $n (1 .. 400) {
                my $alphabet = $alphabets[$n % @alphabets];
                my $bytes    = join '', map { $alphabet->[rand @$alphabet] } 1 .. 1 + rand 300;
                my $client   = $on->connect($t);
                $client->write($bytes)->half_close;
                eval { $client->read_until_eof; 1 }
                    or fail 'a connection that never ends', unpack 'H*', $bytes;
                $client->close;
            }
            still_serves($t);
            wait_until { $t->server->connection_count == 0 } 'the connections to go';
        }
        on => $on, app => $app;
    };

    subtest 'a valid request with some bytes replaced' => sub {
        with_server {
            my ($t) = @_;
            for my $n (1 .. 400) {
                my $bytes = $n % 2 ? $VALID : $CHUNKED;
                substr $bytes, rand length $bytes, 1, chr rand 256 for 1 .. 1 + $n % 3;
                my $client = $on->connect($t);
                $client->write($bytes)->half_close;
                eval { $client->read_until_eof; 1 }
                    or fail 'a connection that never ends', unpack 'H*', $bytes;
                $client->close;
            }
            still_serves($t);
        }
        on => $on, app => $app;
    };

    for my $case (['content-length', $VALID, 5], ['chunked', $CHUNKED, 13]) {
        my ($kind, $bytes, $length) = @$case;

        subtest "a $kind request in two pieces, split at every byte" => sub {
            with_server {
                my ($t) = @_;
                my @wrong;
                for my $at (1 .. length($bytes) - 1) {
                    my $client = $on->connect($t);
                    $client->write_pieces(substr($bytes, 0, $at), substr $bytes, $at);
                    my $response = $client->read_response;
                    push @wrong, $at if !$response || $response->body ne $length;
                    $client->close;
                }
                is \@wrong, [], 'every split is served alike';
            }
            on => $on, app => $app;
        };

        subtest "a $kind request byte by byte" => sub {
            with_server {
                my ($t) = @_;
                my $client = $t->client->drip($bytes x 2);
                is $client->read_response->body, $length, "request $_" for 1, 2;
            }
            on => $on, app => $app;
        };

        subtest "a $kind request cut off at every byte" => sub {
            with_server {
                my ($t) = @_;
                my $head = index($bytes, "\r\n\r\n") + 4;
                @paths = ();
                my (@called, @answered);
                for my $at (0 .. length($bytes) - 1) {
                    my $before = @paths;
                    my $client = $on->connect($t);
                    $client->write(substr $bytes, 0, $at)->half_close;
                    my $answer = $client->read_until_eof;
                    push @called, $at   if $at < $head && @paths > $before;
                    push @answered, $at if $answer =~ /\AHTTP\/1\.1 2/;
                    $client->close;
                }
                is \@called, [], 'half a head never reaches the application';
                is \@answered, [], 'half a request is never answered as if it were whole';
                still_serves($t);
            }
            on => $on, app => $app;
        };
    }
}
protocol => 'h1';

# Each hides a request for /smuggled where a careless parser would find one.
my $SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
my $S        = length $SMUGGLED;

sub post {
    my ($body, @lines) = @_;
    return join("\r\n", 'POST /front HTTP/1.1', 'Host: x', @lines, '', '') . $body;
}

my $TE       = 'Transfer-Encoding: chunked';
my @ATTEMPTS = (
    ['CL.TE', post("0\r\n\r\n$SMUGGLED", 'Content-Length: ' . ($S + 5), $TE)],
    ['TE.CL', post("0\r\n\r\n$SMUGGLED", $TE, 'Content-Length: 5')],
    ['two content-lengths', post($SMUGGLED, 'Content-Length: 0', "Content-Length: $S")],
    ['a list of content-lengths', post($SMUGGLED, "Content-Length: 0, $S")],
    ['content-length 0x0', post($SMUGGLED, 'Content-Length: 0x0')],
    ['content-length +0', post($SMUGGLED, 'Content-Length: +0')],
    ['content-length -0', post($SMUGGLED, 'Content-Length: -0')],
    ['content-length 0;x', post($SMUGGLED, 'Content-Length: 0;x')],
    ['content-length 0 0', post($SMUGGLED, 'Content-Length: 0 0')],
    ['a blank before the colon of content-length', post($SMUGGLED, "Content-Length : $S")],
    [
        'a blank before the colon of transfer-encoding',
        post("0\r\n\r\n$SMUGGLED", 'Transfer-Encoding : chunked', 'Content-Length: ' . ($S + 5))
    ],
    [
        'a vertical tab before chunked',
        post("0\r\n\r\n$SMUGGLED", "Transfer-Encoding: \x0bchunked")
    ],
    ['xchunked', post("0\r\n\r\n$SMUGGLED", 'Transfer-Encoding: xchunked')],
    ['quoted chunked', post("0\r\n\r\n$SMUGGLED", 'Transfer-Encoding: "chunked"')],
    ['chunked, identity', post("0\r\n\r\n$SMUGGLED", 'Transfer-Encoding: chunked, identity')],
    ['chunked twice', post("0\r\n\r\n$SMUGGLED", $TE, $TE)],
    [
        'a folded transfer-encoding',
        post("0\r\n\r\n$SMUGGLED", "Transfer-Encoding:\r\n chunked", 'Content-Length: ' . ($S + 5))
    ],
    [
        'a bare CR hiding a header',
        post($SMUGGLED, "X: y\rContent-Length: 0", "Content-Length: $S")
    ],
    [
        'a bare LF hiding a header',
        post(
            "0\r\n\r\n$SMUGGLED", "X: y\nTransfer-Encoding: chunked", 'Content-Length: ' . ($S + 5)
        )
    ],
    ['a NUL in transfer-encoding', post("0\r\n\r\n$SMUGGLED", "Transfer-Encoding: chunked\0")],
    ['a body of content-length', post($SMUGGLED, "Content-Length: $S")],
    ['a body in a chunk', post(sprintf("%x\r\n%s\r\n0\r\n\r\n", $S, $SMUGGLED), $TE)],
    ['chunk size 0x0', post("0x0\r\n\r\n$SMUGGLED", $TE)],
    ['chunk size -0', post("-0\r\n\r\n$SMUGGLED", $TE)],
    ['chunk size beyond 64 bits', post("10000000000000000\r\n\r\n$SMUGGLED", $TE)],
    ['chunk size ending in a bare LF', post("0\n\n$SMUGGLED", $TE)],
    ['a bare LF inside a chunk extension', post("3;a\nb\r\nabc\r\n0\r\n\r\n$SMUGGLED", $TE)],
    ['chunk data without its CRLF', post("3\r\nabc0\r\n\r\n$SMUGGLED", $TE)],
    ['chunk data that is too long', post("3\r\nabcd\r\n0\r\n\r\n$SMUGGLED", $TE)],
    ['a trailer with a bare LF', post("0\r\nX: y\n\n$SMUGGLED", $TE)],
);

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;
        for my $case (@ATTEMPTS) {
            my ($rule, $bytes) = @$case;
            subtest "smuggling: $rule" => sub {
                @paths = ();
                my $client = $on->connect($t);
                $client->write($bytes)->half_close;
                my $answers = $client->read_until_eof;
                $client->close;
                is [grep { $_ eq '/smuggled' } @paths], [], 'the hidden request is not run';
                cmp_ok scalar(() = $answers =~ /^HTTP\/1\.1 /mg), '<=', 1, 'at most one answer';
            };
        }

        subtest 'the honest version of it is two requests' => sub {
            @paths = ();
            my $client = $t->client->write(post('hello', 'Content-Length: 5') . $SMUGGLED);
            $client->read_response for 1, 2;
            is \@paths, ['/front', '/smuggled'], 'this test can see a second request';
        };
        still_serves($t);
    }
    on => $on, app => $app;

    subtest 'slow heads do not stop the others' => sub {
        with_server {
            my ($t) = @_;
            my @slow = map { $t->client->write("GET / HTTP/1.1\r\nHost: x\r\nX-$_: ") } 1 .. 100;
            wait_until { $t->server->connection_count == 100 } 'a hundred slow clients';
            is $t->get('/fast')->status, 200, "fast client $_" for 1 .. 5;
            $_->write("a\r\n\r\n") for @slow;
            is scalar(grep { $_->read_response->status == 200 } @slow), 100,
                'all are served at last';
        }
        on => $on, app => $app;
    };
}
protocol => 'h1';

done_testing;

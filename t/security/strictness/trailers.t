# The trailer section of a chunked request: read, bounded, dropped (RFC 9112 7.1.2, RFC 9110 6.5)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";

use Test2::V0 qw(done_testing);
use Test::PAGI::Strictness;

sub trailed {
    my (@trailers) = @_;
    return chunked("5\r\nhello\r\n0\r\n" . join '', map { "$_\r\n" } @trailers, '');
}

# The trailers are not fields of the request, and the next request is served.
sub dropped {
    my ($name, @trailers) = @_;
    return [
        '9110 6.5', $name,
        trailed(@trailers) . next_request(),
        served(body => 'hello', headers => [[host => 'x'], ['transfer-encoding' => 'chunked']]),
        served(path => '/next', headers => [[host => 'x']])
    ];
}

sub bad {
    my ($name, $raw, @options) = @_;
    my $bytes = chunked("0\r\n$raw" . next_request());
    return ['9112 7.1.2', $name, $bytes, broken(400), @options];
}

# trailer-section = *( field-line CRLF ). Who stops reading at the last chunk sees a request here.
sub bad_line {
    my ($name, $line) = @_;
    return bad($name, "$line\r\n\r\n");
}

check_table([
    dropped('a trailer', 'X-Sum: 1'),
    dropped('two trailers', 'X-Sum: 1', 'X-B: 2'),
    dropped('an empty value', 'X-Sum:'),
    dropped('a high byte in a value', "X-Sum: \xE9"),
    dropped('a TAB in a value', "X-Sum: a\tb"),
    dropped('Content-Length', 'Content-Length: 100'),
    dropped('a bad Content-Length', 'Content-Length: x'),
    dropped('Transfer-Encoding', 'Transfer-Encoding: gzip'),
    dropped('chunked again', 'Transfer-Encoding: chunked'),
    dropped('Host', 'Host: evil'),
    dropped('two Hosts', 'Host: evil', 'Host: worse'),
    dropped('Connection: close', 'Connection: close'),
    dropped('Expect', 'Expect: 100-continue'),
    dropped('Upgrade', 'Upgrade: websocket', 'Connection: Upgrade'),
    dropped('Cookie', 'Cookie: admin=1'),
    dropped('Authorization', 'Authorization: Basic eDp5'),
    dropped('Content-Type', 'Content-Type: text/evil'),
    dropped('X-Forwarded-For', 'X-Forwarded-For: 127.0.0.1'),
    dropped('a hundred trailers', map { "X-$_: y" } 1 .. 100),
    [
        '9110 6.6.2', 'Trailer announces, and stays visible',
        post("0\r\nX-Sum: 1\r\n\r\n", 'Trailer: X-Sum', 'Transfer-Encoding: chunked'),
        served(header => { trailer => 'X-Sum', 'x-sum' => undef })
    ],

    bad('LF ends a trailer', "X: y\n\r\n"),
    bad('LF ends the section', "X: y\r\n\n"),
    bad('LF ends both', "X: y\n\n"),
    bad('LF behind the last chunk', "\n"),
    bad('CR ends a trailer', "X: y\r\r\n"),
    bad('CR inside a trailer', "X: y\rz\r\n\r\n"),
    bad('LF inside a trailer', "X: y\nz\r\n\r\n"),
    bad('CR CR LF is the empty line', "X: y\r\n\r\r\n"),
    bad('a NUL in a value', "X: y\0\r\n\r\n"),
    bad('a NUL in a name', "X\0: y\r\n\r\n"),
    bad('a control byte in a value', "X: \x01\r\n\r\n"),
    bad('DEL in a value', "X: \x7F\r\n\r\n"),
    bad('a vertical tab in a name', "X\x0b: y\r\n\r\n"),
    bad_line('no colon', 'nonsense'),
    bad_line('a request line', 'GET /smuggled HTTP/1.1'),
    bad_line('a request line and its Host', "GET /smuggled HTTP/1.1\r\nHost: x"),
    bad_line('a size line', '5'),
    bad_line('a blank before the colon', 'X : y'),
    bad_line('a TAB before the colon', "X\t: y"),
    bad_line('a blank in the name', 'X Y: z'),
    bad_line('an empty name', ': y'),
    bad_line('a delimiter in the name', 'X(Y): z'),
    bad_line('a high byte in the name', "X\xE9: z"),
    bad_line('a fold', "X: y\r\n z"),
    bad_line('a fold first', ' X: y'),
    bad_line('a line of blanks', ' '),
    [
        '9112 7.1.2', 'a trailer of nine thousand bytes',
        chunked("0\r\nX: " . 'y' x 9000 . "\r\n\r\n"),
        broken(431, 'Request Header Fields Too Large')
    ],
    [
        '9112 7.1.2', 'a trailer without end',
        chunked("0\r\nX: " . 'y' x 20_000), broken(431, 'Request Header Fields Too Large')
    ],
    [
        '9112 7.1.2', 'trailers without end',
        chunked("0\r\n" . join '', map { "X-$_: y\r\n" } 1 .. 2000),
        broken(431, 'Request Header Fields Too Large')
    ],
    [
        '9112 7.1.2', 'the section ends with its first empty line',
        trailed('X: y') . "Y: z\r\n\r\n", served(body => 'hello'), refused(400)
    ],
    ['9112 8', 'half a trailer', chunked("0\r\nX: y"), cut(calls => 1)],
    ['9112 8', 'no empty line', chunked("0\r\nX: y\r\n"), cut(calls => 1)],
]);

done_testing;

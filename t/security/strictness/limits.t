# Limits (RFC 9110 2.3, 4.1, 5.4, 15.5; contract 02 section 4)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";

use Test2::V0 qw(done_testing);
use Test::PAGI::Strictness;

my $LINE   = 8192;
my $HEAD   = 8192;
my $FIELDS = 100;

# A request line of so many bytes, without its CRLF.
sub long_line {
    my ($length, $path) = @_;
    $path //= '/';
    return "GET $path" . 'x' x ($length - length "GET $path HTTP/1.1") . ' HTTP/1.1';
}

# A head of so many bytes, without its last two line ends.
sub long_head {
    my ($length) = @_;
    my $start = join "\r\n", 'GET / HTTP/1.1', 'Host: x', 'A: ';
    return $start . 'x' x ($length - length $start) . "\r\n\r\n";
}

sub many {
    return map { "X-$_: y" } 1 .. $_[0];
}

sub too_long { return refused(414, 'URI Too Long') }
sub too_big  { return refused(431, 'Request Header Fields Too Large') }

check_table([
    ['9110 15.5.15', 'a request line of 8000 bytes', line(long_line(8000)), served()],
    ['9110 15.5.15', 'a request line of 8193 bytes', line(long_line($LINE + 1)), too_long()],
    ['9110 15.5.15', 'a request line of 100,000 bytes', line(long_line(100_000)), too_long()],
    ['9110 15.5.15', 'a query that is too long', line(long_line($LINE + 1, '/?')), too_long()],
    [
        '9110 15.5.15', 'an authority that is too long',
        line(long_line($LINE + 1, 'http://h')), too_long()
    ],
    ['9110 15.5.15', 'a request line without end', 'GET /' . 'x' x 9000, too_long()],
    ['9110 15.5.15', 'a method without end', 'G' x 9000, too_long()],
    ['9110 15.5.15', 'a method that is too long', line('G' x 9000 . ' / HTTP/1.1'), too_long()],
    [
        '9110 15.5.15', 'a long line in the second request',
        get() . line(long_line($LINE + 1)), served(), too_long()
    ],

    ['6585 5', 'a head of 8192 bytes', long_head($HEAD), served()],
    ['6585 5', 'a head of 8193 bytes', long_head($HEAD + 1), too_big()],
    ['6585 5', 'a head of 100,000 bytes', long_head(100_000), too_big()],
    ['6585 5', 'a field without end', request('GET / HTTP/1.1', 'A: ' . 'x' x 9000), too_big()],
    ['6585 5', 'a name without end', "GET / HTTP/1.1\r\n" . 'x' x 9000, too_big()],
    [
        '6585 5', 'fields without end',
        join("\r\n", 'GET / HTTP/1.1', map { "X-$_: " . 'y' x 90 } 1 .. 100), too_big()
    ],
    ['6585 5', 'white space without end', "GET / HTTP/1.1\r\nA:" . ' ' x 9000, too_big()],
    [
        '6585 5', 'a request line at its limit and a head above it',
        line(long_line($LINE)), too_big()
    ],
    [
        '6585 5', 'a long head in the second request', get() . long_head($HEAD + 1), served(),
        too_big()
    ],
    [
        '6585 5', 'a body does not count',
        with_body('x' x 20_000), served(body => 'x' x 20_000)
    ],

    # Cookies count once, Content-Type and Content-Length not at all (contract).
    ['9110 5.4', 'a hundred fields', get(many($FIELDS - 1)), served()],
    ['9110 5.4', 'a hundred and one fields', get(many($FIELDS)), too_big()],
    ['9110 5.4', 'two hundred fields', get(many(2 * $FIELDS)), too_big()],
    ['9110 5.4', 'a hundred and one times the same field', get(('A: b') x $FIELDS), too_big()],
    [
        '9110 5.4', 'a hundred fields and three that do not count',
        get(many($FIELDS - 1), 'Content-Type: a/b', 'Content-Length: 0'), served()
    ],
    [
        '9110 5.4', 'cookies count once',
        get(many($FIELDS - 2), map { "Cookie: c$_=1" } 1 .. 50), served()
    ],
    [
        '9110 5.4', 'cookies count once, yet they count',
        get(many($FIELDS - 1), map { "Cookie: c$_=1" } 1 .. 2), too_big()
    ],
    [
        '9110 5.4', 'a hundred and one fields in the second request',
        get() . get(many($FIELDS)), served(), too_big()
    ],
    ['9112 5', 'too many fields and a bad one', get(many($FIELDS), 'a : b'), refused([400, 431])],
]);

# Bodies, with a limit that is soon reached.
my @BODIES = (
    ['9110 15.5.14', 'a length at the limit', with_body('x' x 100), served(body => 'x' x 100)],
    ['9110 15.5.14', 'a length above it', with_body('x' x 101), refused(413, 'Payload Too Large')],
    [
        '9110 15.5.14', 'a length above it, no byte sent',
        post('', 'Content-Length: 101'), refused(413, 'Payload Too Large')
    ],
    [
        '9110 15.5.14', 'with HEAD the refusal has no body',
        request('HEAD / HTTP/1.1', 'Host: x', 'Content-Length: 101'),
        { %{ refused(413) }, method => 'HEAD' }
    ],
    [
        '9110 15.5.14', 'a chunk at the limit',
        chunked("64\r\n" . 'x' x 100 . "\r\n0\r\n\r\n"), served(body => 'x' x 100)
    ],
    [
        '9110 15.5.14', 'a chunk above it',
        chunked("65\r\n" . 'x' x 101 . "\r\n0\r\n\r\n"), broken(413, 'Payload Too Large')
    ],
    [
        '9110 15.5.14', 'chunks that together are at the limit',
        chunked(("a\r\n0123456789\r\n" x 10) . "0\r\n\r\n"), served(body => '0123456789' x 10)
    ],
    [
        '9110 15.5.14', 'chunks that together are above it',
        chunked(("a\r\n0123456789\r\n" x 10) . "1\r\nx\r\n0\r\n\r\n"),
        broken(413, 'Payload Too Large')
    ],
    [
        '9110 15.5.14', 'chunks without end',
        chunked("a\r\n0123456789\r\n" x 1000), broken(413, 'Payload Too Large')
    ],
    [
        '9110 15.5.14', 'the limit is for each request',
        with_body('x' x 100) . with_body('y' x 100), served(body => 'x' x 100),
        served(body => 'y' x 100)
    ],
    [
        '9112 7.1.1', 'extensions do not count as body',
        chunked((('1;' . 'e' x 50 . "\r\nx\r\n") x 10) . "0\r\n\r\n"), served(body => 'x' x 10)
    ],
    # Nor may they pass for free: the server ought to limit their total length.
    [
        '9112 7.1.1', 'ninety extensions of 8000 bytes',
        chunked((('1;' . 'e' x 8000 . "\r\nx\r\n") x 90) . "0\r\n\r\n"), broken([400, 413, 431])
    ],
    [
        '9112 6.3', 'the next request after a body at the limit',
        with_body('x' x 100) . next_request(), served(), served(path => '/next')
    ],
);

check_table(\@BODIES, max_body_size => 100);

# The limits that the server was given, not those it has by default.
check_table(
    [
        ['6585 5', 'a head at a small limit', long_head(256), served()],
        ['6585 5', 'a head above a small limit', long_head(257), too_big()],
        ['9110 5.4', 'fields at a small limit', get(many(4)), served()],
        ['9110 5.4', 'fields above a small limit', get(many(5)), too_big()],
    ],
    max_header_size  => 256,
    max_header_count => 5
);

done_testing;

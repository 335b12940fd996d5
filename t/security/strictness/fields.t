# Field lines (RFC 9112 5, RFC 9110 5)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";

use Test2::V0 qw(done_testing);
use Test::PAGI::Strictness;

sub bad {
    my ($section, $name, @fields) = @_;
    return [$section, $name, get(@fields), refused(400, 'Bad Request')];
}

# The field arrives as name and value, OWS trimmed, name in lower case.
sub good {
    my ($name, $field, %header) = @_;
    return ['9110 5', $name, get($field), served(header => \%header)];
}

sub byte { return sprintf 'the byte 0x%02X', $_[0] }

# Line ends that are none, each where a field line ends and where the head ends.
sub bad_ending {
    my ($name, $end) = @_;
    my $head = "GET / HTTP/1.1\r\nHost: x";
    return (
        ['9112 2.2', "$name ends a field line", "$head${end}A: b\r\n\r\n", refused(400)],
        ['9112 2.2', "$name is the empty line", "$head\r\n$end" . next_request(), refused(400)],
    );
}

check_table([
    good('a name in capitals', 'NAME: Value', name                          => 'Value'),
    good('a name in mixed case', 'x-NaMe: v', 'x-name'                      => 'v'),
    good('every mark of a token', "!#\$%&'*+-.^_`|~: v", "!#\$%&'*+-.^_`|~" => 'v'),
    good('a name of digits', '42: v', 42                                    => 'v'),
    good('an underscore stays (contract H03)', 'A_b: v', a_b                => 'v', 'a-b' => undef),
    good('no white space', 'A:b', a                                         => 'b'),
    good('spaces around the value', 'A:   b  ', a                           => 'b'),
    good('TABs around the value', "A:\t\tb\t", a                            => 'b'),
    good('white space inside the value', "A: b \t c", a                     => "b \t c"),
    good('an empty value', 'A:', a                                          => ''),
    good('a value of white space', "A: \t ", a                              => ''),
    good('colons in the value', 'A: :b:c:', a                               => ':b:c:'),
    good('an open quote', 'A: "b', a                                        => '"b'),
    good('a comment', 'A: (b) (c', a                                        => '(b) (c'),
    good('high bytes', "A: \x80\xC3\xA9\xFF", a                             => "\x80\xC3\xA9\xFF"),
    good(
        'every visible character', 'A: ' . join('', map { chr } 33 .. 126),
        a => join('', map { chr } 33 .. 126)
    ),
    [
        '9110 5.3', 'repeated fields keep their order',
        get('A: 1', 'B: 2', 'a: 3'),
        served(headers => [[host => 'x'], [a => 1], [b => 2], [a => 3]])
    ],
    [
        '9110 5.3', 'fields before Host',
        request('GET / HTTP/1.1', 'A: 1', 'Host: x'), served(headers => [[a => 1], [host => 'x']])
    ],
    [
        '6265 5.4', 'cookies are one field (contract H02)',
        get('Cookie: a=1', 'Cookie: b=2; c=3'), served(header => { cookie => 'a=1; b=2; c=3' })
    ],

    # Anything but a token before the colon.
    map({ bad('9110 5.1', "'$_' in a name", "Na${_}me: v") } split //, q{"(),/;<=>?@[\\]{}}),
    map({ bad('9110 5.1', byte($_) . ' in a name', 'Na' . chr($_) . 'me: v') } 0, 1, 8, 9, 0x0b,
        0x0c, 0x0e, 0x1b, 0x1f, 0x20, 0x7f, 0x80, 0xa0, 0xff),
    map({ bad('9112 5.1', byte($_) . ' before the colon', 'Name' . chr($_) . ': v') } 0, 1, 9,
        0x0b, 0x0c, 0x20, 0x7f, 0x85, 0xa0),
    bad('9112 5.1', 'two spaces before the colon', 'Name  : v'),
    bad('9112 5.1', 'an empty name', ': v'),
    bad('9112 5.1', 'a colon alone', ':'),
    bad('9112 5', 'no colon', 'nonsense'),
    bad('9112 5', 'no colon, two words', 'no colon'),
    bad('9112 5', 'a request line', 'GET /next HTTP/1.1'),
    bad('9112 5', 'an equals sign for a colon', 'Name=value'),
    bad('9112 5', 'a wide colon', "Name\xEF\xBC\x9A v"),
    bad('9112 5', 'an HTTP/2 pseudo field', ':path: /next'),

    # Controls in a value, TAB alone excepted (RFC 9110 5.5; contract 02 section 3).
    map({ bad('9110 5.5', byte($_) . ' in a value', 'A: b' . chr($_) . 'c') } 0 .. 8, 0x0b .. 0x0d,
        0x0e, 0x1b, 0x1f, 0x7f),
    map({ bad('9110 5.5', byte($_) . ' first in a value', 'A: ' . chr($_) . 'c') } 0, 0x0b, 0x0c,
        0x0d, 0x7f),
    map({ bad('9110 5.5', byte($_) . ' last in a value', 'A: b' . chr($_)) } 0, 0x0b, 0x0c, 0x0d,
        0x7f),
    bad('9110 5.5', 'a bare LF in a value', "A: b\nc"),
    bad('9110 5.5', 'a bare LF that hides a field', "A: b\nContent-Length: 5"),
    bad('9110 5.5', 'a bare CR that hides a field', "A: b\rContent-Length: 5"),
    bad('9110 5.5', 'a NUL that hides a field', "A: b\0Content-Length: 5"),
    bad('9110 5.5', 'LF CR that hides a field', "A: b\n\rContent-Length: 5"),

    # A server must reject a fold or replace it by blanks; a proxy may do the other (H06).
    bad('9112 5.2', 'a fold by a space', 'A: b', ' c'),
    bad('9112 5.2', 'a fold by a TAB', 'A: b', "\tc"),
    bad('9112 5.2', 'a fold of an empty value', 'A:', ' b'),
    bad('9112 5.2', 'a fold that looks like a field', 'A: b', ' Content-Length: 5'),
    bad('9112 5.2', 'a fold of blanks alone', 'A: b', ' '),
    bad('9112 5.2', 'a fold of a TAB alone', 'A: b', "\t", 'C: d'),
    bad('9112 5.2', 'two folds', 'A: b', ' c', ' d'),
    bad('9112 5.2', 'a fold by a vertical tab', 'A: b', "\x0bc"),
    [
        '9112 2.2', 'white space before the first field',
        request('GET / HTTP/1.1', ' A: b', 'Host: x'), refused(400)
    ],
    [
        '9112 2.2', 'a TAB before the first field',
        request('GET / HTTP/1.1', "\tHost: x"), refused(400)
    ],
    [
        '9112 2.2', 'white space before the only field',
        request('GET / HTTP/1.1', ' Host: x'), refused(400)
    ],
    [
        '9112 2.2', 'a line of blanks behind the request line',
        request('GET / HTTP/1.1', ' ', 'Host: x'), refused(400)
    ],

    map({ bad_ending(@$_) } ['LF', "\n"], ['CR CR LF', "\r\r\n"], ['LF CR LF', "\n\r\n"],
        [q(NUL CR LF), "\0\r\n"]),
    [
        "9112 2.2", "LF behind the empty line",
        get() . "\n" . next_request(), served(), refused(400)
    ],
    [
        '9112 2.1', 'the head ends with its first empty line',
        get() . "A: b\r\n\r\n", served(), refused(400)
    ],
    [
        '9112 5', 'a bad field in the second request',
        get() . get('A : b') . next_request(), served(), refused(400)
    ],
    [
        '9112 5.1', 'the fields of the first request are not those of the second',
        get('A: 1') . request('GET /next HTTP/1.1', 'Host: y'),
        served(header => { a => 1 }), served(path => '/next', headers => [[host => 'y']])
    ],
]);

done_testing;

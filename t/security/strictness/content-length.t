# Content-Length (RFC 9110 8.6, RFC 9112 6.2, 6.3, contract 02 section 4)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";

use Test2::V0 qw(done_testing);
use Test::PAGI::Strictness;

# A length that is none hides a request in what a lenient reader takes for the body, or not.
sub bad {
    my ($name, @values) = @_;
    my $bytes = post(next_request(), map { "Content-Length:$_" } @values);
    return ['9110 8.6', $name, $bytes, refused(400, 'Bad Request')];
}

# Refused before a byte of the body is read, whatever max_body_size says (contract).
sub too_large {
    my ($value) = @_;
    return [
        '9110 8.6', "Content-Length: $value is too large",
        post('', "Content-Length: $value"), refused(413, 'Payload Too Large')
    ];
}

# Five bytes of body, then a request.
sub good {
    my ($name, $field) = @_;
    return [
        '9110 8.6', $name,
        post('hello' . next_request(), $field), served(body => 'hello'), served(path => '/next')
    ];
}

check_table([
    good('a length', 'Content-Length: 5'),
    good('in lower case', 'content-length: 5'),
    good('in capitals', 'CONTENT-LENGTH: 5'),
    good('no white space', 'Content-Length:5'),
    good('white space around it', "Content-Length: \t 5 \t"),
    good('leading zeros', 'Content-Length: 005'),
    good('ten digits', 'Content-Length: 0000000005'),
    [
        '9112 6.3', 'length 0, then a request',
        post(next_request(), 'Content-Length: 0'), served(body => ''), served(path => '/next')
    ],
    [
        '9112 6.3', 'length 000',
        post(next_request(), 'Content-Length: 000'), served(body => ''), served(path => '/next')
    ],
    [
        '9112 6.3', 'no length is no body',
        post(next_request()), served(body => ''), served(path => '/next')
    ],
    [
        '9112 6.3', 'a body that is a request',
        with_body(next_request()), served(path => '/front', body => next_request())
    ],
    [
        '9112 6.3', 'a body that is two requests',
        with_body(next_request() x 2) . next_request(),
        served(body => next_request() x 2), served(path => '/next')
    ],
    [
        '9112 6.3', 'a body of line ends',
        with_body("\r\n\r\n\n\r") . next_request(),
        served(body => "\r\n\r\n\n\r"), served(path => '/next')
    ],
    [
        '9112 6.3', 'a body of binary bytes',
        with_body("\0\xFF\x7F\x80\r\n"), served(body => "\0\xFF\x7F\x80\r\n")
    ],
    [
        '9112 6.3', 'a body one byte shorter than sent',
        post('hello!' . next_request(), 'Content-Length: 5'),
        served(body => "hello"), served(method => "!GET", path => "/next")
    ],
    [
        '9110 9.3.1', 'a GET with a body',
        get('Content-Length: 5') . 'hello' . next_request(),
        served(method => 'GET', body => 'hello'), served(path => '/next')
    ],
    [
        '9110 9.3.2', 'a HEAD with a body',
        request('HEAD / HTTP/1.1', 'Host: x', 'Content-Length: 5') . 'hello' . next_request(),
        served(method => 'HEAD', body => 'hello'), served(path => '/next')
    ],
    [
        '9112 6.3', 'HTTP/1.0 with a body',
        request('POST / HTTP/1.0', 'Content-Length: 5') . 'hello',
        served(body => 'hello', closed => 1)
    ],
    [
        '9112 6.3', 'HTTP/1.0 with keep-alive, a body and another request',
        request('POST / HTTP/1.0', 'Connection: keep-alive', 'Content-Length: 5') . 'hello'
            . next_request(),
        served(body => 'hello'), served(path => '/next')
    ],
    [
        '9112 8', 'a body cut short',
        post('hell', 'Content-Length: 5'), cut(calls => 1)
    ],
    ['9112 8', 'a body that never comes', post('', 'Content-Length: 5'), cut(calls => 1)],

    bad('an empty length', ''),
    bad('white space', " \t "),
    bad('a plus sign', ' +5'),
    bad('plus nought', ' +0'),
    bad('a minus sign', ' -5'),
    bad('minus nought', ' -0'),
    bad('minus one', ' -1'),
    bad('a blank inside', ' 5 5'),
    bad('a TAB inside', " 5\t5"),
    bad('a blank behind the sign', ' - 5'),
    bad('a fraction', ' 5.0'),
    bad('a point', ' 5.'),
    bad('a point first', ' .5'),
    bad('an exponent', ' 5e0'),
    bad('hexadecimal with 0x', ' 0x5'),
    bad('hexadecimal', ' a'),
    bad('digits and hexadecimal', ' 5a'),
    bad('octal with o', ' 0o5'),
    bad('binary', ' 0b101'),
    bad('an underscore', ' 1_0'),
    bad('a letter behind it', ' 5x'),
    bad('a letter before it', ' x5'),
    bad('a word', ' five'),
    bad('quotes', ' "5"'),
    bad('apostrophes', " '5'"),
    bad('parentheses', ' (5)'),
    bad('a parameter', ' 5;x=y'),
    bad('a semicolon', ' 5;'),
    bad('a comment', ' 5 (five)'),
    bad('a unit', ' 5 bytes'),
    bad('a range', ' 5-6'),
    bad('an equals sign', ' =5'),
    bad('a second colon', ': 5'),
    bad('a NUL behind it', " 5\0"),
    bad('a NUL before it', " \0005"),
    bad('a vertical tab before it', " \x0b5"),
    bad('a form feed behind it', " 5\x0c"),
    bad('a bare CR behind it', " 5\r"),
    bad('a bare LF inside', " 5\n5"),
    bad('a no-break space before it', " \xA05"),
    bad('Arabic digits', " \xD9\xA5"),
    bad('a full-width digit', " \xEF\xBC\x95"),
    bad('a superscript digit', " \xB2"),
    bad('a fold', "\r\n 5"),
    bad('a fold behind it', " 5\r\n "),

    # RFC 9112 6.3 lets a recipient merge equal values; the contract does not.
    bad('a list of equal values', ' 5, 5'),
    bad('a list of different values', ' 5, 6'),
    bad('a list without blanks', ' 5,5'),
    bad('a list that begins with nought', ' 0, 5'),
    bad('a list of an empty element', ' 5,'),
    bad('a list that begins empty', ' ,5'),
    bad('a comma alone', ' ,'),
    bad('two equal lines', ' 5', ' 5'),
    bad('two different lines', ' 5', ' 6'),
    bad('two lines, the first nought', ' 0', ' 5'),
    bad('two lines, the last nought', ' 5', ' 0'),
    bad('two noughts', ' 0', ' 0'),
    bad('two lines, equal but for zeros', ' 5', ' 05'),
    bad('two lines, one of them empty', ' 5', ''),
    bad('two lines, the first empty', '', ' 5'),
    bad('two lines, one of them bad', ' 5', ' x'),
    bad('three lines', (' 5') x 3),
    [
        '9110 8.6', 'two lines in different case',
        post('hello', 'Content-Length: 5', 'content-LENGTH: 6'), refused(400)
    ],
    [
        '9110 8.6', 'two lines far apart',
        post('hello', 'Content-Length: 5', 'A: b', 'C: d', 'Content-Length: 6'), refused(400)
    ],
    [
        '9112 5.1', 'a blank before the colon',
        post(next_request(), 'Content-Length : 5'), refused(400)
    ],
    [
        '9112 6.3', 'an underscore makes it another field (contract H03)',
        post(next_request(), 'Content_Length: 5'),
        served(body => '', header => { 'content-length' => undef, content_length => 5 }),
        served(path => '/next')
    ],
    [
        '9112 6.3', 'X-Content-Length is another field',
        post(next_request(), 'X-Content-Length: 5'), served(body => ''), served(path => '/next')
    ],
    [
        '9112 6.3', 'a bad length of a second request',
        with_body('hello') . post('hello', 'Content-Length: x') . next_request(),
        served(body => 'hello'), refused(400)
    ],

    map({ too_large($_) } qw(
            10000001 2147483647 2147483648 4294967295 4294967296 4294967301 9999999999 00000000005
            12345678901 9223372036854775807 9223372036854775808 18446744073709551615
            18446744073709551616 18446744073709551621 340282366920938463463374607431768211461
    )),
    too_large('9' x 100),
]);

done_testing;

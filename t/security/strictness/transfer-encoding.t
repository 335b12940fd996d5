# Transfer-Encoding (RFC 9112 6.1, 6.3, 7, contract 02 section 4)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";

use Test2::V0 qw(done_testing);
use Test::PAGI::Strictness;

my $FINAL   = 'chunked must be the final Transfer-Encoding';
my $BOTH    = 'Transfer-Encoding and Content-Length are mutually exclusive';
my $UNKNOWN = 'Unsupported Transfer-Encoding';
my $HELLO   = "5\r\nhello\r\n0\r\n\r\n";
my $EMPTY   = "0\r\n\r\n";

# A chunked body of five bytes, then a request.
sub good {
    my ($name, @fields) = @_;
    return [
        '9112 6.1', $name,
        post($HELLO . next_request(), @fields), served(body => 'hello'), served(path => '/next')
    ];
}

# Behind each an empty chunked body and a request: what one who goes by length 0 would serve.
sub bad {
    my ($name, $status, $text, @values) = @_;
    my $bytes = post($EMPTY . next_request(), map { "Transfer-Encoding:$_" } @values);
    return ['9112 6.1', $name, $bytes, refused($status, $text)];
}

sub unknown { return bad(shift, 501, $UNKNOWN, @_) }
sub control { return bad(shift, 400, 'Bad Request', @_) }

# An unknown coding below chunked: contract 02 has only gzip; the RFC has 501. A proxy that goes
# by the first coding, or gives up on the list, sees no body.
sub unknown_inside {
    my ($name, @values) = @_;
    return [@{ unknown($name, @values) }];
}

sub both {
    my ($name, $bytes, @fields) = @_;
    return ['9112 6.3', $name, post($bytes . next_request(), @fields), refused(400, $BOTH)];
}

my $S = length next_request();

check_table([
    good('chunked', 'Transfer-Encoding: chunked'),
    good('in capitals', 'TRANSFER-ENCODING: CHUNKED'),
    good('in mixed case', 'transfer-Encoding: Chunked'),
    good('no white space', 'Transfer-Encoding:chunked'),
    good('white space around it', "Transfer-Encoding: \t chunked \t "),
    good('gzip, chunked (contract)', 'Transfer-Encoding: gzip, chunked'),
    good('gzip,chunked', 'Transfer-Encoding: gzip,chunked'),
    good('gzip and chunked in two lines', 'Transfer-Encoding: gzip', 'Transfer-Encoding: chunked'),
    good('deflate, gzip, chunked', 'Transfer-Encoding: deflate, gzip, chunked'),
    good('x-gzip, chunked', 'Transfer-Encoding: x-gzip, chunked'),
    good('compress, chunked', 'Transfer-Encoding: compress, chunked'),
    good('an empty element first (RFC 9110 5.6.1)', 'Transfer-Encoding: , chunked'),
    good('TE is another field', 'TE: trailers, gzip', 'Transfer-Encoding: chunked'),
    [
        '9112 6.1', 'a GET with a chunked body',
        get('Transfer-Encoding: chunked') . $HELLO . next_request(),
        served(method => 'GET', body => 'hello'), served(path => '/next')
    ],
    [
        '9112 6.1', 'a HEAD with a chunked body',
        request('HEAD / HTTP/1.1', 'Host: x', 'Transfer-Encoding: chunked') . $HELLO
            . next_request(),
        served(method => 'HEAD', body => 'hello'), served(path => '/next')
    ],
    [
        '9112 6.1', 'the field stays visible (contract 02 section 3)',
        chunked($HELLO),
        served(header => { 'transfer-encoding' => 'chunked', 'content-length' => undef })
    ],
    [
        '9112 6.1', 'an underscore makes it another field (contract H03)',
        post(next_request(), 'Transfer_Encoding: chunked'),
        served(body => '', header => { 'transfer-encoding' => undef }), served(path => '/next')
    ],
    [
        '9112 6.1', 'X-Transfer-Encoding is another field',
        post(next_request(), 'X-Transfer-Encoding: chunked'),
        served(body => ''), served(path => '/next')
    ],
    [
        '9112 6.1', 'TE asks for nothing here',
        post(next_request(), 'TE: chunked'), served(body => ''), served(path => '/next')
    ],
    [
        '9112 6.1', 'Content-Encoding: chunked frames nothing',
        with_body('hello', 'Content-Encoding: chunked'), served(body => 'hello')
    ],

    # No 1.0 sender knows the coding: the framing is faulty.
    [
        '9112 6.1', 'chunked with HTTP/1.0',
        request('POST / HTTP/1.0', 'Transfer-Encoding: chunked') . $HELLO, refused(400)
    ],
    [
        '9112 6.1', 'chunked with HTTP/1.0 and keep-alive',
        request('POST / HTTP/1.0', 'Connection: keep-alive', 'Transfer-Encoding: chunked') . $EMPTY
            . next_request(),
        refused(400)
    ],
    [
        '9112 6.1', 'chunked and a length with HTTP/1.0',
        request('POST / HTTP/1.0', 'Content-Length: 5', 'Transfer-Encoding: chunked') . $EMPTY,
        refused(400)
    ],

    unknown('gzip', ' gzip'),
    unknown('identity', ' identity'),
    unknown('nothing', ''),
    unknown('white space', "\t "),
    unknown('commas', ' ,,'),
    unknown('a made-up coding', ' foo'),
    unknown('xchunked', ' xchunked'),
    unknown('chunkedx', ' chunkedx'),
    unknown('chunke', ' chunke'),
    unknown('x-chunked', ' x-chunked'),
    unknown('chunked-', ' chunked-'),
    unknown('chunked in quotes', ' "chunked"'),
    unknown('chunked in apostrophes', " 'chunked'"),
    unknown('chunked in brackets', ' [chunked]'),
    unknown('chunked in a comment', ' (chunked)'),
    unknown('chunked with a parameter', ' chunked;q=1'),
    unknown('chunked with a semicolon', ' chunked;'),
    unknown('chunked with a blank and a parameter', ' chunked ; a=b'),
    unknown('chunked and gzip without a comma', ' chunked gzip'),
    unknown('gzip and chunked without a comma', ' gzip chunked'),
    unknown('chunked twice without a comma', ' chunked chunked'),
    unknown('a TAB for the comma', " gzip\tchunked"),
    unknown('a semicolon for the comma', ' gzip;chunked'),
    unknown('a second colon', ': chunked'),
    unknown('an equals sign', ' =chunked'),
    unknown('a long s', " chun\xC5\xBFked"),
    unknown('a Kelvin sign', " chun\xE2\x84\xAAed"),
    unknown('a no-break space before it', " \xA0chunked"),
    unknown('a no-break space in UTF-8 behind it', " chunked\xC2\xA0"),
    unknown('gzip and identity', ' gzip, identity'),
    unknown('gzip and identity in two lines', ' gzip', ' identity'),
    unknown_inside('identity, chunked', ' identity, chunked'),
    unknown_inside('identity and chunked in two lines', ' identity', ' chunked'),
    unknown_inside('a made-up coding, chunked', ' foo, chunked'),
    unknown_inside('xchunked, chunked', ' xchunked, chunked'),
    unknown_inside('gzip with a parameter, chunked', ' gzip;q=1, chunked'),
    unknown_inside('bytes that are no coding, chunked', ' @@, chunked'),
    unknown_inside('a quote left open, chunked', ' foo;a=", chunked'),
    unknown_inside('chunked with a parameter, chunked', ' chunked;a=b, chunked'),
    unknown_inside('nothing, a made-up coding and chunked in three lines', '', ' x', ' chunked'),

    bad('chunked, gzip', 400, $FINAL, ' chunked, gzip'),
    bad('chunked, identity', 400, $FINAL, ' chunked, identity'),
    bad('chunked and gzip in two lines', 400, $FINAL, ' chunked', ' gzip'),
    bad('chunked and identity in two lines', 400, $FINAL, ' chunked', ' identity'),
    bad('chunked and nothing in two lines', 400, $FINAL, ' chunked', ''),
    bad('chunked, xchunked', 400, $FINAL, ' chunked, xchunked'),
    bad('chunked, chunked;q=1', 400, $FINAL, ' chunked, chunked;q=1'),
    bad('gzip, chunked, gzip', 400, $FINAL, ' gzip, chunked, gzip'),
    bad('chunked inside a quoted string', 400, undef, ' foo;a="x, chunked, y"'),
    # An empty element is to be ignored (RFC 9110 5.6.1); to the contract it is a last coding.
    bad('chunked and a trailing comma (contract)', 400, $FINAL, ' chunked,'),
    control('chunked, chunked', ' chunked, chunked'),
    control('chunked twice', (' chunked') x 2),
    control('chunked three times', (' chunked') x 3),
    control('chunked, gzip, chunked', ' chunked, gzip, chunked'),
    control('chunked, CHUNKED', ' chunked, CHUNKED'),
    control('chunked and gzip, chunked in two lines', ' chunked', ' gzip, chunked'),

    control('a vertical tab before it', " \x0bchunked"),
    control('a vertical tab behind it', " chunked\x0b"),
    control('a form feed before it', " \x0cchunked"),
    control('a NUL behind it', " chunked\0"),
    control('a NUL before it', " \0chunked"),
    control('a bare CR behind it', " chunked\r"),
    control('a bare CR before it', "\rchunked"),
    control('a bare LF before it', "\nchunked"),
    control('a control byte inside', " chun\x01ked"),
    control('DEL behind it', " chunked\x7F"),
    control('a fold before it', "\r\n chunked"),
    control('a fold behind it', " chunked\r\n ,gzip"),
    control('a fold by a TAB', "\r\n\tchunked"),
    [
        '9112 5.1', 'a blank before the colon',
        post($EMPTY . next_request(), 'Transfer-Encoding : chunked'), refused(400)
    ],
    [
        '9112 5.1', 'a TAB before the colon',
        post($EMPTY . next_request(), "Transfer-Encoding\t: chunked"), refused(400)
    ],
    [
        '9112 5.1', 'a vertical tab before the colon',
        post($EMPTY . next_request(), "Transfer-Encoding\x0b: chunked"), refused(400)
    ],
    [
        '9112 5.2', 'hidden in a fold',
        post($EMPTY . next_request(), 'A: b', ' Transfer-Encoding: chunked'), refused(400)
    ],

    both('CL.TE', $EMPTY, 'Content-Length: ' . ($S + 5), 'Transfer-Encoding: chunked'),
    both('TE.CL', $EMPTY, 'Transfer-Encoding: chunked', 'Content-Length: 5'),
    both(
        'TE.CL with a length of nought', $EMPTY, 'Transfer-Encoding: chunked', 'Content-Length: 0'
    ),
    both('CL.0 and chunked', $EMPTY, 'Content-Length: 0', 'Transfer-Encoding: chunked'),
    both(
        'a length that fits the coded body', $HELLO, 'Content-Length: 15',
        'Transfer-Encoding: chunked'
    ),
    both('a length that fits the body', $HELLO, 'Content-Length: 5', 'Transfer-Encoding: chunked'),
    both(
        'gzip, chunked and a length', $EMPTY, 'Transfer-Encoding: gzip, chunked',
        'Content-Length: 5'
    ),
    both(
        'fields between the two', $EMPTY, 'Content-Length: 5', 'A: b', 'C: d',
        'Transfer-Encoding: chunked'
    ),
    [
        '9112 6.3', 'gzip and a length',
        post('hello' . next_request(), 'Transfer-Encoding: gzip', 'Content-Length: 5'),
        refused([400, 501])
    ],
    [
        '9112 6.3', 'identity and a length',
        post('hello' . next_request(), 'Transfer-Encoding: identity', 'Content-Length: 5'),
        refused([400, 501])
    ],
    [
        '9112 6.3', 'an empty coding and a length',
        post('hello' . next_request(), 'Transfer-Encoding:', 'Content-Length: 5'),
        refused([400, 501])
    ],
    [
        '9112 6.3', 'chunked and a bad length',
        post($EMPTY . next_request(), 'Transfer-Encoding: chunked', 'Content-Length: x'),
        refused(400)
    ],
    [
        '9112 6.3', 'chunked, chunked and a length',
        post($EMPTY . next_request(), 'Transfer-Encoding: chunked, chunked', 'Content-Length: 5'),
        refused(400)
    ],
]);

done_testing;

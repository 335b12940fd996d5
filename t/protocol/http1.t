# PAGI::Server::Protocol::HTTP1 (contract 01 section 4, 02 section 4, 09 sections 5 and 7)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use PAGI::Server::Protocol::HTTP1;
use Test2::V0;

my $codec = PAGI::Server::Protocol::HTTP1->new;

sub lines { return join "\r\n", @_, '', '' }
sub with  { return lines('GET / HTTP/1.1', 'Host: x', @_) }

sub parsed {
    my ($bytes, %limits) = @_;
    my @outcome = PAGI::Server::Protocol::HTTP1->new(%limits)->parse_request($bytes);
    return \@outcome;
}

subtest 'new' => sub {
    my $with = sub {
        eval { PAGI::Server::Protocol::HTTP1->new(@_) } ? 'ok' : $@;
    };
    for my $name (qw(max_header_size max_request_line_size max_header_count
        max_chunk_size))
    {
        is $with->($name => $_), 'ok', "$name: " . ($_ // 'undef') for 1, 1e9, undef;
        like $with->($name => $_), qr/Invalid value '.*' for '$name'/, "$name: '$_' is refused"
            for 0, -1, 1.5, 'x', '', [];
    }
    like $with->(max_headers => 1), qr/Unknown option 'max_headers'/, 'a name that is no limit';
};

subtest 'a request' => sub {
    my $head = lines(
        'post /caf%C3%A9/%2B?a=%20b?c HTTP/1.1',
        'Host: x', "X_Under:  two words \t", 'X-B:', 'x-b: 2',
        'Cookie: a=1', 'Content-Length: 005', 'Cookie: b=2', 'Expect: 100-Continue'
    );
    my $expected = {
        method       => 'POST',
        path         => "/caf\x{e9}/+",
        raw_path     => '/caf%C3%A9/%2B',
        query_string => 'a=%20b?c',
        http_version => '1.1',
        headers      => [
            ['host', 'x'], ['x_under', 'two words'], ['x-b', ''], ['x-b', '2'],
            ['cookie', 'a=1; b=2'],
            ['content-length', '005'],
            ['expect', '100-Continue'],
        ],
        content_length  => 5,
        chunked         => 0,
        expect_continue => 1,
    };
    my $buffer = "${head}hello";
    is parsed($buffer), [$expected, length $head], 'in a string';
    is parsed(\$buffer), [$expected, length $head], 'in a reference to one';
    is $buffer, "${head}hello", 'the buffer is as it was';
    is parsed("\r\n$head"), [$expected, 2 + length $head], 'one empty line in front belongs to it';
    for my $end (0 .. length($head) - 1) {
        my $part    = substr $head, 0, $end;
        my $outcome = parsed($part);
        is $outcome, [undef, 0], "its first $end bytes" if defined $outcome->[0] || $outcome->[1];
    }
};

# [rule, head, %expected]
my @SERVED = (
    ['HTTP/1.0 without Host', lines('GET / HTTP/1.0'), http_version => '1.0', headers => []],
    ['a later minor version', lines('GET / HTTP/1.7', 'Host: x'), http_version => '1.1'],
    ['no content-length', with(), content_length => undef, chunked => 0, expect_continue => 0],
    ['content-length 0', with('Content-Length: 0'), content_length => 0],
    [
        'the longest content-length', with('Content-Length: 2147483647'),
        content_length => 2147483647
    ],
    ['chunked', with('Transfer-Encoding: CHUNKED'), chunked => 1, content_length => undef],
    ['gzip, chunked', with('Transfer-Encoding: gzip, chunked'), chunked => 1],
    ['no query', with(), query_string                                   => ''],
    ['an empty query', lines('GET /? HTTP/1.1', 'Host: x'), path        => '/', query_string => ''],
    ['the whole server', lines('OPTIONS * HTTP/1.1', 'Host: x'), path   => '*'],
    [
        'an absolute target', lines('GET http://y:1/p?q HTTP/1.1', 'Host: x'),
        path => '/p', raw_path => '/p', query_string => 'q', headers => [['host', 'y:1']]
    ],
    [
        'an escaped byte that is not UTF-8', lines('GET /%FF HTTP/1.1', 'Host: x'),
        path => "/\xFF", raw_path => '/%FF'
    ],
    ['a raw byte above ASCII', lines("GET /\xE9 HTTP/1.1", 'Host: x'), path => "/\xE9"],
    ['raw UTF-8', lines("GET /\xC3\xA9 HTTP/1.1", 'Host: x'), path          => "/\xE9"],
    ['an empty Host', lines('GET / HTTP/1.1', 'Host:'), headers             => [['host', '']]],
    ['bytes in a value', with("X: \xFF\xE9"), headers => [['host', 'x'], ['x', "\xFF\xE9"]]],
);

subtest 'what is served' => sub {
    for my $row (@SERVED) {
        my ($rule, $head, %expected) = @$row;
        my ($request, $used) = $codec->parse_request($head . 'rest');
        is {
            map { $_ => $request->{$_} } keys %expected
        }, \%expected, $rule;
        is $used, length $head, "$rule: bytes";
    }
};

subtest 'path: characters or bytes' => sub {
    my $path = sub { ($codec->parse_request(lines("GET $_[0] HTTP/1.1", 'Host: x')))[0]{path} };
    is $path->('/%E2%82%AC'), "/\x{20AC}", 'characters';
    ok utf8::is_utf8($path->('/%C3%A9')), 'flagged where they are characters';
    ok !utf8::is_utf8($path->('/%E9')), 'not flagged where they are bytes';
};

my $BAD     = 'Bad Request';
my $FINAL   = 'chunked must be the final Transfer-Encoding';
my $BOTH    = 'Transfer-Encoding and Content-Length are mutually exclusive';
my @REFUSED = (
    ['no version', lines('GET /'), 400, $BAD],
    ['no Host', lines('GET / HTTP/1.1'), 400, $BAD],
    ['two Hosts', with('Host: x'), 400, $BAD],
    ['a blank before the colon', with('X : y'), 400, $BAD],
    ['no colon', with('nonsense'), 400, $BAD],
    ['a folded line', with("X: a\r\n b"), 400, $BAD],
    ['a control byte', with("X: a\x01"), 400, $BAD],
    ['a bare CR', with("X: a\rb"), 400, $BAD],
    ['a bad escape', lines('GET /%zz HTTP/1.1', 'Host: x'), 400, $BAD],
    ['HTTP/2.0', lines('PRI * HTTP/2.0'), 400, $BAD],
    ['a signed length', with('Content-Length: +5'), 400, $BAD],
    ['two lengths', with(('Content-Length: 5') x 2), 400, $BAD],
    ['a length above 2^31-1', with('Content-Length: 2147483648'), 413, 'Payload Too Large'],
    ['a length of eleven digits', with('Content-Length: 00000000005'), 413, 'Payload Too Large'],
    ['chunked not last', with('Transfer-Encoding: chunked, gzip'), 400, $FINAL],
    ['both framings', with('Transfer-Encoding: chunked', 'Content-Length: 5'), 400, $BOTH],
    ['gzip alone', with('Transfer-Encoding: gzip'), 501, 'Unsupported Transfer-Encoding'],
);

subtest 'what is refused' => sub {
    for my $row (@REFUSED) {
        my ($rule, $head, $status, $text) = @$row;
        my $buffer   = $head . with();
        my $expected = [{ error => $status, message => $text }, length $head];
        is parsed(\$buffer), $expected, $rule;
        is $buffer, $head . with(), "$rule: the buffer is as it was";
    }
    my $bad = { error => 400, message => $BAD };
    is parsed("GET / HTTP/1.1\nHost: x\n\n"), [$bad, 24], 'a bare LF: all there is';
    is parsed("\x16\x03\x01"), [$bad, 3], 'TLS: all there is';
    is parsed("\r\n\r\n"), [$bad, 4], 'two empty lines: all there is';
};

subtest 'limits' => sub {
    my $line   = { error => 414, message => 'URI Too Long' };
    my $fields = { error => 431, message => 'Request Header Fields Too Large' };
    my $target = sub { lines('GET /' . 'a' x ($_[0] - 14) . ' HTTP/1.1', 'Host: x') };
    my $sized  = sub {
        my $start = "GET / HTTP/1.1\r\nHost: x\r\nX: ";
        return $start . 'a' x ($_[0] - length $start) . "\r\n\r\n";
    };
    my $counted = sub {
        with(map { "X-$_: 1" } 2 .. $_[0]);
    };

    # [rule, head, limits, refusal]
    my @rows = (
        ['a line of the limit', $target->(100), [max_request_line_size => 100]],
        ['a longer line', $target->(101), [max_request_line_size => 100], $line],
        ['a line of 8192', $target->(8192), [max_header_size => 9000]],
        ['a line of 8193', $target->(8193), [max_header_size => 9000], $line],
        ['a head of the limit', $sized->(100), [max_header_size => 100]],
        ['a larger head', $sized->(101), [max_header_size => 100], $fields],
        ['a head of 8192', $sized->(8192), []],
        ['a head of 8193', $sized->(8193), [], $fields],
        ['fields of the limit', $counted->(3), [max_header_count => 3]],
        ['more fields', $counted->(4), [max_header_count => 3], $fields],
        ['100 fields', $counted->(100), []],
        ['101 fields', $counted->(101), [], $fields],
        ['a great limit', $sized->(100_000), [max_header_size => 999_999_999_999]],
    );
    for my $row (@rows) {
        my ($rule, $head, $limits, $refusal) = @$row;
        my $outcome = parsed($head, @$limits);
        is $outcome->[0]{error}, $refusal && $refusal->{error}, $rule;
        is $outcome->[0], $refusal, "$rule: refusal" if $refusal;
        is $outcome->[1], length $head, "$rule: bytes";
    }
    is parsed('GET /' . 'a' x 9000), [$line, 9005], 'a line without an end is not waited for';
    my $open = substr $sized->(9000), 0, 8500;
    is parsed($open), [$fields, 8500], 'nor is a head without an end';
};

# [rule, bytes, data, used, complete]
my @CHUNKS = (
    ['nothing', '', '', 0, 0],
    ['half a size', '5', '', 0, 0],
    ['half a chunk', "5\r\nhel", '', 0, 0],
    ['a chunk without its end', "5\r\nhello\r", '', 0, 0],
    ['a chunk', "5\r\nhello\r\n", 'hello', 10, 0],
    ['a chunk and a half', "5\r\nhello\r\n5\r\nwo", 'hello', 10, 0],
    ['two chunks', "5\r\nhello\r\n6\r\n world\r\n", 'hello world', 21, 0],
    ['all', "5\r\nhello\r\n0\r\n\r\nGET", 'hello', 15, 1],
    ['the last chunk', "0\r\n\r\n", '', 5, 1],
    ['half the last chunk', "5\r\nhello\r\n0\r\n", 'hello', 10, 0],
    ['trailers', "1\r\na\r\n0\r\nX: y\r\nZ: w\r\n\r\nGET", 'a', 23, 1],
    ['half of trailers', "1\r\na\r\n0\r\nX: y\r\n", 'a', 6, 0],
    ['hex of both cases', "a\r\n0123456789\r\nA\r\n0123456789\r\n", '0123456789' x 2, 30, 0],
    ['leading zeros', "0000005\r\nhello\r\n", 'hello', 16, 0],
    ['an extension', "5;a=b;c=\"d\"\r\nhello\r\n", 'hello', 20, 0],
    ['line ends in data', "4\r\n\r\n\r\n\r\n", "\r\n\r\n", 9, 0],
);

my $BAD_CHUNK = { error => 400, message => 'Invalid chunk size' };
my $TOO_LARGE = { error => 413, message => 'Chunk Too Large' };

my @BAD_CHUNKS = (
    ['letters', "xyz\r\n", $BAD_CHUNK],
    ['a sign', "-5\r\n", $BAD_CHUNK],
    ['0x', "0x5\r\nhello\r\n", $BAD_CHUNK],
    ['no size', "\r\nhello", $BAD_CHUNK],
    ['a blank in front', " 5\r\nhello\r\n", $BAD_CHUNK],
    ['a bare LF', "5\nhello\r\n", $BAD_CHUNK],
    ['data longer than said', "3\r\nhello\r\n", $BAD_CHUNK],
    ['a fault behind whole chunks', "5\r\nhello\r\nxyz\r\n", $BAD_CHUNK],
    ['eight digits', "00000005\r\nhello\r\n", $TOO_LARGE],
    ['eight digits so far', 'FFFFFFFF', $TOO_LARGE],
    ['above 10 MiB', "A00001\r\n", $TOO_LARGE],
    ['a control byte in trailers', "0\r\nX: \x01\r\n\r\n", { error => 400, message => $BAD }],
);

subtest 'chunked bodies' => sub {
    for my $row (@CHUNKS) {
        my ($rule, $buffer, @expected) = @$row;
        is [$codec->parse_chunked_body($buffer)], \@expected, $rule;
        is [$codec->parse_chunked_body(\$buffer)], \@expected, "$rule, by reference";
        is $buffer, $row->[1], "$rule: the buffer is as it was";
    }
    is [$codec->parse_chunked_body($_->[1])], [$_->[2], 0, 0], $_->[0] for @BAD_CHUNKS;
};

subtest 'the largest chunk' => sub {
    my $small = PAGI::Server::Protocol::HTTP1->new(max_chunk_size => 10);
    is [$small->parse_chunked_body("a\r\n0123456789\r\n")], ['0123456789', 15, 0], 'at the limit';
    is [$small->parse_chunked_body("b\r\n")], [$TOO_LARGE, 0, 0], 'above it';
    my $data = 'x' x 10_485_760;
    my ($got, $used) = $codec->parse_chunked_body("A00000\r\n$data\r\n");
    is [length $got, $used], [10_485_760, 10_485_770], '10 MiB by default';
};

subtest 'a buffer read piece by piece' => sub {
    my $bytes  = "5\r\nhello\r\n1;x\r\n \r\n5\r\nworld\r\n0\r\nT: v\r\n\r\n";
    my $buffer = '';
    my ($body, $complete) = ('', 0);
    for my $byte (split //, $bytes) {
        $buffer .= $byte;
        (my $data, my $used, $complete) = $codec->parse_chunked_body(\$buffer);
        $body .= $data;
        substr $buffer, 0, $used, '';
    }
    is [$body, $complete, $buffer], ['hello world', 1, ''], 'comes out whole';
};

subtest 'buffers that are no bytes' => sub {
    for my $method (qw(parse_request parse_chunked_body)) {
        like dies { $codec->$method("\x{100}") }, qr/wide characters/, "$method: wide characters";
        like dies { $codec->$method([]) }, qr/must be a string/, "$method: an array";
        like dies { $codec->$method(\\'x') }, qr/must be a string/, "$method: two references";
        my ($outcome) = $codec->$method(undef);
        is $outcome // '', '', "$method: undef is empty";
    }
    my $upgraded = with("X: \xE9");
    utf8::upgrade($upgraded);
    my ($request, $used) = $codec->parse_request(\$upgraded);
    is $request->{headers}[1], ['x', "\xE9"], 'a flagged string is taken for its bytes';
    is $used, length $upgraded, 'and counted by them';
    ok utf8::is_utf8($upgraded), 'and is as it was';
};

my $SERVER = "Server: PAGI::Server/$PAGI::Server::Protocol::HTTP1::VERSION\r\n";
my $CODING = "Transfer-Encoding: chunked\r\n";

# [rule, arguments, bytes]
my @STARTS = (
    ['no headers', [200, []], "HTTP/1.1 200 OK\r\n$SERVER\r\n"],
    ['no list of headers', [200], "HTTP/1.1 200 OK\r\n$SERVER\r\n"],
    [
        'order and case are kept', [404, [['X-B', '1'], ['a', ''], ['X-B', '2']]],
        "HTTP/1.1 404 Not Found\r\nX-B: 1\r\na: \r\nX-B: 2\r\n$SERVER\r\n"
    ],
    ['a Server given', [200, [['sErVer', 'me']]], "HTTP/1.1 200 OK\r\nsErVer: me\r\n\r\n"],
    ['chunked', [200, [], 1], "HTTP/1.1 200 OK\r\n$SERVER$CODING\r\n"],
    ['chunked, as 1.1', [200, [], 1, '1.1'], "HTTP/1.1 200 OK\r\n$SERVER$CODING\r\n"],
    ['chunked, as 1.0', [200, [], 1, '1.0'], "HTTP/1.0 200 OK\r\n$SERVER\r\n"],
    ['not chunked', [200, [], 0], "HTTP/1.1 200 OK\r\n$SERVER\r\n"],
    [
        'a coding given', [200, [['transfer-encoding', 'chunked']], 1],
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n$SERVER\r\n"
    ],
    ['a phrase of the registry', [429, []], "HTTP/1.1 429 Too Many Requests\r\n$SERVER\r\n"],
    ['no phrase', [599, []], "HTTP/1.1 599 Unknown\r\n$SERVER\r\n"],
    ['an interim response', [101, []], "HTTP/1.1 101 Switching Protocols\r\n$SERVER\r\n"],
    ['Latin-1', [200, [['x', "\xE9"]]], "HTTP/1.1 200 OK\r\nx: \xE9\r\n$SERVER\r\n"],
);

# [rule, header, complaint]
my @BAD_HEADERS = (
    ['LF in a name', ["x\n", 'v'], 'Invalid header name: contains CR, LF, or null byte'],
    ['CR in a name', ["x\r", 'v'], 'Invalid header name: contains CR, LF, or null byte'],
    ['NUL in a name', ["x\0", 'v'], 'Invalid header name: contains CR, LF, or null byte'],
    [
        'a control byte in a name', ["x\x01", 'v'],
        'Invalid header name: contains control characters'
    ],
    ['a blank in a name', ['x y', 'v'], 'Invalid header name: must be a token'],
    ['a colon in a name', ['x:', 'v'], 'Invalid header name: must be a token'],
    ['no name', ['', 'v'], 'Invalid header name: must be a token'],
    ['LF in a value', ['x', "a\nb"], 'Invalid header value: contains CR, LF, or null byte'],
    ['CR in a value', ['x', "a\r"], 'Invalid header value: contains CR, LF, or null byte'],
    ['NUL in a value', ['x', "a\0"], 'Invalid header value: contains CR, LF, or null byte'],
    ['a wide value', ['x', "\x{100}"], 'Invalid header value: contains wide characters'],
    ['one element', ['x'], qr/\AInvalid header: /],
    ['no array', 'x: y', qr/\AInvalid header: /],
);

subtest 'serialize_response_start' => sub {
    is $codec->serialize_response_start(@{ $_->[1] }), $_->[2], $_->[0] for @STARTS;
    like dies { $codec->serialize_response_start($_, []) }, qr/\AInvalid status: /,
        'status ' . ($_ // 'undef') for undef, '', 0, 99, 1000, 'OK', '200 OK', "200\n", [], 200.5;
};

subtest 'headers that cannot go on the wire' => sub {
    for my $row (@BAD_HEADERS) {
        my ($rule, $header, $text) = @$row;
        my $match   = ref $text ? $text : qr/\A\Q$text\E\n\z/;
        my $headers = [['x-good', 'v'], $header];
        like dies { $codec->serialize_response_start(200, $headers) }, $match, "$rule: response";
        like dies { $codec->serialize_trailers($headers) }, $match, "$rule: trailers";
    }
    like dies { $codec->serialize_response_start(200, { a => 'b' }) }, qr/Invalid header/, 'a hash';
};

{

    package Text;
    use overload '""' => sub { ${ $_[0] } }, fallback => 1;
    sub new { my ($class, $text) = @_; return bless \$text, $class }
}

{

    package Dying;
    use overload '""' => sub { die "no\n" }, fallback => 1;
}

{

    package Tied;
    sub TIESCALAR { my ($class, $text) = @_; return bless \$text, $class }
    sub FETCH { my ($self) = @_; return $$self . '' }
}

subtest 'values that have code behind them' => sub {
    my $bytes = with('X: 1');
    tie my $tied, 'Tied', $bytes;
    my $expected = [$codec->parse_request($bytes)];
    is [$codec->parse_request($_)], $expected, ref($_) || 'tied'
        for $tied, \$tied, Text->new($bytes);
    "-$bytes-" =~ /-(.*)-/s;
    is [$codec->parse_request($1)], $expected, 'a capture';
    is [$codec->parse_request(\substr "-$bytes", 1)], $expected, 'a reference to a part';

    tie my $value, 'Tied', 'b';
    my $header = bless [Text->new('X-A'), $value], 'Text';
    is $codec->serialize_trailers([$header, [1, undef]]), "X-A: b\r\n1: \r\n\r\n", 'headers';
    tie my $wide, 'Tied', "\x{100}";
    like dies { $codec->serialize_trailers([['x', $wide]]) }, qr/wide/, 'wide after all';
    is $codec->serialize_response_body(Text->new('abc'), 1, 1), "3\r\nabc\r\n", 'a chunk';
    is dies { $codec->serialize_trailers([['x', bless {}, 'Dying']]) }, "no\n",
        'dying comes through';
};

# [rule, arguments, bytes]
my @BODIES = (
    ['plain', ['abc', 1], 'abc'],
    ['plain, the last', ['abc', 0], 'abc'],
    ['a chunk', ['abc', 1, 1], "3\r\nabc\r\n"],
    ['the last chunk of data', ['abc', 0, 1], "3\r\nabc\r\n0\r\n\r\n"],
    ['nothing', ['', 1, 1], ''],
    ['nothing, the last', ['', 0, 1], ''],
    ['undef', [undef, 1, 1], ''],
    ['undef, the last', [undef, 0, 1], ''],
    ['undef, plain', [undef, 0], ''],
    ['a zero', ['0', 0, 1], "1\r\n0\r\n0\r\n\r\n"],
    ['bytes', ["\xFF\0\r\n", 1, 1], "4\r\n\xFF\0\r\n\r\n"],
);

subtest 'bodies and their ends' => sub {
    is $codec->serialize_response_body(@{ $_->[1] }), $_->[2], $_->[0] for @BODIES;
    like $codec->serialize_response_body('x' x 4096, 1, 1), qr/\A1000\r\nx{4096}\r\n\z/, 'a size';
    like dies { $codec->serialize_response_body("\x{100}", 1, $_) }, qr/wide/, 'wide characters'
        for 0, 1;
    is $codec->serialize_chunk_end, "0\r\n\r\n", 'serialize_chunk_end';
    is $codec->serialize_continue, "HTTP/1.1 100 Continue\r\n\r\n", 'serialize_continue';
    is $codec->serialize_trailers([['X-A', '1'], ['b', '']]), "X-A: 1\r\nb: \r\n\r\n", 'trailers';
    is $codec->serialize_trailers([]), "\r\n", 'no trailers';
};

subtest 'what is serialized can be parsed' => sub {
    my $text = join '', map { $codec->serialize_response_body($_, 1, 1) } 'a' x 300, 'b', "\r\n";
    $text .= $codec->serialize_chunk_end;
    is [$codec->parse_chunked_body($text)], ['a' x 300 . "b\r\n", length $text, 1], 'chunks';
};

subtest 'format_date' => sub {
    my @days   = qw(Sun Mon Tue Wed Thu Fri Sat);
    my @months = qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec);
    my $text   = sub {
        my ($s, $m, $h, $day, $month, $year, $weekday) = gmtime $_[0];
        return sprintf '%s, %02d %s %04d %02d:%02d:%02d GMT', $days[$weekday], $day,
            $months[$month], $year + 1900, $h, $m, $s;
    };
    my $before = time;
    my $date   = $codec->format_date;
    ok scalar(grep { $date eq $text->($_) } $before .. time), "$date is now";
};

done_testing;

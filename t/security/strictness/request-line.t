# The request line (RFC 9112 2.2, 2.3, 3)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";

use Test2::V0 qw(done_testing);
use Test::PAGI::Strictness;

my $FIELDS = "Host: x\r\n\r\n";

# Contract 02 section 4 has 400 where RFC 9110 15.6.6 would have 505.
sub bad_version {
    my ($version) = @_;
    return ['9112 2.3', "version $version", line("GET / $version"), refused(400, 'Bad Request')];
}

sub bad_line {
    my ($name, $line, @options) = @_;
    return ['9112 3', $name, line($line), refused(400, 'Bad Request'), @options];
}

# The server may be lenient about white space; what a proxy splits elsewhere smuggles.
sub bad_space {
    my ($name, $space) = @_;
    return (
        bad_line("$name after the method", "GET$space/ HTTP/1.1"),
        bad_line("$name before the version", "GET /${space}HTTP/1.1"),
    );
}

# A later minor version is the highest that the server knows (RFC 9110 2.5, contract 02 H11).
sub later_version {
    my ($minor) = @_;
    return [
        '9110 2.5', "HTTP/1.$minor is 1.1", line("GET / HTTP/1.$minor"),
        served(version => '1.1')
    ];
}

check_table([
    ['9112 3', 'a plain request', line('GET / HTTP/1.1'), served(method => 'GET', path => '/')],
    [
        '9112 3', 'HTTP/1.0',
        request('GET / HTTP/1.0'), served(version => '1.0', closed => 1)
    ],
    map({ later_version($_) } 2 .. 9),

    map({ bad_version($_) } qw(
            HTTP/0.9 HTTP/2.0 HTTP/2 HTTP/3.0 HTTP/9.9 HTTP/1 HTTP/1. HTTP/.1 HTTP/ HTTP HTTP/1.10
            HTTP/1.01 HTTP/01.1 HTTP/11.1 HTTP/1.1.1 HTTP/1-1 HTTP/-1.1 HTTP/+1.1 HTTP/1.a
            HTTP/a.1 HTTP/1.1x http/1.1 Http/1.1 HTTPS/1.1 RTSP/1.0 SIP/2.0 ICAP/1.0 XHTTP/1.1 1.1
            HTTP\1.1 HTTP:1.1
    )),
    bad_version(q(HTTP/1,1)),
    bad_version("HTTP/1.1\0"),
    bad_version("HTTP/1.\xB9"),
    bad_version("HTTP/1.\xD9\xA1"),

    map({ bad_space(@$_) } ['two spaces', '  '],
        ['a TAB', "\t"],
        ['a space and a TAB', " \t"],
        ['a vertical tab', "\x0b"],
        ['a form feed', "\x0c"],
        ['a bare CR', "\r"],
        ['a bare LF', "\n"],
        ['a NUL', "\0"],
        ['a no-break space', "\xA0"]),
    bad_line('a leading space', ' GET / HTTP/1.1'),
    bad_line('a leading TAB', "\tGET / HTTP/1.1"),
    bad_line('a trailing space', 'GET / HTTP/1.1 '),
    bad_line('a trailing TAB', "GET / HTTP/1.1\t"),
    bad_line('a trailing word', 'GET / HTTP/1.1 x'),
    bad_line('a second version', 'GET / HTTP/1.1 HTTP/1.1'),
    bad_line('a blank inside the target', 'GET /a b HTTP/1.1'),
    bad_line('a blank inside the version', 'GET / HTTP /1.1'),
    bad_line('a blank behind the slash of the version', 'GET / HTTP/ 1.1'),
    bad_line('a bare CR before the CRLF', "GET / HTTP/1.1\r"),
    bad_line('no version (HTTP/0.9)', 'GET /'),
    bad_line('no version, a trailing space', 'GET / '),
    bad_line('no target', 'GET HTTP/1.1'),
    bad_line('an empty target', 'GET  HTTP/1.1'),
    bad_line('no method', '/ HTTP/1.1'),
    bad_line('an empty method', ' / HTTP/1.1'),
    bad_line('a method alone', 'GET'),
    bad_line('a version alone', 'HTTP/1.1'),
    bad_line('a header line in its place', 'Content-Length: 5'),
    bad_line('a status line', 'HTTP/1.1 200 OK'),
    bad_line('the words in reverse', 'HTTP/1.1 / GET'),
    bad_line('commas for spaces', 'GET,/,HTTP/1.1'),
    bad_line('everything in quotes', '"GET / HTTP/1.1"'),

    # Contract 02 section 4: one empty line is tolerated, two are not.
    ['9112 2.2', 'an empty line first', "\r\n" . get(), served(path => '/')],
    ['9112 2.2', 'two empty lines first', "\r\n\r\n" . get(), refused(400)],
    ['9112 2.2', 'an empty line of LF alone', "\n" . get(), refused(400)],
    ['9112 2.2', 'an empty line of CR alone', "\r" . get(), refused(400)],
    ['9112 2.2', 'an empty line of CR CR LF', "\r\r\n" . get(), refused(400)],
    ['9112 2.2', 'a line of blanks first', "  \r\n" . get(), refused(400)],
    [
        '9112 2.2', 'an empty line between requests',
        get() . "\r\n" . next_request(), served(path => '/'), served(path => '/next')
    ],
    [
        '9112 2.2', 'an empty line after a body',
        with_body('hello') . "\r\n" . next_request(),
        served(body => 'hello'), served(path => '/next')
    ],
    [
        '9112 2.2', 'two empty lines between requests',
        get() . "\r\n\r\n" . next_request(), served(path => '/'), refused(400)
    ],

    # The line terminator is CRLF; a server may take LF alone, this one does not (H07).
    ['9112 2.2', 'LF ends the request line', "GET / HTTP/1.1\n$FIELDS", refused(400)],
    ['9112 2.2', 'LF ends every line', "GET / HTTP/1.1\nHost: x\n\n", refused(400)],
    ['9112 2.2', 'LF CR ends the request line', "GET / HTTP/1.1\n\r$FIELDS", refused(400)],
    ['9112 2.2', 'CR alone ends every line', "GET / HTTP/1.1\rHost: x\r\r\r\n\r\n", refused(400)],
    ['9112 2.2', 'NUL before the CRLF', "GET / HTTP/1.1\0\r\n$FIELDS", refused(400)],
    [
        '9112 2.2', 'a second request behind LF LF',
        "GET / HTTP/1.1\r\nHost: x\n\n" . next_request(), refused(400)
    ],
    [
        '9112 9.3', 'two requests at once',
        get() . next_request(), served(path => '/'), served(path => '/next')
    ],
    [
        '9112 9.3', 'a good request, then a bad line',
        get() . line('GET  /next HTTP/1.1') . next_request(), served(path => '/'), refused(400)
    ],
]);

done_testing;

# Methods (RFC 9110 9, RFC 9112 3.1, contract 02 section 1)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";

use Test2::V0 qw(done_testing);
use Test::PAGI::Strictness;

sub method {
    my ($method, $seen) = @_;
    return [
        '9112 3.1', "the method $method",
        line("$method / HTTP/1.1") . next_request(),
        served(method => $seen // $method, path => '/'), served(path => '/next')
    ];
}

# Methods are case-sensitive in the RFC; the contract makes them upper case (H12).
sub lower {
    my ($method) = @_;
    my @row = @{ method($method, uc $method) };
    $row[1] .= ' is made upper case (contract)';
    return \@row;
}

sub with_a_body {
    my ($method) = @_;
    return [
        '9110 9.3', "a body with $method",
        request("$method / HTTP/1.1", 'Host: x', 'Content-Length: 5') . 'hello' . next_request(),
        served(method => $method, body => 'hello'), served(path => '/next')
    ];
}

sub bad {
    my ($name, $method) = @_;
    return ['9110 5.6.2', $name, line("$method / HTTP/1.1"), refused(400, 'Bad Request')];
}

check_table([
    map({ method($_) }
        qw(
            GET HEAD POST PUT DELETE OPTIONS TRACE PATCH PROPFIND M-SEARCH VERSION-CONTROL REPORT
            PRI QUERY BREW X G 1 0.9 A_B A.B GETT AGET
        )),
    method('!#$%&\'*+-.^_`|~09AZ'),
    method('X' x 200),
    map({ lower($_) } qw(get Get gEt head post x-custom)),
    map({ with_a_body($_) } qw(GET HEAD POST PUT DELETE OPTIONS TRACE PATCH FOO)),
    map({ bad("'$_' in a method", "G${_}T") } split //, q{"(),/:;<=>?@[\\]{}}),
    map({ bad(sprintf('the byte 0x%02X in a method', $_), 'G' . chr($_) . 'T') } 0, 1, 8, 9, 0x0b,
        0x0c, 0x0d, 0x1b, 0x1f, 0x7f, 0x80, 0xa0, 0xc9, 0xff),
    map({ bad(sprintf('the byte 0x%02X first', $_), chr($_) . 'GET') } 0, 0x0b, 0x1b, 0x7f, 0xef),
    bad('a colon behind it', 'GET:'),
    bad('quotes around it', '"GET"'),
    bad('a byte order mark before it', "\xEF\xBB\xBFGET"),
    bad('full-width letters', "\xEF\xBC\xA7ET"),
    bad('a slash first', '/GET'),
    [
        '9110 9.3.2', 'HEAD is answered without a body',
        request('HEAD / HTTP/1.1', 'Host: x', 'Connection: close'),
        served(method => 'HEAD', closed => 1)
    ],
    [
        '9110 9.3.2', 'HEAD with HTTP/1.0',
        request('HEAD / HTTP/1.0'), served(method => 'HEAD', version => '1.0', closed => 1)
    ],
]);

done_testing;

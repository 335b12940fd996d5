# Host (RFC 9112 3.2, RFC 9110 7.2)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";

use Test2::V0 qw(done_testing);
use Test::PAGI::Strictness;

sub good {
    my ($value, $host) = @_;
    return [
        '9110 7.2', "Host: $value",
        request('GET / HTTP/1.1', "Host:$value"), served(host => $host // $value)
    ];
}

sub fields {
    my ($name, @fields) = @_;
    return ['9112 3.2', $name, request('GET / HTTP/1.1', @fields), refused(400, 'Bad Request')];
}

# "or a Host header field with an invalid field value" must be answered with 400: what is not
# uri-host [ ":" port ] names no origin, and caches and proxies disagree on what it does name.
sub bad {
    my ($name, $value, @options) = @_;
    return [@{ fields("Host: $name", "Host: $value") }, @options];
}

check_table([
    map({ good($_) }
        qw(
            x X.Example a.b.c a-b a_b localhost example.org. 127.0.0.1 x:80 x:8080 x: x:65535 1 1.2
            [::1] [::1]:80 [2001:db8::1] [::ffff:1.2.3.4] [v1.a:b] [::1]:
            xn--caf-dma.example ~x a%41 !$&'()*+;= x:0080
        )),
    good('a,b'),
    good('  x', 'x'),
    good("\tx \t", 'x'),
    good('', ''),
    good(' ', ''),

    ['9112 3.2', 'HTTP/1.1 without Host', request('GET / HTTP/1.1'), refused(400)],
    [
        '9112 3.2', 'HTTP/1.1 without Host, other fields', request('GET / HTTP/1.1', 'A: b'),
        refused(400)
    ],
    ['9112 3.2', 'HTTP/1.5 without Host', request('GET / HTTP/1.5'), refused(400)],
    ['9112 3.2', 'OPTIONS * without Host', request('OPTIONS * HTTP/1.1'), refused(400)],
    ['9112 3.2', 'HTTP/1.0 without Host', request('GET / HTTP/1.0', 'A: b'), served(closed => 1)],
    [
        '9112 3.2', 'HTTP/1.0 with Host',
        request('GET / HTTP/1.0', 'Host: y'), served(host => 'y', closed => 1)
    ],
    [
        '9112 3.2', 'HTTP/1.0 with two Hosts',
        request('GET / HTTP/1.0', 'Host: x', 'Host: y'), refused(400)
    ],
    [
        '9112 3.2', 'the second request of a connection without Host',
        get() . request('GET /next HTTP/1.1'), served(), refused(400)
    ],
    [
        '9112 3.2', 'the Host of the first request does not stand for the second',
        get() . request('GET /next HTTP/1.1', 'Host: y'),
        served(host => 'x'), served(path => '/next', host => 'y')
    ],
    fields('the same Host twice', 'Host: x', 'Host: x'),
    fields('two Hosts', 'Host: x', 'Host: y'),
    fields('two Hosts in different case', 'Host: x', 'HOST: y'),
    fields('two Hosts, the first empty', 'Host:', 'Host: x'),
    fields('two Hosts, the last empty', 'Host: x', 'Host:'),
    fields('two empty Hosts', 'Host:', 'Host:'),
    fields('three Hosts', ('Host: x') x 3),
    fields('two Hosts with a field between', 'Host: x', 'A: b', 'Host: y'),
    fields('Host with a blank before the colon', 'Host : x'),
    fields('a folded Host', 'Host:', ' x'),
    fields('Host with an underscore is another field', 'Host_: x'),
    fields('X-Host is another field', 'X-Host: x'),
    fields('X-Forwarded-Host is another field', 'X-Forwarded-Host: x'),

    bad('a blank', 'a b'),
    bad('a TAB', "a\tb"),
    bad('two names in a list', 'a, b'),
    bad('a path', 'x/p'),
    bad('a slash alone', '/'),
    bad('a query', 'x?q'),
    bad('a fragment', 'x#f'),
    bad('a URI', 'http://x'),
    bad('a network path', '//x'),
    bad('user information', 'user@x'),
    bad('an at sign first', '@x'),
    bad('a port that is no number', 'x:http'),
    bad('a port with a sign', 'x:+80'),
    bad('a negative port', 'x:-1'),
    bad('a port and a blank', 'x: 80'),
    bad('two ports', 'x:80:80'),
    bad('two colons', 'x::'),
    bad('a port alone (RFC 9110 4.2.1: no empty host)', ':80'),
    bad('a colon alone', ':'),
    bad('an address without brackets', '::1'),
    bad('an open bracket', '[::1'),
    bad('a closing bracket alone', '::1]'),
    bad('empty brackets', '[]'),
    bad('a name in brackets', '[zz]'),
    bad('bytes behind the bracket', '[::1]x'),
    bad('a bracket inside', 'a[b]'),
    bad('a backslash', 'a\\b'),
    bad('quotes', '"x"'),
    bad('angle brackets', '<x>'),
    bad('braces', '{x}'),
    bad('a caret', 'a^b'),
    bad('a grave accent', 'a`b'),
    bad('a bar', 'a|b'),
    bad('half an escape', 'a%4'),
    bad('an escape that is none', 'a%zz'),
    bad('a high byte', "caf\xE9"),
    bad('characters in UTF-8', "caf\xC3\xA9"),
    bad('a NUL', "x\0"),
    bad('a control byte', "x\x01y"),
    bad('DEL', "x\x7F"),
    [
        '9112 3.2', 'an invalid Host beside an absolute-form target',
        request('GET http://h/ HTTP/1.1', 'Host: a b'), refused(400)
    ],
    [
        '9112 3.2', 'an invalid Host with HTTP/1.0',
        request('GET / HTTP/1.0', 'Host: a/b'), refused(400)
    ],
]);

done_testing;

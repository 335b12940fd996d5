# The request target: its forms, its bytes, its decoding (RFC 9112 3.2, RFC 3986, contract 02
# section 2)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";

use Test2::V0 qw(done_testing);
use Test::PAGI::Strictness;

sub target {
    my ($section, $name, $target, @rest) = @_;
    return [$section, $name, line("GET $target HTTP/1.1"), @rest];
}

# What the scope says of an origin-form target.
sub origin {
    my ($target, $path, $query) = @_;
    my ($raw) = $target =~ /\A([^?]*)/;
    return target(
        '9112 3.2.1', "origin-form $target", $target,
        served(raw_path => $raw, path => $path // $raw, query => $query // '')
    );
}

sub bad {
    my ($name, $target, @options) = @_;
    return target('9112 3.2', $name, $target, refused(400, 'Bad Request'), @options);
}

# An absolute-form target: the authority is the host, whatever the Host field says.
sub absolute {
    my ($target, %want) = @_;
    return target(
        '9112 3.2.2', "absolute-form $target", $target,
        served(path => '/', query => '', %want)
    );
}

sub bad_absolute {
    my ($name, $target, @options) = @_;
    return target('9110 4.2', $name, $target, refused(400), @options);
}

check_table([
    origin('/'),
    origin('/?', '/'),
    origin('/a/b/c'),
    origin('/p?q=1', '/p', 'q=1'),
    origin('/p?a?b??', '/p', 'a?b??'),
    origin('/p?a/../b', '/p', 'a/../b'),
    origin('/p?%zz', '/p', '%zz'),
    origin('/p?a+b%20c', '/p', 'a+b%20c'),
    origin('//x//y'),
    origin('//evil.example/p'),
    origin('/a/../b'),
    origin('/../../etc/passwd'),
    origin('/./a/.'),
    origin('/a;b=c;d'),
    origin('/a+b'),
    origin('/a:b@c!$&()*,='),
    origin(q(/-._~')),
    origin('/a%20b', '/a b'),
    origin('/..%2f..%2F', '/../../'),
    origin('/%2e%2e/x', '/../x'),
    origin('/a%3Fb', '/a?b'),
    origin('/a%23b', '/a#b'),
    origin('/a%25b', '/a%b'),
    origin('/a%2525b', '/a%25b'),
    origin('/a%00b', "/a\0b"),
    origin('/a%0d%0aX:%20y', "/a\r\nX: y"),
    origin('/%7Euser', '/~user'),
    origin('/%61%41', '/aA'),
    origin('/caf%C3%A9', "/caf\x{e9}"),
    origin('/%e2%82%ac', "/\x{20ac}"),
    origin('/%F0%9F%98%80', "/\x{1f600}"),
    origin('/%FF', "/\xFF"),
    origin('/%C0%80', "/\xC0\x80"),
    origin('/%ED%A0%80', "/\xED\xA0\x80"),
    origin('/%F4%90%80%80', "/\xF4\x90\x80\x80"),
    origin('/%C3', "/\xC3"),
    origin("/nob\xE9"),
    origin("/caf\xC3\xA9", "/caf\x{e9}"),
    origin("/\xC3%A9", "/\x{e9}"),
    origin("/p?\xFF", '/p', "\xFF"),

    # Not in the grammar of RFC 3986; the contract takes a fragment, and no other is a danger here.
    origin('/p#f?q', '/p#f', 'q'),
    map({ origin("/a${_}b") } '"', '<', '>', '\\', '^', '`', '{', '|', '}', '[', ']'),

    bad('half an escape', '/%'),
    bad('an escape of one digit', '/a%2'),
    bad('an escape that is none', '/%zz'),
    bad('an escape half hexadecimal', '/%2g'),
    bad('an escape with a sign', '/%+1'),
    bad('an escape with a blank after it', '/%2 0'),
    bad('an escape of %u', '/%u0041'),
    bad('two percent signs', '/%%41'),
    bad('a path without a slash', 'a'),
    bad('a relative path', 'a/b'),
    bad('a dot path', './a'),
    bad('a query alone', '?q=1'),
    bad('a fragment alone', '#f'),
    bad('an escape first', '%2Fa'),
    bad('a backslash first', '\\a'),
    bad('a semicolon first', ';/a'),
    bad('a colon first', ':80/'),
    bad('a NUL', "/a\0b"),
    bad('a TAB', "/a\tb"),
    bad('a control byte', "/a\x01b"),
    bad('an escape byte', "/a\x1bb"),
    bad('DEL', "/a\x7Fb"),
    bad('a control byte in the query', "/a?\x01"),
    bad('DEL in the query', "/a?\x7F"),
    bad('a bare CR in the query', "/a?\rb"),
    bad('a NUL in the query', "/a?b\0"),

    absolute('http://h/p?q', raw_path       => '/p', path => '/p', query => 'q', host => 'h'),
    absolute('http://h:81/p', path          => '/p', host => 'h:81'),
    absolute('http://h', raw_path           => '/', host  => 'h'),
    absolute('http://h/', raw_path          => '/', host  => 'h'),
    absolute('http://h:/', host             => 'h:'),
    absolute('http://h?q', query            => 'q', host => 'h'),
    absolute('http://h?', host              => 'h'),
    absolute('HTTP://H.Example/', host      => 'H.Example'),
    absolute('hTtP://h//p', path            => '//p', host            => 'h'),
    absolute('http://[::1]:81/p', path      => '/p', host             => '[::1]:81'),
    absolute('http://127.0.0.1/p%20q', path => '/p q', host           => '127.0.0.1'),
    absolute('http://h/http://other/', path => '/http://other/', host => 'h'),
    [
        '9112 3.2.2', 'the place of the Host field is kept',
        request('GET http://h/ HTTP/1.1', 'A: 1', 'Host: x', 'B: 2'),
        served(headers => [['a', 1], ['host', 'h'], ['b', 2]])
    ],
    [
        '9112 3.2.2', 'HTTP/1.0 without Host gets one from the target',
        request('GET http://h:81/p HTTP/1.0'),
        served(path => '/p', host => 'h:81', closed => 1)
    ],
    [
        '9112 3.2', 'absolute-form does not make up for a missing Host',
        request('GET http://h/ HTTP/1.1'), refused(400)
    ],
    [
        '9112 3.2', 'absolute-form does not make up for a second Host',
        request('GET http://h/ HTTP/1.1', 'Host: h', 'Host: h'), refused(400)
    ],

    # RFC 9110 4.2.1: an empty host is invalid; 4.2.4: so is user information.
    bad_absolute('no authority', 'http:///p'),
    bad_absolute('no authority, no path', 'http://'),
    bad_absolute('no authority but a query', 'http://?q'),
    bad_absolute('a port without a host', 'http://:81/p'),
    bad_absolute('user information', 'http://user@h/'),
    bad_absolute('user and password', 'http://user:pass@h/'),
    bad_absolute('empty user information', 'http://@h/'),
    bad_absolute('one slash', 'http:/h/p'),
    bad_absolute('no slash', 'http:h'),
    bad_absolute('a scheme alone', 'http:'),
    bad_absolute('another scheme', 'ftp://h/p'),
    bad_absolute('a scheme of websockets', 'ws://h/p'),
    bad_absolute('a file', 'file:///etc/passwd'),
    bad_absolute('a scheme without its last letter', 'htt://h/'),
    bad_absolute('a scheme-relative reference without its slashes', 'h:80/p'),
    bad_absolute('a port that is no number', 'http://h:x/p'),
    bad_absolute('a negative port', 'http://h:-1/p'),
    bad_absolute('two ports', 'http://h:80:81/p'),
    bad_absolute('an open bracket', 'http://[::1/p'),
    bad_absolute('bytes behind the bracket', 'http://[::1]x/p'),
    bad_absolute('an address without brackets', 'http://::1/p'),
    bad_absolute('a backslash in the authority', 'http://h\\x/p'),
    bad_absolute('a fragment in the authority', 'http://h#f/p'),
    bad_absolute('half an escape in the authority', 'http://h%2/p'),
    bad_absolute('quotes in the authority', 'http://"h"/p'),
    bad_absolute('a high byte in the authority', "http://h\xE9/p"),
    bad_absolute('half an escape in the path', 'http://h/%2'),

   # RFC 9110 7.4 exempts a trusted gateway, and a proxy that ends TLS may send it: the contract has
   # no word on it, and the scheme in the scope is the connection's all the same.
    [
        '9110 7.4', 'https in the clear, as from a gateway',
        line('GET https://h/p HTTP/1.1'), served(path => '/p', host => 'h'),
        over => 'tcp'
    ],

    [
        '9112 3.2.4', 'asterisk-form',
        line('OPTIONS * HTTP/1.1'), served(method => 'OPTIONS', raw_path => '*', path => '*')
    ],
    # The RFC has it for OPTIONS only; contract 02 section 2 names no method.
    target('9112 3.2.4', 'asterisk-form with GET (contract)', '*', served(path => '*')),
    [
        '9112 3.2.4', 'OPTIONS for an absolute-form target without a path',
        line('OPTIONS http://h HTTP/1.1'), served(method => 'OPTIONS', host => 'h')
    ],
    bad('two asterisks', '**'),
    bad('an asterisk and a query', '*?q'),
    bad('an asterisk and a path', '*/a'),

    # RFC 9110 9.3.6: this is no proxy; a 2xx would turn the connection into a tunnel.
    map({ ['9112 3.2.3', "CONNECT $_", line("CONNECT $_ HTTP/1.1") . next_request(), refused(400)] }
        qw(h:80 h [::1]:80 h: :80 h:x user@h:80 h:80/p)),
    map({ [
            '9110 9.3.6', "CONNECT $_ (must be authority-form)",
            line("CONNECT $_ HTTP/1.1") . next_request(), refused([400, 501])
    ] } qw(/ /p * http://h/)),
    bad('authority-form with GET', 'h:80'),
    bad('authority-form of a name with GET', 'example.org'),
]);

done_testing;

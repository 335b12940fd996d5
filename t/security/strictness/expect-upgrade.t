# Expect (RFC 9110 10.1.1, contract 02 section 5) and Upgrade (RFC 9110 7.8, contract 03 section 1)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";

use Test2::V0 qw(done_testing);
use Test::PAGI::Strictness;

my $EXPECT = 'Expect: 100-continue';

# The head alone; the body follows once 100 Continue is here.
sub invited {
    my ($name, @fields) = @_;
    return [
        '9110 10.1.1', $name,
        [post('', @fields, 'Content-Length: 5'), 'hello' . next_request()],
        interim(), served(body => 'hello'), served(path => '/next')
    ];
}

# The body is sent unasked; 100 Continue must not come.
sub not_invited {
    my ($name, $bytes, %want) = @_;
    return ['9110 10.1.1', $name, $bytes, served(%want)];
}

sub ignored {
    my ($value) = @_;
    my $bytes = with_body('hello', "Expect: $value") . next_request();
    return [
        '9110 10.1.1', "Expect: $value is ignored (contract)", $bytes,
        served(body => 'hello', header => { expect => $value }), served(path => '/next')
    ];
}

# An ordinary request, whatever its Upgrade field asks for.
sub ordinary {
    my ($name, @fields) = @_;
    return [
        '9110 7.8', $name, get(@fields) . next_request(), served(version => '1.1'),
        served(path => '/next')
    ];
}

my @KEY = ('Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==');

check_table([
    invited('100-continue', $EXPECT),
    invited('in capitals', 'EXPECT: 100-CONTINUE'),
    invited('in mixed case', 'expect: 100-Continue'),
    invited('white space around it', "Expect: \t100-continue "),
    invited('with HTTP/1.1 and close in another field', $EXPECT, 'X-Connection: close'),
    [
        '9110 10.1.1', 'chunks',
        [
            post('', $EXPECT, 'Transfer-Encoding: chunked'),
            "5\r\nhello\r\n0\r\n\r\n" . next_request()
        ],
        interim(),
        served(body => 'hello'),
        served(path => '/next')
    ],
    [
        '9110 10.1.1', 'close',
        [post('', $EXPECT, 'Connection: close', 'Content-Length: 5'), 'hello'],
        interim(), served(body => 'hello', closed => 1)
    ],
    [
        '9110 10.1.1', 'the second request of a connection',
        [get() . post('', $EXPECT, 'Content-Length: 5'), '', 'hello'],
        served(), interim(), served(body => 'hello')
    ],
    [
        '9110 10.1.1', 'two in a row',
        [
            (post('', $EXPECT, 'Content-Length: 1')), 'a', post('', $EXPECT, 'Content-Length: 1'),
            'b'
        ],
        interim(),
        served(body => 'a'),
        interim(),
        served(body => 'b')
    ],
    [
        '9110 10.1.1', 'a body cut short after the invitation',
        [post('', $EXPECT, 'Content-Length: 5'), 'hel'], interim(), cut(calls => 1)
    ],
    [
        '9110 10.1.1', 'a bad chunk after the invitation',
        [post('', $EXPECT, 'Transfer-Encoding: chunked'), "x\r\n"], interim(), broken(400)
    ],

    not_invited('a GET without a body', get($EXPECT)),
    not_invited('a length of nought', post('', $EXPECT, 'Content-Length: 0')),
    not_invited('no length', post('', $EXPECT)),
    not_invited(
        'HTTP/1.0', request('POST / HTTP/1.0', $EXPECT, 'Content-Length: 5') . 'hello',
        body => 'hello', closed => 1
    ),
    not_invited(
        'HTTP/1.0 with keep-alive',
        request('POST / HTTP/1.0', $EXPECT, 'Connection: keep-alive', 'Content-Length: 5')
            . 'hello',
        body => 'hello'
    ),
    [
        '9110 10.1.1', 'the body is here already',
        with_body('hello', $EXPECT) . next_request(),
        served(body => 'hello'), served(path => '/next'),
        drip => 0
    ],
    [
        '9110 10.1.1', 'part of the body is here already',
        post('he', $EXPECT, 'Content-Length: 5'),
        cut(calls => 1),
        drip => 0
    ],
    [
        '9110 10.1.1', 'the chunks are here already',
        post("5\r\nhello\r\n0\r\n\r\n", $EXPECT, 'Transfer-Encoding: chunked'),
        served(body => 'hello'),
        drip => 0
    ],
    [
        '9110 10.1.1', 'the application does not ask for the body',
        [
            request('POST /unread HTTP/1.1', 'Host: x', $EXPECT, 'Content-Length: 5'),
            'hello' . next_request()
        ],
        # Nobody knows whether the client sends the body now: the connection must end.
        served(path => '/unread', connection => 'close', closed => 1)
    ],
    [
        '9110 10.1.1', 'a client that does not send the body after the final answer',
        [
            request('POST /unread HTTP/1.1', 'Host: x', $EXPECT, 'Content-Length: 36'),
            next_request()
        ],
        served(path => '/unread', closed => 1)
    ],
    [
        '9110 10.1.1', 'too long a body is refused at once',
        post('', $EXPECT, 'Content-Length: 10000001'), refused(413)
    ],
    [
        '9110 10.1.1', 'a bad length is refused at once', post('', $EXPECT, 'Content-Length: +5'),
        refused(400)
    ],
    [
        '9110 10.1.1', 'an unknown coding is refused at once',
        post('', $EXPECT, 'Transfer-Encoding: gzip'), refused(501)
    ],
    [
        '9110 10.1.1', 'two ways to frame are refused at once',
        post('', $EXPECT, 'Transfer-Encoding: chunked', 'Content-Length: 5'), refused(400)
    ],
    [
        '9110 10.1.1', 'a missing Host is refused at once',
        request('POST / HTTP/1.1', $EXPECT, 'Content-Length: 5'), refused(400)
    ],
    map({ ignored($_) } '', '100', '100-continued', '200-ok', 'foo', 'foo=bar', '"100-continue"',
        '100-continue;q=1', '100-continue, foo', 'foo, 100-continue'),
    ['9110 10.1.1', 'a control byte', with_body('hello', "Expect: 100-continue\x01"), refused(400)],

    ordinary('Upgrade: foo', 'Connection: Upgrade', 'Upgrade: foo'),
    ordinary('a protocol with a version', 'Connection: Upgrade', 'Upgrade: foo/2'),
    ordinary('an empty Upgrade', 'Connection: Upgrade', 'Upgrade:'),
    ordinary('Connection: Upgrade alone', 'Connection: Upgrade'),
    ordinary('Upgrade: HTTP/2.0', 'Connection: Upgrade', 'Upgrade: HTTP/2.0'),
    ordinary('Upgrade: TLS/1.0', 'Connection: Upgrade', 'Upgrade: TLS/1.0'),
    ordinary(
        'h2c, http2 being off',
        'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'
    ),
    ordinary('Upgrade: websockets', 'Connection: Upgrade', 'Upgrade: websockets', @KEY),
    ordinary('Upgrade: x-websocket', 'Connection: Upgrade', 'Upgrade: x-websocket', @KEY),
    [
        '9110 7.8', 'an Upgrade with a body',
        with_body('hello', 'Connection: Upgrade', 'Upgrade: foo') . next_request(),
        served(body => 'hello'), served(path => '/next')
    ],
    ordinary('Upgrade: websocket without Connection', 'Upgrade: websocket', @KEY),
    ordinary(
        'Upgrade: websocket with keep-alive', 'Connection: keep-alive', 'Upgrade: websocket', @KEY
    ),
    ordinary(
        'Upgrade: websocket, upgrade in a longer word', 'Connection: xupgrade',
        'Upgrade: websocket', @KEY
    ),
    ordinary('Upgrade: websocket without a key', 'Connection: Upgrade', 'Upgrade: websocket'),
    [
        '9110 7.8', 'Upgrade with HTTP/1.0 is ignored',
        request('GET / HTTP/1.0', 'Connection: Upgrade', 'Upgrade: websocket', @KEY),
        served(version => '1.0', closed => 1)
    ],
    [
        '6455 4.1', 'a handshake by POST is an ordinary request (contract 03)',
        with_body('hello', 'Connection: Upgrade', 'Upgrade: websocket', @KEY) . next_request(),
        served(body => 'hello'), served(path => '/next')
    ],
]);

done_testing;

# Connection and persistence (RFC 9112 9, RFC 9110 7.6.1, contract 02 section 7)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";

use Test2::V0 qw(done_testing);
use Test::PAGI::Strictness;

# The request behind it is served, and no Connection field is in the answer.
sub kept {
    my ($name, @fields) = @_;
    return [
        '9112 9.3', $name,
        get(@fields) . next_request(), served(connection => undef), served(path => '/next')
    ];
}

# The request behind it must not be served (9112 9.6).
sub closed {
    my ($name, @fields) = @_;
    return [
        '9112 9.6', $name,
        get(@fields) . next_request(), served(connection => 'close', closed => 1)
    ];
}

sub old_kept {
    my ($name, @fields) = @_;
    return [
        '9112 9.3', "HTTP/1.0: $name",
        request('GET / HTTP/1.0', @fields) . next_request(),
        served(version => '1.0', connection => 'keep-alive'), served(path => '/next')
    ];
}

sub old_closed {
    my ($name, @fields) = @_;
    return [
        '9112 9.3', "HTTP/1.0: $name",
        request('GET / HTTP/1.0', @fields) . next_request(),
        served(version => '1.0', connection => 'close', closed => 1)
    ];
}

check_table([
    kept('no Connection field'),
    kept('keep-alive', 'Connection: keep-alive'),
    kept('an empty field', 'Connection:'),
    kept('a made-up option', 'Connection: foo'),
    kept('closed is not close', 'Connection: closed'),
    kept('close in a longer word', 'Connection: x-close, close-x'),
    kept('close in quotes', 'Connection: "close"'),
    kept('close and another word without a comma', 'Connection: close foo'),
    kept('close with a parameter', 'Connection: close;x=y'),
    kept('Proxy-Connection is another field', 'Proxy-Connection: close'),
    kept('Keep-Alive promises nothing', 'Keep-Alive: timeout=0, max=1'),
    kept('an underscore makes it another field', 'Connection_: close'),
    closed('close', 'Connection: close'),
    closed('in capitals', 'CONNECTION: CLOSE'),
    closed('in mixed case', 'connection: Close'),
    closed('white space around it', "Connection: \t close\t"),
    closed('close last in a list', 'Connection: foo, close'),
    closed('close first in a list', 'Connection: close, foo'),
    closed('close and keep-alive', 'Connection: close, keep-alive'),
    closed('keep-alive and close', 'Connection: keep-alive, close'),
    closed('a list without blanks', 'Connection: foo,close,bar'),
    closed('empty elements', 'Connection: ,, close,'),
    closed('two lines', 'Connection: foo', 'Connection: close'),
    closed('two lines, keep-alive last', 'Connection: close', 'Connection: keep-alive'),

    old_closed('no Connection field'),
    old_closed('close', 'Connection: close'),
    old_closed('a made-up option', 'Connection: foo'),
    old_closed('keep-alive and close', 'Connection: keep-alive, close'),
    old_closed('keep-alive and close in two lines', 'Connection: keep-alive', 'Connection: close'),
    old_closed('Keep-Alive alone', 'Keep-Alive: timeout=5'),
    old_closed('Proxy-Connection is another field', 'Proxy-Connection: keep-alive'),
    old_closed('keep-alives is not keep-alive', 'Connection: keep-alives'),
    old_kept('keep-alive', 'Connection: keep-alive'),
    old_kept('Keep-Alive', 'Connection: Keep-Alive'),
    old_kept('keep-alive in a list', 'Connection: foo, keep-alive'),
    old_kept('keep-alive in the second line', 'Connection: foo', 'Connection: keep-alive'),
    [
        '9112 9.3', 'HTTP/1.0 behind HTTP/1.1 closes',
        get() . request('GET /next HTTP/1.0') . next_request(),
        served(version => '1.1'), served(path => '/next', version => '1.0', closed => 1)
    ],

    [
        '9112 9.6', 'close with a body: what follows the body is not served',
        with_body('hello', 'Connection: close') . next_request(),
        served(body => 'hello', closed => 1)
    ],
    [
        '9112 9.6', 'close with chunks: what follows them is not served',
        post("1\r\na\r\n0\r\n\r\n", 'Connection: close', 'Transfer-Encoding: chunked')
            . next_request(),
        served(body => 'a', closed => 1)
    ],
    [
        '9112 9.6', 'close on the second of three',
        get() . get('Connection: close') . next_request(),
        served(), served(closed => 1)
    ],
    [
        '9112 9.6', 'junk behind close is not looked at',
        get('Connection: close') . "\0\0\0", served(closed => 1)
    ],
    ['9110 7.6.1', 'a control byte', get("Connection: close\x01"), refused(400)],
    ['9110 7.6.1', 'a NUL before close', get("Connection: \0close"), refused(400)],
    [
        '9110 7.6.1', 'naming Host does not remove it',
        get('Connection: Host'), served(host => 'x', header => { connection => 'Host' })
    ],
    [
        '9110 7.6.1', 'naming Content-Length does not unframe the body',
        with_body('hello', 'Connection: Content-Length') . next_request(),
        served(body => 'hello'), served(path => '/next')
    ],
    [
        '9110 7.6.1', 'naming Transfer-Encoding does not unframe the body',
        post("1\r\na\r\n0\r\n\r\n", 'Connection: Transfer-Encoding', 'Transfer-Encoding: chunked')
            . next_request(),
        served(body => 'a'), served(path => '/next')
    ],
    [
        '9110 7.6.1', 'hop-by-hop fields stay visible (contract 02 section 3)',
        get('Connection: Keep-Alive, X-Hop', 'X-Hop: 1', 'Keep-Alive: max=2', 'TE: trailers'),
        served(
            header => {
                connection => 'Keep-Alive, X-Hop', 'x-hop' => 1, 'keep-alive' => 'max=2',
                te         => 'trailers'
            }
        )
    ],

    [
        '9112 9.3.2', 'ten requests at once, answered in order',
        join('', map { request("GET /$_ HTTP/1.1", 'Host: x') } 1 .. 10),
        map { served(path => "/$_") } 1 .. 10
    ],
    [
        '9112 9.3.2', 'bodies and none, in turn',
        with_body('one')
            . get()
            . chunked("3\r\ntwo\r\n0\r\n\r\n")
            . with_body('')
            . next_request(),
        served(body => 'one'), served(body => ''), served(body => 'two'), served(body => ''),
        served(path => '/next')
    ],
    [
        '9112 9.3.2', 'HEAD between GETs does not shift the answers',
        get() . request('HEAD /h HTTP/1.1', 'Host: x') . next_request(),
        served(path => '/'), served(method => 'HEAD', path => '/h'), served(path => '/next')
    ],
    [
        '9112 9.3.2', 'nothing behind a refusal is served',
        get() . get('A : b') . next_request() x 3, served(), refused(400)
    ],
    [
        '9110 9.3', 'a body that nobody reads is not the next request (contract H16)',
        request('POST /unread HTTP/1.1', 'Host: x', 'Content-Length: ' . length next_request())
            . next_request()
            . request('GET /after HTTP/1.1', 'Host: x'),
        served(path => '/unread'), served(path => '/after')
    ],
    [
        '9110 9.3', 'chunks that nobody reads are not the next request (contract H16)',
        request('POST /unread HTTP/1.1', 'Host: x', 'Transfer-Encoding: chunked')
            . sprintf("%x\r\n%s\r\n0\r\n\r\n", length next_request(), next_request())
            . request('GET /after HTTP/1.1', 'Host: x'),
        served(path => '/unread'), served(path => '/after')
    ],
    [
        '9112 7.1', 'bad chunks that nobody reads end the connection',
        request('POST /unread HTTP/1.1', 'Host: x', 'Transfer-Encoding: chunked')
            . "0x0\r\n\r\n"
            . next_request(),
        ended()
    ],
    ['9112 8', 'no request', '', cut()],
    ['9112 8', 'one byte', 'G', cut()],
    ['9112 8', 'half a request line', 'GET / HT', cut()],
    ['9112 8', 'a request line alone', "GET / HTTP/1.1\r\n", cut()],
    ['9112 8', 'a head without its last LF', "GET / HTTP/1.1\r\nHost: x\r\n\r", cut()],
    ['9112 8', 'half a field', "GET / HTTP/1.1\r\nHost: x\r\nA: ", cut()],
    ['9112 8', 'an empty line', "\r\n", cut()],
    ['9112 8', 'a CR', "\r", cut()],
    ['9112 8', 'half a second request', get() . 'GET /next HT', served(closed => 0), cut()],
]);

done_testing;

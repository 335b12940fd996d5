# What is no HTTP/1 at all (RFC 9112 2.2, contract 02 section 4): answered with 400 or not, but
# never waited for, never served
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";

use Test2::V0 qw(done_testing);
use Test::PAGI::Strictness;

sub junk {
    my ($name, $bytes) = @_;
    return ['9112 2.2', $name, $bytes, refused(400, 'Bad Request')];
}

# A request that would be good, in another guise.
my $GET = get();

check_table([
    junk('a TLS client hello', "\x16\x03\x01\x02\0\x01\0\x01\xFC\x03\x03" . 'r' x 32),
    junk('an SSLv2 client hello', "\x80\x2E\x01\0\x02\0\x15\0\0\0\x10"),
    junk('a TLS alert', "\x15\x03\x03\0\x02\x02\x28"),
    junk('the HTTP/2 preface', "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    junk('an HTTP/2 frame', "\0\0\0\x04\0\0\0\0\0"),
    junk('an SSH banner', "SSH-2.0-OpenSSH_9.6\r\n" . "\r\n"),
    junk('SMTP', "EHLO example.org\r\n\r\n"),
    junk('SMTP with a sender', "MAIL FROM:<a\@b>\r\n\r\n"),
    junk('FTP', "USER anonymous\r\n\r\n"),
    junk('IMAP', "a1 LOGIN a b\r\n\r\n"),
    junk('IRC', "NICK a\r\nUSER a 0 * :a\r\n\r\n"),
    junk('RTSP', "OPTIONS rtsp://h/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
    junk('SIP', "OPTIONS sip:a\@b SIP/2.0\r\nVia: x\r\n\r\n"),
    junk('Redis', "*1\r\n\$4\r\nPING\r\n\r\n"),
    junk('Redis, inline', "PING\r\n\r\n"),
    junk('memcached', "get key\r\n\r\n"),
    junk('memcached, binary', "\x80\0\0\0\0\0\0\0"),
    junk('the PROXY protocol, version 1', "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n$GET"),
    junk('the PROXY protocol, version 2', "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C" . 'a' x 12 . $GET),
    junk('SOCKS 4', "\x04\x01\0\x50\x7F\0\0\x01\0"),
    junk('SOCKS 5', "\x05\x01\0"),
    junk('RDP', "\x03\0\0\x13\x0E\xE0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0"),
    junk('SMB', "\0\0\0\x85\xFFSMB"),
    junk('LDAP', "\x30\x0C\x02\x01\x01\x60\x07\r\n\r\n"),
    junk('MQTT', "\x10\x0C\0\x04MQTT"),
    junk('a DNS query over TCP', "\0\x1D\xAB\xCD\x01\0\0\x01"),
    junk('telnet options', "\xFF\xFB\x01\xFF\xFD\x03"),
    junk('FastCGI', "\x01\x01\0\x01\0\x08\0\0\0\x01\0\0\0\0\0\0"),
    junk('SCGI', "70:CONTENT_LENGTH\x000\0SCGI\x001\0,\r\n\r\n"),
    junk('uwsgi', "\0\x10\0\0"),
    junk('AJP', "\x12\x34\0\x01\x0A"),
    junk('a WebSocket frame', "\x81\x85\0\0\0\0hello"),
    junk('a gzip stream', "\x1F\x8B\x08\0\0\0\0\0"),
    junk('a response', "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    junk('an interim response', "HTTP/1.1 100 Continue\r\n\r\n"),
    junk('JSON', "{\"method\":\"GET\"}\r\n\r\n"),
    junk('XML', "<?xml version=\"1.0\"?>\r\n\r\n"),
    junk('a chunk', "5\r\nhello\r\n0\r\n\r\n"),
    junk('a header without a request line', "Host: x\r\n\r\n"),
    junk('a body without a request', "hello world, hello\r\n\r\n"),
    junk('a byte order mark', "\xEF\xBB\xBF$GET"),
    junk('UTF-16, little end first', join '', map { "$_\0" } split //, $GET),
    junk('UTF-16, big end first', join '', map { "\0$_" } split //, $GET),
    junk('EBCDIC', "\xC7\xC5\xE3\x40\x61\x40\x0D\x25\r\n\r\n"),
    junk('the high bits set', join '', map { chr(0x80 | ord) } split //, $GET),
    junk('a NUL first', "\0$GET"),
    junk('NULs alone', "\0" x 100),
    junk('0xFF alone', "\xFF" x 100),
    junk('a blank first', " $GET"),
    junk('a TAB first', "\t$GET"),
    junk('line feeds', "\n" x 50),
    junk('carriage returns', "\r" x 50),
    junk('empty lines', "\r\n" x 50),
    junk('LF and CR in the wrong order', "\n\r" x 20),
    junk('a control-C', "\x03"),
    junk('an end of file byte', "\x04"),
    junk('an escape sequence', "\x1b[2J$GET"),
    junk('a backspace that hides a method', "PUT\x08\x08\x08GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    junk('a shell command', "; ls -la\r\n\r\n"),
    junk('a quoted request', "\"$GET\""),
    junk('an escaped request', 'GET%20/%20HTTP/1.1%0d%0a' . "\r\n\r\n"),
    junk('line ends spelt out', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n' . "\r\n\r\n"),
    ['9112 2.2', 'junk behind a request', $GET . "\x16\x03\x01\0", served(), refused(400)],
    ['9112 2.2', 'a NUL behind a request', "$GET\0", served(), refused(400)],
    ['9112 2.2', 'a blank behind a request', "$GET ", served(), refused(400)],
    ['9112 2.2', 'junk behind a body', with_body('hello') . "\0\0", served(), refused(400)],
    [
        '9112 2.2', 'junk behind chunks',
        chunked("1\r\na\r\n0\r\n\r\n") . "\xFF", served(body => 'a'), refused(400)
    ],
    [
        '9112 2.2', 'a response behind a request',
        $GET . "HTTP/1.1 200 OK\r\n\r\n", served(), refused(400)
    ],
]);

done_testing;

# RFC 9113: what a peer can test, as frames and the exact answer to them
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future::AsyncAwait;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(test_loop turn wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Server;

my $calls = 0;
my $app   = http_app {
    my ($scope, $receive, $send) = @_;
    $calls++;
    return _serve($scope, $receive, $send);
};

async sub _serve {
    my ($scope, $receive, $send) = @_;
    await read_body($receive)                    if $scope->{path} ne '/early';
    await test_loop()->delay_future(after => 20) if $scope->{path} eq '/waits';
    await reply($send, 'hello');
}

# What a case writes: $_[0] is the client, whose stream 1 is there for it.
sub get   { return request($_[0], 1, [], END_STREAM => 1) }
sub begun { return request($_[0], 1, []) }

# Its response takes longer than the case.
sub waits {
    my ($h2) = @_;
    return send_block($h2, 1, [$h2->request_fields(GET => '/waits')], END_STREAM => 1);
}

# A whole request as the bytes of its header block.
sub block { return raw(HEADERS => 1, $_[0], END_HEADERS => 1, END_STREAM => 1) }

sub post {
    my ($length, @pieces) = @_;
    return sub {
        my ($h2) = @_;
        my @fields = ($h2->request_fields(POST => '/'), ['content-length', $length]);
        send_block($h2, 1, \@fields);
        my $last = pop @pieces;
        $h2->frame(DATA => 1, $_) for @pieces;
        $h2->frame(DATA => 1, $last, END_STREAM => 1);
    };
}

sub more {
    my ($id, $data, %flags) = @_;
    return sub { $_[0]->frame(DATA => $id, $data, %flags) }
}

sub raw {
    my @frame = @_;
    return sub { $_[0]->frame(@frame) }
}

sub fields {
    my @extra = @_;
    return sub { request($_[0], 1, \@extra, END_STREAM => 1) }
}

sub only {
    my @fields = @_;
    return sub { send_block($_[0], 1, [@fields], END_STREAM => 1) }
}

sub served {
    my ($h2) = @_;
    get($h2);
    $h2->wait_for('the response', sub { over($h2, 1) });
}

sub over {
    my ($h2, $id) = @_;
    return grep { $_->{id} == $id && $_->{flags} & 1 } $h2->frames;
}

sub request {
    my ($h2, $id, $extra, %flags) = @_;
    return send_block($h2, $id, [$h2->request_fields(GET => '/'), @$extra], %flags);
}

sub send_block {
    my ($h2, $id, $fields, %flags) = @_;
    return $h2->frame(HEADERS => $id, $h2->block(@$fields), END_HEADERS => 1, %flags);
}

my @PSEUDO   = ([':method', 'GET'], [':scheme', 'http'], [':path', '/'], [':authority', 'h']);
my $PRIORITY = pack 'NC', 0, 15;

# [section, what, steps ..., answer]: an error of the connection is 'GOAWAY code', of the stream
# 'RST code', and 'fine' where a request is served after it.
my @CASES = (
    [
        '3.4', 'the first frame is no SETTINGS', 'silent',
        sub {
            no warnings 'once';
            $_[0]->write($Test::PAGI::Client::H2::PREFACE)->frame(PING => 0, 'x' x 8);
        },
        'GOAWAY PROTOCOL_ERROR'
    ],
    ['4.1', 'an unknown frame type', raw(0x16, 0, 'x' x 8), 'fine'],
    ['4.1', 'unknown flags', raw(PING => 0, 'x' x 8, 0x16 => 1), 'fine'],
    ['4.1', 'the reserved bit of a stream number', raw(PING => 0x80000000, 'x' x 8), 'fine'],
    ['4.2', 'DATA of 16385 bytes', \&begun, more(1, 'x' x 16_385), 'GOAWAY FRAME_SIZE_ERROR'],
    ['4.2', 'DATA of 16384 bytes', \&begun, more(1, 'x' x 16_384, END_STREAM => 1), 'fine'],
    ['4.2', 'HEADERS too large', raw(HEADERS => 1, 'x' x 16_385), 'GOAWAY FRAME_SIZE_ERROR'],
    [
        '4.3', 'a broken header block',
        raw(HEADERS => 1, "\x80", END_HEADERS => 1, END_STREAM => 1),
        'GOAWAY PROTOCOL_ERROR'
    ],
    [
        '4.3', 'another frame inside a header block', raw(HEADERS => 1, "\x82"),
        raw(PING => 0, 'x' x 8),
        'GOAWAY PROTOCOL_ERROR'
    ],
    [
        '4.3', 'another stream inside a header block', raw(HEADERS => 1, "\x82"),
        raw(HEADERS => 3, "\x82", END_HEADERS => 1), 'GOAWAY PROTOCOL_ERROR'
    ],
    ['5.1', 'idle: DATA', more(1, 'x'), 'GOAWAY PROTOCOL_ERROR'],
    ['5.1', 'idle: RST_STREAM', raw(RST_STREAM => 1, pack 'N', 8), 'GOAWAY PROTOCOL_ERROR'],
    ['5.1', 'idle: WINDOW_UPDATE', raw(WINDOW_UPDATE => 1, pack 'N', 9), 'GOAWAY PROTOCOL_ERROR'],
    ['5.1', 'idle: CONTINUATION', raw(CONTINUATION => 1, "\x82"), 'GOAWAY PROTOCOL_ERROR'],
    ['5.1', 'idle: PRIORITY', raw(PRIORITY => 9, $PRIORITY), 'fine'],
    ['5.1', 'half closed: DATA', \&waits, more(1, 'x'), 'RST STREAM_CLOSED'],
    ['5.1', 'half closed: HEADERS', \&waits, \&get, 'RST STREAM_CLOSED'],
    ['5.1', 'half closed: WINDOW_UPDATE', \&get, raw(WINDOW_UPDATE => 1, pack 'N', 9), 'fine'],
    [
        '5.1', 'closed by RST_STREAM: DATA', \&begun, raw(RST_STREAM => 1, pack 'N', 8),
        more(1, 'x'),
        'GOAWAY STREAM_CLOSED'
    ],
    [
        '5.1', 'closed by RST_STREAM: HEADERS', \&begun, raw(RST_STREAM => 1, pack 'N', 8), \&get,
        'GOAWAY STREAM_CLOSED'
    ],
    ['5.1', 'closed: DATA', \&served, more(1, 'x'), 'GOAWAY STREAM_CLOSED'],
    ['5.1', 'closed: HEADERS', \&served, \&get, 'GOAWAY STREAM_CLOSED'],
    [
        '5.1', 'closed: CONTINUATION', \&served, raw(CONTINUATION => 1, "\x82"),
        'GOAWAY PROTOCOL_ERROR'
    ],
    ['5.1', 'closed: PRIORITY', \&served, raw(PRIORITY => 1, $PRIORITY), 'fine'],
    ['5.1', 'closed: WINDOW_UPDATE', \&served, raw(WINDOW_UPDATE => 1, pack 'N', 9), 'fine'],
    ['5.1', 'closed: RST_STREAM', \&served, raw(RST_STREAM => 1, pack 'N', 8), 'fine'],
    [
        '5.1.1', 'an even number', sub { request($_[0], 2, [], END_STREAM => 1) },
        'GOAWAY PROTOCOL_ERROR'
    ],
    [
        '5.1.1', 'a smaller number', sub { request($_[0], $_, [], END_STREAM => 1) for 5, 3 },
        'GOAWAY PROTOCOL_ERROR'
    ],
    [
        '5.3.1', 'HEADERS that depend on themselves',
        sub {
            $_[0]->frame(
                HEADERS    => 1, pack('NC', 1, 9) . $_[0]->block(@PSEUDO), END_HEADERS => 1,
                END_STREAM => 1, PRIORITY                                              => 1
            );
        },
        'RST PROTOCOL_ERROR'
    ],
    [
        '5.3.1', 'PRIORITY that depends on itself', \&begun, raw(PRIORITY => 1, pack 'NC', 1, 9),
        'RST PROTOCOL_ERROR'
    ],
    ['6.1', 'DATA on stream 0', more(0, 'x'), 'GOAWAY PROTOCOL_ERROR'],
    [
        '6.1', 'padding longer than DATA', \&begun, more(1, "\x05abcd", PADDED => 1),
        'GOAWAY PROTOCOL_ERROR'
    ],
    ['6.1', 'padded DATA', \&begun, more(1, "\x02abcd", PADDED => 1, END_STREAM => 1), 'fine'],
    [
        '6.2', 'HEADERS on stream 0', raw(HEADERS => 0, "\x82", END_HEADERS => 1),
        'GOAWAY PROTOCOL_ERROR'
    ],
    [
        '6.2', 'padding longer than HEADERS',
        raw(HEADERS => 1, "\x05\x82", END_HEADERS => 1, PADDED => 1),
        'GOAWAY PROTOCOL_ERROR'
    ],
    ['6.3', 'PRIORITY on stream 0', raw(PRIORITY => 0, $PRIORITY), 'GOAWAY PROTOCOL_ERROR'],
    ['6.3', 'PRIORITY of 4 bytes', \&begun, raw(PRIORITY => 1, 'abcd'), 'GOAWAY FRAME_SIZE_ERROR'],
    ['6.4', 'RST_STREAM on stream 0', raw(RST_STREAM => 0, 'abcd'), 'GOAWAY PROTOCOL_ERROR'],
    [
        '6.4', 'RST_STREAM of 3 bytes', \&begun, raw(RST_STREAM => 1, 'abc'),
        'GOAWAY FRAME_SIZE_ERROR'
    ],
    ['6.5', 'SETTINGS on a stream', raw(SETTINGS => 1, ''), 'GOAWAY PROTOCOL_ERROR'],
    ['6.5', 'SETTINGS of 3 bytes', raw(SETTINGS => 0, 'abc'), 'GOAWAY FRAME_SIZE_ERROR'],
    [
        '6.5', 'an ACK with a payload', raw(SETTINGS => 0, pack('nN', 1, 0), ACK => 1),
        'GOAWAY FRAME_SIZE_ERROR'
    ],
    ['6.5.2', 'ENABLE_PUSH of 2', raw(SETTINGS => 0, pack 'nN', 2, 2), 'GOAWAY PROTOCOL_ERROR'],
    [
        '6.5.2', 'INITIAL_WINDOW_SIZE of 2**31', raw(SETTINGS => 0, pack 'nN', 4, 2**31),
        'GOAWAY FLOW_CONTROL_ERROR'
    ],
    [
        '6.5.2', 'MAX_FRAME_SIZE of 16383', raw(SETTINGS => 0, pack 'nN', 5, 16_383),
        'GOAWAY PROTOCOL_ERROR'
    ],
    [
        '6.5.2', 'MAX_FRAME_SIZE of 2**24', raw(SETTINGS => 0, pack 'nN', 5, 2**24),
        'GOAWAY PROTOCOL_ERROR'
    ],
    ['6.5.2', 'an unknown setting', raw(SETTINGS => 0, pack 'nN', 0xff, 1), 'fine'],
    [
        '6.6', 'PUSH_PROMISE', \&begun,
        raw(PUSH_PROMISE => 1, pack('N', 2) . "\x82", END_HEADERS => 1),
        'GOAWAY PROTOCOL_ERROR'
    ],
    ['6.7', 'PING on a stream', raw(PING => 1, 'x' x 8), 'GOAWAY PROTOCOL_ERROR'],
    ['6.7', 'PING of 6 bytes', raw(PING => 0, 'x' x 6), 'GOAWAY FRAME_SIZE_ERROR'],
    ['6.8', 'GOAWAY on a stream', raw(GOAWAY => 1, pack 'NN', 0, 0), 'GOAWAY PROTOCOL_ERROR'],
    ['6.9', 'WINDOW_UPDATE by 0', raw(WINDOW_UPDATE => 0, pack 'N', 0), 'GOAWAY PROTOCOL_ERROR'],
    ['6.9', 'WINDOW_UPDATE of 3 bytes', raw(WINDOW_UPDATE => 0, 'abc'), 'GOAWAY FRAME_SIZE_ERROR'],
    [
        '6.9.1', 'the window of the connection overflows',
        raw(WINDOW_UPDATE => 0, pack 'N', 2**31 - 1),
        raw(WINDOW_UPDATE => 0, pack 'N', 2**31 - 1), 'GOAWAY FLOW_CONTROL_ERROR'
    ],
    [
        '6.9.1', 'the window of a stream overflows', \&begun,
        (raw(WINDOW_UPDATE => 1, pack 'N', 2**31 - 1)) x 2, 'RST FLOW_CONTROL_ERROR'
    ],
    [
        '6.10', 'CONTINUATION on stream 0', raw(HEADERS => 1, "\x82"),
        raw(CONTINUATION => 0, "\x84", END_HEADERS => 1), 'GOAWAY PROTOCOL_ERROR'
    ],
    [
        '6.10', 'CONTINUATION after the end', \&begun, raw(CONTINUATION => 1, "\x82"),
        'GOAWAY PROTOCOL_ERROR'
    ],
    [
        '8.1', 'a second header block that does not end the stream', \&begun,
        raw(HEADERS => 1, "\x00\x01x\x01y", END_HEADERS => 1), 'RST PROTOCOL_ERROR'
    ],
    ['8.2', 'a name in upper case', fields(['X-Up', 1]), 'GOAWAY PROTOCOL_ERROR'],
    ['8.2.1', 'a blank before a value', fields(['x', ' y']), 'RST PROTOCOL_ERROR'],
    ['8.2.1', 'a line feed in a value', fields(['x', "a\nb"]), 'GOAWAY PROTOCOL_ERROR'],
    ['8.2.2', 'Connection', fields(['connection', 'keep-alive']), 'RST PROTOCOL_ERROR'],
    ['8.2.2', 'Transfer-Encoding', fields(['transfer-encoding', 'chunked']), 'RST PROTOCOL_ERROR'],
    ['8.2.2', 'Upgrade', fields(['upgrade', 'h2c']), 'RST PROTOCOL_ERROR'],
    ['8.2.2', 'TE other than trailers', fields(['te', 'gzip']), 'RST PROTOCOL_ERROR'],
    ['8.2.2', 'TE: trailers', fields(['te', 'trailers']), 'fine'],
    ['8.3', 'an unknown pseudo field', only(@PSEUDO, [':test', 'x']), 'GOAWAY PROTOCOL_ERROR'],
    ['8.3', 'one of responses', only(@PSEUDO, [':status', '200']), 'RST PROTOCOL_ERROR'],
    ['8.3', 'one after the others', only(['x', 'y'], @PSEUDO), 'RST PROTOCOL_ERROR'],
    ['8.3', 'one twice', only(@PSEUDO, [':path', '/']), 'RST PROTOCOL_ERROR'],
    ['8.3.1', 'no :method', only(@PSEUDO[1 .. 3]), 'RST PROTOCOL_ERROR'],
    ['8.3.1', 'no :scheme', only(@PSEUDO[0, 2, 3]), 'RST PROTOCOL_ERROR'],
    ['8.3.1', 'no :path', only(@PSEUDO[0, 1, 3]), 'RST PROTOCOL_ERROR'],
    [
        '8.3.1', 'an empty :path', only(@PSEUDO[0, 1], [':path', ''], $PSEUDO[3]),
        'RST PROTOCOL_ERROR'
    ],
    ['8.5', 'CONNECT without :authority', only([':method', 'CONNECT']), 'RST PROTOCOL_ERROR'],
    [
        '8441 4', ':protocol of another method', only(@PSEUDO, [':protocol', 'websocket']),
        'RST PROTOCOL_ERROR'
    ],
    [
        '8.6', 'streams above the limit', sub { request($_[0], 2 * $_ + 1, []) for 0 .. 3 },
        sub { $_[0]->wait_frame(RST_STREAM => 7); request($_[0], 9, []) }, 'RST REFUSED_STREAM'
    ],
);

# What h2spec calls generic: what a server must understand; and the blocks of RFC 7541. $START is
# GET, http and /, each by its number.
my $START = "\x82\x86\x84";

sub understood {
    return map { ["$_->[0]", $_->[1], @$_[2 .. $#$_], 'fine'] } @_;
}

push @CASES, understood(
    ['5.1', 'half closed: PRIORITY', \&waits, raw(PRIORITY => 1, $PRIORITY)],
    ['5.1', 'half closed: RST_STREAM', \&waits, raw(RST_STREAM => 1, pack 'N', 8)],
    ['5.3', 'PRIORITY, weight 1', raw(PRIORITY => 1, pack 'NC', 0, 0)],
    ['5.3', 'PRIORITY, weight 256', raw(PRIORITY => 1, pack 'NC', 0, 255)],
    ['5.3', 'a dependency', \&begun, raw(PRIORITY => 3, pack 'NC', 1, 255)],
    ['5.3', 'an exclusive one', \&begun, raw(PRIORITY => 3, pack 'NC', 1 << 31 | 1, 9)],
    [
        '5.5', 'an unknown frame on a stream', \&begun, raw(0x16, 1, 'x' x 8),
        more(1, '', END_STREAM => 1)
    ],
    ['6.1', 'DATA in pieces', post(6, 'abc', 'def')],
    [
        '6.2', 'padded HEADERS',
        raw(HEADERS => 1, "\x03$START\0\0\0", END_HEADERS => 1, END_STREAM => 1, PADDED => 1)
    ],
    [
        '6.2', 'HEADERS with a priority',
        raw(HEADERS => 1, "$PRIORITY$START", END_HEADERS => 1, END_STREAM => 1, PRIORITY => 1)
    ],
    ['6.4', 'RST_STREAM', \&begun, raw(RST_STREAM => 1, pack 'N', 8)],
    ['6.5', 'SETTINGS of several', raw(SETTINGS => 0, pack '(nN)*', 3, 100, 4, 70_000, 5, 20_000)],
    ['6.7', 'PING', raw(PING => 0, 'x' x 8)],
    ['6.7', 'an ACK that nobody asked for', raw(PING => 0, 'x' x 8, ACK => 1)],
    ['6.9', 'WINDOW_UPDATE of the connection', raw(WINDOW_UPDATE => 0, pack 'N', 1)],
    ['6.9', 'WINDOW_UPDATE of a stream', \&begun, raw(WINDOW_UPDATE => 1, pack 'N', 1)],
    [
        '6.10', 'a CONTINUATION', raw(HEADERS => 1, "\x82", END_STREAM => 1),
        raw(CONTINUATION => 1, "\x86\x84", END_HEADERS => 1)
    ],
    [
        '6.10', 'several', raw(HEADERS => 1, "\x82", END_STREAM => 1),
        raw(CONTINUATION => 1, "\x86"),
        raw(CONTINUATION => 1, ''), raw(CONTINUATION => 1, "\x84", END_HEADERS => 1)
    ],
    ['7', 'RST_STREAM with an unknown code', \&begun, raw(RST_STREAM => 1, pack 'N', 0xff)],
    [
        '8.1', 'trailers', \&begun,
        raw(HEADERS => 1, "\x00\x01x\x01y", END_HEADERS => 1, END_STREAM => 1)
    ],
    ['8.1.1', 'the length that was said', post(3, 'abc')],
    ['7541 6.1', 'an indexed field', block($START)],
    ['7541 6.2.1', 'with indexing, an indexed name', block("$START\x41\x04test")],
    ['7541 6.2.1', 'with indexing, a new name', block("$START\x40\x01x\x01y")],
    ['7541 6.2.2', 'without indexing, an indexed name', block("$START\x01\x04test")],
    ['7541 6.2.2', 'without indexing, a new name', block("$START\x00\x01x\x01y")],
    ['7541 6.2.3', 'never indexed, an indexed name', block("$START\x11\x04test")],
    ['7541 6.2.3', 'never indexed, a new name', block("$START\x10\x01x\x01y")],
    [
        '7541 5.2', 'a Huffman code',
        block("$START\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff")
    ],
    ['7541 6.3', 'the size of the table', block("\x20$START")],
    ['7541 4.2', 'the size twice', block("\x20\x3f\xe1\x1f$START")],
);

# The engine has one code for all of these, see PAGI::Server::Compliance.
push @CASES, map { [@$_, 'GOAWAY PROTOCOL_ERROR'] } (
    ['7541 2.3.3', 'an index that is not there', block("$START\xc6")],
    ['7541 2.3.3', 'a name that is not there', block("$START\x7f\x20\x01x")],
    ['7541 4.2', 'the size of the table after a field', block("$START\x20")],
    ['7541 5.2', 'padding of more than 7 bits', block("$START\x00\x01x\x82\x1f\xff\xff")],
    ['7541 5.2', 'padding of zeros', block("$START\x00\x01x\x81\x18")],
    ['7541 5.2', 'EOS inside a text', block("$START\x00\x01x\x84\xff\xff\xff\xff")],
    ['7541 6.1', 'index 0', block("$START\x80")],
    ['7541 6.3', 'a table larger than it may be', block("\x3f\xe2\x1f$START")],
);

push @CASES, (
    [
        '5.1', 'half closed: CONTINUATION', \&waits, raw(CONTINUATION => 1, "\x82"),
        'GOAWAY PROTOCOL_ERROR'
    ],
    [
        '5.1', 'closed by RST_STREAM: CONTINUATION', \&begun, raw(RST_STREAM => 1, pack 'N', 8),
        raw(CONTINUATION => 1, "\x82"), 'GOAWAY PROTOCOL_ERROR'
    ],
    [
        '5.5', 'an unknown frame inside a header block', raw(HEADERS => 1, "\x82"),
        raw(0x16, 0, ''), 'GOAWAY PROTOCOL_ERROR'
    ],
    [
        '6.4', 'RST_STREAM on an idle stream', raw(RST_STREAM => 1, pack 'N', 8),
        'GOAWAY PROTOCOL_ERROR'
    ],
    [
        '6.9', 'WINDOW_UPDATE of a stream by 0', \&begun, raw(WINDOW_UPDATE => 1, pack 'N', 0),
        'GOAWAY PROTOCOL_ERROR'
    ],
    [
        # The window of the connection is larger, once it has been opened.
        '6.9', 'padding counts: DATA above the window', \&begun,
        sub { $_[0]->wait_frame('WINDOW_UPDATE') }, (more(1, 'x' x 16_384)) x 5,
        'RST FLOW_CONTROL_ERROR'
    ],
    [
        '6.9.2', 'a window that overflows by SETTINGS', \&waits,
        raw(WINDOW_UPDATE => 1, pack 'N', 2**30),
        raw(SETTINGS      => 0, pack 'nN', 4, 2**31 - 1), 'GOAWAY FLOW_CONTROL_ERROR'
    ],
    [
        '6.10', 'CONTINUATION after one that ended', raw(HEADERS => 1, "\x82", END_STREAM => 1),
        (raw(CONTINUATION => 1, "\x86\x84", END_HEADERS => 1)) x 2, 'GOAWAY PROTOCOL_ERROR'
    ],
    [
        '6.10', 'CONTINUATION after DATA', \&begun, more(1, 'x'), raw(CONTINUATION => 1, "\x82"),
        'GOAWAY PROTOCOL_ERROR'
    ],
    ['8.1.1', 'less than was said', post(4, 'abc'), 'RST PROTOCOL_ERROR'],
    ['8.1.1', 'more than was said', post(2, 'abc'), 'RST PROTOCOL_ERROR'],
    ['8.1.1', 'more than was said, in pieces', post(5, 'abc', 'def'), 'RST PROTOCOL_ERROR'],
    ['8.2.2', 'Proxy-Connection', fields(['proxy-connection', 'x']), 'RST PROTOCOL_ERROR'],
    ['8.2.2', 'Keep-Alive', fields(['keep-alive', 'timeout=5']), 'RST PROTOCOL_ERROR'],
    [
        '8.3', 'a pseudo field in trailers', \&begun,
        raw(HEADERS => 1, "\x82", END_HEADERS => 1, END_STREAM => 1), 'fine'
    ],
    ['8.3.1', ':method twice', only(@PSEUDO, [':method', 'GET']), 'RST PROTOCOL_ERROR'],
    ['8.3.1', ':scheme twice', only(@PSEUDO, [':scheme', 'http']), 'RST PROTOCOL_ERROR'],
    [
        '8.5', 'CONNECT with :path', only([':method', 'CONNECT'], @PSEUDO[2, 3]),
        'RST PROTOCOL_ERROR'
    ],
    [
        '8.5', 'CONNECT with :scheme', only([':method', 'CONNECT'], @PSEUDO[1, 3]),
        'RST PROTOCOL_ERROR'
    ],
);

sub answer {
    my ($h2, $expected) = @_;
    my ($kind) = split ' ', $expected;
    my $frame = $h2->wait_frame($kind eq 'RST' ? 'RST_STREAM' : $kind) or return 'the end';
    return "$kind $frame->{code}";
}

with_server {
    my ($t)  = @_;
    my ($on) = Test::PAGI::Matrix::transport('h2c');
    for my $case (@CASES) {
        my ($section, $what, @steps) = @$case;
        my $expected  = pop @steps;
        my $is_silent = $steps[0] eq 'silent' && shift @steps;
        my $h2        = $on->connect($t, silent => $is_silent);
        $_->($h2) for @steps;
        my $before = $calls;
        if ($expected eq 'fine') {
            request($h2, 11, [], END_STREAM => 1);
            $h2->wait_for("$section $what", sub { over($h2, 11) });
            ok scalar(over($h2, 11)), "$section $what: served";
        }
        else {
            is answer($h2, $expected), $expected, "$section $what";
            if ($expected =~ /\AGOAWAY/) {
                $h2->wait_for('the end', sub { $h2->is_eof });
                ok $h2->is_eof, 'and the end of the connection';
            }
            elsif ($what !~ /above the limit/) {
                request($h2, 11, [], END_STREAM => 1);
                $h2->wait_for('a request after it', sub { over($h2, 11) });
                ok scalar(over($h2, 11)), 'and the connection lives';
            }
        }
        $h2->close;
    }

    subtest 'windows' => sub {
        my $h2 = $on->connect($t, window => 0, settings => [[4, 1]]);
        $h2->wait_frame('SETTINGS');
        my $id = $h2->open(GET => '/');
        is $h2->wait_frame(DATA => $id)->{payload}, 'h', 'as much as the first one takes';
        $h2->frame(SETTINGS => 0, pack '(nN)*', 4, 9, 4, 3);
        $h2->wait_for('more', sub { length $h2->partial($id)->body >= 3 });
        is $h2->partial($id)->body, 'hel', 'SETTINGS move it; the last value counts';
        $h2->frame(SETTINGS => 0, pack 'nN', 4, 0);
        $h2->grant($id, 3);
        $h2->frame(PING => 0, 'x' x 8);
        $h2->wait_frame('PING');
        is $h2->partial($id)->body, 'hel', 'it was negative: 0 now';
        $h2->grant($id, 2);
        is $h2->response($id)->body, 'hello', 'the rest';
    };

    subtest 'GOAWAY with an unknown code, and PING' => sub {
        my $h2 = $on->connect($t);
        $h2->wait_frame('SETTINGS');
        $h2->frame(GOAWAY => 0, pack 'NN', 0, 0xff);
        turn(0.02);
        $h2->frame(PING => 0, 'x' x 8);
        ok $h2->wait_frame('PING'), 'is answered';
        is $h2->wait_frame('GOAWAY')->{code}, 'NO_ERROR', 'then the server leaves as well';
        $h2->wait_for('the end', sub { $h2->is_eof });
    };

    subtest 'no preface' => sub {
        my $h2 = $on->connect($t, silent => 1);
        $h2->write("INVALID CONNECTION PREFACE\r\n\r\n");
        wait_until { $h2->is_eof } 'the end';
        like $h2->wire->{in}, qr{\AHTTP/1.1 400 }, 'is a bad request of HTTP/1';
    };

    subtest 'SETTINGS and PING are answered' => sub {
        my $h2 = $on->connect($t);
        my ($first) = $h2->wait_frame('SETTINGS');
        is $h2->{frames}[0]{kind}, 'SETTINGS', 'the first frame is SETTINGS';
        my %sent = unpack '(nN)*', $first->{payload};
        is \%sent, { 3 => 3, 4 => 65_535, 5 => 16_384, 6 => 65_536, 8 => 1 }, 'with its values';
        $h2->wait_for(
            'an ACK',
            sub {
                grep { $_->{kind} eq 'SETTINGS' && $_->{flags} & 1 } $h2->frames;
            }
        );
        $h2->frame(PING => 0, '12345678');
        my $pong = $h2->wait_frame('PING');
        is [$pong->{flags}, $pong->{payload}], [1, '12345678'], 'PING';
    };
}
app => $app, http2 => 1, h2_max_concurrent_streams => 3, h2_enable_push => 1;

done_testing;

# The formatter as functions (contract 01 section 3, 04 section 4)
use strict;
use warnings;

use PAGI::Server::Connection;
use Test2::V0;

sub dispatch { return PAGI::Server::Connection::_format_sse_event(@_) }
sub remark   { return PAGI::Server::Connection::_format_sse_comment(@_) }

is dispatch({ data  => 'hello' }), "data: hello\n\n", 'data';
is dispatch({ event => 'msg', data => "a\nb", id => '10', retry => 1000 }),
    "event: msg\ndata: a\ndata: b\nid: 10\nretry: 1000\n\n", 'all fields, in their order';
is dispatch({ data => "a\r\nb\rc\nd" }), "data: a\ndata: b\ndata: c\ndata: d\n\n", 'all line ends';
is dispatch({ data => "one\ntwo\nthree" }), "data: one\ndata: two\ndata: three\n\n", 'three lines';
is dispatch({ data => "a\n\n" }), "data: a\ndata: \ndata: \n\n", 'trailing empty lines';
is dispatch({}), "data: \n\n", 'no data (E02)';
is dispatch({ data => "\x{263a}" }), "data: \xe2\x98\xba\n\n", 'bytes come back';
is dispatch({ type => 'sse.send', data => 'x', other => [] }), "data: x\n\n",
    'other keys are ignored';
is(PAGI::Server::Connection->_format_sse_event({ data => 'x' }), "data: x\n\n", 'as a method');

for my $newline ("\n", "\r", "\r\n") {
    like dies { dispatch({ event => "a${newline}data: x", data => '' }) },
        qr/\AInvalid SSE event name: contains newline\n\z/, 'event';
    like dies { dispatch({ id => "1${newline}data: x", data => '' }) },
        qr/\AInvalid SSE id: contains newline\n\z/, 'id';
}
for my $retry ('', -1, 1.5, '1e3', ' 1', "1\n", 'x', "\x{661}") {
    is dies { dispatch({ retry => $retry, data => '' }) },
        "Invalid SSE retry: must be a non-negative integer\n", 'retry';
}
like dies { dispatch({ data => {} }) }, qr/'data' must be a string/, 'a reference';

is remark({ comment => ':keepalive' }), ":keepalive\n\n", 'a comment with its colon';
is remark({ comment => "hi\n:there" }), ":hi\n:there\n\n", 'a colon for each line';
is remark({ comment => "a\r\nevent: b" }), ":a\n:event: b\n\n", 'nothing but a comment';
is remark({ comment => '' }), ":\n\n", 'an empty one';
is remark({}), ":\n\n", 'none';

my %event = (event => 'e', id => 7, retry => 5, data => 12);
dispatch(\%event);
is \%event, { event => 'e', id => 7, retry => 5, data => 12 }, 'the event is as it was';

done_testing;

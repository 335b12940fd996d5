# PAGI::Spec::Www, "Start SSE", "Send SSE", "SSE Comment" (contract 04 sections 4, 5, 10)
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/../lib";

use PAGI::Server;
use Test2::V0;
use Test::PAGI::Loop qw(failure_of settle wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

my $ACCEPT  = "Host: x\r\nAccept: text/event-stream\r\n";
my $GET     = "GET /events HTTP/1.1\r\n$ACCEPT\r\n";
my $VERSION = PAGI::Server->VERSION;

sub chunk {
    my ($data) = @_;
    return sprintf "%x\r\n%s\r\n", length $data, $data;
}

# A date is what it looks like
sub dated {
    my ($bytes) = @_;
    return $bytes =~ s/^(date: )\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r$/$1DATE\r/mir;
}

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        my $open = sub {
            my $client = $t->client->subscribe('/events', @_);
            return ($client, $puppet->next_call);
        };

        subtest 'fields that the application gives are not given twice (E08)' => sub {
            my ($client, $call) = $open->();
            my @given = (
                ['Content-Type', 'text/event-stream; charset=utf-8'],
                ['Cache-Control', 'no-store'], ['Date', 'then'], ['Server', 'mine'],
                ['Transfer-Encoding', 'chunked'], ['Content-Length', 5],
            );
            $call->send(type => 'sse.start', status => 201, headers => \@given);
            $call->finish;
            my $response = $client->read_response;
            is $response->status, 201, 'status';
            is [map { lc } @{ $response->own_names }], [qw(content-type cache-control date server)],
                'the others are not added';
            is $response->all($_->[0]), [$_->[1]], $_->[0] for @given[0 .. 3];
            is $response->headers,
                [@given[0 .. 3], ['connection', 'keep-alive'], ['Transfer-Encoding', 'chunked']],
                'but for those of the connection'
                if $on->protocol eq 'h1';
        };

        subtest 'the table of dispatches' => sub {
            my ($client, $call) = $open->();
            $call->send(type => 'sse.start');
            $client->read_head;
            my @cases = (
                [{ data => 'hello' } => "data: hello\n\n"],
                [
                    { event => 'msg', data => "a\nb", id => '10', retry => 1000 },
                    "event: msg\ndata: a\ndata: b\nid: 10\nretry: 1000\n\n"
                ],
                [{ data => "a\r\nb\rc\nd" }            => "data: a\ndata: b\ndata: c\ndata: d\n\n"],
                [{ data => '' }                        => "data: \n\n"],
                [{}                                    => "data: \n\n"],
                [{ data => undef }                     => "data: \n\n"],
                [{ data => "a\n" }                     => "data: a\ndata: \n\n"],
                [{ data => 42, event => '', id => '' } => "data: 42\n\n"],
                [{ data => 'x', id => 0, retry => 0 }  => "data: x\nid: 0\nretry: 0\n\n"],
                [{ data => "\0:;{\"a\": 1}" }          => "data: \0:;{\"a\": 1}\n\n"],
            );
            for my $case (@cases) {
                my ($event, $bytes) = @$case;
                is failure_of($call->send(type => 'sse.send', %$event)), undef, 'accepted';
                is $client->read_data(length $bytes), $bytes, 'its bytes';
                is $client->partial->chunks->[-1], $bytes, 'in one piece';
            }
            my %comments = (
                ':keepalive' => ":keepalive\n\n",
                "hi\n:there" => ":hi\n:there\n\n",
                "a\r\nb\rc"  => ":a\n:b\n:c\n\n",
                ''           => ":\n\n",
            );
            for my $comment (sort keys %comments) {
                $call->send(type => 'sse.comment', comment => $comment);
                my $bytes = $comments{$comment};
                is $client->read_data(length $bytes), $bytes, 'a comment';
            }
            $call->finish;
            ok $client->ends, 'nothing else';
        };

        subtest 'characters are UTF-8 on the wire (E01)' => sub {
            my ($client, $call) = $open->();
            $call->send(type => 'sse.start');
            $client->read_head;
            my $smile = "\xe2\x98\xba";
            my @cases = (
                ['☺ wide' => "$smile wide"],
                [
                    do { my $s = "é"; utf8::upgrade($s); $s }
                        => "\xc3\xa9"
                ],
                [
                    do { my $s = "é"; utf8::downgrade($s); $s }
                        => "\xc3\xa9"
                ],
                ["$smile bytes"    => "$smile bytes"],
                ["\xe2\x98 broken" => "\xc3\xa2\xc2\x98 broken"],
            );
            for my $case (@cases) {
                my ($text, $bytes) = @$case;
                my $before = $text;
                my $field  = "event: $bytes\ndata: $bytes\nid: $bytes\n\n";
                my %event  = map { $_ => $text } qw(event data id);
                is failure_of($call->send(type => 'sse.send', %event)), undef, 'sent';
                is $client->read_data(length $field), $field, 'encoded';
                is $text, $before, 'the given string is as it was';
                $call->send(type => 'sse.comment', comment => $text);
                is $client->read_data(length ":$bytes\n\n"), ":$bytes\n\n", 'a comment too';
            }
            like failure_of($call->send(type => 'sse.send', data => "\x{d800}")),
                qr/'data' must be text/, 'what no client could decode is refused';
            $call->finish;
            ok $client->ends, 'and nothing of it sent';
        };

        subtest 'large events' => sub {
            my ($client, $call) = $open->();
            $call->send(type => 'sse.start');
            for my $size (4095, 4096, 16_384, 300_000) {
                my $data  = "é" x ($size / 2);
                my $bytes = $data;
                utf8::encode($bytes);
                my $sent = $call->send(type => 'sse.send', data => "$data\n$data");
                my $want = "data: $bytes\ndata: $bytes\n\n";
                ok $client->read_data(length $want) eq $want, "$size bytes";
                settle($sent);
            }
            $call->finish;
            ok $client->ends, 'the end';
        };

        subtest 'HEAD has the head alone (E05)' => sub {
            my ($client, $call) = $open->(method => 'HEAD');
            $call->send(type => 'sse.start', headers => [['x-a', 'b']]);
            is failure_of($call->send(type => 'sse.send', data => 'x')), undef, 'events vanish';
            $call->send(type => 'sse.keepalive', interval => 0.01);
            my $response = $client->read_response;
            is [map { $response->header($_) } qw(x-a content-type)], ['b', 'text/event-stream'],
                'head';
            ok $client->ends, 'and nothing else';
            wait_until { !$t->server->connection_count } 'the connection to go'
                if $on->name eq 'h1';
            is $call->event, { type => 'sse.disconnect', reason => 'client_closed' },
                'nobody is left to send to';
            $call->finish;
        };

        subtest 'between other requests of a client' => sub {
            my $client = $t->client->begin(GET => '/');
            $puppet->next_call->reply('plain');
            is $client->read_response->body, 'plain', 'a plain one';
            $client->subscribe('/events');
            my $call = $puppet->next_call;
            is $call->scope->{type}, 'sse', 'then a stream';
            $call->send(type => 'sse.start');
            $call->send(type => 'sse.send', data => 'x');
            $call->finish;
            is $client->read_response->body, "data: x\n\n", 'events';
            ok $client->ends, 'and the end';
        };
    }
    on => $on, app => $puppet->app;
};

# Chunks, versions and connections that close are HTTP/1's.
for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        my $open = sub {
            my $client = $t->client->write($_[0] // $GET);
            return ($client, $puppet->next_call);
        };

        subtest 'the bytes of a whole stream' => sub {
            my ($client, $call) = $open->();
            $call->send(type => 'sse.start', headers => [['x-a', 'b']]);
            is dated($client->read_until(qr/\r\n\r\n/)),
                "HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-type: text/event-stream\r\n"
                . "cache-control: no-cache\r\nconnection: keep-alive\r\ndate: DATE\r\n"
                . "Server: PAGI::Server/$VERSION\r\nTransfer-Encoding: chunked\r\n\r\n",
                'the head, at once';
            $call->send(type => 'sse.send', data => 'x');
            is $client->read_until(qr/\n\n\r\n/), "9\r\ndata: x\n\n\r\n", 'an event, at once';
            $call->send(type => 'sse.comment', comment => 'hi');
            is $client->read_until(qr/\n\n\r\n/), "5\r\n:hi\n\n\r\n", 'a comment';
            $call->finish;
            is $client->read_until_eof, "0\r\n\r\n", 'the end when the application returns';
        };

        subtest 'Connection: close of the application' => sub {
            my ($client, $call) = $open->();
            $call->send(type => 'sse.start', headers => [['Connection', 'close']]);
            $call->finish;
            is $client->read_response->all('connection'), ['close'], 'is heeded, once';
        };

        subtest 'large events, in one chunk each' => sub {
            my ($client, $call) = $open->();
            $call->send(type => 'sse.start');
            $client->read_until(qr/\r\n\r\n/);
            for my $size (4095, 4096, 16_384, 300_000) {
                my $data  = "é" x ($size / 2);
                my $bytes = $data;
                utf8::encode($bytes);
                my $sent = $call->send(type => 'sse.send', data => "$data\n$data");
                my $want = chunk("data: $bytes\ndata: $bytes\n\n");
                is $client->read_bytes(length $want) eq $want, 1, "$size bytes";
                settle($sent);
            }
            $call->finish;
            is $client->read_until_eof, "0\r\n\r\n", 'the end';
        };

        subtest 'an HTTP/1.0 client gets no chunks (E04)' => sub {
            for my $keep ('', "Connection: keep-alive\r\n") {
                my ($client, $call) = $open->("GET / HTTP/1.0\r\n$ACCEPT$keep\r\n");
                is $call->scope->{http_version}, '1.0', 'version';
                $call->send(type => 'sse.start');
                my $head = $client->read_until(qr/\r\n\r\n/);
                like $head, qr{\AHTTP/1.0 200 OK\r\n}, 'its own version';
                unlike $head, qr/transfer-encoding/i, 'no coding';
                like $head, qr/^connection: close\r$/m, 'delimited by the end';
                $call->send(type => 'sse.send', data => 'x');
                is $client->read_until(qr/\n\n/), "data: x\n\n", 'the event as it is';
                $call->finish;
                is $client->read_until_eof, '', 'the end';
            }
        };

        subtest 'the connection serves nothing else afterwards' => sub {
            my ($client, $call) = $open->("$GET$GET");
            $call->send(type => 'sse.start');
            $call->send(type => 'sse.send', data => 'x');
            $call->finish;
            my $count = $puppet->count;
            like $client->read_until_eof, qr/\r\n0\r\n\r\n\z/, 'one stream, then the end';
            is $puppet->count, $count, 'the request behind it is not served';
        };
    }
    on => $on, app => $puppet->app;
}
protocol => 'h1';

done_testing;

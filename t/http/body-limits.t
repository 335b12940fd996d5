# Request bodies that break a rule, and bodies nobody reads (contract 02 sections 4 and 5)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Digest::MD5 qw(md5_hex);
use Future::AsyncAwait;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop   qw(resident_kb turn wait_until);
use Test::PAGI::Matrix qw(-at_once);
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Time::HiRes qw(time);

my $HEAD = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

# [rule, bytes after the head, status, body or undef for any, reason]
my @BAD_CHUNKS = (
    ['a size that is not hex', "xyz\r\n", 400, 'Invalid chunk size'],
    ['a negative size', "-1\r\nabc\r\n", 400, 'Invalid chunk size'],
    ['a plus sign', "+3\r\nabc\r\n", 400, 'Invalid chunk size'],
    ['a 0x prefix', "0x3\r\nabc\r\n", 400, 'Invalid chunk size'],
    ['an underscore', "1_0\r\nabc\r\n", 400, 'Invalid chunk size'],
    ['a blank before the size', " 3\r\nabc\r\n", 400, 'Invalid chunk size'],
    ['an empty size', "\r\nabc\r\n", 400, 'Invalid chunk size'],
    ['an extension without a size', ";a=b\r\nabc\r\n", 400, 'Invalid chunk size'],
    ['more than seven hex digits', "12345678\r\n", 413, 'Chunk Too Large'],
    ['more than 10 MiB', "A00001\r\n", 413, 'Chunk Too Large'],
    ['data longer than its size', "3\r\nabcXX\r\n", 400, undef],
    ['data that does not end in CRLF', "3\r\nabc\n0\r\n\r\n", 400, undef],
);

# Chunks are HTTP/1's.
for_each_transport {
    my ($on) = @_;

    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;
        for my $row (@BAD_CHUNKS) {
            my ($rule, $bytes, $status, $body) = @$row;
            subtest "$rule: $status" => sub {
                my $client = $t->client->write($HEAD);
                my $call   = $puppet->next_call;
                $client->write($bytes);
                my $event;
                do { $event = $call->event }
                    while $event->{type} eq 'http.request' && $event->{more};
                is $event, { type => 'http.disconnect' }, 'the application sees a disconnect';
                is $call->connection->disconnect_reason, 'protocol_error', 'reason';
                my $response = $client->read_response;
                is $response->status, $status, 'status';
                is $response->body, $body, 'body' if defined $body;
                is $client->read_until_eof, '', 'the connection closes';
                $call->finish;
            };
        }

        subtest 'a bad chunk after the response started: only the close' => sub {
            my $client = $t->client->write($HEAD);
            my $call   = $puppet->next_call;
            $call->start;
            $call->body('part', more => 1);
            $client->write("xyz\r\n");
            is $call->event, { type => 'http.disconnect' }, 'the application sees a disconnect';
            is $call->connection->disconnect_reason, 'protocol_error', 'reason';
            $call->finish;
            my $response = $client->read_response;
            is $response->status, 200, 'the response that had started';
            ok $response->is_truncated, 'without its end';
        };
    }
    on => $on, app => $puppet->app, max_body_size => 0;
}
protocol => 'h1';

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        subtest 'a content-length of max_body_size is allowed' => sub {
            my $client = $t->client->begin(POST => '/', body => 'x' x 1000);
            my $call   = $puppet->next_call;
            $call->reply('ok');
            is $client->read_response->status, 200, 'served';
        };

        subtest 'a content-length above max_body_size: 413, the application is not called' => sub {
            my $before   = $puppet->count;
            my $client   = $t->client->begin(POST => '/', body => 'x' x 1001);
            my $response = $client->read_response;
            is $response->status, 413, 'status';
            is $response->body, $on->says('Payload Too Large'), 'body';
            ok $client->ends, 'the connection closes, where that is its only request';
            is $puppet->count, $before, 'not called';
        };

        subtest 'a body of unknown length that grows above max_body_size: 413' => sub {
            my $client = $t->client->begin(POST => '/', more => 1);
            my $call   = $puppet->next_call;
            $client->body('x' x 300) for 1 .. 4;
            my ($event, $got) = (undef, 0);
            while (1) {
                $event = $call->event;
                last if $event->{type} ne 'http.request';
                $got += length $event->{body};
            }
            is $event, { type => 'http.disconnect' }, 'the application sees a disconnect';
            cmp_ok $got, '<=', 1000, 'and no more than was allowed';
            is $call->connection->disconnect_reason, 'body_too_large', 'reason';
            my $response = $client->read_response;
            is $response->status, 413, 'status';
            is $response->body, 'Payload Too Large', 'body';
            ok $client->ends, 'the connection closes, where that is its only request';
            $call->finish;
        };

        subtest 'a body of unknown length of exactly max_body_size is allowed' => sub {
            my $client = $t->client->begin(POST => '/', chunked => [('x' x 500) x 2]);
            my $call   = $puppet->next_call;
            1 while $call->event->{more};
            ok $call->connection->is_connected, 'connected';
            $call->reply('ok');
            is $client->read_response->status, 200, 'served';
        };
    }
    on => $on, app => $puppet->app, max_body_size => 1000;

    subtest 'max_body_size 0 is no limit' => sub {
        my $app = http_app { my ($scope, $receive, $send) = @_; return length_of($receive, $send) };
        with_server {
            my ($t) = @_;
            my $body = 'x' x 11_000_000;
            is $t->request(POST => '/', body => $body)->body, length $body, 'all bytes';
        }
        on => $on, app => $app, max_body_size => 0;
    };

    subtest 'the default max_body_size is 10000000' => sub {
        with_server {
            my ($t) = @_;
            for my $case ([10_000_001, 413, 'one more'], [10_000_000, 200, 'exactly']) {
                my ($length, $status, $what) = @$case;
                my $client = $t->client->begin(POST => '/', length => $length, more => 1);
                is $client->read_response->status, $status, $what;
            }
        }
        on => $on, app => hello();
    };
};

async sub length_of {
    my ($receive, $send) = @_;
    my ($body) = await read_body($receive);
    await reply($send, length $body);
}

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;

    # Turns until nothing moves for half a second. What the kernel holds is not the server's.
    my $push = sub {
        my ($client) = @_;
        my ($left, $since) = ($client->unsent, time);
        while ($left && time - $since < 0.5) {
            turn(0.02);
            ($left, $since) = ($client->unsent, time) if $client->unsent != $left;
        }
        return $left;
    };

    my $body  = join '', map { pack 'N', $_ } 1 .. 1_250_000;
    my %kinds = (
        'with a length'    => [body    => $body],
        'without a length' => [chunked => [unpack '(a40000)*', $body]],
    );
    for my $kind (sort keys %kinds) {
        subtest "an upload that nobody reads is stopped, and loses nothing ($kind)" => sub {
            with_server {
                my ($t)    = @_;
                my $client = $t->client(sndbuf => 32_768)->begin(POST => '/', @{ $kinds{$kind} });
                my $left   = $push->($client);
                my $call   = $puppet->next_call;
                cmp_ok $left, '>', 1_500_000, 'most of 5 MB stays with the client';
                ok $call->connection->is_connected, 'nobody is disconnected';

                my ($got, $event) = ('');
                do {
                    $event = $call->event;
                    $got .= $event->{body} // '';
                } while $event->{more};
                is $event->{type}, 'http.request', 'read to the end';
                is md5_hex($got), md5_hex($body), 'every byte arrived once and in order';
                $call->reply('ok');
                is $client->read_response->body, 'ok', 'answered';
            }
            on => $on, app => $puppet->app;
        };
    }
};

done_testing;

# PAGI::Spec::Www, "Request - receive event" (contract 02 section 5)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Digest::MD5 qw(md5_hex);
use Future::AsyncAwait;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(holds settle wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

# Reads the whole body, keeps its events, answers with its length and digest.
my @events;
my $reader = http_app {
    my ($scope, $receive, $send) = @_;
    return reader($receive, $send);
};

async sub reader {
    my ($receive, $send) = @_;
    my ($body, $events)  = await read_body($receive);
    @events = @$events;
    await reply($send, length($body) . ' ' . md5_hex($body));
}

sub summary { return length($_[0]) . ' ' . md5_hex($_[0]) }

my $LAST = { type => 'http.request', body => '', more => 0 };

sub check_events {
    my ($what) = @_;
    my @rest   = @events;
    my $last   = pop @rest;
    is $last->{more}, 0, "$what: the last event has more 0";
    ok !(grep { $_->{more} ne 1 } @rest), "$what: the others have more 1";
    ok !(grep { $_->{body} eq '' } @rest), "$what: none of the others is empty";
    ok !(grep { length $_->{body} > 65_536 } @events), "$what: pieces of at most 65536 bytes";
    ok !(grep { utf8::is_utf8($_->{body}) } @events), "$what: bytes";
    ok !(grep { join(',', sort keys %$_) ne 'body,more,type' } @events), "$what: keys";
    return;
}

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;

        subtest 'no body: one empty event' => sub {
            is $t->get('/')->body, summary(''), 'empty';
            is \@events, [$LAST], 'one event with more 0';
        };

        subtest 'an empty body: one empty event' => sub {
            is $t->request(POST => '/', body => '')->body, summary(''), 'empty';
            is \@events, [$LAST], 'one event with more 0';
        };

        subtest 'a small body is one event' => sub {
            is $t->request(POST => '/', body => 'hello')->body, summary('hello'), 'whole';
            is \@events, [{ %$LAST, body => 'hello' }], 'one event with more 0';
        };

        for my $size (65_536, 65_537, 1_000_003) {
            subtest "a body of $size bytes comes in pieces" => sub {
                my $body = join '', map { chr($_ * 7 % 256) } 1 .. $size;
                is $t->request(POST => '/', body => $body)->body, summary($body), 'all bytes';
                check_events($size);
            };
        }

        subtest 'any method may have a body' => sub {
            for my $method (qw(GET PUT DELETE PATCH)) {
                is $t->request($method => '/', body => 'x' x 10)->body, summary('x' x 10), $method;
            }
        };
    }
    on => $on, app => $reader;
};

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;

        subtest 'a body of unknown length' => sub {
            my $response = $t->request(POST => '/', chunked => [qw(one two three)]);
            is $response->body, summary('onetwothree'), 'all bytes';
            check_events('pieces');
        };

        subtest '5 MB of unknown length' => sub {
            my @pieces   = map { chr(65 + $_ % 26) x 50_000 } 1 .. 100;
            my $response = $t->request(POST => '/', chunked => \@pieces);
            is $response->body, summary(join '', @pieces), 'all bytes';
            check_events('5 MB');
        };
    }
    on => $on, app => $reader;

    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        subtest 'pieces are delivered as they arrive' => sub {
            my $client = $t->client->begin(POST => '/', length => 6, more => 1);
            my $call   = $puppet->next_call('the application, before any of the body is here');
            my $first  = $call->receive;
            holds { !$first->is_ready } 'pending while no byte is here';
            $client->body('abc');
            is settle($first), { %$LAST, body => 'abc', more => 1 }, 'first piece';
            my $second = $call->receive;
            holds { !$second->is_ready } 'pending while the rest is missing, no empty event';
            $client->end_body('def');
            is settle($second), { %$LAST, body => 'def' }, 'last piece';
            $call->reply('ok');
            is $client->read_response->body, 'ok', 'answered';
        };

        subtest 'after the body receive is pending until the client disconnects' => sub {
            my $client = $t->client->begin(POST => '/', body => 'abc');
            my $call   = $puppet->next_call;
            is $call->event, { %$LAST, body => 'abc' }, 'body';
            my $next = $call->receive;
            holds { !$next->is_ready } 'pending';
            $client->close;
            is settle($next), { type => 'http.disconnect' }, 'disconnect';
            is $call->event,  { type => 'http.disconnect' }, 'from then on';
            is $call->event,  { type => 'http.disconnect' }, 'every time';
            $call->finish;
        };

        subtest 'after the response is complete receive gives http.disconnect' => sub {
            my $client = $t->client->begin(POST => '/', body => 'abc');
            my $call   = $puppet->next_call;
            $call->event;
            my $waiting = $call->receive;
            $call->start;
            $call->body('done');
            is settle($waiting), { type => 'http.disconnect' }, 'the one that was waiting';
            is $call->event,     { type => 'http.disconnect' }, 'and every later one';
            $call->finish;
            is $client->read_response->body, 'done', 'answered';
            is $call->event, { type => 'http.disconnect' }, 'also after the application returned';
        };

        subtest 'two receives without awaiting get the events in order' => sub {
            my $client = $t->client->begin(POST => '/', length => 6, more => 1);
            my $call   = $puppet->next_call;
            my ($first, $second) = ($call->receive, $call->receive);
            ref_is_not $first, $second, 'two Futures';
            $client->body('abc');
            is settle($first), { %$LAST, body => 'abc', more => 1 }, 'the first gets the first';
            ok !$second->is_ready, 'the second waits';
            $client->end_body('def');
            is settle($second), { %$LAST, body => 'def' }, 'the second gets the second';
            $call->reply('ok');
            is $client->read_response->body, 'ok', 'answered';
        };

        subtest 'two receives are both settled by a disconnect' => sub {
            my $client = $t->client->begin(POST => '/', length => 6, more => 1);
            my $call   = $puppet->next_call;
            my @both   = ($call->receive, $call->receive);
            $client->close;
            is settle($_), { type => 'http.disconnect' }, 'disconnect' for @both;
            $call->finish;
        };

        subtest 'a cancelled receive loses nothing' => sub {
            my $client  = $t->client->begin(POST => '/', length => 6, more => 1);
            my $call    = $puppet->next_call;
            my $dropped = $call->receive;
            $dropped->cancel;
            $client->body('abc');
            is $call->event, { %$LAST, body => 'abc', more => 1 }, 'the next gets the event';
            my ($again, $kept) = ($call->receive, $call->receive);
            $again->cancel;
            $client->end_body('def');
            is settle($kept), { %$LAST, body => 'def' }, 'the one behind it too';
            $call->reply('ok');
            is $client->read_response->body, 'ok', 'answered';
        };

        subtest 'another request does not resolve a waiting receive' => sub {
            my $client = $t->client->begin(POST => '/', body => 'abc');
            my $call   = $puppet->next_call;
            $call->event;
            my $waiting = $call->receive;
            $client->begin(GET => '/second');
            holds { !$waiting->is_ready } 'still pending';
            ok $call->connection->is_connected, 'still connected';
            $call->reply('one');
            is $client->read_response->body, 'one', 'first answer';
            $puppet->next_call->reply('two');
            is $client->read_response->body, 'two', 'second answer';
        };
    }
    on => $on, app => $puppet->app;
};

# Chunks are HTTP/1's.
for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;

        my %chunked = (
            'no chunk but the last'        => ["0\r\n\r\n", ''],
            'upper-case hex size'          => ["A\r\n0123456789\r\n0\r\n\r\n", '0123456789'],
            'leading zeros in the size'    => ["00003\r\nabc\r\n000\r\n\r\n", 'abc'],
            'chunk extensions are skipped' => [qq{3;a=b;c="d"\r\nabc\r\n0;x\r\n\r\n}, 'abc'],
            'trailer fields are skipped'   => ["3\r\nabc\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n", 'abc'],
            'data that looks like framing' => ["7\r\n0\r\n\r\nGE\r\n0\r\n\r\n", "0\r\n\r\nGE"],
        );
        for my $rule (sort keys %chunked) {
            my ($bytes, $body) = @{ $chunked{$rule} };
            my $head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
            subtest "chunked: $rule" => sub {
                my $client = $t->client->write($head . $bytes);
                is $client->read_response->body, summary($body), 'body';
                is $client->get('/')->body, summary(''), 'the next request is understood';
            };
            subtest "chunked, byte by byte: $rule" => sub {
                my $client = $t->client->write($head)->drip($bytes);
                is $client->read_response->body, summary($body), 'body';
                check_events('dripped');
            };
        }
    }
    on => $on, app => $reader;

    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        subtest 'part of a chunk is delivered before the chunk is whole' => sub {
            my $client = $t->client->write(
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab");
            my $call = $puppet->next_call;
            is $call->event, { %$LAST, body => 'ab', more => 1 }, 'what is here';
            $client->write("cde\r\n0\r\n\r\n");
            my $rest = '';
            while (1) {
                my $event = $call->event;
                $rest .= $event->{body};
                last if !$event->{more};
                isnt $event->{body}, '', 'no empty event before the last';
            }
            is $rest, 'cde', 'the rest';
            $call->reply('ok');
            is $client->read_response->body, 'ok', 'answered';
        };
    }
    on => $on, app => $puppet->app;
}
protocol => 'h1';

done_testing;

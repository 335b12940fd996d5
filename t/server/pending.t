# The Futures of $receive and $send that have to wait are the loop's in all that can be seen.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future;
use Future::AsyncAwait;
use Scalar::Util qw(weaken);
use Test2::V0;
use Test::PAGI::Loop qw(holds settle test_loop wait_until);
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Test::PAGI::WebSocket qw(accept_socket);

async sub text_of {
    my ($future) = @_;
    my $event = await $future;
    return $event->{text};
}

my $puppet = Test::PAGI::Puppet->new;
with_server {
    my ($t)  = @_;
    my $ws   = Test::PAGI::WebSocket->open($t);
    my $call = accept_socket($puppet->next_call);
    $ws->accepted;

    subtest 'what it is' => sub {
        my $future = $call->receive;
        isa_ok $future, 'IO::Async::Future';
        ref_is $future->loop, test_loop(), 'its loop';
        is [map { $future->$_ ? 1 : 0 } qw(is_ready is_done is_failed is_cancelled)],
            [0, 0, 0, 0], 'pending';
        $ws->text('one');
        is $future->get->{text}, 'one', 'get turns the loop';
        is [map { $future->$_ ? 1 : 0 } qw(is_ready is_done is_failed is_cancelled)],
            [1, 1, 0, 0], 'done';
    };

    subtest 'callbacks and chains' => sub {
        my $future = $call->receive;
        my @seen;
        $future->on_ready(sub { push @seen, 'ready' });
        $future->on_done(sub { push @seen, $_[0]{text} });
        my $chain = $future->then(sub { Future->done("then $_[0]{text}") });
        $ws->text('two');
        is settle($chain), 'then two', 'then';
        is \@seen, [qw(ready two)], 'callbacks, in order';
    };

    subtest 'await' => sub {
        my $future = $call->receive;
        my $seen   = 0;
        my @both   = map { text_of($future) } 1 .. 2;
        $future->on_ready(sub { $seen++ });
        $ws->text('three');
        is [map { settle($_) } @both], ['three', 'three'], 'by two, beside a callback';
        is $seen, 1, 'which is called';
        my @in_turn = map { text_of($call->receive) } 1 .. 2;
        $ws->text($_) for qw(four five);
        is [map { settle($_) } @in_turn], [qw(four five)], 'one after the other';
    };

    subtest 'cancelling' => sub {
        my $future = $call->receive;
        my $outer  = text_of($future);
        $outer->cancel;
        ok $future->is_cancelled, 'what an async sub awaits is cancelled with it';
        my $alone = $call->receive;
        $alone->cancel;
        ok $alone->is_cancelled, 'and by itself';
        my $awaited = $call->receive;
        my $waits   = text_of($awaited);
        my $other   = test_loop()->new_future;
        my $plain   = text_of($other);
        $other->cancel;
        $awaited->cancel;
        is $waits->is_ready ? 1 : 0, $plain->is_ready ? 1 : 0, 'who awaits it ends as with any';
        my $race = Future->wait_any($call->receive, test_loop()->delay_future(after => 0.05));
        settle($race);
        $ws->text('six');
        is settle($call->receive)->{text}, 'six', 'nothing is lost';
    };

    subtest 'what nobody waits for' => sub {
        my $future = $call->receive;
        weaken $future;
        $ws->text('seven');
        is settle($call->receive)->{text}, 'seven', 'takes no event';
        ok !$future, 'and is gone';
    };

    subtest 'what is cancelled behind one that waits' => sub {
        my $first = $call->receive;
        my @after = map { $call->receive } 1 .. 3;
        weaken(my $seen = $after[2]);
        (pop @after)->cancel;
        ok !$seen, 'is not kept until that is served';
        shift(@after)->cancel;
        $ws->text($_) for qw(nine ten);
        is [map { settle($_)->{text} } $first, @after], [qw(nine ten)], 'the others are, in turn';
        $_->cancel for $first, @after;
        ok 1, 'and may be cancelled then';
    };

    subtest 'what dies when it goes on' => sub {
        my $dies = (async sub { await $call->receive; die "on the way\n" })->();
        $ws->text('eight');
        wait_until { $dies->is_ready } 'it to fail';
        is $dies->failure, "on the way\n", 'fails its own Future';
    };
    $call->finish;
}
app => $puppet->app;

# Where a loop must make them (Future::XS, a loop with a class of its own) all is the same, slower.
subtest 'Futures that the loop has made' => sub {
    no warnings qw(redefine once);
    local *PAGI::Server::Pending::pattern = sub { return undef };
    with_server {
        my ($t) = @_;
        my $client = $t->client;
        $client->write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
        my $call = $puppet->next_call;
        is $call->event->{body}, 'abc', 'what is there comes';
        my $future = $call->receive;
        is ref $future, 'IO::Async::Future', 'its class';
        $future->cancel;
        holds { $call->connection->is_connected && !$client->is_eof } 'nobody waits for the client',
            1;
        my $last = $call->receive;
        $client->write('defghi');
        is settle($last)->{body}, 'defghi', 'nothing is lost';
        $call->reply('ok');
        is $client->read_response->body, 'ok', 'answered';
    }
    app => $puppet->app, timeout => 0.3;
};

done_testing;

# Clients that keep a request from going on: slow bodies, slow readers (contract 02 section 10)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop   qw(failure_of holds settle turn wait_until);
use Test::PAGI::Matrix qw(-at_once);
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Time::HiRes qw(time);

# More than a kernel buffers for a client that does not read.
use constant LOTS => 64 * 1024 * 1024;

my $puppet = Test::PAGI::Puppet->new;

# A call of the application for a request with a body (length => , or neither that nor an end) or
# none, and its client.
sub open_call {
    my ($t, $request, %client) = @_;
    my $client = $t->client(%client)->begin(POST => '/', %$request);
    return ($puppet->next_call, $client);
}

sub upload {
    my ($length) = @_;
    return { more => 1, length => $length };
}

# Every $pause seconds calls the block, until it is false or $seconds have passed.
sub every (&$$) {
    my ($block, $pause, $seconds) = @_;
    my $end = time + $seconds;
    while (time < $end && $block->()) {
        my $until = time + $pause;
        wait_until { time >= $until } 'the next piece';
    }
    return;
}

# The application was told, in the order of the contract, and its pending Futures are settled.
sub is_told {
    my ($call, $reason, $received) = @_;
    my $connection = $call->connection;
    wait_until { !$connection->is_connected } "the application to be told $reason";
    is $connection->disconnect_reason, $reason, "the application sees $reason";
    is settle($received), { type => 'http.disconnect' }, '$receive says so' if $received;
    return;
}

# A response that its client cannot take, and the pending $send of it.
sub flood {
    my ($call) = @_;
    $call->start;
    $call->body(scalar('x' x LOTS), more => 1);
    return $call->body('more', more => 1);
}

sub slow_bodies {
    my ($t) = @_;

    for my $case (['with a length', upload(9)], ['without one', { more => 1 }]) {
        my ($name, $request) = @$case;
        subtest "a body that stops, $name: 408" => sub {
            my ($call, $client) = open_call($t, $request);
            $client->body('abc');
            is $call->event->{body}, 'abc', 'what came';
            my $begin    = time;
            my $received = $call->receive;
            my $response = $client->read_response;
            is $response->status, 408, 'the status';
            is $response->body, 'Request Timeout', 'the body';
            cmp_ok time - $begin, '>=', 0.29, 'not before its time';
            cmp_ok time - $begin, '<', 3, 'and soon after';
            ok $client->ends, 'closed, where that is its only request';
            is $client->error, undef, 'without a reset';
            is_told($call, 'client_timeout', $received);
            ok $call->connection->response_started, 'the response counts as started';
            is failure_of($call->start), undef, 'a late send does nothing';
            $call->finish;
        };
    }

    subtest 'in the middle of a response: closed, without an end' => sub {
        my ($call, $client) = open_call($t, upload(9));
        $call->start;
        $call->body('hello', more => 1);
        my $received = $call->receive;
        my $response = $client->read_response;
        is [$response->body, $response->is_truncated], ['hello', 1], 'what was sent, and no end';
        is_told($call, 'client_timeout', $received);
        $call->finish;
    };

    subtest 'the time starts when the application begins to wait' => sub {
        my ($call, $client) = open_call($t, upload(9));
        $client->body('abc');
        is $call->event->{body}, 'abc', 'what came';
        holds { $call->connection->is_connected && !$client->is_eof } 'nothing while it works', 1;
        my $begin = time;
        $call->receive;
        is $client->read_response->status, 408, 'told';
        cmp_ok time - $begin, '>=', 0.29, 'not before its time';
        cmp_ok time - $begin, '<', 3, 'and soon after';
        $call->finish;
    };

    subtest 'who gave up waiting is not kept waiting' => sub {
        my ($call, $client) = open_call($t, upload(9));
        $client->body('abc');
        is $call->event->{body}, 'abc', 'what came';
        my ($first, $second) = map { $call->receive } 1, 2;
        $first->cancel;
        $second->cancel;
        holds { $call->connection->is_connected && !$client->is_eof } 'nothing happens', 1;
        my $begin = time;
        my $third = $call->receive;
        $call->receive->cancel;
        is $client->read_response->status, 408, 'one that waits again does';
        cmp_ok time - $begin, '>=', 0.29, 'from then on';
        is_told($call, 'client_timeout', $third);
        $call->finish;
    };

    subtest 'backpressure is not the fault of the client' => sub {
        my ($call, $client) = open_call($t, upload(300_000));
        $client->body('x' x 299_999);
        holds { $call->connection->is_connected && !$client->is_eof } 'nothing while it works', 1;
        $client->end_body('y');
        my $got = '';
        while (1) {
            my $event = $call->event;
            $got .= $event->{body};
            last if !$event->{more};
        }
        is length $got, 300_000, 'all of it';
        $call->reply('thanks');
        is $client->read_response->body, 'thanks', 'answered';
    };

    subtest 'an application that waits for the end of its client waits for ever' => sub {
        my ($call, $client) = open_call($t, upload(3));
        $client->end_body('abc');
        is $call->event, { type => 'http.request', body => 'abc', more => 0 }, 'the body';
        my $received = $call->receive;
        holds { !$received->is_ready && !$client->is_eof } 'nothing', 1;
        $call->reply('late');
        is $client->read_response->body, 'late', 'answered';
    };

    subtest 'a body that trickles in for ever: 408' => sub {
        my ($call, $client) = open_call($t, upload(9_000_000));
        my $begin = time;
        my $reads;
        $reads = sub {
            $call->receive->on_done(sub { $reads->() if $_[0]{more} });
        };
        $reads->();
        every { $client->body('x') if !length $client->buffer; !length $client->buffer } 0.1, 5;
        is $client->read_response->status, 408, 'told';
        cmp_ok time - $begin, '>=', 0.5, 'not before twice the timeout';
        is_told($call, 'client_timeout');
        $call->finish;
        undef $reads;
    };

    subtest 'a slow body with progress lives' => sub {
        my ($call, $client) = open_call($t, upload(15_000));
        my ($got, $last)    = ('', 0);
        my $reads;
        $reads = sub {
            $call->receive->on_done(sub {
                $got .= $_[0]{body} // '';
                $last = !$_[0]{more};
                $reads->() if $_[0]{more};
            });
        };
        $reads->();
        my $sent = 0;
        every {
            ++$sent < 15 ? $client->body('x' x 1000) : $client->end_body('x' x 1000);
            $sent < 15;
        }
        0.1, 10;
        wait_until { $last } 'the end of the body';
        is length $got, 15_000, 'all of it, in 1.4 s with a timeout of 0.3 s';
        $call->reply('thanks');
        is $client->read_response->body, 'thanks', 'answered';
        undef $reads;
    };

    subtest 'a body that nobody reads does not hold the connection after the response' => sub {
        my ($call, $client) = open_call($t, upload(60_000));
        $call->reply('no');
        is $client->read_response->body, 'no', 'answered';
        my $begin = time;
        every { $client->body('x') if !$client->is_eof; !$client->is_eof } 0.1, 5;
        ok $client->is_eof, 'closed';
        cmp_ok time - $begin, '<', 4, 'soon';
    };
    return;
}

sub slow_readers {
    my ($t) = @_;

    subtest 'a client that does not read: write_timeout, and the send is released' => sub {
        my ($call, $client) = open_call($t, {}, rcvbuf => 4096);
        $client->stop_reading;
        $call->event;
        my $sent  = flood($call);
        my $begin = time;
        ok !$sent->is_ready, 'parked';
        is_told($call, 'write_timeout', $call->receive);
        cmp_ok time - $begin, '>=', 0.2, 'not before its time';
        cmp_ok time - $begin, '<', 5, 'and soon after';
        ok $sent->is_ready && !$sent->is_failed, 'released, not failed';
        is failure_of($call->body('more')), undef, 'a late send does nothing';
        $call->finish;
        wait_until { !$t->server->connection_count } 'its place to be free';
    };

    subtest 'one that stops in the middle' => sub {
        my ($call, $client) = open_call($t, {}, rcvbuf => 4096);
        my $sent = flood($call);
        wait_until { $client->received > 1_000_000 } 'a part of it';
        $client->stop_reading;
        is_told($call, 'write_timeout');
        ok $sent->is_ready && !$sent->is_failed, 'released, not failed';
        $call->finish;
        wait_until { !$t->server->connection_count } 'its place to be free';
    };

    subtest 'after the response is complete' => sub {
        my ($call, $client) = open_call($t, {}, rcvbuf => 4096);
        $client->stop_reading;
        $call->start;
        $call->body(scalar 'x' x LOTS);
        $call->finish;
        wait_until { !$t->server->connection_count } 'its place to be free';
        ok $call->connection->response_complete, 'complete for the application';
        is $call->connection->disconnect_reason, undef, 'which hears of nothing';
    };

    subtest 'a file' => sub {
        my ($call, $client) = open_call($t, {}, rcvbuf => 4096);
        open my $fh, '+>', undef or die "a temporary file: $!";
        truncate $fh, LOTS       or die "truncate: $!";
        $client->stop_reading;
        $call->start;
        my $sent = $call->send(type => 'http.response.body', fh => $fh);
        ok !$sent->is_ready, 'parked';
        wait_until { $sent->is_ready } 'the send to be released';
        $call->finish;
        wait_until { !$t->server->connection_count } 'its place to be free';
    };

    subtest 'a client that leaves in the middle of a file releases its send, too' => sub {
        my ($call, $client) = open_call($t, {}, rcvbuf => 4096);
        open my $fh, '+>', undef or die "a temporary file: $!";
        truncate $fh, LOTS       or die "truncate: $!";
        $call->start;
        my $sent = $call->send(type => 'http.response.body', fh => $fh);
        wait_until { $client->received > 100_000 } 'a part of it';
        $client->reset;
        wait_until { $sent->is_ready } 'the send to be released';
        ok !$sent->is_failed, 'not failed';
        $call->finish;
    };

    subtest 'a slow reader that goes on reading lives' => sub {
        my ($call, $client) = open_call($t, {}, rcvbuf => 65_536);
        $client->stop_reading;
        $call->start(headers => [['content-length' => LOTS]]);
        my $sent  = $call->body(scalar('x' x LOTS));
        my $begin = time;
        my $got   = 0;
        $call->finish;
        every {
            my $end = time + 0.05;
            $client->start_reading;
            turn(0.001) while time < $end && $client->received < $got + 3_000_000;
            $client->stop_reading;
            $got = $client->received;
            $got < LOTS && !$client->is_eof;
        }
        0.1, 30;
        is length $client->read_response->body, LOTS, 'all of it';
        cmp_ok time - $begin, '>', 0.6, 'in more than the timeout';
    };
    return;
}

# Heads, bodies and responses that hang, all at once, and one client that does nothing wrong.
sub crowds {
    my ($t)   = @_;
    my $good  = $t->client;
    my $is_h1 = $t->on->protocol eq 'h1';
    my @heads = map { $t->client->write("GET / HTTP/1.1\r\nX-$_: ") } $is_h1 ? 1 .. 40 : ();
    my @bodies =
        map { $t->client->begin(POST => '/slow', length => 9, more => 1)->body($_) } 1 .. 40;
    my @deaf = map { $t->client(rcvbuf => 4096)->begin(GET => '/big')->stop_reading } 1 .. 2;
    my ($served, $end) = (0, time + 20);
    while ((grep { !$_->is_eof } @heads, @bodies) || $t->server->connection_count > 1) {
        last if time > $end;
        # Where this machine stalled, it was idle for too long.
        my $answer = $good->get('/');
        $good = $t->client if !$answer;
        $served++ if $answer && $answer->body eq 'hello';
        $_->write('x') for grep { !$_->is_eof } @heads;
        turn(0.05);
    }
    is $t->server->connection_count, 1, 'only the good one is left';
    cmp_ok $served, '>', 5, 'it was served all the time';
    is [map { $_->read_response->status } @bodies], [(408) x 40], 'bodies were told';
    my @told = grep { defined } map { $_->read_response } @heads;
    is [grep { $_->status != 408 } @told], [], 'heads, too, where they did not fall silent';
    return;
}

my $crowd_app = http_app {
    my ($scope, $receive, $send) = @_;
    my $body = $scope->{path} eq '/big' ? scalar('x' x LOTS) : 'hello';
    return reply($send, $body) if $scope->{path} ne '/slow';
    return read_body($receive)->then(sub { reply($send, $body) });
};

for_each_transport {
    my ($on) = @_;
    my %server = (on => $on, app => $puppet->app, max_body_size => 0);
    with_server { slow_bodies(@_) } %server, timeout => 0.3;
    subtest 'a crowd' => sub {
        with_server { crowds(@_) } on => $on, app => $crowd_app, timeout => 1.2;
    };
    with_server { slow_readers(@_) } %server, timeout => 0.4;
    subtest 'timeout 0 is off' => sub {
        with_server {
            my ($t) = @_;
            my ($call, $client) = open_call($t, upload(9));
            my $received = $call->receive;
            holds { !$received->is_ready && !$client->is_eof } 'a body may take its time', 0.7;
            $client->end_body('123456789');
            is settle($received)->{body}, '123456789', 'it came';
            $call->reply('late');
            is $client->read_response->body, 'late', 'answered';
        }
        %server, timeout => 0;
    };
};

# Invitations, chunks and what is no request are HTTP/1's.
for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;

        subtest 'a body that never begins, after an invitation' => sub {
            my ($call, $client) =
                open_call($t, { length => 9, more => 1, headers => [[Expect => '100-continue']] });
            my $received = $call->receive;
            is $client->read_until(qr/\r\n\r\n/), "HTTP/1.1 100 Continue\r\n\r\n", 'invited';
            is $client->read_response->status, 408, 'told';
            is_told($call, 'client_timeout', $received);
            $call->finish;
        };

        subtest 'chunk extensions that trickle in are no progress' => sub {
            my ($call, $client) = open_call($t, { more => 1 });
            my $received = $call->receive;
            $client->write('5;');
            every { $client->write('x') if !length $client->buffer; !length $client->buffer } 0.1,
                5;
            is $client->read_response->status, 408, 'told';
            is_told($call, 'client_timeout', $received);
            $call->finish;
        };

        subtest 'a client that neither reads its refusal nor leaves' => sub {
            my $client = $t->client(rcvbuf => 4096);
            $client->stop_reading;
            $client->write("no request\r\n\r\n");
            wait_until { $t->server->connection_count == 1 } 'the connection';
            wait_until { !$t->server->connection_count } 'its place to be free';
            pass 'gone';
        };
    }
    on => $on, app => $puppet->app, timeout => 0.3;
}
protocol => 'h1';

done_testing;

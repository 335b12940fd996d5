# timeout: connections that nobody uses (contract 02 section 10, H27)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop   qw(holds test_loop turn wait_until);
use Test::PAGI::Matrix qw(-at_once);
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Time::HiRes qw(time);

# Waits for the silent close; returns the seconds it took.
sub silent_close {
    my ($client) = @_;
    my $begin = time;
    is $client->read_until_eof, '', 'closed without a byte';
    is $client->error, undef, 'and without a reset';
    return time - $begin;
}

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;

        subtest 'a connection that never sends is closed silently' => sub {
            my $client = $t->client;
            my $took   = silent_close($client);
            cmp_ok $took, '>=', 0.25, 'not before its time';
            cmp_ok $took, '<', 3, 'and soon after';
        };

        subtest 'a kept connection is closed silently after its response' => sub {
            my $client = $t->client;
            is $client->get('/')->body, 'hello', 'served';
            silent_close($client);
        };

    }
    on => $on, app => hello(), timeout => 0.5;

    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        subtest 'a request that runs longer than timeout is not cut (H27)' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            holds { $call->connection->is_connected && !$client->is_eof } 'still connected', 1;
            $call->reply('late');
            is $client->read_response->body, 'late', 'answered';
            silent_close($client);
        };

        subtest 'a response that pauses longer than timeout is not cut' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            $call->start;
            $call->body('a', more => 1);
            holds { $call->connection->is_connected && !$client->is_eof } 'still connected', 1;
            $call->body('b');
            $call->finish;
            is $client->read_response->body, 'ab', 'answered';
        };
    }
    on => $on, app => $puppet->app, timeout => 0.3;

    subtest 'timeout 0 is off' => sub {
        with_server {
            my ($t) = @_;
            my $client = $t->client;
            holds { !$client->is_eof } 'open', 1;
            is $client->get('/')->body, 'hello', 'and served';
        }
        on => $on, app => hello(), timeout => 0;
    };

    subtest 'the default does not close a connection at once' => sub {
        with_server {
            my ($t) = @_;
            my $client = $t->client;
            holds { !$client->is_eof } 'open', 0.7;
            is $client->get('/')->body, 'hello', 'and served';
        }
        on => $on, app => hello();
    };
};

# Heads in pieces, and requests behind one another, are HTTP/1's; t/h2/ends.t has a preface in pieces.
for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;

        subtest 'half a request is closed silently' => sub {
            my $client = $t->client->write("GET / HTTP/1.1\r\nHos");
            silent_close($client);
        };

        subtest 'inbound bytes start the time again' => sub {
            my $client = $t->client;
            my $begin  = time;
            for my $piece ("GET /", " HTTP", "/1.1\r\n", "Host", ": x", "\r\n\r\n") {
                my $until = time + 0.15;
                wait_until { time >= $until } 'a part of the timeout';
                $client->write($piece);
            }
            cmp_ok time - $begin, '>', 0.6, 'longer than the timeout';
            is $client->read_response->body, 'hello', 'served all the same';
        };
    }
    on => $on, app => hello(), timeout => 0.5;

    with_server {
        my ($t) = @_;

        subtest 'a head that trickles in for ever ends in 408' => sub {
            my $client = $t->client->write("GET / HTTP/1.1\r\nX: ");
            my $begin  = time;
            until ($client->is_eof || time - $begin > 5) {
                my $until = time + 0.1;
                wait_until { time >= $until || $client->is_eof } 'a part of the timeout';
                $client->write('x') if !$client->is_eof && $client->buffer eq '';
                last                if $client->buffer ne '';
            }
            is $client->read_response->status, 408, 'told so';
            $client->read_until_eof;
            wait_until { !$t->server->connection_count } 'its place to be free';
            cmp_ok time - $begin, '>=', 0.7, 'not before twice the timeout';
        };
    }
    on => $on, app => hello(), timeout => 0.4;

    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        subtest
            'a call that goes on after its response holds up the next request, but not for good' =>
            sub {
            my $client = $t->client->write($t->client->request_bytes(GET => '/one'));
            my $call   = $puppet->next_call;
            $call->start;
            $call->body('one');
            is $client->read_response->body, 'one', 'the first is answered';
            $client->write($client->request_bytes(GET => '/two'));
            holds { !$client->is_eof } 'still connected', 1;
            $call->finish;
            $puppet->next_call->reply('two');
            is $client->read_response->body, 'two', 'the second is served then';
            };
    }
    on => $on, app => $puppet->app, timeout => 0.3;
}
protocol => 'h1';

done_testing;

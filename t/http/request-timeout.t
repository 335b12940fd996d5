# request_timeout: a running request in which nothing moves (contract 02 section 10)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Loop   qw(holds settle wait_until);
use Test::PAGI::Matrix qw(-at_once);
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Time::HiRes qw(time);

my $puppet = Test::PAGI::Puppet->new;
my $WARNING =
    qr/\ARequest stall timeout \(0\.4s\) - (?:closing connection|resetting stream \d+)\n\z/;

sub open_call {
    my ($t, $method, %request) = @_;
    my $client = $t->client->begin($method // 'GET', '/', %request);
    return ($puppet->next_call, $client);
}

# Calls the block five times, 0.2 s apart: longer than the limit altogether.
sub now_and_then (&) {
    my ($block) = @_;
    for (1 .. 5) {
        my $until = time + 0.2;
        wait_until { time >= $until } 'half of the limit';
        $block->();
    }
    return;
}

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;

        subtest 'nothing moves: warned, told, closed' => sub {
            my ($call, $client) = open_call($t);
            my $begin    = time;
            my $received = $call->receive;
            is settle($received)->{type}, 'http.request', 'the empty body';
            my @reason;
            $call->connection->on_disconnect(sub { push @reason, @_ });
            is $client->read_response, undef, 'closed without a byte';
            cmp_ok time - $begin, '>=', 0.35, 'not before its time';
            cmp_ok time - $begin, '<', 4, 'and soon after';
            my @warnings = $t->wait_warning($WARNING);
            is scalar @warnings, 1, 'one warning';
            is \@reason, ['client_timeout'], 'the reason';
            is $call->event, { type => 'http.disconnect' }, '$receive says so';
            $call->finish;
        };

        subtest 'in the middle of a response: closed, without an end' => sub {
            my ($call, $client) = open_call($t);
            $call->start;
            $call->body('hello', more => 1);
            my $response = $client->read_response;
            is [$response->body, $response->is_truncated], ['hello', 1], 'no end';
            $t->wait_warning($WARNING);
            is $call->connection->disconnect_reason, 'client_timeout', 'the reason';
            $call->finish;
        };

        subtest 'inbound bytes start the time again' => sub {
            my ($call, $client) = open_call($t, 'POST', length => 5, more => 1);
            now_and_then { $client->body('x') };
            ok $call->connection->is_connected, 'still connected';
            $call->reply('late');
            is $client->read_response->body, 'late', 'answered';
        };

        subtest 'so does each piece that is sent' => sub {
            my ($call, $client) = open_call($t);
            $call->start;
            now_and_then { $call->body('x', more => 1) };
            $call->body('');
            $call->finish;
            is $client->read_response->body, 'xxxxx', 'all of them';
        };

        subtest 'and a start that is held back' => sub {
            my ($call, $client) = open_call($t);
            my $sends = 0;
            now_and_then { $call->start if $sends++ < 3 };
            ok $call->connection->is_connected, 'still connected';
            $call->body('late');
            $call->finish;
            is $client->read_response->body, 'late', 'answered';
        };

        subtest 'between requests it does not count' => sub {
            my ($call, $client) = open_call($t);
            $call->reply('one');
            is $client->read_response->body, 'one', 'answered';
            holds { !$client->is_eof } 'open', 1;
        };
    }
    on => $on, app => $puppet->app, quiet => 0, log_level => 'warn', request_timeout => 0.4;

    subtest 'quiet drops the warning' => sub {
        with_server {
            my ($t) = @_;
            my ($call, $client) = open_call($t);
            is $client->read_response, undef, 'closed';
            is $call->connection->disconnect_reason, 'client_timeout', 'the reason';
            $call->finish;
        }
        on => $on, app => $puppet->app, request_timeout => 0.3;
    };

    subtest 'off by default' => sub {
        with_server {
            my ($t) = @_;
            my ($call, $client) = open_call($t);
            holds { !$client->is_eof } 'open', 0.7;
            $call->reply('late');
            is $client->read_response->body, 'late', 'answered';
        }
        on => $on, app => $puppet->app;
    };
};

done_testing;

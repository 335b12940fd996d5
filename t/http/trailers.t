# Response trailers and fullflush (contract 02 sections 6 and 7, H25)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Loop qw(failure_of holds wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

my @TRAILERS = (type => 'http.response.trailers', headers => [['x-sum', '42']]);

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        my $open = sub {
            my ($method) = @_;
            my $client = $t->client->begin($method => '/');
            return ($puppet->next_call, $client);
        };

        subtest 'the end waits for the trailers' => sub {
            my ($call, $client) = $open->('GET');
            $call->start(trailers => 1);
            $call->body('hi');
            is $client->read_data(2), 'hi', 'the body';
            holds { !$client->is_done } 'no end yet';
            $call->send(@TRAILERS);
            my $response = $client->read_response;
            is $response->trailers, [['x-sum', '42']], 'it comes with the trailers';
            is $response->raw_body, "2\r\nhi\r\n0\r\nx-sum: 42\r\n\r\n", 'as HTTP/1 has them'
                if $on->protocol eq 'h1';
            ok $call->connection->response_complete, 'complete';
            is failure_of($call->send(@TRAILERS)), undef, 'a second time: ignored (H25)';
            $call->finish;
            is $client->buffer, '', 'and nothing written';
        };

        subtest 'trailers that nobody promised are ignored' => sub {
            my ($call, $client) = $open->('GET');
            $call->start;
            is failure_of($call->send(@TRAILERS)), undef, 'no failure';
            $call->body('hi');
            is $client->read_response->trailers, [], 'none';
            $call->finish;
        };

        subtest 'a bad trailer field is refused, a good one still works' => sub {
            my ($call, $client) = $open->('GET');
            $call->start(trailers => 1);
            $call->body('hi');
            my @bad = (@TRAILERS, headers => [['x', "a\r\nb"]]);
            like failure_of($call->send(@bad)), qr/\AInvalid header value/, 'refused';
            $call->send(@TRAILERS);
            is $client->read_response->trailers, [['x-sum', '42']], 'sent';
            $call->finish;
        };

        subtest 'fields that may not trail are dropped (RFC 9110 6.5.1)' => sub {
            my @dropped = qw(
                Transfer-Encoding content-length HOST Connection Set-Cookie Authorization
                Content-Type content-encoding Cache-Control Trailer TE Date
            );
            my ($call, $client) = $open->('GET');
            $call->start(trailers => 1);
            $call->body('hi');
            my @fields = (['x-sum', '42'], (map { [$_, '5'] } @dropped), ['content-digest', 'd']);
            is failure_of($call->send(@TRAILERS, headers => \@fields)), undef, 'no failure';
            my $response = $client->read_response;
            is $response->trailers, [['x-sum', '42'], ['content-digest', 'd']], 'the others';
            ok $call->connection->response_complete, 'complete';
            $call->finish;
        };

        subtest 'fullflush lets the held head go' => sub {
            my ($call, $client) = $open->('GET');
            $call->start;
            holds { $client->buffer eq '' } 'the head is held back';
            $call->send(type => 'http.fullflush');
            is $client->read_head->status, 200, 'the head';
            ok !$client->is_done, 'and no end';
            $call->body('hi');
            $call->finish;
            is $client->read_response->body, 'hi', 'the rest';
        };
    }
    on => $on, app => $puppet->app, extensions => { fullflush => {} };
};

done_testing;

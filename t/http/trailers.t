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
            my $client = $t->client->write("$method / HTTP/1.1\r\nHost: x\r\n\r\n");
            return ($puppet->next_call, $client);
        };

        subtest 'the last chunk waits for the trailers' => sub {
            my ($call, $client) = $open->('GET');
            $call->start(trailers => 1);
            $call->body('hi');
            is $client->read_until(qr/2\r\nhi\r\n/) =~ /Transfer-Encoding: chunked/, 1, 'the body';
            holds { $client->buffer !~ /0\r\n/ } 'no last chunk yet';
            $call->send(@TRAILERS);
            is $client->read_until(qr/\r\n\r\n/), "0\r\nx-sum: 42\r\n\r\n", 'with the trailers';
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
            like $client->read_until(qr/\r\n\r\n/), qr/\AHTTP\/1\.1 200 OK\r\n/, 'the head';
            $call->body('hi');
            $call->finish;
        };
    }
    on => $on, app => $puppet->app, extensions => { fullflush => {} };
}
protocol => 'h1';

done_testing;

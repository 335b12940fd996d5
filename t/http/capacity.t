# max_connections (contract 02 section 11)
# HTTP/1 alone: the answer leaves before it is known what the client speaks.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Server;

my $FULL = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 46\r\n"
    . "Connection: close\r\nRetry-After: 5\r\n\r\n503 Service Unavailable - Server at capacity\r\n";

open my $log_handle, '>', \my $log or die $!;

my $calls = 0;
my $app   = http_app { my ($scope, $receive, $send) = @_; $calls++; return reply($send, 'ok') };

# Connections that the server has accepted.
sub accepted {
    my ($t, $count) = @_;
    my @clients = map { $t->client } 1 .. $count;
    wait_until { $t->server->connection_count == $count } "$count connections";
    return @clients;
}

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;
        is $t->server->effective_max_connections, 3, 'effective_max_connections';

        subtest 'a connection above max_connections: 503, exactly, then the close' => sub {
            my @clients = accepted($t, 3);
            my $before  = $calls;
            my $extra   = $t->client;
            is $extra->read_until_eof, $FULL, 'the bytes, though no request was sent';
            is $calls, $before, 'the application is not called';
            is $t->server->connection_count, 3, 'not counted';
            my @warnings = $t->wait_warning(qr/capacity/);
            is \@warnings, ["Connection rejected: at capacity (3/3)\n"], 'warned';
            is $clients[$_]->get('/')->body, 'ok', "connection $_ is served" for 0 .. 2;
            $_->close for @clients;
        };

        subtest 'the answer survives a request that was sent already' => sub {
            wait_until { $t->server->connection_count == 0 } 'the connections to go';
            my @clients = accepted($t, 3);
            my $extra   = $t->client;
            $extra->write($extra->request_bytes(GET => '/'));
            is $extra->read_until_eof, $FULL, 'the bytes';
            $t->wait_warning(qr/at capacity/);
            $_->close for @clients;
        };

        subtest 'no line in the access log' => sub {
            wait_until { $t->server->connection_count == 0 } 'the connections to go';
            my @clients = accepted($t, 3);
            $log = '';
            is $t->client->read_until_eof, $FULL, 'turned away';
            $t->wait_warning(qr/at capacity/);
            $clients[0]->get('/last');
            like $log, qr/\A[^\n]+"GET \/last" 200 [^\n]+\n\z/, 'only that of the next request';
            $_->close for @clients;
        };

        subtest 'a closed connection makes room' => sub {
            wait_until { $t->server->connection_count == 0 } 'the connections to go';
            my @clients = accepted($t, 3);
            (shift @clients)->close;
            wait_until { $t->server->connection_count == 2 } 'the count to fall';
            is $t->client->get('/')->body, 'ok', 'served';
            $_->close for @clients;
        };
    }
    on             => $on, app => $app, max_connections => 3, quiet => 0, log_level => 'warn',
        access_log => $log_handle;

    subtest 'the default is 1000' => sub {
        with_server {
            my ($t) = @_;
            is $t->server->effective_max_connections, 1000, 'effective_max_connections';
            my @clients = accepted($t, 20);
            is $clients[$_]->get('/')->body, 'ok', "connection $_" for 0, 19;
        }
        on => $on, app => $app;
    };
}
protocol => 'h1', accepts => 1;

done_testing;

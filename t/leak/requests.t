# Memory and objects after many requests
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future::AsyncAwait;
use Scalar::Util qw(weaken);
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop   qw(open_fds stays_flat wait_until);
use Test::PAGI::Matrix qw(-at_once);
use Test::PAGI::Server;

my $REQUESTS = $ENV{PAGI_TEST_LEAK_REQUESTS} || 5000;

my $BODY = 'x' x 3000;

# The kinds of request, and applications for them.
my %KINDS = (
    'hello'                   => [[GET => '/hello'], sub { reply($_[2], 'hello') }],
    'an awaited body of 3 kB' => [
        [POST => '/', body => $BODY],
        async sub {
            my ($scope, $receive, $send) = @_;
            await read_body($receive);
            await reply($send, $BODY);
        },
    ],
    'a chunked response' => [
        [GET => '/?a=b', headers => [map { ["x-$_" => $_] } 1 .. 10]],
        async sub {
            my ($scope, $receive, $send) = @_;
            await $send->({ type => 'http.response.start', headers => [['x-a', 1]] });
            for my $n (1 .. 5) {
                await $send->({ type => 'http.response.body', body => "piece $n", more => 1 });
            }
            await $send->({ type => 'http.response.body' });
        },
    ],
    'callbacks that hold the scope' => [
        [GET => '/'],
        sub {
            my ($scope, $receive, $send) = @_;
            my $connection = $scope->{'pagi.connection'};
            $connection->on_complete(sub { $scope->{done}   = 1 });
            $connection->on_disconnect(sub { $scope->{gone} = 1 });
            $connection->disconnect_future;
            return reply($send, 'ok');
        },
    ],
    'refused sends' => [
        [GET => '/'],
        sub {
            my ($scope, $receive, $send) = @_;
            $send->({ type => 'nonsense' });
            $send->({ type => 'http.response.start', headers => [['x', "a\nb"]] });
            $send->({ type => 'http.response.body', body     => "\x{263A}" });
            return reply($send, 'ok');
        },
    ],
    'receives left behind' => [
        [GET => '/'],
        sub {
            my ($scope, $receive, $send) = @_;
            $receive->() for 1 .. 3;
            return reply($send, 'ok');
        },
    ],
);

# That many requests over one connection, pipelined in batches.
sub run_requests {
    my ($client, $request, $count) = @_;
    for (1 .. $count / 50) {
        $client->begin(@$request) for 1 .. 50;
        for (1 .. 50) {
            my $response = $client->read_response or die "closed without a response\n";
            $response->status == 200              or die 'not served: ' . $response->status . "\n";
        }
    }
    return;
}

for_each_transport {
    my ($on) = @_;

   # HTTP/2's client is slow. A run may add 200 bytes for each request, where a lost scope is 4 KiB.
    my $requests = $on->protocol eq 'h1' ? $REQUESTS : $REQUESTS * 0.4;
    my $allowed  = 300 + $requests * 0.2;
    for my $kind (sort keys %KINDS) {
        my ($request, $app) = @{ $KINDS{$kind} };

        subtest "$kind: $requests requests leave nothing" => sub {
            my @weak;
            my $watched = http_app {
                my ($scope, $receive, $send) = @_;
                if (@weak < 900) {
                    my @held = ($scope, @$scope{qw(pagi.connection pagi.transport headers state)});
                    push @weak, @held, $receive, $send;
                    weaken($_) for @weak[-7 .. -1];
                }
                return $app->($scope, $receive, $send);
            };
            with_server {
                my ($t) = @_;
                my $client = $t->client(keep_frames => 0);
                run_requests($client, $request, $requests / 2);
                stays_flat { run_requests($client, $request, $requests) } $allowed, 'resident set';
                wait_until {
                    !grep { defined } @weak
                }
                'every scope, state object, receive and send to be collected';
                cmp_ok scalar @weak, '>=', 900, 'they were watched';
            }
            on => $on, app => $watched;
        };
    }

    subtest 'connections leave nothing' => sub {
        with_server {
            my ($t) = @_;
            $t->get('/')->status == 200 or die 'not served' for 1 .. 500;
            my $fds = open_fds();
            stays_flat {
                $t->get('/')->status == 200 or die 'not served' for 1 .. 1000;
            }
            1500, 'resident set';
            wait_until { $t->server->connection_count == 0 } 'the connections to go';
            is $t->server->connection_count, 0, 'none is counted';
            wait_until { open_fds() <= $fds } 'the descriptors to be closed' if defined $fds;
        }
        on => $on, app => hello();
    };
};

done_testing;

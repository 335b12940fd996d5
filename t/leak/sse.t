# Memory and objects after many event streams, whole and cut short
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future::AsyncAwait;
use Scalar::Util qw(weaken);
use Test2::V0;
use Test::PAGI::Loop   qw(open_fds stays_flat wait_until);
use Test::PAGI::Matrix qw(-at_once);
use Test::PAGI::Server;

my $STREAMS = $ENV{PAGI_TEST_LEAK_STREAMS} || 300;
my $LARGE   = 'x' x 20_000;

my @weak;
my $running = 0;

async sub act {
    my ($scope, $receive, $send) = @_;
    my $path      = $scope->{path};
    my $transport = $scope->{'pagi.transport'};
    my $highs     = 0;
    $transport->on_high_water(sub { $highs++ });
    undef $transport;
    await $receive->();
    if ($path eq '/declines') {
        await $send->({ type => 'sse.http.response.start', status => 404 });
        await $send->({ type => 'sse.http.response.body', body    => $LARGE });
        my $never = $receive->();
        return;
    }
    await $send->({ type => 'sse.start' });
    await $send->({ type => 'sse.keepalive', interval => 0.01, comment => 'ping' });
    await $send->({ type => 'sse.send', data          => "hello\n$LARGE" });
    die "asked to\n"                                           if $path eq '/dies';
    await $send->({ type => 'sse.close', reason => 'enough' }) if $path eq '/closes';
    if ($path eq '/floods') {
        for my $n (1 .. 300) {
            await $send->({ type => 'sse.send', data => $LARGE });
        }
    }
    await $receive->();
    return;
}

my $app = sub {
    my ($scope, $receive, $send) = @_;
    die "no lifespan\n" if $scope->{type} eq 'lifespan';
    if (@weak < 1000) {
        push @weak, $scope, $receive, $send, $scope->{'pagi.transport'};
        weaken($_) for @weak[-4 .. -1];
    }
    $running++;
    return act($scope, $receive, $send)->on_ready(sub { $running-- });
};

my %END = (
    'the application\'s close'     => ['/closes', sub { $_[0]->read_response }],
    'an exception'                 => ['/dies', sub { $_[0]->read_response }],
    'a response in their stead'    => ['/declines', sub { $_[0]->read_response }],
    'a client that closes'         => ['/waits', sub { $_[0]->read_data(qr/ping/) }],
    'a client that resets'         => ['/waits', sub { $_[0]->read_data(qr/hello/); $_[0]->reset }],
    'a client that aborts'         => ['/waits', sub { $_[0]->read_data(qr/hello/); $_[0]->abort }],
    'a client that leaves at once' => ['/waits', sub { $_[0]->reset }],
    'a client that did not read'   => ['/floods', sub { $_[0]->stop_reading; $_[0]->reset }],
);

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;
        my $talk = sub {
            my ($count, $path, $end) = @_;
            for (1 .. $count) {
                my $client = $t->client->subscribe($path);
                $end->($client);
                $client->close;
            }
            my $quiet = 0;    # rounds of the loop: what was reset at once may not have been met
            wait_until {
                $quiet = $t->server->connection_count || $running ? 0 : $quiet + 1;
                $quiet > 20;
            }
            'all to be over', 30;
            $t->take_warnings;
        };

        for my $how (sort keys %END) {
            subtest "$STREAMS streams that end with $how" => sub {
                @weak = ();
                $talk->($STREAMS, @{ $END{$how} });
                my $fds = open_fds();
                stays_flat { $talk->($STREAMS, @{ $END{$how} }) } 300 + $STREAMS, 'resident set';
                wait_until {
                    !grep { defined } @weak
                }
                'scopes, closures and transports to be collected';
                pass 'collected';
                wait_until { open_fds() <= $fds } 'the descriptors to be closed' if defined $fds;
            };
        }
    }
    on => $on, app => $app, max_connections => 2000;
};

done_testing;

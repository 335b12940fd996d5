# Memory and objects after many WebSockets and many messages
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
use Test::PAGI::WebSocket qw(frame_bytes);

my $SOCKETS  = $ENV{PAGI_TEST_LEAK_SOCKETS}  || 600;
my $MESSAGES = $ENV{PAGI_TEST_LEAK_MESSAGES} || 10_000;

my @weak;

async sub echo {
    my ($scope, $receive, $send) = @_;
    await $receive->();
    await $send->({ type => 'websocket.accept' });
    while (1) {
        my $event = await $receive->();
        return           if $event->{type} eq 'websocket.disconnect';
        die "asked to\n" if ($event->{text} // '') eq 'die';
        my ($kind) = grep { exists $event->{$_} } qw(text bytes);
        await $send->({ type => 'websocket.send', $kind => $event->{$kind} });
    }
}

my $app = sub {
    my ($scope, $receive, $send) = @_;
    die "no lifespan\n" if $scope->{type} eq 'lifespan';
    if (@weak < 1000) {
        push @weak, $scope, $receive, $send, $scope->{'pagi.transport'};
        weaken($_) for @weak[-4 .. -1];
    }
    return echo($scope, $receive, $send);
};

my %END = (
    'a Close'      => sub { $_[0]->send_close(1000)->close_frame },
    'a reset'      => sub { $_[0]->client->reset },
    'a violation'  => sub { $_[0]->write(frame_bytes(3, ''))->close_frame },
    'an exception' => sub { $_[0]->text('die')->close_frame; $_[0]->client->close },
);

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;
        my $talk = sub {
            my ($count, $end, @offer) = @_;
            for (1 .. $count) {
                my $ws = Test::PAGI::WebSocket->open($t, @offer);
                $ws->text('hello')->message eq 'hello' or die "no echo\n";
                $end->($ws);
                $ws->client->close;
            }
            wait_until { !$t->server->connection_count } 'the connections to go';
            $t->take_warnings;
        };

        for my $how (sort keys %END) {
            subtest "$SOCKETS WebSockets that end with $how" => sub {
                @weak = ();
                $talk->($SOCKETS / 2, $END{$how});
                my $fds = open_fds();
                stays_flat { $talk->($SOCKETS, $END{$how}) } 300 + $SOCKETS, 'resident set';
                wait_until {
                    !grep { defined } @weak
                }
                'scopes and closures to be collected';
                wait_until { open_fds() <= $fds } 'the descriptors to be closed' if defined $fds;
            };
        }

        subtest "$MESSAGES messages" => sub {
            my $ws  = Test::PAGI::WebSocket->open($t);
            my $run = sub {
                my ($count) = @_;
                for (1 .. $count / 50) {
                    $ws->write(frame_bytes(1, 'x' x 200) x 50);
                    length $ws->message == 200 or die "no echo\n" for 1 .. 50;
                }
            };
            $run->($MESSAGES / 2);
            stays_flat { $run->($MESSAGES) } 3000 + $MESSAGES * 0.05, 'resident set';
            pass 'all echoed';
        };
    }
    on => $on, app => $app;
};

done_testing;

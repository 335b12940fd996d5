package Test::PAGI::Sockets;

# An application for other people's WebSocket clients: what it does stands in the path.

use strict;
use warnings;

use Exporter qw(import);
use Future::AsyncAwait;

our @EXPORT_OK = qw(sockets_app);

my %PATH = (
    '/echo'      => \&_echo,
    '/close'     => \&_close,
    '/keepalive' => \&_keepalive,
    '/chosen'    => \&_chosen,
    '/forbidden' => sub { $_[1]->({ type => 'websocket.close' }) },
    '/denied'    => \&_denied,
);

# Other paths, and other scopes, are for the application given.
sub sockets_app {
    my ($other) = @_;
    return sub {
        my ($scope, $receive, $send) = @_;
        my $run = $scope->{type} eq 'websocket' ? $PATH{ $scope->{path} } : undef;
        return $run ? $run->($receive, $send) : $other->($scope, $receive, $send);
    };
}

async sub _echo {
    my ($receive, $send) = @_;
    await $receive->();
    await $send->({ type => 'websocket.accept' });
    while (1) {
        my $event = await $receive->();
        return if $event->{type} eq 'websocket.disconnect';
        my ($kind) = grep { exists $event->{$_} } qw(text bytes);
        await $send->({ type => 'websocket.send', $kind => $event->{$kind} });
    }
}

async sub _close {
    my ($receive, $send) = @_;
    await $receive->();
    await $send->({ type => 'websocket.accept' });
    await $send->({ type => 'websocket.close', code => 4321, reason => 'genug' });
    await $receive->();
}

# Its client's library answers pings by itself.
async sub _keepalive {
    my ($receive, $send) = @_;
    await $receive->();
    await $send->({ type => 'websocket.accept' });
    await $send->({ type => 'websocket.keepalive', interval => 0.05, timeout => 0.25 });
    await IO::Async::Loop->new->delay_future(after => 0.6);
    await $send->({ type => 'websocket.send', text => 'still here' });
    await $receive->();
}

async sub _chosen {
    my ($receive, $send) = @_;
    await $receive->();
    await $send->({ type => 'websocket.accept', subprotocol => 'two' });
    await $receive->();
}

async sub _denied {
    my ($receive, $send) = @_;
    my $type = 'websocket.http.response';
    await $send->({ type => "$type.start", status => 401 });
    await $send->({ type => "$type.body", body    => '{"error":', more => 1 });
    await $send->({ type => "$type.body", body    => '"who are you?"}' });
}

1;

# The application that script/autobahn tests: it sends back what it receives.
use strict;
use warnings;
use Future::AsyncAwait;

async sub echo {
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

sub {
    my ($scope, $receive, $send) = @_;

    die "only WebSockets\n" unless $scope->{type} eq 'websocket';
    return echo($receive, $send);
};

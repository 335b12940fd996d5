# The PAGI application of benches/websocket: an echo.
use strict;
use warnings;
use Future::AsyncAwait;

my @HELLO = (
    { type => 'http.response.start', headers => [['content-length', 13]] },
    { type => 'http.response.body', body     => 'Hello, World!' },
);

async sub app {
    my ($scope, $receive, $send) = @_;
    if ($scope->{type} ne 'websocket') {
        die "no $scope->{type}\n" if $scope->{type} ne 'http';
        await $send->($HELLO[0]);
        await $send->($HELLO[1]);
        return;
    }
    await $receive->();
    await $send->({ type => 'websocket.accept' });
    while (1) {
        my $event = await $receive->();
        return if $event->{type} eq 'websocket.disconnect';
        my ($kind) = exists $event->{text} ? 'text' : 'bytes';
        await $send->({ type => 'websocket.send', $kind => $event->{$kind} });
    }
}

\&app;

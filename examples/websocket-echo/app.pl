use strict;
use warnings;

use File::Basename qw(dirname);
use Future::AsyncAwait;

# A WebSocket that sends back what it receives, and a page to try it with.
# Served by: pagi-server examples/websocket-echo/app.pl

my $PAGE = dirname(__FILE__) . '/page.html';

my $app = async sub {
    my ($scope, $receive, $send) = @_;

    return await echo($scope, $receive, $send) if $scope->{type} eq 'websocket';
    return await page($scope, $send)           if $scope->{type} eq 'http';
    die "Unsupported scope type: $scope->{type}\n";
};

async sub page {
    my ($scope, $send) = @_;

    my $found   = $scope->{path} eq '/';
    my $headers = [['content-type', $found ? 'text/html; charset=utf-8' : 'text/plain']];
    await $send->({
        type    => 'http.response.start',
        status  => $found ? 200 : 404,
        headers => $headers,
    });
    my %body = $found ? (file => $PAGE) : (body => "Not here\n");
    await $send->({ type => 'http.response.body', %body });
}

async sub echo {
    my ($scope, $receive, $send) = @_;

    # websocket.connect comes first; other paths are refused with 403.
    await $receive->();
    return await $send->({ type => 'websocket.close' }) if $scope->{path} ne '/echo';
    await $send->({ type => 'websocket.accept' });

    # Ask the client for a sign of life now and then, and give up on one that gives none.
    await $send->({ type => 'websocket.keepalive', interval => 25, timeout => 10 });

    while (1) {
        my $event = await $receive->();
        return if $event->{type} eq 'websocket.disconnect';

        if (($event->{text} // '') eq 'close') {
            return await $send->({ type => 'websocket.close', code => 4000, reason => 'as asked' });
        }
        my ($kind) = grep { exists $event->{$_} } qw(text bytes);
        await $send->({ type => 'websocket.send', $kind => $event->{$kind} });
    }
}

$app;

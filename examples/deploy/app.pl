#!/usr/bin/env perl
# An application with a probe for those who watch it: /healthz answers 200 once the lifespan has
# started, and is refused as soon as the server stops to listen.
use strict;
use warnings;

use Future::AsyncAwait;

async sub lifespan {
    my ($scope, $receive, $send) = @_;

    while (1) {
        my $event = await $receive->();
        if ($event->{type} eq 'lifespan.startup') {
            $scope->{state}{since} = time;    # where a pool of connections would be opened
            await $send->({ type => 'lifespan.startup.complete' });
        }
        else {
            await $send->({ type => 'lifespan.shutdown.complete' });
            return;
        }
    }
}

async sub reply {
    my ($send, $status, $text) = @_;

    my @headers =
        (['content-type', 'text/plain; charset=utf-8'], ['content-length', length $text]);
    await $send->({ type => 'http.response.start', status => $status, headers => \@headers });
    await $send->({ type => 'http.response.body', body    => $text });
    return;
}

async sub app {
    my ($scope, $receive, $send) = @_;

    return await lifespan($scope, $receive, $send) if $scope->{type} eq 'lifespan';
    die "Unsupported scope type: $scope->{type}\n" if $scope->{type} ne 'http';
    return await reply($send, 200, "ok\n")         if $scope->{path} eq '/healthz';
    return await reply($send, 200, 'Serving since ' . localtime($scope->{state}{since}) . "\n");
}

\&app;

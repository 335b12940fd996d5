use strict;
use warnings;

use Future::AsyncAwait;

# A greeting; and a large file for paths below /bulk. BENCH_FILE names it.

my $type = [['content-type', 'text/plain'], ['content-length', 13]];

async sub {
    my ($scope, $receive, $send) = @_;

    die "no scope $scope->{type}\n" if $scope->{type} ne 'http';
    if ($scope->{path} eq '/bulk') {
        my $length = [['content-length', -s $ENV{BENCH_FILE}]];
        await $send->({ type => 'http.response.start', status => 200, headers => $length });
        await $send->({ type => 'http.response.body', file    => $ENV{BENCH_FILE} });
        return;
    }
    await $send->({ type => 'http.response.start', status => 200, headers => $type });
    await $send->({ type => 'http.response.body', body    => 'Hello, World!' });
};

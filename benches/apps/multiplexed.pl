use strict;
use warnings;
use Future;
use Future::AsyncAwait;

# For benches/h2: / is a greeting, /large 64 KiB, /events a stream that begins when BENCH_STREAMS
# have come, and has BENCH_EVENTS events.
my %BODY = ('/' => 'Hello, World!', '/large' => join '', map { 'x' x 1024 } 1 .. 64);
my @waiting;

async sub events {
    my ($send) = @_;
    await $send->({ type => 'sse.start' });
    push @waiting, my $begun = Future->new;
    if (@waiting == $ENV{BENCH_STREAMS}) { $_->done for splice @waiting }
    await $begun;
    my %event = (type => 'sse.send', data => 'x' x 199);
    for my $number (1 .. $ENV{BENCH_EVENTS}) { await $send->(\%event) }
    return;
}

async sub {
    my ($scope, $receive, $send) = @_;
    die "no lifespan\n"        if $scope->{type} eq 'lifespan';
    return await events($send) if $scope->{type} eq 'sse';
    my $body = $BODY{ $scope->{path} };
    await $send->({
        type    => 'http.response.start',
        status  => 200,
        headers => [['content-type', 'text/plain'], ['content-length', length $body]],
    });
    await $send->({ type => 'http.response.body', body => $body });
};

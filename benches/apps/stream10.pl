use strict;
use warnings;
use Future::AsyncAwait;

# Ten chunks without a content-length, then the end.
async sub {
    my ($scope, $receive, $send) = @_;
    die "no lifespan\n" if $scope->{type} eq 'lifespan';

    await $send->({
        type    => 'http.response.start',
        status  => 200,
        headers => [['content-type', 'text/plain']],
    });
    for my $chunk (1 .. 10) {
        await $send->({ type => 'http.response.body', body => 'Hello, World!', more => 1 });
    }
    await $send->({ type => 'http.response.body', body => '', more => 0 });
};

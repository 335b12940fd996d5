use strict;
use warnings;
use Future::AsyncAwait;

# The least an HTTP application can do.
async sub {
    my ($scope, $receive, $send) = @_;
    die "no lifespan\n" if $scope->{type} eq 'lifespan';

    await $send->({
        type    => 'http.response.start',
        status  => 200,
        headers => [['content-type', 'text/plain'], ['content-length', '13']],
    });
    await $send->({ type => 'http.response.body', body => 'Hello, World!' });
};

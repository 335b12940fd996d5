use strict;
use warnings;
use Future::AsyncAwait;

# Files below $ENV{BENCH_FILES}, by their names; / is a greeting.
async sub {
    my ($scope, $receive, $send) = @_;
    die "no lifespan\n" if $scope->{type} eq 'lifespan';

    my $file = $scope->{path} eq '/' ? undef    : $ENV{BENCH_FILES} . $scope->{path};
    my $size = defined $file         ? -s $file : 13;
    await $send->({
        type    => 'http.response.start',
        status  => 200,
        headers => [['content-type', 'application/octet-stream'], ['content-length', $size]],
    });
    my %body = defined $file ? (file => $file) : (body => 'Hello, World!');
    await $send->({ type => 'http.response.body', %body });
};

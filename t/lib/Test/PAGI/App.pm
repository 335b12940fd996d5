package Test::PAGI::App;

# What test applications have in common.

use strict;
use warnings;

use Exporter qw(import);
use Future;
use Future::AsyncAwait;

our @EXPORT = qw(http_app reply read_body hello);

# An application of http scopes alone: lifespan is declined by returning.
sub http_app (&) {
    my ($code) = @_;
    return sub {
        my ($scope, $receive, $send) = @_;
        return Future->done                     if $scope->{type} eq 'lifespan';
        die "unexpected scope $scope->{type}\n" if $scope->{type} ne 'http';
        return $code->($scope, $receive, $send);
    };
}

# A whole response with a content-length.
sub reply {
    my ($send, $body, %start) = @_;
    my @headers = @{ delete $start{headers} // [] };
    push @headers, ['content-length' => length $body];
    $send->({ type => 'http.response.start', status => 200, %start, headers => \@headers });
    return $send->({ type => 'http.response.body', body => $body });
}

# The request body and the events it came in; the events end with more => 0 or http.disconnect.
async sub read_body {
    my ($receive) = @_;
    my ($body, @events) = ('');
    while (1) {
        my $event = await $receive->();
        push @events, $event;
        last if $event->{type} ne 'http.request';
        $body .= $event->{body};
        last if !$event->{more};
    }
    return ($body, \@events);
}

sub hello {
    return http_app { my ($scope, $receive, $send) = @_; return reply($send, 'hello') };
}

1;

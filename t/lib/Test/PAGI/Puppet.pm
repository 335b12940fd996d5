package Test::PAGI::Puppet;

# An application whose strings the test pulls: every call waits until the test has looked at the
# scope, received, sent and finished it, step by step.
#
#     my $puppet = Test::PAGI::Puppet->new;
#     with_server {
#         my ($t)  = @_;
#         my $client = $t->client->write(...);
#         my $call   = $puppet->next_call;
#         $call->start(status => 200);
#         $call->body('hello');
#         $call->finish;
#     } app => $puppet->app;

use strict;
use warnings;

use Future;
use Scalar::Util     qw(weaken);
use Test::PAGI::Loop qw(settle wait_until);

sub new {
    my ($class) = @_;
    return bless { calls => [], count => 0 }, $class;
}

# The coderef for PAGI::Server. Lifespan is declined.
sub app {
    my ($self) = @_;
    weaken(my $weak = $self);
    return sub {
        my ($scope, $receive, $send) = @_;
        return Future->done if $scope->{type} eq 'lifespan';
        my $call = Test::PAGI::Puppet::Call->new($scope, $receive, $send);
        $weak->{count}++;
        push @{ $weak->{calls} }, $call;
        return $call->{future};
    };
}

# How often the application was called.
sub count { return $_[0]{count} }

# The next call not taken yet, waited for.
sub next_call {
    my ($self, $what) = @_;
    wait_until { @{ $self->{calls} } } $what // 'the application to be called';
    return shift @{ $self->{calls} };
}

package Test::PAGI::Puppet::Call;

use Future;
use Test::PAGI::Loop qw(settle);

sub new {
    my ($class, $scope, $receive, $send) = @_;
    return bless {
        scope   => $scope,
        receive => $receive,
        send    => $send,
        future  => Future->new,
    }, $class;
}

sub scope      { return $_[0]{scope} }
sub connection { return $_[0]{scope}{'pagi.connection'} }
sub transport  { return $_[0]{scope}{'pagi.transport'} }

# $receive->(): its Future.
sub receive {
    my ($self) = @_;
    return $self->{receive}->();
}

# The next event, waited for.
sub event {
    my ($self) = @_;
    return settle($self->{receive}->(), 'an event');
}

# $send->({...}): its Future.
sub send {
    my ($self, %event) = @_;
    return $self->{send}->({%event});
}

sub start {
    my ($self, %event) = @_;
    return $self->send(type => 'http.response.start', status => 200, %event);
}

sub body {
    my ($self, $body, %event) = @_;
    return $self->send(type => 'http.response.body', body => $body, %event);
}

# A whole response with a content-length; the application has returned afterwards.
sub reply {
    my ($self, $body, %start) = @_;
    my @headers = @{ delete $start{headers} // [] };
    $self->start(%start, headers => [@headers, ['content-length' => length $body]]);
    $self->body($body);
    return $self->finish;
}

# The application returns (its Future is done).
sub finish {
    my ($self) = @_;
    $self->{future}->done;
    return $self;
}

# The application dies.
sub fail {
    my ($self, @error) = @_;
    $self->{future}->fail(@error);
    return $self;
}

1;

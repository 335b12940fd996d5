package PAGI::Server::ConnectionState;
use strict;
use warnings;

use Future;
use Scalar::Util qw(weaken);

use PAGI::Server::Log;

our $VERSION = '0.003000';

# An empty hash is a request that runs and has no response yet: the compiled half makes one for
# each request and adds `started` and `complete` as they come.

sub CLONE_SKIP { 1 }

sub new {
    my ($class, %args) = @_;

    my $self = bless {}, $class;
    weaken($self->{connection} = $args{connection}) if $args{connection};
    return $self;
}

sub is_connected { $_[0]{ended} ? 0 : 1 }

sub disconnect_reason { $_[0]{reason} }

sub response_started { $_[0]{started} ? 1 : 0 }

sub response_complete { $_[0]{complete} ? 1 : 0 }

sub disconnect_future {
    my ($self) = @_;

    my $future = $self->{future};
    return $future if $future && !$future->is_cancelled;
    return $self->{future} =
        defined $self->{reason} ? Future->done($self->{reason}) : Future->new;
}

sub on_disconnect {
    my ($self, $callback) = @_;

    if    (defined $self->{reason}) { _run('on_disconnect', $callback, $self->{reason}) }
    elsif (!$self->{ended})         { push @{ $self->{on_disconnect} }, $callback }
    return $self;
}

sub on_complete {
    my ($self, $callback) = @_;

    if    ($self->{ended} && !defined $self->{reason}) { _run('on_complete', $callback) }
    elsif (!$self->{ended})                            { push @{ $self->{on_complete} }, $callback }
    return $self;
}

# The order is PAGI::Spec::Www's, "State Transition Order". In two steps, because the server lets
# waiting sends go on in between: they must find the state as it is.
sub _mark_disconnected {
    my ($self, $reason) = @_;

    return if $self->{ended};
    _set_disconnected($self, $reason);
    _tell_disconnected($self);
}

sub _set_disconnected {
    my ($self, $reason) = @_;

    return if $self->{ended};
    $self->{ended}  = 1;
    $self->{reason} = $reason // 'unknown';
}

sub _tell_disconnected {
    my ($self) = @_;

    my $reason    = $self->{reason} // return;
    my $callbacks = _take_callbacks($self, 'on_disconnect');
    my $future    = $self->{future};
    _run('disconnect_future', sub { $future->done(@_) }, $reason) if $future && !$future->is_ready;
    _run('on_disconnect', $_, $reason) for @$callbacks;
}

sub _mark_complete {
    my ($self) = @_;

    return if $self->{ended};
    $self->{ended} = $self->{complete} = 1;
    _run('on_complete', $_) for @{ _take_callbacks($self, 'on_complete') };
}

sub _mark_response_started { $_[0]{started} = 1 }

# Both lists go: only one of them is ever called, and neither may keep what it closes over.
sub _take_callbacks {
    my ($self, $which) = @_;

    my %lists = map { $_ => delete $self->{$_} } qw(on_disconnect on_complete);
    return $lists{$which} // [];
}

sub _run {
    my ($which, $callback, @args) = @_;

    eval { $callback->(@args); 1 }
        or PAGI::Server::Log->complain(
        error => "$which callback error: " . PAGI::Server::Log->said($@));
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::ConnectionState - how the connection of a request is doing

=head1 SYNOPSIS

    my $connection = $scope->{'pagi.connection'};
    return unless $connection->is_connected;
    $connection->on_disconnect(sub { my ($reason) = @_; ... });

=head1 DESCRIPTION

The object behind C<pagi.connection> in an C<http> scope: it tells of the end of a request without
taking events from C<$receive>. A request ends once, either I<disconnected> with a reason or
I<complete>; see L<PAGI::Spec::Www/Connection State>.

=head1 CONSTRUCTOR

=head2 new

    my $state = PAGI::Server::ConnectionState->new;
    my $state = PAGI::Server::ConnectionState->new(connection => $connection);

A request that runs. The server makes these itself; tests and middleware may make their own. The
reference to C<connection> is weak.

=head1 METHODS

=head2 is_connected

1 until the request ended, 0 from then on.

=head2 disconnect_reason

The reason as a string, one of the specification's tokens; undef unless disconnected.

=head2 response_started

1 once C<http.response.start> was accepted or the server answered itself, 0 before.

=head2 response_complete

1 once the last body or trailers event was accepted, 0 before.

=head2 disconnect_future

A L<Future> that is done with the reason when the request is disconnected. It stays pending when the
request completes. It is the same one at each call, until somebody cancels it, as
C<< Future->wait_any >> does with what it need not wait for: the next call returns a fresh one. What
its callbacks throw becomes the warning C<disconnect_future callback error: E>.

=head2 on_disconnect

    $state->on_disconnect(sub { my ($reason) = @_; ... });

Calls back when the request is disconnected, at once if it is already; never once it is complete.
What a callback throws becomes the warning C<on_disconnect callback error: E>. Returns the object.

=head2 on_complete

    $state->on_complete(sub { ... });

Calls back when the request completes, at once if it has; never once it is disconnected. What a
callback throws becomes the warning C<on_complete callback error: E>. Returns the object.

=cut

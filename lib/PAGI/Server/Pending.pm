package PAGI::Server::Pending;
use strict;
use warnings;

use parent 'IO::Async::Future';

use PAGI::Server::Future;

use Scalar::Util qw(reftype);

our $VERSION = '0.003000';

# The keys of a Future that we know how to make.
my %KNOWN = map { $_ => 1 } qw(callbacks loop ready u_loop);

my $is_fast;

# What `await` asks, in C: whoever awaits is kept in `waiter`, and what an async sub awaits in
# `awaits`, where Future keeps lists of records and takes them apart again.
sub use_fast_await {
    my ($class) = @_;

    return unless PAGI::Server::Future->is_plain && $class->can('_mark_ready');
    $is_fast = 1;
    no strict 'refs';
    *{"${class}::AWAIT_IS_READY"}     = PAGI::Server::Future->can('_is_ready');
    *{"${class}::AWAIT_IS_CANCELLED"} = PAGI::Server::Future->can('_is_cancelled');
    *{"${class}::AWAIT_GET"}          = PAGI::Server::Future->can('_get');
    *{"${class}::AWAIT_ON_READY"}     = $class->can('_await_on_ready');
    *{"${class}::AWAIT_CHAIN_CANCEL"} = $class->can('_await_chain_cancel');
    return;
}

# The hash that a new Future of the loop's starts with; undef where it must be the loop that makes
# them.
sub pattern {
    my ($loop) = @_;

    my $future = $loop->new_future;
    return undef if !$is_fast || ref $future ne 'IO::Async::Future' || reftype $future ne 'HASH';
    my %pattern = %$future;
    $future->cancel;               # or it would count as lost where Future is debugged
    return undef if grep { !$KNOWN{$_} } keys %pattern;
    delete $pattern{callbacks};    # it comes when it is needed
    return \%pattern;
}

# Every way of Future's to become ready comes through here.
sub _mark_ready {
    my ($self, @how) = @_;

    my $waiter = delete $self->{waiter};
    delete $self->{awaits};
    $self->SUPER::_mark_ready(@how);
    $waiter->($self) if $waiter;
}

sub cancel {
    my ($self) = @_;

    my $awaits = delete $self->{awaits};
    push @{ $self->{on_cancel} }, $awaits if $awaits && !$self->{ready};
    return $self->SUPER::cancel           if $self->{ready};
    $self->SUPER::cancel;
    _tell($self);
    return $self;
}

# Of a Future that was cancelled, the request that it was to receive for
sub _tell { _cancelled($_[0]) }

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Pending - the Futures that $send and $receive return when they have to wait

=head1 DESCRIPTION

An L<IO::Async::Future> whose methods for C<await> are compiled, and which the server resolves
without a call of a method: an event for an application that waits costs a third less. Used where
the loop's own Futures are of that class, as they are unless somebody made a loop of another kind,
and where Future is pure Perl.

=head1 CLASS METHODS

=head2 use_fast_await

Puts the compiled methods in place of the inherited ones, where Future is pure Perl.

=head1 FUNCTIONS

=head2 pattern

    my $hash = PAGI::Server::Pending::pattern($loop);

What a new Future of the loop consists of; undef where objects of this class cannot stand in for it.

=head1 METHODS

=head2 cancel

As in L<Future>.

=cut

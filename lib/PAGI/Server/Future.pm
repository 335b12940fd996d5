package PAGI::Server::Future;
use strict;
use warnings;

use parent 'Future';

our $VERSION = '0.003000';

# The compiled half can make and read these Futures as hashes.
sub is_plain { Future->isa('Future::XS') ? 0 : 1 }

# Future::AsyncAwait asks these of every Future that is awaited. In C they read the object's hash,
# so they replace the inherited ones only where it is one.
sub use_fast_await {
    my ($class) = @_;

    return unless $class->is_plain;
    no strict 'refs';
    *{"${class}::AWAIT_IS_READY"}     = $class->can('_is_ready');
    *{"${class}::AWAIT_IS_CANCELLED"} = $class->can('_is_cancelled');
    *{"${class}::AWAIT_GET"}          = $class->can('_get');
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Future - the Futures that $send and $receive return when they are done

=head1 DESCRIPTION

A L<Future> whose methods for C<await> are compiled. A C<$send> that did not have to wait returns
one shared, already-done object of this class.

=head1 CLASS METHODS

=head2 is_plain

Whether Future is implemented in Perl, so that its objects are hashes.

=head2 use_fast_await

Installs the compiled methods. L<PAGI::Server::Core> calls it.

=cut

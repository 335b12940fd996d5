package PAGI::Server::Loop;
use strict;
use warnings;

use IO::Async::Loop;

our $VERSION = '0.003000';

# Of these a process may have several, and one of a forked process knows nothing of its parent's.
# Others (EV, Glib, Mojo...) stand for the one loop that a whole process has.
my %IS_OWN = map { ("IO::Async::Loop::$_" => 1) } qw(Epoll KQueue Poll Ppoll Select);

sub make {
    my ($class, $type) = @_;

    return IO::Async::Loop->new unless defined $type;
    my $loop = "IO::Async::Loop::$type";
    (my $file = "$loop.pm") =~ s{::}{/}g;
    eval { require $file; 1 }
        or die "Cannot load loop backend '$type': $@\nInstall it with: cpanm $loop\n";
    return $loop->new;
}

sub is_own {
    my ($class, $loop) = @_;

    return $IS_OWN{ ref $loop };
}

# The best of those that a process has for itself
sub make_own {
    return
        eval { require IO::Async::Loop::Epoll; IO::Async::Loop::Epoll->new }
        // do { require IO::Async::Loop::Poll; IO::Async::Loop::Poll->new };
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Loop - the loops that a server makes

=head1 DESCRIPTION

Where a program does not bring a loop, C<run> of L<PAGI::Server> makes one here.

With workers the master does not serve, and its loop is none of the application's business. Classes
like IO::Async::Loop::Glib stand for the one loop of a process; in a forked process they would go on
with what the parent watches, and take its signals away from it. So a master has a loop of another
kind then, and its workers are the first to make one of the class that was asked for.

=head1 CLASS METHODS

=head2 make

    my $loop = PAGI::Server::Loop->make($type);

A loop of the class C<IO::Async::Loop::$type>; without a type what L<IO::Async::Loop> finds best.
Dies with

    Cannot load loop backend 'X': ERROR

and a hint on how to install it.

=head2 is_own

    my $bool = PAGI::Server::Loop->is_own($loop);

Whether a loop shares nothing with other loops of its class.

=head2 make_own

    my $loop = PAGI::Server::Loop->make_own;

Such a loop.

=cut

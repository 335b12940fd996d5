package PAGI::Server::Protocol::Fields;
use strict;
use warnings;

use Scalar::Util qw(reftype);

our $VERSION = '0.003000';

# Strings in arrays: what ties and overloads have to say is said here. What is no list, or no tuple,
# is for the core to refuse.
sub plain {
    my ($class, $headers) = @_;

    return $headers if !_is_array($headers);
    return [map { _is_array($_) ? _strings($_) : undef } @$headers];
}

sub _strings {
    my ($tuple) = @_;

    return [map { defined ? "$_" : '' } @$tuple];
}

sub _is_array { (reftype($_[0]) // '') eq 'ARRAY' }

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Protocol::Fields - header fields as plain strings

=head1 SYNOPSIS

    use PAGI::Server::Protocol::Fields;

    my $headers = [['x-count', 5], ['x-empty', undef]];
    my $plain   = PAGI::Server::Protocol::Fields->plain($headers);

=head1 DESCRIPTION

Internal to the classes of C<PAGI::Server::Protocol>: the core reads header fields where no code of
Perl's may run.

=head1 CLASS METHODS

=head2 plain

A copy of C<[$name, $value]> tuples whose parts are strings: ties and overloads have been asked, and
C<undef> is empty. What is no tuple is C<undef>, for the core to refuse; what is no list is returned as
it is.

=cut

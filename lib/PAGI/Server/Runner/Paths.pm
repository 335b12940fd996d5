package PAGI::Server::Runner::Paths;
use strict;
use warnings;

use File::Spec;

our $VERSION = '0.003000';

# The keys of the ssl option, and of each of its certificates, that are paths
my @SSL = qw(cert_file key_file ca_file);

sub absolute {
    my ($class, $options) = @_;

    my $absolute = _absolute($options, 'socket');
    $absolute->{ssl}    = _ssl($options->{ssl}) if $options->{ssl};
    $absolute->{listen} = [map { _absolute($_, 'socket') } @{ $options->{listen} }]
        if $options->{listen};
    return $absolute;
}

sub _ssl {
    my ($ssl) = @_;

    my $absolute = _absolute($ssl, @SSL);
    $absolute->{certificates} = [map { _absolute($_, @SSL) } @{ $ssl->{certificates} }]
        if $ssl->{certificates};
    return $absolute;
}

sub _absolute {
    my ($paths, @keys) = @_;

    my %copy = %$paths;
    $copy{$_} = File::Spec->rel2abs($copy{$_}) for grep { defined $copy{$_} } @keys;
    return \%copy;
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Runner::Paths - a server's options for a process that leaves its directory

=head1 CLASS METHODS

=head2 absolute

    my $copy = PAGI::Server::Runner::Paths->absolute(\%options);

A copy of the options of L<PAGI::Server> in which the paths of sockets, certificates and keys are
absolute.

=cut

package PAGI::Server::AccessLog;
use strict;
use warnings;

use Carp                  qw(croak);
use Hash::Util::FieldHash qw(fieldhash);

use PAGI::Server::Core;

our $VERSION  = '0.003000';
our @CARP_NOT = qw(PAGI::Server::Connection);    # where it is an argument

# The formats behind formatters: the core renders by the format, not by calling the function.
fieldhash my %FORMAT_OF;

sub formatter {
    my ($class, $format) = @_;

    PAGI::Server::Core->check_log_format($format);
    my $formatter = sub { PAGI::Server::Core->log_line($format, $_[0]) };
    $FORMAT_OF{$formatter} = $format;
    return $formatter;
}

sub format_of {
    my ($class, $formatter) = @_;

    return $FORMAT_OF{$formatter}
        // croak 'The access log formatter must come from PAGI::Server->_compile_access_log_format';
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::AccessLog - the language of the access log, as functions of Perl

=head1 DESCRIPTION

The formats of L<PAGI::Server/access_log_format> for Perl code. The core compiles and renders them;
see there for the language.

=head1 CLASS METHODS

=head2 formatter

    my $formatter = PAGI::Server::AccessLog->formatter('combined');
    my $line      = $formatter->(\%info);

A function that renders one line, without its newline, from a hash with C<client_ip>, C<timestamp>,
C<method>, C<path>, C<query>, C<http_version>, C<status>, C<size>, C<duration> (seconds) and
C<request_headers>. Dies with the texts of L<PAGI::Server/access_log_format> for a format that is
none.

=head2 format_of

    my $format = PAGI::Server::AccessLog->format_of($formatter);

The format of a function that L</formatter> made. Croaks for any other:

    The access log formatter must come from PAGI::Server->_compile_access_log_format

=cut

package PAGI::Server::HTTP2;
use strict;
use warnings;

our $VERSION = '0.003000';

# What h2_rst_rate_limit is unless it is given.
my %RESETS = (burst => 1000, rate => 33);

# The settings of the protocol, by the names of the options without their h2_
my @SETTINGS = qw(
    max_concurrent_streams initial_window_size max_frame_size enable_push enable_connect_protocol
    max_header_list_size
);

sub default_rate_limit { return {%RESETS} }

sub check_rate_limit {
    my ($class, $limit) = @_;

    return unless $limit;
    for my $name (qw(burst rate)) {
        die "Invalid $name '$limit->{$name}' in h2_rst_rate_limit: must be a whole number\n"
            if defined $limit->{$name} && $limit->{$name} !~ /\A[0-9]{1,9}\z/;
    }
}

# What the core obeys beside the options that are numbers.
sub settings {
    my ($class, $options) = @_;

    my $limit = $options->{h2_rst_rate_limit} or return (h2_rst_burst => 0);
    return map { ("h2_rst_$_" => $limit->{$_} // $RESETS{$_}) } keys %RESETS;
}

# Keys of a server that programs look at.
sub take {
    my ($class, $server) = @_;

    my $is_on = $server->{http2} ? 1 : 0;
    $server->{http2_enabled} = $is_on;
    $server->{h2c_enabled}   = $is_on && !$server->{ssl} ? 1 : 0;
    delete $server->{http2_protocol};
    return unless $is_on;
    $server->{http2_protocol} = {
        map({ $_ => $server->{"h2_$_"} } @SETTINGS),
        h2_rst_rate_limit => $server->{h2_rst_rate_limit},
    };
}

sub status {
    my ($class, $server) = @_;

    return 'available' unless $server->{http2_enabled};
    return $server->{h2c_enabled} ? 'on (h2c)' : 'on';
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::HTTP2 - what a server says about HTTP/2

=head1 DESCRIPTION

Functions for L<PAGI::Server> and L<PAGI::Server::Options>. Nothing here is meant for applications;
HTTP/2 as they see it is told in L<PAGI::Server/HTTP/2>.

=head1 CLASS METHODS

=head2 default_rate_limit

The value of C<h2_rst_rate_limit> where it is not given.

=head2 check_rate_limit

    PAGI::Server::HTTP2->check_rate_limit($limit);

Dies where a value of C<h2_rst_rate_limit> is no number.

=head2 settings

    my %settings = PAGI::Server::HTTP2->settings(\%options);

What the core obeys beside the options that are numbers.

=head2 take

    PAGI::Server::HTTP2->take($server);

Sets the keys of a server that tell of HTTP/2.

=head2 status

The word of the server's banner.

=cut

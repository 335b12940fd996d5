package PAGI::Server::Listeners;
use strict;
use warnings;

use PAGI::Server::Options;

our $VERSION = '0.003000';

# Dies where the options contradict each other.
sub check {
    my ($class, $options) = @_;

    _exclude('listen', $options, qw(host port socket socket_mode)) if defined $options->{listen};
    _exclude('socket', $options, qw(host port))                    if defined $options->{socket};
    _specs($options->{listen})                                     if defined $options->{listen};
}

# The listeners that the options ask for, as the hashes that PAGI::Server->listeners shows.
sub from_options {
    my ($class, $options) = @_;

    $class->check($options);
    my @specs = defined $options->{listen} ? _specs($options->{listen}) : {%$options};
    my @ssl   = $options->{ssl}            ? (ssl => $options->{ssl})   : ();
    return [map { $_->{type} eq 'tcp' ? { %$_, @ssl } : $_ } map { _normalise($_) } @specs];
}

sub name {
    my ($class, $listener) = @_;

    return "unix:$listener->{path}" if $listener->{type} eq 'unix';
    my $scheme = $listener->{ssl}                  ? 'https'               : 'http';
    my $host   = $listener->{host} =~ /\A[^\[].*:/ ? "[$listener->{host}]" : $listener->{host};
    return "$scheme://$host:$listener->{port}/";
}

sub _exclude {
    my ($given, $options, @others) = @_;

    my ($other) = grep { defined $options->{$_} } @others;
    die "Cannot specify both '$given' and '$other' options\n" if defined $other;
}

sub _specs {
    my ($listen) = @_;

    die "'listen' must be a non-empty arrayref\n" unless ref $listen eq 'ARRAY' && @$listen;
    die "Each listen spec must be a hashref\n" if grep { ref $_ ne 'HASH' } @$listen;
    _check_spec($_) for @$listen;
    return map { $_->{socket} ? $_ : { %$_, socket => undef } } @$listen;
}

sub _check_spec {
    my ($spec) = @_;

    if ($spec->{socket}) {
        my ($other) = grep { $spec->{$_} } qw(host port);
        die "Cannot specify both 'socket' and '$other' in a listen spec\n" if $other;
    }
    elsif (!defined $spec->{host} || !defined $spec->{port}) {
        die "TCP listen spec requires both 'host' and 'port'\n";
    }
}

sub _normalise {
    my ($spec) = @_;

    if (defined $spec->{socket}) {
        my ($path, $mode) =
            map { PAGI::Server::Options->check($_ => $spec->{$_}) } qw(socket socket_mode);
        return { type => 'unix', path => $path, socket_mode => $mode };
    }
    my %tcp = map { $_ => $spec->{$_} // PAGI::Server::Options->default_of($_) } qw(host port);
    $tcp{$_} = PAGI::Server::Options->check($_ => $tcp{$_}) for keys %tcp;
    return { type => 'tcp', %tcp };
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Listeners - from options to listeners

=head1 DESCRIPTION

Turns the options C<host>, C<port>, C<socket>, C<socket_mode> and C<listen> of L<PAGI::Server> into
a list of listeners and refuses combinations that contradict each other.

=head1 CLASS METHODS

=head2 check

    PAGI::Server::Listeners->check(\%options);

Dies where the options contradict each other.

=head2 from_options

    my $listeners = PAGI::Server::Listeners->from_options(\%options);

An array reference of C<< { type => 'tcp', host => ..., port => ... } >>, with C<ssl> where that is
given. Dies with the texts that
the manual of L<PAGI::Server> lists.

=head2 name

    my $url = PAGI::Server::Listeners->name($listener);

The listener as the banner names it.

=cut

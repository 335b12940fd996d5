package PAGI::Server::Banner;
use strict;
use warnings;

use PAGI::Server::Listeners;
use PAGI::Server::TLS;

our $VERSION = '0.003000';

# What a server says about itself once it listens.
sub show {
    my ($class, $server) = @_;

    my $log = $server->{access_log};
    $server->_log(warn => 'access_log is a terminal; this may impact performance. '
            . 'Consider redirecting to a file or setting access_log => undef for benchmarks.')
        if $log && -t $log;
    $server->_log(info => $class->line($server));
    $server->_log(warn => 'Using default max_connections (1000). For production, consider tuning '
            . q{this value based on your workload. See 'perldoc PAGI::Server' for guidance.})
        if ($ENV{PAGI_ENV} // '') eq 'production' && !$server->{max_connections};
}

sub line {
    my ($class, $server) = @_;

    my @names = map { PAGI::Server::Listeners->name($_) } @{ $server->{listeners} };
    my $what  = 'listening on' . (@names > 1 && !$server->{workers} ? ':' : '');
    my @crew  = $server->{workers} ? (_mode($server), "with $server->{workers} workers") : ('', '');
    return join ' ', grep { length } 'PAGI Server', $crew[0], $what, join(', ', @names), $crew[1],
        '(' . _facts($server) . ')';
}

sub _mode {
    my ($server) = @_;

    return '(multi-worker, ' . ($server->{reuseport} ? 'reuseport' : 'shared-socket') . ')';
}

sub _facts {
    my ($server) = @_;

    my $loop = ($server->{_loop_class} // ref $server->loop) =~ s/\AIO::Async::Loop:://r;
    my $most = $server->effective_max_connections . ($server->{workers} ? '/worker' : '');
    my ($http2, $tls) = (_http2($server), PAGI::Server::TLS->status($server));
    return "loop: $loop, max_conn: $most, http2: $http2, tls: $tls, future_xs: " . _future_xs();
}

sub _http2 {
    my ($server) = @_;

    return 'available' unless $server->{http2_enabled};
    return $server->{h2c_enabled} ? 'on (h2c)' : 'on';
}

sub _future_xs {
    return 'on' if $PAGI::Server::FUTURE_XS_ENABLED;
    return $PAGI::Server::FUTURE_XS_AVAILABLE ? 'available' : 'not installed';
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Banner - what a server says once it listens

=head1 DESCRIPTION

The start-up line of L<PAGI::Server>, and the hints that come with it.

=head1 CLASS METHODS

=head2 show

    PAGI::Server::Banner->show($server);

Logs the line at level C<info>, and where they apply, at level C<warn>, that the access log is a
terminal and that C<max_connections> has not been set in production.

=head2 line

    my $line = PAGI::Server::Banner->line($server);

One of

    PAGI Server listening on http://HOST:PORT/ (FACTS)
    PAGI Server listening on: http://HOST:PORT/, unix:PATH (FACTS)
    PAGI Server (multi-worker, shared-socket) listening on http://HOST:PORT/ with N workers (FACTS)
    PAGI Server (multi-worker, reuseport) listening on http://HOST:PORT/ with N workers (FACTS)

C<FACTS> are the event loop, the most connections, and what is there of HTTP/2, TLS and
L<Future::XS>.

=cut

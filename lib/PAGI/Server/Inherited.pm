package PAGI::Server::Inherited;
use strict;
use warnings;

use Errno  qw(EINVAL ENOTSOCK);
use Fcntl  qw(S_ISSOCK);
use POSIX  ();
use Socket qw(AF_INET AF_INET6 AF_UNIX SOL_SOCKET SO_ACCEPTCONN inet_ntop sockaddr_family
    unpack_sockaddr_in unpack_sockaddr_in6 unpack_sockaddr_un);

our $VERSION = '0.003000';

# The first descriptor that systemd hands over
use constant FIRST_FD => 3;

# What this process, or one that it was forked from, has entered itself: nobody inherits that by
# an exec.
my %OWN;

# The sockets that the environment tells of, by the listener's key. $log is called with a level and
# a line.
sub collect {
    my ($class, $log) = @_;

    my %found = map { $_->{key} => $_ } _from_systemd($log), _from_reuse();
    delete $_->{key} for values %found;
    return \%found;
}

# Whether a descriptor is a socket that listens; else $! says why not. It is looked at by a duplicate:
# a handle that goes away closes its descriptor, which may be somebody else's.
sub is_listening {
    my ($class, $fd) = @_;

    my $handle = _look_at($fd) // return 0;
    my $bool   = getsockopt $handle, SOL_SOCKET, SO_ACCEPTCONN;
    return 1 if defined $bool && unpack 'i', $bool;
    $! = EINVAL;
    return 0;
}

# How a listener is named in PAGI_REUSE
sub key {
    my ($class, $listener) = @_;

    return "unix:$listener->{path}" if $listener->{type} eq 'unix';
    my $host = $listener->{host} =~ s/\A\[(.*)\]\z/$1/r;
    return ($host =~ /:/ ? "[$host]" : $host) . ":$listener->{port}";
}

sub register {
    my ($class, $key, $fd) = @_;

    $class->unregister($key);
    $OWN{"$key:$fd"} = 1;
    $ENV{PAGI_REUSE} = join ',', _entries(), "$key:$fd";
}

sub unregister {
    my ($class, $key) = @_;

    return unless defined $ENV{PAGI_REUSE};
    delete $OWN{$_} for grep { /\A\Q$key\E:[0-9]+\z/ } keys %OWN;
    $ENV{PAGI_REUSE} = join ',', grep { !/\A\Q$key\E:[0-9]+\z/ } _entries();
}

sub _entries {
    return grep { length } split /,/, $ENV{PAGI_REUSE} // '';
}

sub _from_reuse {
    return map { _parse($_) } grep { !$OWN{$_} } _entries();
}

# Entries that are none are skipped
sub _parse {
    my ($entry) = @_;

    my ($key, $fd) = $entry =~ /\A(.+):([0-9]+)\z/s or return;
    my %found = (key => $key, fd => 0 + $fd, source => 'pagi_reuse');
    return { %found, type => 'unix', path => $1 } if $key =~ /\Aunix:(.+)\z/s;
    return { %found, type => 'tcp', host  => $1, port => 0 + $2 }
        if $key =~ /\A\[([^\]]+)\]:([0-9]+)\z/ || $key =~ /\A([^:\[\]]+):([0-9]+)\z/;
    return;
}

sub _from_systemd {
    my ($log) = @_;

    my $count = $ENV{LISTEN_FDS} // '';
    return unless $count =~ /\A[0-9]+\z/ && $count > 0;
    my ($pid) = delete @ENV{qw(LISTEN_PID LISTEN_FDS LISTEN_FDNAMES)};
    return unless ($pid // '') eq $$;
    my @found;
    for (my $fd = FIRST_FD; $fd < FIRST_FD + $count; $fd++) {
        push @found, _inspect($fd, $log);
        last if !_mode($fd);    # they have no gaps
    }
    return @found;
}

sub _inspect {
    my ($fd, $log) = @_;

    my $look = _look_at($fd);
    if (!$look) {
        my $what = $!{ENOTSOCK} ? 'getsockname on' : 'fdopen';
        return _skip($log, "Cannot $what inherited fd $fd: $!");
    }
    my $name   = getsockname $look;
    my $family = sockaddr_family($name);
    my %where  = _where($family, $name)
        or return _skip($log, "Inherited fd $fd has unsupported address family $family");
    return _skip($log, "Inherited fd $fd is no listening socket")
        if !__PACKAGE__->is_listening($fd);
    open my $handle, '+<&=', $fd or return _skip($log, "Cannot fdopen inherited fd $fd: $!");
    my %found = (fd => $fd, source => 'systemd', handle => $handle, %where);
    return { %found, key => __PACKAGE__->key(\%found) };
}

# A duplicate of a socket
sub _look_at {
    my ($fd) = @_;

    my $mode = _mode($fd) // return;
    if (!S_ISSOCK($mode)) {
        $! = ENOTSOCK;
        return;
    }
    open my $handle, '+<&', $fd or return;
    return $handle;
}

sub _mode {
    my ($fd) = @_;

    return (POSIX::fstat($fd))[2];
}

sub _where {
    my ($family, $name) = @_;

    return (type => 'unix', path => unpack_sockaddr_un($name)) if $family == AF_UNIX;
    return unless $family == AF_INET || $family == AF_INET6;
    my ($port, $address) =
        $family == AF_INET ? unpack_sockaddr_in($name) : unpack_sockaddr_in6($name);
    return (type => 'tcp', host => inet_ntop($family, $address), port => $port);
}

sub _skip {
    my ($log, $text) = @_;

    $log->(warn => $text);
    return;
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Inherited - listening sockets that another process has opened

=head1 SYNOPSIS

    my $found = PAGI::Server::Inherited->collect(sub { my ($level, $line) = @_; ... });
    my $fd    = $found->{'127.0.0.1:5000'}{fd};

=head1 DESCRIPTION

A server need not open its sockets itself. It finds those of its predecessor in the environment
variable C<PAGI_REUSE>, and those of systemd's socket activation in C<LISTEN_FDS> with
C<LISTEN_PID>.

C<PAGI_REUSE> is a list, separated by commas, of C<HOST:PORT:FD>, C<[IPV6]:PORT:FD> and
C<unix:PATH:FD>. Other entries are skipped. The variables of systemd are removed once they were
looked at, also where they were meant for another process.

=head1 CLASS METHODS

=head2 collect

    my $found = PAGI::Server::Inherited->collect($log);

A hash reference: C<HOST:PORT> or C<unix:PATH> to a hash of C<fd>, C<type> (C<tcp> or C<unix>),
C<host> and C<port> or C<path>, C<source> (C<pagi_reuse> or C<systemd>) and sometimes C<handle>.
Where both name the same listener, C<PAGI_REUSE> counts. C<$log> is called with C<warn> and one of

    Cannot fdopen inherited fd N: ERROR
    Cannot getsockname on inherited fd N: ERROR
    Inherited fd N has unsupported address family F
    Inherited fd N is no listening socket

Such a descriptor is left as it is. C<LISTEN_FDS> is believed up to the first that is not open.

=head2 is_listening

    my $bool = PAGI::Server::Inherited->is_listening($fd);

Whether the descriptor is a socket that listens; else C<$!> says what is wrong.

=head2 key

    my $key = PAGI::Server::Inherited->key($listener);

How a listener is named in that hash and in C<PAGI_REUSE>.

=head2 register

    PAGI::Server::Inherited->register($key, $fd);

Adds a socket to C<PAGI_REUSE>.

=head2 unregister

    PAGI::Server::Inherited->unregister($key);

Takes it out again. The variable may be left empty.

=cut

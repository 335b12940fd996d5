package PAGI::Server::Sockets;
use strict;
use warnings;

use Errno qw(EADDRINUSE ENAMETOOLONG);
use Fcntl qw(F_GETFD F_SETFD FD_CLOEXEC);
use IO::Handle;
use Socket
    qw(AF_INET AF_INET6 AI_PASSIVE IPPROTO_IPV6 IPPROTO_TCP IPV6_V6ONLY SOCK_STREAM SOL_SOCKET
    SO_REUSEADDR SOMAXCONN getaddrinfo pack_sockaddr_un sockaddr_family unpack_sockaddr_in
    unpack_sockaddr_in6 PF_UNIX);

use Scalar::Util qw(weaken);

use PAGI::Server::Inherited;
use PAGI::Server::Sockets::Shares;

our $VERSION = '0.003000';

# What fits into the address of a Unix socket everywhere (sun_path, without its end)
use constant PATH_MAX => $^O eq 'linux' ? 107 : 103;

# Opens a socket for each listener, or takes the one that was inherited for it.
sub open {
    my ($class, %args) = @_;

    my $self  = bless { %args, open => [], pid => $$ }, $class;
    my $found = $args{inherited} // {};
    $self->{shares} = $self->_make_shares if $args{shares};
    my $done  = eval { $self->_open($_, $found) for @{ $args{listeners} }; 1 };
    my $error = $@;
    $self->close, die $error unless $done;
    $self->_discard($found);
    return $self;
}

# Pairs of listener and handle
sub list {
    my ($self) = @_;

    return map { [@{$_}{qw(listener handle)}] } @{ $self->{open} };
}

# The sockets stay with other processes: only this one lets go of them.
sub release {
    my ($self) = @_;

    @{ $self->{open} } = ();
    delete $self->{shares};
}

sub close {
    my ($self) = @_;

    return $self->release if $self->{pid} != $$;
    delete $self->{shares};
    for my $open (splice @{ $self->{open} }) {
        PAGI::Server::Inherited->unregister($open->{key});
        $self->_remove_file($open) if $open->{file};
    }
}

# With reuseport: those that each worker has for itself
sub shares { return $_[0]{shares} }

# In a worker: those that it has for itself are added to the others.
sub belong_to_worker {
    my ($self, $num) = @_;

    my $shares = delete $self->{shares} or return $self;
    push @{ $self->{open} }, $shares->of($num);
    return $self;
}

# Whether a program that this process becomes by exec keeps them.
sub survive_exec {
    my ($self, $bool) = @_;

    $self->{shares}->survive_exec($bool) if $self->{shares};
    for my $handle (map { $_->{handle} } @{ $self->{open} }) {
        my $flags = fcntl $handle, F_GETFD, 0;
        fcntl $handle, F_SETFD, $bool ? $flags & ~FD_CLOEXEC : $flags | FD_CLOEXEC;
    }
}

# After a hot restart the files are the successor's to remove.
sub own_files {
    my ($self) = @_;

    $_->{file} //= [(stat $_->{listener}{path})[0, 1]]
        for grep { $_->{listener}{type} eq 'unix' } @{ $self->{open} };
}

# For a process that goes on in a child, as a daemon does
sub belong_here {
    my ($self) = @_;

    $self->{pid} = $$;
}

# For those who give up root's rights later
sub chown_files {
    my ($self, $uid, $gid) = @_;

    chown $uid, $gid, $_->{listener}{path} for grep { $_->{file} } @{ $self->{open} };
}

sub DESTROY {
    my ($self) = @_;

    local ($@, $!, $?);
    $self->close;
}

# ---- one listener ----

sub _open {
    my ($self, $listener, $found) = @_;

    return if $self->{skip} && $self->{skip}->($listener);
    my $key = $self->_inherited_key($listener, $found);
    return $self->_share($listener)
        if $self->{shares} && $listener->{type} eq 'tcp' && !defined $key;
    my $open =
          defined $key                ? $self->_reuse($listener, $key, delete $found->{$key})
        : $listener->{type} eq 'unix' ? $self->_unix($listener)
        :                               $self->_tcp($listener);
    push @{ $self->{open} }, $open;
    PAGI::Server::Inherited->register($open->{key}, fileno $open->{handle});
}

# A successor of a server with a port from the system takes over that port.
sub _inherited_key {
    my ($self, $listener, $found) = @_;

    my $key = PAGI::Server::Inherited->key($listener);
    return $key if $found->{$key};
    return      if !$self->{succeeds} || $listener->{type} ne 'tcp' || $listener->{port};
    my $any = $key =~ s/0\z//r;
    return (sort grep { /\A\Q$any\E[0-9]+\z/ } keys %$found)[0];
}

sub _reuse {
    my ($self, $listener, $key, $found) = @_;

    my $fd     = $found->{fd};
    my $handle = $found->{handle};
    if (!$handle) {
        PAGI::Server::Inherited->is_listening($fd) && CORE::open $handle, '+<&=', $fd
            or die "Cannot open inherited fd $fd: $!\n";
    }
    $listener->{port}       = $found->{port} if $found->{type} eq 'tcp';
    $listener->{_inherited} = 1;
    $self->{log}->(info => "Reusing inherited fd $fd for $key (source: $found->{source})");
    return { listener => $listener, handle => $handle, key => $key };
}

# A program that an application of a server starts has the variable, and not what it tells of.
sub _discard {
    my ($self, $found) = @_;

    for my $key (sort keys %$found) {
        my $fd = $found->{$key}{fd};
        PAGI::Server::Inherited->unregister($key);
        next unless PAGI::Server::Inherited->is_listening($fd);
        $self->{log}->(warn => "Inherited fd $fd ($key) does not match any listener spec "
                . "\x{e2}\x{80}\x{94} closing");
        delete $found->{$key}{handle} or CORE::open my $handle, '+<&=', $fd;
    }
}

# ---- TCP ----

sub _tcp {
    my ($self, $listener) = @_;

    my ($host, $port) = @{$listener}{qw(host port)};
    my $bare = $host =~ s/\A\[(.*)\]\z/$1/r;
    my ($error, @found) =
        getaddrinfo($bare, $port, { flags => AI_PASSIVE, socktype => SOCK_STREAM });
    for my $address (@found) {
        my $handle = $self->_is_free($address) && $self->_tcp_socket($address);
        return $self->_opened($listener, $handle) if $handle;
        $error = $!;
    }
    my $what = $self->{shares} ? 'Cannot bind to' : 'Cannot create listening socket on';
    die "$what $host:$port: $error\n";
}

sub _tcp_socket {
    my ($self, $address) = @_;

    socket my $handle, $address->{family}, SOCK_STREAM, IPPROTO_TCP or return;
    setsockopt $handle, SOL_SOCKET, SO_REUSEADDR, 1                 or return;
    setsockopt $handle, IPPROTO_IPV6, IPV6_V6ONLY, 1 if $address->{family} == AF_INET6;
    !$self->{shares} || _share_port($handle) or return;
    bind $handle, $address->{addr}           or return;
    listen $handle, $self->{backlog}         or return;
    return $handle;
}

# ---- TCP with reuseport ----

# Another server would share its port, without a word to either: but for a predecessor's it must not be
# taken, which only a socket without the option finds out.
sub _is_free {
    my ($self, $address) = @_;

    return 1 if !$self->{shares} || $self->{succeeds};
    local $self->{shares};
    return $self->_tcp_socket($address) ? 1 : 0;
}

sub _make_shares {
    my ($self) = @_;

    weaken(my $weak = $self);
    return PAGI::Server::Sockets::Shares->new(
        count   => $self->{shares},
        backlog => $self->{backlog},
        again   => sub {
            my ($name) = @_;
            return $weak->_tcp_socket({ family => sockaddr_family($name), addr => $name });
        },
    );
}

sub _share {
    my ($self, $listener) = @_;

    my $key   = $self->{shares}->handed(PAGI::Server::Inherited->key($listener));
    my @first = defined $key ? (listener => $listener, key => $key) : %{ $self->_tcp($listener) };
    ($listener->{port}) = $key =~ /:([0-9]+)\z/ if defined $key;
    eval { $self->{shares}->add(@first); 1 }
        or die "Cannot bind to $listener->{host}:$listener->{port}: $@";
}

sub _share_port {
    my ($handle) = @_;

    my $option = eval { Socket::SO_REUSEPORT() };
    die "Option 'reuseport' cannot be used: this system has no SO_REUSEPORT\n"
        unless defined $option;
    return setsockopt $handle, SOL_SOCKET, $option, 1;
}

sub _opened {
    my ($self, $listener, $handle) = @_;

    my $name = getsockname $handle;
    ($listener->{port}) =
        sockaddr_family($name) == AF_INET ? unpack_sockaddr_in($name) : unpack_sockaddr_in6($name);
    return {
        listener => $listener, handle => $handle,
        key      => PAGI::Server::Inherited->key($listener),
    };
}

# ---- Unix ----

sub _unix {
    my ($self, $listener) = @_;

    my ($path, $mode) = @{$listener}{qw(path socket_mode)};
    my $handle = $self->_unix_socket($path) or die "Cannot create Unix socket $path: $!\n";
    my $open   = {
        listener => $listener, handle => $handle, file => [(stat $path)[0, 1]],
        key      => PAGI::Server::Inherited->key($listener),
    };
    return $open if !defined $mode || chmod $mode, $path;
    my $error = $!;
    $self->_remove_file($open);
    die "Cannot chmod $path: $error\n";
}

# Never open to others before its mode is set, hence the umask
sub _unix_socket {
    my ($self, $path) = @_;

    if (length $path > PATH_MAX) {
        $! = ENAMETOOLONG;
        return;
    }
    my $name = pack_sockaddr_un($path);
    socket my $handle, PF_UNIX, SOCK_STREAM, 0 or return;
    _make_room($path, $name)                   or return;
    my $umask = umask 0177;
    my $bound = bind $handle, $name;
    my $errno = $!;
    umask $umask;
    $! = $errno;
    return $bound && listen($handle, $self->{backlog}) ? $handle : undef;
}

# What is there goes, whatever it is, but for the socket of a server that lives.
sub _make_room {
    my ($path, $name) = @_;

    return 1 unless -e $path || -l $path;
    if (-S $path) {
        socket my $probe, PF_UNIX, SOCK_STREAM, 0 or return;
        $probe->blocking(0);
        if (connect($probe, $name) || $!{EAGAIN}) {
            $! = EADDRINUSE;
            return;
        }
    }
    return unlink $path;
}

# Another server may have taken the path meanwhile: its file is not ours.
sub _remove_file {
    my ($self, $open) = @_;

    my $path = $open->{listener}{path};
    my @now  = (lstat $path)[0, 1];
    unlink $path if @now && "@now" eq "@{ $open->{file} }";
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Sockets - the listening sockets of a server

=head1 SYNOPSIS

    my $sockets = PAGI::Server::Sockets->open(
        listeners => $server->listeners,
        backlog   => 2048,
        log       => sub { my ($level, $line) = @_; ... },
    );
    my ($listener, $handle) = @$_ for $sockets->list;
    $sockets->close;

=head1 DESCRIPTION

Sockets are opened here and nowhere else: for a single process after its lifespan has started, for
workers by their master, before it forks them, and before a runner gives up root's rights. What
accepts on them is the core, on duplicates.

=head2 Unix sockets

What is at the path is removed before, whatever it is, unless it is a socket that somebody accepts
on: then the path is in use. The file is made under the umask 0177 and gets its C<socket_mode>
afterwards. It is removed at the end if it is still the same file.

=head1 METHODS

=head2 open

    my $sockets = PAGI::Server::Sockets->open(%args);

Takes

=over 4

=item listeners

An array reference of the hashes that L<PAGI::Server/listeners> shows. The bound port is entered
there, and C<_inherited> for a socket that was not opened here.

=item backlog

The length of the queue of connections not yet accepted.

=item log

A code reference that is called with a level and a line.

=item inherited

What L<PAGI::Server::Inherited/collect> has found. What no listener asks for is closed.

=item succeeds

Whether this is the successor of a server, whose ports count for a port 0, too.

=item shares

With reuseport: the number of workers, each of which has its own TCP sockets, with C<SO_REUSEPORT>.
They are not in C<PAGI_REUSE>. An inherited socket stays one for all. A port that another server
listens on is taken, also where that has the option, too, unless it is succeeded.

=item skip

A code reference that is called with a listener and tells whether no socket is opened for it.

=back

Dies with one of these, and has closed what it opened:

    Cannot create listening socket on HOST:PORT: ERROR
    Cannot bind to HOST:PORT: ERROR              (with reuseport)
    Cannot create Unix socket PATH: ERROR
    Cannot chmod PATH: ERROR
    Cannot open inherited fd N: ERROR
    Option 'reuseport' cannot be used: this system has no SO_REUSEPORT

and a newline. Tells the log

    info  Reusing inherited fd N for KEY (source: pagi_reuse)
    info  Reusing inherited fd N for KEY (source: systemd)
    warn  Inherited fd N (KEY) does not match any listener spec — closing

=head2 list

Pairs of listener and handle, as array references.

=head2 close

Closes the sockets, takes them out of C<PAGI_REUSE> and removes the files of Unix sockets that were
opened here. In a process that did not open them, the same as L</release>.

=head2 release

Closes the sockets in this process, and nothing else.

=head2 shares

The sockets that each worker has for itself, a L<PAGI::Server::Sockets::Shares>, or undef.

=head2 belong_to_worker

    $sockets->belong_to_worker($num);

In a worker: lets go of what is for other workers.

=head2 survive_exec

    $sockets->survive_exec($bool);

Whether the sockets stay open in a program that this process becomes.

=head2 own_files

Takes over the care for the files of Unix sockets that were inherited.

=head2 belong_here

This process, a child of the one that opened the sockets, is now the one to remove their files.

=head2 chown_files

    $sockets->chown_files($uid, $gid);

Gives the files of Unix sockets to somebody.

=cut

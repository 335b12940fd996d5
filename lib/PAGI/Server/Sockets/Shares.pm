package PAGI::Server::Sockets::Shares;
use strict;
use warnings;

use Fcntl qw(F_GETFD F_SETFD FD_CLOEXEC);

use PAGI::Server::Inherited;

our $VERSION = '0.003000';

# What a successor is told: the listener's key, the number of the worker, the descriptor
use constant VARIABLE => 'PAGI_REUSE_SHARES';

sub new {
    my ($class, %args) = @_;

    my $self = bless { %args, listeners => [], handed => {}, rests => {} }, $class;
    for my $entry (split /,/, delete $ENV{ +VARIABLE } // '') {
        my ($key, $num, $fd) = $entry =~ /\A(.+):([0-9]+):([0-9]+)\z/s             or next;
        PAGI::Server::Inherited->is_listening($fd) && open my $handle, '+<&=', $fd or next;
        $self->{handed}{$key}{$num} = $handle;
    }
    return $self;
}

# The first of the handed ones that is for this listener, or for any port
sub handed {
    my ($self, $key) = @_;

    my $any = $key =~ s/:0\z/:/r;
    return (
        sort grep { $_ eq $key || ($any ne $key && /\A\Q$any\E[0-9]+\z/) }
            keys %{ $self->{handed} }
    )[0];
}

# Opens those of a listener for all workers that are not handed over. The one that is given tells
# the address; it goes itself, because a port that the system has picked is lost by rest().
sub add {
    my ($self, %listener) = @_;

    my $handles = delete($self->{handed}{ $listener{key} }) // {};
    my ($first) = grep { defined } delete $listener{handle}, values %$handles;
    $listener{address} = getsockname $first;
    push @{ $self->{listeners} }, { %listener, handles => $handles };
    $handles->{$_} //= $self->{again}->($listener{address}) // die "$!\n" for 1 .. $self->{count};
    delete @{$handles}{ grep { $_ > $self->{count} } keys %$handles };
}

# Before a worker begins. One that cannot have its own (its port may need rights that are gone)
# shares that of the first.
sub ready {
    my ($self, $num) = @_;

    for my $listener (@{ $self->{listeners} }) {
        my $handles = $listener->{handles};
        $handles->{$num} //= $self->{again}->($listener->{address}) // $handles->{1};
        delete $self->{rests}{"$handles->{$num}"};
        listen $handles->{$num}, $self->{backlog};
    }
}

# Only these have a worker: to the others the kernel shall give no connections for a while. Once only:
# a second shutdown would be inherited by what is accepted later.
sub rest {
    my ($self, @served) = @_;

    for my $handles (map { $_->{handles} } @{ $self->{listeners} }) {
        my %is_used = map { $_ => 1 } grep { defined } @{$handles}{@served};
        for my $num (grep { !$is_used{ $handles->{$_} } } keys %$handles) {
            shutdown $handles->{$num}, 0 if !$self->{rests}{"$handles->{$num}"}++;
        }
    }
}

# Those of one worker, as PAGI::Server::Sockets has them
sub of {
    my ($self, $num) = @_;

    return
        map { { %{$_}{qw(listener key)}, handle => $_->{handles}{$num} } } @{ $self->{listeners} };
}

sub survive_exec {
    my ($self, $bool) = @_;

    my @entries;
    for my $listener (@{ $self->{listeners} }) {
        my ($key, $handles) = @{$listener}{qw(key handles)};
        for my $num (sort keys %$handles) {
            my $flags = fcntl $handles->{$num}, F_GETFD, 0;
            fcntl $handles->{$num}, F_SETFD, $bool ? $flags & ~FD_CLOEXEC : $flags | FD_CLOEXEC;
            push @entries, "$key:$num:" . fileno $handles->{$num};
        }
    }
    delete $ENV{ +VARIABLE };
    $ENV{ +VARIABLE } = join ',', @entries if $bool && @entries;
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Sockets::Shares - with reuseport, a listening socket for each worker

=head1 DESCRIPTION

With C<SO_REUSEPORT> the kernel spreads new connections over several sockets, each with a queue of
its own, and what waits in a queue is lost when its last descriptor is closed. So these sockets are
the master's: a worker accepts on those of its number, and its replacement goes on where it ended.
They are opened with the others, before rights are given up, and a successor of the whole server
(USR2, C<--reload>) takes them over: C<PAGI_REUSE_SHARES> names them, as C<HOST:PORT:WORKER:FD>.

=head1 METHODS

=head2 new

    my $shares = PAGI::Server::Sockets::Shares->new(
        count   => $workers,
        backlog => 2048,
        again   => sub { my ($address) = @_; ... },
    );

C<again> opens another socket on the address of one, or returns undef with C<$!> set.

=head2 handed

    my $key = $shares->handed('127.0.0.1:0');

The key of the sockets that were handed over for a listener, if there are.

=head2 add

    $shares->add(listener => $listener, key => $key, handle => $first);

Has a socket for each worker from now on; C<handle> is the first one, and is left out where sockets
were handed over. Dies with the system's text.

=head2 ready

    $shares->ready($num);

A worker is about to begin.

=head2 rest

    $shares->rest(@nums);

Only these numbers have a worker now. What waits for the others is lost.

=head2 of

    my @open = $shares->of($num);

The sockets of a worker: hash references with C<listener>, C<key> and C<handle>.

=head2 survive_exec

    $shares->survive_exec($bool);

Whether a program that this process becomes has them.

=cut

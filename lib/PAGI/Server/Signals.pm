package PAGI::Server::Signals;
use strict;
use warnings;

use IO::Async::OS;
use Scalar::Util qw(refaddr weaken);

our $VERSION = '0.003000';

# What a single process does on each signal it watches. Others may be given, or be taken out (undef).
my %ON = (
    TERM => '_stop',
    INT  => '_stop',
    HUP  => '_hang_up',
    USR2 => '_only_with_workers',
    TTIN => '_only_with_workers',
    TTOU => '_only_with_workers',
);

my %NEEDS_WORKERS = (
    HUP  => 'graceful restart only works',
    USR2 => 'hot restart only works',
    TTIN => 'adding workers only works',
    TTOU => 'removing workers only works',
);

# How soon a loop wakes for a signal that came just before it slept, seconds. Only Epoll's wait lets
# signals in as it begins; with the others one would be heard when something else happens.
use constant LATEST => 1;

# Servers that still have to stop before their loop may, by the address of the loop
my %BUSY;

sub new {
    my ($class, %args) = @_;

    my $self =
        bless { complaint => 'Shutdown error', %args, watched => {}, stopping => 0, pid => $$ },
        $class;
    $self->{on} = { %ON, %{ $args{on} // {} } };
    weaken $self->{loop};
    weaken $self->{server};
    return $self;
}

sub install {
    my ($self) = @_;

    return $self if %{ $self->{watched} };
    @{$self}{qw(ready begun stopping just_told)} = (0) x 4;
    my $on = $self->{on};
    $self->{watched}{$_} = $self->_watch($_, $on->{$_}) for grep { defined $on->{$_} } keys %$on;
    $self->_wake if !$self->{loop}->isa('IO::Async::Loop::Epoll');
    return $self;
}

sub remove {
    my ($self) = @_;

    my $watched = delete $self->{watched};
    $self->{watched} = {};
    return $self if $self->{pid} != $$;    # a forked child, which may have handlers of its own
    my $loop = $self->{loop} or return $self;
    $loop->detach_signal($_ => $watched->{$_}) for keys %$watched;
    my $timer = delete $self->{timer};
    $loop->unwatch_time($timer) if $timer;
    $self->_settle unless $self->{begun};
    return $self;
}

sub ready {
    my ($self) = @_;

    $self->{ready} = 1;
    $self->_begin if $self->{stopping};
    return $self;
}

# As if the signal had come
sub stop {
    my ($self, $signal, $complaint) = @_;

    $self->{complaint} = $complaint if defined $complaint;
    $self->_stop($signal);
}

sub is_stopping {
    my ($self) = @_;

    return $self->{stopping};
}

sub DESTROY {
    my ($self) = @_;

    $self->remove if ${^GLOBAL_PHASE} ne 'DESTRUCT';
}

sub _watch {
    my ($self, $signal, $method) = @_;

    weaken $self;
    return $self->{loop}->attach_signal($signal => sub { $self->$method($signal) if $self });
}

sub _wake {
    my ($self) = @_;

    weaken(my $weak = $self);
    $self->{timer} =
        $self->{loop}->watch_time(after => LATEST, code => sub { $weak->_wake if $weak });
}

# Certificates can be had anew without a restart.
sub _hang_up {
    my ($self, $signal) = @_;

    $self->_only_with_workers($signal);
    my $server = $self->{server} or return;
    $server->reload_tls if $server->{tls_enabled};
}

sub _only_with_workers {
    my ($self, $signal) = @_;

    my $what = $NEEDS_WORKERS{$signal};
    $self->_log(warn => "Received $signal signal ($what in multi-worker mode)");
}

# Stopping. All servers of a loop get the signal; the last one that has stopped stops the loop.

sub _stop {
    my ($self, $signal) = @_;

    return $self->_insist($signal) if $self->{stopping};
    $self->{stopping} = $self->{busy} = 1;
    $self->_hear_out;
    $self->{on_stop}->() if $self->{on_stop};
    $BUSY{ refaddr $self->{loop} }++;
    $self->_begin if $self->{ready};
}

# What else the loop hands over in this turn came at the same time, in whatever order: a terminal's INT
# and the TERM of a parent that it told as well are one wish.
sub _hear_out {
    my ($self) = @_;

    $self->{just_told} = 1;
    weaken(my $weak = $self);
    $self->{loop}->watch_time(after => 0, code => sub { $weak->{just_told} = 0 if $weak });
}

sub _insist {
    my ($self, $signal) = @_;

    return                if $signal ne 'INT' || $self->{just_told};
    $self->{on_force}->() if $self->{on_force};
    exit 128 + IO::Async::OS->signame2num($signal);
}

# In the loop's next turn, because a server that stops at once would take its watches off a list that
# the loop is just walking. By a timer: the loop of Mojo does not do what it is given for 'later'
# while it runs.
sub _begin {
    my ($self) = @_;

    return if $self->{begun}++;
    $self->{loop}->watch_time(after => 0, code => sub { $self->_shut_down });
}

sub _shut_down {
    my ($self) = @_;

    my $server = $self->{server} or return $self->_settle;
    $server->shutdown->on_ready(sub { $self->_shut_down_done(@_) });
}

sub _shut_down_done {
    my ($self, $shutdown) = @_;

    my $error = $shutdown->failure;
    $self->_log(error => "$self->{complaint}: $error") if defined $error;
    $self->_settle;
}

sub _settle {
    my ($self) = @_;

    my $loop = $self->{loop};
    return unless $loop && delete $self->{busy};
    return if --$BUSY{ refaddr $loop } > 0;
    delete $BUSY{ refaddr $loop };
    $loop->stop;
}

sub _log {
    my ($self, $level, $message) = @_;

    $self->{log}->($level, $message) if $self->{log};
}

1;

=encoding utf8

=head1 NAME

PAGI::Server::Signals - the signals of a server in a single process

=head1 SYNOPSIS

    my $signals = PAGI::Server::Signals->new(
        loop   => $loop,
        server => $server,
        log    => sub { my ($level, $message) = @_; warn "$message\n" },
    )->install;

    ...                  # start: a signal to stop is remembered
    $signals->ready;     # serving: a signal to stop is obeyed
    ...
    $signals->remove;    # the last thing a shutdown does

=head1 DESCRIPTION

Watches, on the loop of the server, the signals that mean something to a server without workers:

=over 4

=item TERM, INT

The server shuts down, then the loop stops. If the signal comes before the server is L</ready>, it
is remembered and obeyed then.

The first one counts. A further TERM changes nothing; a further INT (somebody at a keyboard who has
lost patience) exits at once, with status 130 and without waiting for anything. Perl's C<END> blocks
still run.

=item HUP, USR2, TTIN, TTOU

Ask for something that only works with workers. The server says so, at level C<warn>:

    Received HUP signal (graceful restart only works in multi-worker mode)
    Received USR2 signal (hot restart only works in multi-worker mode)
    Received TTIN signal (adding workers only works in multi-worker mode)
    Received TTOU signal (removing workers only works in multi-worker mode)

HUP also has a server with TLS read its certificates anew.

=back

Several servers may share a loop. Each of them gets each signal, and the loop stops when the last
one that was told to stop has done so. Watches that other code attached with C<attach_signal> are
left alone.

The watches go with the object: a server that is dropped leaves none behind.

=head1 METHODS

=head2 new

    my $signals = PAGI::Server::Signals->new(loop => $loop, server => $server, log => $log);

Takes

=over 4

=item loop

The L<IO::Async::Loop> to watch on and to stop. Required. Held weakly.

=item server

An object whose C<shutdown> returns a Future that is done when the server has stopped; it may be
asked while a shutdown is under way. Required. Held weakly. If the Future fails, the reason is
logged at level C<error> as C<Shutdown error: REASON>.

=item complaint

What stands for C<Shutdown error> there.

=item log

A code reference that is called with a level and a line without newline. Default: nothing is logged.
It must not hold the server.

=item on

A hash reference of signal names and code references, for what else is to be watched, or in place of
what is listed above; C<undef> leaves a signal alone.

=item on_stop, on_force

Code references that are called when the first signal to stop has come, and before a second INT
exits.

=back

=head2 install

    $signals = $signals->install;

Begins to watch, and forgets what came before. Does nothing if it watches already.

=head2 stop

    $signals->stop('TERM');
    $signals->stop('TERM', $complaint);

As if the signal had come. The second is the L<complaint|/new> about this stop.

=head2 remove

    $signals = $signals->remove;

Stops watching; the signals get back their default action, unless somebody else watches them too.
Call it at the end of a shutdown, not at its start, or the next signal kills the process in the
middle. A remembered signal that was not obeyed yet is, as far as this server goes, done with: the
loop stops.

=head2 ready

    $signals = $signals->ready;

The server serves. To be called as the last step of a start: a remembered signal shuts it down again
in the next turn of the loop.

=head2 is_stopping

    my $bool = $signals->is_stopping;

Whether TERM or INT has come, 0 or 1. A start may ask this between its steps and give up early.

=head1 SEE ALSO

L<PAGI::Server>, L<IO::Async::Loop/attach_signal>

=cut

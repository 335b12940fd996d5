package PAGI::Server::Workers::Restart;
use strict;
use warnings;

use Cwd          qw(getcwd);
use POSIX        ();
use Scalar::Util qw(weaken);

use PAGI::Server::Log;
use PAGI::Server::Notify;
use PAGI::Server::Workers::Deaths;

our $VERSION = '0.003000';

# How this program was started, for one that is to take its place: an application may change its
# name, its directory, and @INC.
my $DIRECTORY = _directory();
my $PROGRAM   = $0;
my @ARGUMENTS = @ARGV;
my @LIBS      = map { m{\A/} ? $_ : "$DIRECTORY/$_" } grep { !ref } @INC;

# The name that it was gone to by, where that is a link: it may point to a new release by now.
sub _directory {
    my ($here, $named) = (getcwd(), $ENV{PWD} // '');
    my @same = map { join ' ', (stat $_)[0, 1] } '.', $named;
    return $named =~ m{\A/} && $same[0] eq $same[1] ? $named : $here;
}

sub new {
    my ($class, $workers) = @_;

    my $self = bless { workers => $workers }, $class;
    weaken $self->{workers};
    $self->{predecessor} = $class->predecessor;
    delete $ENV{PAGI_MASTER_PID};
    return $self;
}

# Whom a master that is just starting is to succeed: a process, by its number
sub predecessor {
    my $pid = $ENV{PAGI_MASTER_PID} // '';
    return $pid =~ /\A[1-9][0-9]*\z/ ? $pid : undef;
}

# ---- rolling: a new worker for each old one ----

sub rolling {
    my ($self) = @_;

    return $self->{again} = 1 if $self->{queue};
    $self->_log(info => 'Received HUP, performing graceful restart');
    PAGI::Server::TLS->tell_forbidden($self->{workers}{server});
    $self->{queue} = [$self->{workers}->active];
    PAGI::Server::Notify->reloading;
    $self->_next;
}

sub _next {
    my ($self) = @_;

    my $workers = $self->{workers};
    my $old;
    do { $old = shift @{ $self->{queue} } } while $old && !$self->_is_due($old);
    return $self->_rolled if !$old;
    $old->{replaced} = 1;
    weaken(my $weak = $self);
    my %on = (
        on_ready  => sub { $weak->_replaced($old) if $weak },
        on_failed => sub { $weak->_aborted($old)  if $weak },
    );
    return if eval { $workers->spawn($old->{num}, %on) };
    $self->_log(error => $@ =~ s/\n\z//r);
    $self->_aborted($old);
}

sub _is_due {
    my ($self, $old) = @_;

    return $self->{workers}{workers}{ $old->{pid} } && !$old->{asked} && !$old->{stopping};
}

sub _replaced {
    my ($self, $old) = @_;

    my $workers = $self->{workers};
    return                                  if $workers->_is_ending;
    $workers->stop($old, ' during restart') if $workers->{workers}{ $old->{pid} };
    $self->_next;
}

# Rather the old ones than none
sub _aborted {
    my ($self, $old) = @_;

    my $workers = $self->{workers};
    $self->{queue} = [];
    $self->{again} = 0;
    $self->_log(error => "Graceful restart: new worker $old->{num} did not start, "
            . 'the others stay as they are');
    delete $old->{replaced};
    $workers->_spawn_later($old->{num}, 1)
        if !$workers->{workers}{ $old->{pid} } || $old->{stopping};
    $self->_rolled;
}

sub _rolled {
    my ($self) = @_;

    delete $self->{queue};
    PAGI::Server::Notify->ready;
    $self->rolling if delete $self->{again};
}

# ---- hot: a new master in place of this one ----

sub hot {
    my ($self) = @_;

    my $workers = $self->{workers};
    return $self->_log(warn => 'Server is shutting down, ignoring USR2') if $workers->_is_ending;
    return $self->_log(warn => 'Running under --reload, ignoring USR2')
        if ($ENV{PAGI_RELOADER_PID} // '') eq getppid;
    return $self->_log(warn => 'Hot restart already in progress, ignoring USR2')
        if $self->{successor};
    $self->_log(info => 'Received USR2, starting hot restart');
    my $pid = eval {
        $workers->_fork(sub { $self->_become_successor });
    };
    return $self->_log(error => 'Hot restart fork failed: ' . $@ =~ s/\AFork failed: |\n\z//gr)
        if !$pid;
    $self->{successor} = $pid;
    $self->_log(info => "Hot restart: new master spawned as PID $pid");
    weaken(my $weak = $self);
    $workers->{loop}->watch_process($pid => sub { $weak->_successor_ended(@_) if $weak });
}

sub is_successor { return $_[0]{predecessor} ? 1 : 0 }

sub is_handing_over { return $_[0]{successor} || $_[0]{predecessor} ? 1 : 0 }

sub has_successor { return $_[0]{successor} ? 1 : 0 }

# It would have ended us if it had come so far.
sub _successor_ended {
    my ($self, $pid, $status) = @_;

    delete $self->{successor};
    return if $self->{workers}->_is_ending;
    $self->{workers}->rest;
    $self->_log(error => "Hot restart: new master $pid ended before it took over " . '('
            . PAGI::Server::Workers::Deaths->how($status)
            . '), going on');
}

sub _become_successor {
    my ($self) = @_;

    my $workers = $self->{workers};
    close $_->{channel} for grep { $_->{channel} } $workers->all;
    ref $SIG{$_} and $SIG{$_} = 'DEFAULT' for grep { !/\A__/ } keys %SIG;
    POSIX::sigprocmask(POSIX::SIG_SETMASK(), POSIX::SigSet->new);
    $workers->{server}{_sockets}->survive_exec(1);
    $ENV{PAGI_MASTER_PID} = getppid;
    $ENV{WATCHDOG_PID}    = $$ if defined $ENV{WATCHDOG_PID};
    $self->become_anew($workers->{server}{logger});
}

# The program as it was started
sub become_anew {
    my ($class, $logger) = @_;

    my @words = defined $ENV{PAGI_ARGV} ? split(/\0/, $ENV{PAGI_ARGV}, -1) : @ARGUMENTS;
    chdir $DIRECTORY;
    no warnings 'exec';
    exec {$^X} $^X, _given_libs(), $PROGRAM, @words
        or PAGI::Server::Log->tell($logger, error => "Hot restart exec failed: $!\n");
    POSIX::_exit(1);
}

# The successor's side: its workers are ready, the predecessor may go.
sub take_over {
    my ($self, $ready) = @_;

    my $server = $self->{workers}{server};
    my $old    = $self->{predecessor};
    return $self->_log(error => "Hot restart: no workers running, not retiring old master $old")
        if $old && !$ready;
    return if !$ready;
    delete $self->{predecessor};
    $_->() for grep { defined } @{$server}{qw(_on_take_over _on_started)};
    PAGI::Server::Notify->ready(main => $$);
    return if !$old;
    $server->bind->own_files;
    $self->{workers}->rest;
    return $self->_log(warn => "Hot restart: old master $old is no longer running")
        if !kill 0 => $old;
    $self->_log(info => "Hot restart: $ready workers healthy, sending SIGTERM to old master $old");
    kill TERM => $old;
}

# What perl was given with -I: what it would not look into by itself
sub _given_libs {
    open my $own, '-|', $^X, '-e', 'print "$_\n" for @INC' or return;
    chomp(my @own = readline $own);
    my %own = map { $_ => 1 } @own;
    return map { "-I$_" } grep { !$own{$_} } @LIBS;
}

sub _log { shift->{workers}->log(@_) }

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Workers::Restart - new workers for old, and a new master for an old one

=head1 DESCRIPTION

What a master does on HUP and USR2, see L<PAGI::Server::Workers/Signals to the master>.

Loading this module remembers the program's name (C<$0>), its arguments, its directory and C<@INC> for
a later hot restart. The directory is C<$ENV{PWD}> where that names it: a link that points elsewhere
by then leads to what is new.

=head1 METHODS

=head2 new

    my $restart = PAGI::Server::Workers::Restart->new($workers);

=head2 rolling

Replaces all workers, one after the other. Asked again meanwhile, does it once more afterwards.

=head2 hot

Starts a new master in the place of this one.

=head2 has_successor

Whether one is being started.

=head2 is_handing_over

Whether there are two masters now.

=head2 is_successor

Whether this one was started so, and has not taken over yet.

=head2 predecessor

    my $pid = PAGI::Server::Workers::Restart->predecessor;

Whom this master, which is not yet made, is to succeed: C<PAGI_MASTER_PID>, where that is a number.

=head2 become_anew

    PAGI::Server::Workers::Restart->become_anew($logger);

Becomes the program as it was started, by exec. Does not return.

=head2 take_over

    $restart->take_over($ready);

The workers of this master have been started, C<$ready> of them well: its predecessor may go.

=cut

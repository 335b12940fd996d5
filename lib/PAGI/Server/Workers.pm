package PAGI::Server::Workers;
use strict;
use warnings;

use Future;
use IO::Handle;
use POSIX        qw(SIG_BLOCK SIG_SETMASK WIFSIGNALED WEXITSTATUS);
use Scalar::Util qw(weaken);
use Socket       qw(AF_UNIX PF_UNSPEC SOCK_STREAM);
use Time::HiRes  ();

use PAGI::Server::Banner;
use PAGI::Server::Notify;
use PAGI::Server::Signals;
use PAGI::Server::TLS;
use PAGI::Server::Workers::Child;
use PAGI::Server::Workers::Deaths;
use PAGI::Server::Workers::Heartbeat;
use PAGI::Server::Workers::Number;
use PAGI::Server::Workers::Restart;

our $VERSION = '0.003000';

# After how many seconds a worker is tried again that could not be forked
use constant RETRY => 1;

# Who waits so long, in seconds, before a worker is started again has tried in vain: a predecessor is not
# kept waiting, nor left without a word.
use constant VAIN => 2;

# What a worker says on its channel, each one byte
my %ON_BYTE = (
    PAGI::Server::Workers::Child::READY    => '_is_ready',
    PAGI::Server::Workers::Child::STOPPING => '_is_stopping',
);

sub new {
    my ($class, $server) = @_;

    my $self = bless {
        server  => $server,
        loop    => $server->loop,
        workers => $server->{worker_pids} = {},
        target  => $server->{workers},
        deaths  => PAGI::Server::Workers::Deaths->new,
        later   => {},    # timers of those to be started again, by number
    }, $class;
    weaken $self->{$_} for qw(server loop);
    $self->{restart}   = PAGI::Server::Workers::Restart->new($self);
    $self->{heartbeat} = PAGI::Server::Workers::Heartbeat->new($self);
    return $self;
}

# ---- the whole ----

sub start {
    my ($self) = @_;

    my $server = $self->{server};
    $self->{pending} = { map { $_ => 1 } 1 .. $self->{target} };
    $self->_install_signals;    # who reads the banner may send one
    $self->_open_sockets;
    @{$server}{qw(running _pid)} = (1, $$);
    PAGI::Server::Banner->show($server);
    $server->{_end_watchdog} = PAGI::Server::Notify->watchdog($self->{loop});
    $self->spawn($_) for 1 .. $self->{target};
    $self->{heartbeat}->watch;
    $server->{_signals}->ready;
    return Future->done($server);
}

sub _open_sockets {
    my ($self) = @_;

    my $server = $self->{server};
    $server->bind;
    $self->{shares} = $server->{_sockets}->shares;
    my ($tcp) = grep { $_->{type} eq 'tcp' } @{ $server->{listeners} };
    $server->{bound_port} = $tcp->{port} if $tcp;
}

# Done when the last worker is gone.
sub shutdown {
    my ($self) = @_;

    my $done = $self->{done} = $self->{loop}->new_future;
    $self->{heartbeat}->stop;
    $self->{loop}->unwatch_time($_) for values %{ $self->{later} };
    $self->{later} = {};
    $self->{restart}->has_successor
        ? $self->{server}->_release_sockets
        : $self->{server}->_stop_listening;
    delete $self->{shares};
    $self->stop($_) for $self->all;
    $self->_check_end;
    return $done;
}

# Nothing is waited for.
sub kill_all {
    my ($self) = @_;

    kill KILL => map { $_->{pid} } $self->all;
}

# Of all, those that are not about to end
sub all {
    return sort { $a->{num} <=> $b->{num} } values %{ $_[0]{workers} };
}

sub active {
    return grep { !$_->{stopping} && !$_->{asked} } $_[0]->all;
}

sub is_successor  { return $_[0]{restart}->is_successor }
sub has_successor { return $_[0]{restart}->has_successor }
sub log           { shift->{server}->_log(@_) }

# ---- a worker begins ----

# Takes on_ready and on_failed, which are called with the worker. Dies where the system has no room
# for a process or a descriptor more.
sub spawn {
    my ($self, $num, %on) = @_;

    delete $self->{later}{$num};
    socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC
        or die "Cannot create heartbeat pipe: $!\n";
    $_->blocking(0) for $ours, $theirs;
    my $worker = { %on, num => $num, channel => $ours, started => _now(), seen => _now() };
    PAGI::Server::TLS->renew($self->{server});
    $self->{shares}->ready($num) if $self->{shares};
    $worker->{pid} = $self->_fork(sub { $self->_become($worker, $theirs) });
    $self->{workers}{ $worker->{pid} } = $worker;
    weaken(my $weak = $self);
    $self->{loop}->watch_io(handle => $ours, on_read_ready => sub { $weak->_read($worker) });
    $self->{loop}->watch_process($worker->{pid} => sub { $weak->_ended($worker, $_[1]) if $weak });
    return $worker;
}

# What the system refuses now it may grant later: no reason to end with those that serve.
sub _spawn_or_retry {
    my ($self, $num) = @_;

    return if eval { $self->spawn($num) };
    $self->log(
        error => "Cannot start worker $num, trying again in " . RETRY . 's: ' . $@ =~ s/\n\z//r);
    $self->_spawn_after($num, RETRY);
}

# With all signals blocked until the child has handlers of its own: none may be lost, and none
# may find those of the master.
sub _fork {
    my ($self, $child) = @_;

    my ($all, $before) = map { POSIX::SigSet->new } 1, 2;
    $all->fillset;
    POSIX::sigprocmask(SIG_BLOCK, $all, $before);
    my $pid   = fork;
    my $error = $!;
    if (defined $pid && !$pid) {
        eval { $child->(); 1 } or $self->log(error => $@ =~ s/\n\z//r);
        POSIX::_exit(1);    # not reached
    }
    POSIX::sigprocmask(SIG_SETMASK, $before);
    die "Fork failed: $error\n" unless defined $pid;
    return $pid;
}

# In the child. What the siblings and the master talk over is not for this process.
sub _become {
    my ($self, $worker, $channel) = @_;

    close $_ for grep { defined } map { $_->{channel} } $worker, $self->all;
    %{ $self->{workers} } = ();
    delete $self->{shares};
    my $status = PAGI::Server::Workers::Child->run(
        server  => $self->{server},
        num     => $worker->{num},
        channel => $channel,
    );
    exit $status;
}

# ---- a worker speaks ----

sub _read {
    my ($self, $worker) = @_;

    my $got = sysread $worker->{channel}, my $bytes, 4096;
    return $self->_unwatch($worker) if defined $got && !$got;
    return                          if !$got;
    $worker->{seen} = _now();
    $self->$_($worker) for grep { defined } map { $ON_BYTE{$_} } split //, $bytes;
}

sub _is_ready {
    my ($self, $worker) = @_;

    $worker->{ready} = 1;
    $worker->{on_ready}->($worker) if $worker->{on_ready};
    $self->_settled($worker->{num});
}

# One that was not asked to has done its share: its successor need not wait for its end.
sub _is_stopping {
    my ($self, $worker) = @_;

    $worker->{stopping} = 1;
    return if $worker->{asked} || $worker->{replaced} || $self->_is_ending;
    $worker->{replaced} = 1;
    $self->_spawn_or_retry($worker->{num});
}

# The start is over when under every one of the first numbers a worker is ready, or none is to follow.
sub _settled {
    my ($self, $num) = @_;

    my $pending = $self->{pending} or return;
    delete $pending->{$num};
    return if %$pending;
    delete $self->{pending};
    $self->{restart}->take_over(scalar grep { $_->{ready} } $self->active);
}

# ---- a worker ends ----

# Asks it to. One that has heard may take the time for its requests and for its lifespan.
sub stop {
    my ($self, $worker, $when) = @_;

    return if $worker->{asked}++;
    kill TERM => $worker->{pid};
    my $limit = $self->{server}{shutdown_timeout};
    $self->_remind($worker, $limit, $limit, $when // '');
}

sub _remind {
    my ($self, $worker, $after, $total, $when) = @_;

    weaken(my $weak = $self);
    $worker->{timer} = $self->{loop}->watch_time(
        after => $after,
        code  => sub { $weak->_overdue($worker, $total, $when) if $weak },
    );
}

sub _overdue {
    my ($self, $worker, $total, $when) = @_;

    delete $worker->{timer};
    return $self->_remind($worker, $total + 1, 2 * $total + 1, $when)
        if $worker->{stopping} && !$worker->{reminded}++;
    $self->log(warn => "Worker $worker->{pid} did not exit after ${total}s$when, sending SIGKILL");
    kill KILL => $worker->{pid};
}

sub _ended {
    my ($self, $worker, $status) = @_;

    delete $self->{workers}{ $worker->{pid} };
    $self->_read($worker) if $worker->{channel};    # its last words
    $self->_unwatch($worker);
    my $timer = delete $worker->{timer};
    $self->{loop}->unwatch_time($timer) if $timer;
    $self->_replace($worker, $status)   if !$self->_is_ending;
    $self->_settled($worker->{num})     if !$worker->{ready} && !$self->_is_followed($worker);
    $self->rest                         if !$self->_is_ending;
    $self->_check_end;
}

# Whether there is another one of its number, or shall be
sub _is_followed {
    my ($self, $worker) = @_;

    my $num = $worker->{num};
    return $self->{later}{$num} || grep { $_->{num} == $num } $self->active;
}

# What is sent to a number that nobody has would wait in vain; of two masters the other may have it.
sub rest {
    my ($self) = @_;

    my $shares = $self->{restart}->is_handing_over ? undef : $self->{shares};
    $shares->rest(map { $_->{num} } $self->all) if $shares;
}

sub _replace {
    my ($self, $worker, $status) = @_;

    my $num = $worker->{num};
    if (!$worker->{ready} && $worker->{on_failed}) {
        return $worker->{on_failed}->($worker);
    }
    if (!$worker->{ready} && !WIFSIGNALED($status) && WEXITSTATUS($status) == 2) {
        $self->{target}--;
        return $self->log(warn => "Worker $num startup failed, not respawning");
    }
    return if $worker->{is_surplus} || $worker->{replaced};
    $self->log(warn => $self->{deaths}->line($worker, $status)) if !$worker->{stopping};
    $self->_spawn_later($num, $self->{deaths}->count($worker, _now()));
}

sub _spawn_later {
    my ($self, $num, $wait) = @_;

    return $self->_spawn_or_retry($num) if !$wait;
    $self->log(warn => "Worker $num keeps ending, starting it again in ${wait}s");
    $self->_settled($num) if $wait >= VAIN && $self->is_successor;
    $self->_spawn_after($num, $wait);
}

sub _spawn_after {
    my ($self, $num, $wait) = @_;

    $self->rest;
    weaken(my $weak = $self);
    $self->{later}{$num} = $self->{loop}
        ->watch_time(after => $wait, code => sub { $weak->_spawn_or_retry($num) if $weak });
}

sub _unwatch {
    my ($self, $worker) = @_;

    my $channel = delete $worker->{channel} or return;
    $self->{loop}->unwatch_io(handle => $channel, on_read_ready => 1);
}

# ---- the end ----

sub _is_ending { return $_[0]{done} || $_[0]{failed} }

# Later, because this may be the loop's walk over its signals, from which the last act takes some.
sub _check_end {
    my ($self) = @_;

    return if %{ $self->{workers} } || %{ $self->{later} } || $self->{has_ended}++;
    my $then = $self->{done} ? '_finish' : '_fail';
    weaken(my $weak = $self);
    $self->{loop}->watch_time(after => 0, code => sub { $weak->$then if $weak });
}

sub _finish {
    my ($self) = @_;

    my $done = $self->{done};
    $done->done if !$done->is_ready;
}

sub _fail {
    my ($self) = @_;

    return $self->_finish if $self->{done};
    $self->{failed} = 1;
    $self->log(error => 'All workers have exited and none were respawned; shutting down');
    $self->{heartbeat}->stop;
    $self->{server}{_workers_failed} = 1;
    my $loop = $self->{loop};
    $self->{server}->_close;
    $loop->stop;
}

sub _install_signals {
    my ($self) = @_;

    my $server = $self->{server};
    weaken(my $weak = $self);
    my $unless_ending = sub {
        my ($code) = @_;
        return sub { $code->() if $weak && !$weak->_is_ending };
    };
    $server->{_signals} = PAGI::Server::Signals->new(
        loop     => $self->{loop},
        server   => $server,
        log      => $server->_logger,
        on_force => sub { $weak->kill_all if $weak },
        on       => {
            HUP  => $unless_ending->(sub { $weak->{restart}->rolling }),
            TTIN => $unless_ending->(sub { PAGI::Server::Workers::Number->one_more($weak) }),
            TTOU => $unless_ending->(sub { PAGI::Server::Workers::Number->one_less($weak) }),
            USR2 => sub { $weak->{restart}->hot if $weak },
            $server->_reopening(sub {
                kill USR1 => map { $_->{pid} } $weak->all if $weak;
            }),
        },
    )->install;
}

sub _now { return Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) }

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Workers - a master and its workers

=head1 SYNOPSIS

    PAGI::Server->new(app => $app, port => 5000, workers => 4)->run;

=head1 DESCRIPTION

With C<workers> the process that calls C<listen> serves nobody. It opens the sockets, forks so many
workers, and from then on looks after them, on the loop that it was given. The core's thread is
started in the workers, never in the master.

A worker has an event loop and a server object of its own, with all options of the master. It goes
through the lifespan protocol by itself, and tells the master when it is ready. All workers accept on
the same sockets (but see C<reuseport> in L<PAGI::Server>). Of their log lines those below C<warn>
are left out, unless C<log_level> is C<debug>.

=head2 The end of a worker

    status 2 before it was ready       its start has failed: not replaced
    anything else, also a signal       replaced at once; where the system has no process to give,
                                       again after a second
    a second time within 5 seconds     replaced after 0.5 s, then 1 s, 2 s ... 30 s
    max_requests, max_worker_memory,   replaced as soon as it begins to end: it still answers what
    or TERM from outside               it has taken on

When the last one has ended and none is to follow, C<run> dies. A worker whose master is gone ends by
itself.

A worker whose event loop does not turn for C<heartbeat_timeout> is sent ABRT, upon which it warns
where it is blocked, and is killed 0.2 seconds later. A start may take C<lifespan_startup_timeout>
longer.

=head2 Signals to the master

=over 4

=item TERM, INT

Nobody listens any more; every worker answers what it has taken on, ends its lifespan and then
itself. One that does not react is killed after C<shutdown_timeout>, one that does after twice that
and a second. A second INT kills all workers and ends the master with status 130.

=item HUP

For each worker, one after the other: a new one is started, and once it is ready the old one is asked
to end. If a new one does not start, the others stay as they are. Code is not read anew.

=item TTIN, TTOU

One worker more; one less, but never the last: one that is to be started again later, or else the
newest.

=item USR2

The program is started anew, with the arguments that it was started with, and with the open sockets:
new code, new options. When its workers are ready it sends TERM to the old master. Both accept
meanwhile: no connection is refused. If it does not come that far the old master goes on.

=item USR1

Log files are opened again, by the workers, too.

=back

Workers pass over INT, HUP, USR2, TTIN and TTOU, and USR1 where there is no log file; programs that an
application starts do not.

=head2 What is logged

    info   PAGI Server (multi-worker, shared-socket) listening on URL with N workers (...)
    info   PAGI Server (multi-worker, reuseport) listening on URL with N workers (...)
    error  Worker N (PID): startup failed: MESSAGE
    warn   Worker N startup failed, not respawning
    warn   Worker PID (worker N) ended with signal S       (or status S)
    warn   Worker N keeps ending, starting it again in Ss
    error  Cannot start worker N, trying again in 1s: E
    error  All workers have exited and none were respawned; shutting down
    warn   Worker PID (worker N) heartbeat timeout after Ts, sending SIGKILL
    warn   Worker PID did not exit after Ns, sending SIGKILL
    warn   Worker PID did not exit after Ns during restart, sending SIGKILL
    info   Worker PID: reached max_requests (N), shutting down
    error  Worker PID: max_requests shutdown error: E
    error  Worker shutdown error: E
    warn   Worker PID: uses N bytes of memory, more than max_worker_memory (M), shutting down
    info   Received HUP, performing graceful restart
    error  Graceful restart: new worker N did not start, the others stay as they are
    info   Received TTIN, spawning worker N (total: N)
    info   Received TTOU, killing worker (remaining: N)
    info   Received USR2, starting hot restart
    info   Hot restart: new master spawned as PID P
    info   Hot restart: N workers healthy, sending SIGTERM to old master P
    warn   Hot restart: old master P is no longer running
    warn   Hot restart already in progress, ignoring USR2
    warn   Running under --reload, ignoring USR2
    warn   Server is shutting down, ignoring USR2
    error  Hot restart: new master P ended before it took over (status S), going on       (or signal S)
    error  Hot restart: no workers running, not retiring old master P
    error  Hot restart fork failed: ERROR
    error  Hot restart exec failed: ERROR
    error  Worker N (PID): ERROR

=head2 What it dies with

    Cannot create heartbeat pipe: ERROR
    Fork failed: ERROR
    Cannot create listening socket: ERROR   (in a worker, with reuseport)

=head1 METHODS

L<PAGI::Server> calls them.

=head2 new

    my $workers = PAGI::Server::Workers->new($server);

=head2 start

Opens the sockets and forks. Returns a Future that is done with the server. Dies where a socket
cannot be opened, or where there can be no process.

=head2 shutdown

A Future that is done when the last worker has ended.

=head2 kill_all

Kills all workers.

=head2 all

The workers, by number, as hash references: C<pid>, C<num>, C<ready> and more.

=head2 active

Those that are not about to end.

=head2 spawn

    my $worker = $workers->spawn($num, on_ready => sub { ... }, on_failed => sub { ... });

Starts one.

=head2 stop

    $workers->stop($worker);

Asks one to end, and kills it if it does not.

=head2 is_successor

Whether this master was started by a hot restart, and has not taken over yet.

=head2 has_successor

Whether a hot restart has been begun here.

=head2 rest

With C<reuseport>, has the kernel give no connections to numbers that no worker has.

=head2 log

    $workers->log($level => $line);

A line of the server's log.

=cut

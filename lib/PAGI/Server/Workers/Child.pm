package PAGI::Server::Workers::Child;
use strict;
use warnings;

use IO::Async::Loop;
use IO::Async::OS;
use POSIX        qw(SA_RESTART SIG_SETMASK);
use Scalar::Util qw(weaken);

use PAGI::Server::Log;
use PAGI::Server::Options;

our $VERSION = '0.003000';

# What a worker says on its channel
use constant { READY => 'R', STOPPING => 'S', ALIVE => '.' };

# What the master looks after: a signal to the whole group must not end its workers. INT is that of
# a terminal.
my @NOT_OURS = qw(INT HUP USR1 USR2 TTIN TTOU);

# Options that say where to listen, and how many are to do so; and the one whose files the master has
# checked: what has become of them since must not keep a worker from starting
my %MASTERS = map { $_ => 1 } qw(host port socket socket_mode listen workers reuseport ssl);

# How often a worker looks at its own size, seconds
use constant LOOK_AT_MEMORY => 1;

# Serves until it is asked to stop; returns the status that the process is to end with.
sub run {
    my ($class, %args) = @_;

    my $self   = bless {%args}, $class;
    my $status = eval { $self->_run };
    return $status if defined $status;
    my $server = $self->{server} // $self->{master};
    $server->_log(error => "Worker $self->{num} ($$): " . $@ =~ s/\n\z//r);
    return 1;
}

sub _run {
    my ($self) = @_;

    my $is_early = 0;
    $self->_take_signals(sub { $is_early = 1 });
    srand;    # or all workers draw the same numbers
    my $master = $self->{master} = delete $self->{server};
    my $loop   = $self->{loop}   = $self->_new_loop;
    my $server = $self->{server} = $self->_make_server;
    $loop->add($server);
    my $listening = $server->listen;
    $server->{_signals}->stop('TERM') if $is_early && $server->{_signals};
    $self->_watch_master;
    eval { $listening->get; 1 } or return $self->_failed($@);
    $master->{_on_started}->() if $master->{_on_started};
    $self->_say(READY);
    $self->_beat;
    $loop->run if $server->is_running || $server->{_shutdown};
    return 0;
}

# ---- the process ----

sub _take_signals {
    my ($self, $on_early) = @_;

    ref $SIG{$_} and $SIG{$_} = 'DEFAULT' for grep { !/\A__/ } keys %SIG;
    _pass_over($_) for @NOT_OURS;
    $SIG{TERM} = $on_early;
    my $logger = $self->{server}{logger};
    my $num    = $self->{num};
    $SIG{ABRT} = sub { PAGI::Server::Log->tell($logger, error => _where($num)) };
    POSIX::sigprocmask(SIG_SETMASK, POSIX::SigSet->new);
}

# By a handler: what is ignored would also be by programs that the application starts.
sub _pass_over {
    my ($signal) = @_;

    my $action = POSIX::SigAction->new(sub { }, POSIX::SigSet->new, SA_RESTART);
    $action->safe(1);
    POSIX::sigaction(IO::Async::OS->signame2num($signal), $action);
}

# What a worker says before the master ends it: where it has been blocked.
sub _where {
    my ($num) = @_;

    my ($text, $depth) = ("Worker $num ($$) is blocked here:\n", 1);
    my $at;
    while (my ($package, $file, $line) = caller $depth++) {
        last if $package eq __PACKAGE__;
        $at //= "$file line $line";
        my $sub = (caller $depth)[3] // 'main';
        next if $sub eq '(eval)';
        $text .= "    $at, in $sub\n";
        undef $at;
    }
    return $text;
}

# Never the master's, whose watches are not for this process
sub _new_loop {
    my ($self) = @_;

    my $master = $self->{master};
    my $class  = $master->{_loop_class} // ref $master->loop;
    undef $IO::Async::Loop::ONE_TRUE_LOOP;
    return $class->new;
}

# ---- the server ----

sub _make_server {
    my ($self) = @_;

    my $master  = $self->{master};
    my %options = map { $_ => $master->{$_} }
        grep { defined $master->{$_} || PAGI::Server::Options->may_be_none($_) }
        grep { !$MASTERS{$_} } PAGI::Server::Options->names;
    $options{log_level} = 'warn' if $master->{log_level} eq 'info';
    my $server = ref($master)->new(%options, %{ $master->{_own_options} });
    $server->{listeners}      = $master->{listeners};
    $server->{_sockets}       = $self->_sockets($master);
    $server->{_request_count} = 0;
    @{$server}{qw(is_worker worker_num)} = (1, $self->{num});
    @{$server}{qw(host port ssl)}        = @{$master}{qw(host port ssl)};
    weaken(my $weak = $self);
    $server->{_on_stopping}       = sub { $weak->_say(STOPPING) if $weak };
    $server->{_share_of_requests} = _share($server);
    return $server;
}

sub _sockets {
    my ($self, $master) = @_;

    my $shared = delete $master->{_sockets};
    $shared->survive_exec(0);
    return $shared->belong_to_worker($self->{num});
}

# Workers that begin together shall not all end together: each has a little less than the most.
sub _share {
    my ($server) = @_;

    my $most   = $server->{max_requests} or return 0;
    my $jitter = $server->{max_requests_jitter} // int($most / 10);
    $jitter = $most - 1 if $jitter >= $most;
    return $most - int rand 1 + $jitter;
}

sub _failed {
    my ($self, $error) = @_;

    $error =~ s/\s+\z//;
    $self->{server}->_log(error => "Worker $self->{num} ($$): startup failed: $error")
        if $error !~ /\ALifespan startup failed:/;    # that has been said
    return 2;
}

# ---- the master ----

sub _say {
    my ($self, $byte) = @_;

    syswrite $self->{channel}, $byte;    # a master that is gone is found out by _watch_master
}

# Without a master nobody would ever end this process.
sub _watch_master {
    my ($self) = @_;

    weaken(my $weak = $self);
    $self->{loop}->watch_io(
        handle        => $self->{channel},
        on_read_ready => sub { $weak->_master_gone if $weak },
    );
}

sub _master_gone {
    my ($self) = @_;

    my $got = sysread $self->{channel}, my $bytes, 64;
    return if $got || !defined $got;
    $self->{loop}->unwatch_io(handle => $self->{channel}, on_read_ready => 1);
    my $signals = $self->{server}{_signals} or return;
    $signals->stop('TERM');
}

# By the loop that the application runs on: it must be blocked when that is.
sub _beat {
    my ($self) = @_;

    my $limit = $self->{server}{heartbeat_timeout};
    $self->_every($limit / 5, '_alive')            if $limit;
    $self->_every(LOOK_AT_MEMORY, '_check_memory') if $self->{server}{max_worker_memory};
}

sub _every {
    my ($self, $seconds, $method) = @_;

    weaken(my $weak = $self);
    my $again;
    $again = sub {
        return if !$weak;
        $weak->$method;
        $weak->{loop}->watch_time(after => $seconds, code => $again);
    };
    $self->{loop}->watch_time(after => $seconds, code => $again);
}

sub _alive { $_[0]->_say(ALIVE) }

sub _check_memory {
    my ($self) = @_;

    my ($most, $has) = ($self->{server}{max_worker_memory}, _resident() // return);
    return if $has <= $most || $self->{is_too_big}++;
    $self->{server}->_log(warn => "Worker $$: uses $has bytes of memory, more than "
            . "max_worker_memory ($most), shutting down");
    $self->{server}{_signals}->stop('TERM');
}

# Bytes, or nothing where the system does not tell
sub _resident {
    CORE::open my $fh, '<', '/proc/self/statm' or return;
    my (undef, $pages) = split ' ', readline $fh;
    return $pages * POSIX::sysconf(POSIX::_SC_PAGESIZE());
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Workers::Child - a worker

=head1 DESCRIPTION

What happens in a process that L<PAGI::Server::Workers> has forked: signals, a loop and a server
object of its own, then serving until it is asked to stop. Over a socket it tells its master that it
is ready, that its loop turns, and that it is about to end; when that socket closes, the master is
gone, and so is the worker.

=head1 CLASS METHODS

=head2 run

    exit PAGI::Server::Workers::Child->run(server => $master, num => $num, channel => $socket);

Serves. Returns the status to exit with: 0, 2 where the start has failed, 1 for anything unexpected,
which is warned of.

=cut

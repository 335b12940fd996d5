package PAGI::Server::Serving;
use strict;
use warnings;

use parent 'IO::Async::Notifier';

use Errno ();
use Future;
use POSIX        ();
use Scalar::Util qw(weaken);

use PAGI::Server::Banner;
use PAGI::Server::Core;
use PAGI::Server::Dispatch;
use PAGI::Server::Lifespan;
use PAGI::Server::LogFile;
use PAGI::Server::Notify;
use PAGI::Server::Options;
use PAGI::Server::Signals;
use PAGI::Server::TLS;

our $VERSION = '0.003000';

# ---- start ----

sub _make_lifespan {
    my ($self) = @_;

    return PAGI::Server::Lifespan->new(
        app              => $self->{app},
        state            => $self->{state},
        loop             => $self->loop,
        mode             => $self->{lifespan_mode},
        startup_timeout  => $self->{lifespan_startup_timeout},
        shutdown_timeout => $self->{shutdown_timeout},
        log              => $self->_logger,
        map { $_ => $self->{$_} } qw(is_worker worker_num),
    );
}

sub _make_signals {
    my ($self) = @_;

    my @on = $self->_reopening(sub { });
    @on = (@on, map { $_ => undef } qw(INT HUP USR2 TTIN TTOU)) if $self->{is_worker};
    return PAGI::Server::Signals->new(
        loop    => $self->loop,
        server  => $self,
        log     => $self->_logger,
        on      => {@on},
        on_stop => $self->{_on_stopping},
        $self->{is_worker} ? (complaint => 'Worker shutdown error') : (),
    );
}

# USR1, where there are log files to open again
sub _reopening {
    my ($self, $then) = @_;

    return unless PAGI::Server::LogFile->is_used;
    my $log = $self->_logger;
    return (USR1 => sub { PAGI::Server::LogFile->reopen($log); $then->() });
}

sub _start_workers {
    my ($self) = @_;

    delete $self->{_workers_failed};
    my $workers = $self->{_workers} = PAGI::Server::Workers->new($self);
    my $started = eval { $workers->start };
    return $started if $started;
    my $error = $@;
    $workers->kill_all;
    $self->_close;
    return Future->fail($error);
}

sub _open {
    my ($self) = @_;

    return $self->_give_up("PAGI::Server was shut down before it had started\n")
        if $self->{shutting_down};
    my $opened = eval {
        $self->_start_core;
        $self->_accept;
        $self->{running} = 1;
        $self->_tell_start if !$self->{is_worker};
        1;
    };
    return $self->_give_up($@) unless $opened;
    $self->{_signals}->ready;
    return Future->done($self);
}

# A shutdown that was asked for meanwhile is done with it.
sub _start_over {
    my ($self) = @_;

    $self->{_starting} = 0;
    my $asked = delete $self->{_shutdown} or return;
    $asked->done($self);
}

sub _shutdown_once_started {
    my ($self) = @_;

    $self->{shutting_down} = 1;
    $self->{_shutdown}     = $self->{_serving_loop}->new_future;
    return $self->{_shutdown}->without_cancel;
}

sub _tell_start {
    my ($self) = @_;

    PAGI::Server::Banner->show($self);
    PAGI::Server::Notify->ready;
    $self->{_end_watchdog} = PAGI::Server::Notify->watchdog($self->{_serving_loop});
}

# The application was started and cannot be reached: it is shut down again.
sub _give_up {
    my ($self, $error) = @_;

    $self->{running} = 0;
    $self->_unwatch;
    $self->_stop_listening;
    delete $self->{_core};
    return $self->{_lifespan}->shutdown->then(sub { $self->_close; Future->fail($error) });
}

sub _start_core {
    my ($self) = @_;

    weaken(my $weak = $self);
    my $core = $self->{_core} = PAGI::Server::Core->start(
        loop     => $self->{_serving_loop},
        settings => PAGI::Server::Options->settings($self),
        state    => $self->{state},
        $self->_changeable,
        on_log     => $self->_logger,
        on_stopped => sub { $weak->_stopped if $weak },
        on_idle    => sub { $weak->_idle    if $weak },
        $self->_request_limit,
    );
    PAGI::Server::TLS->secure($self, $core);
    open my $bell, '<&=', POSIX::dup($core->bell) or die "Cannot watch the core: $!\n";
    $self->{_bell} = $bell;
    weaken(my $weak_core = $core);
    $self->{_serving_loop}->watch_io(handle => $bell, on_read_ready => sub { $weak_core->drain });
}

# What the core takes while it runs, too
sub _changeable {
    my ($self) = @_;

    return (
        app             => $self->{app},
        extensions      => PAGI::Server::TLS->without_own($self->{extensions}),
        fullflush       => exists $self->{extensions}{fullflush},
        validate_events => $self->{validate_events},
        logger          => $self->{logger},
        $self->_access_log,
    );
}

sub _access_log {
    my ($self) = @_;

    return unless $self->{access_log};
    return (access_log => $self->{access_log}, log_format => $self->{access_log_format});
}

sub _accept {
    my ($self) = @_;

    for my $pair ($self->bind->list) {
        my ($listener, $socket) = @$pair;
        $self->{_core}->listen($socket, $listener->{path});
    }
}

# ---- end ----

# Done when no connection is left and no call of the application runs, or time is up.
sub _stop_core {
    my ($self) = @_;

    my $loop = $self->{_serving_loop};
    $self->_stop_listening;
    $self->{_stopped} = $loop->new_future;
    $self->{_idle}    = $loop->new_future;
    $self->{_core}->stop;
    my @given = map { $_->stop } values %{ $self->{connections} };        # PAGI::Server::Connection
    my $limit = $loop->delay_future(after => $self->{shutdown_timeout});
    return Future->needs_all($self->{_stopped}, @given)->then(sub {
        $self->_idle;
        return Future->wait_any($limit, $self->{_idle});
    })->on_ready(sub { delete @{$self}{qw(_stopped _idle)} });
}

sub _stop_listening {
    my ($self) = @_;

    my $sockets = delete $self->{_sockets} or return;
    $sockets->close;
}

# They stay with somebody else.
sub _release_sockets {
    my ($self) = @_;

    my $sockets = delete $self->{_sockets} or return;
    $sockets->release;
}

# A worker that has done its share ends. The core counts, and tells of the last one only.
sub _request_limit {
    my ($self) = @_;

    my $share = $self->{_share_of_requests} or return;
    weaken(my $weak = $self);
    my $reached = sub {
        return if !$weak;
        $weak->{_request_count} = $share - 1;
        $weak->_on_request_complete;
    };
    return (request_limit => $share, on_limit => $reached);
}

sub _on_request_complete {
    my ($self) = @_;

    return if !$self->{is_worker};
    my $count = ++$self->{_request_count};
    my $share = $self->{_share_of_requests} || $self->{max_requests} or return;
    return if $count < $share || $self->{_max_requests_shutdown_triggered}++;
    $self->_log(info => "Worker $$: reached max_requests ($share), shutting down");
    $self->{_signals}->stop(TERM => "Worker $$: max_requests shutdown error") if $self->{_signals};
}

sub _initiate_multiworker_shutdown { $_[0]->shutdown }

# For programs that accept by themselves, as the core does where it is the one to accept: an error
# (a number, or $!) is told, and shortage of descriptors is waited out.
sub _on_accept_error {
    my ($self, @what) = @_;

    no warnings 'numeric';
    local $! = 0 + ($what[-1] // $!);
    return $self->_log(error => "Accept error: $!") if !$!{EMFILE} && !$!{ENFILE};
    return                                          if $self->{_accept_pause};
    $self->_log(warn => "Accept error (FD exhaustion): $! - pausing accept for 100ms");
    $self->_pause_accepting(0.1);
}

sub _pause_accepting {
    my ($self, $seconds) = @_;

    return if $self->{_accept_pause} || !$self->{_core};
    $seconds //= 0.1;
    $self->{_core}->pause(int 1000 * $seconds);
    weaken(my $weak = $self);
    my $resume = sub {
        return if !$weak || !delete $weak->{_accept_pause};
        $weak->_log(debug => 'Accept resumed after FD exhaustion pause');
    };
    $self->{_accept_pause} = $self->{_serving_loop}->watch_time(after => $seconds, code => $resume);
}

sub _is_foreign {
    my ($self) = @_;

    return $self->{_core} ? $self->{_core}->is_foreign : ($self->{_pid} // $$) != $$;
}

sub _stopped {
    my ($self) = @_;

    $self->{_stopped}->done if $self->{_stopped} && !$self->{_stopped}->is_ready;
}

sub _idle {
    my ($self) = @_;

    return               unless $self->{_idle} && !$self->{_idle}->is_ready;
    $self->{_idle}->done unless $self->{_core}->running;
}

sub _unwatch {
    my ($self) = @_;

    my $bell = delete $self->{_bell}  or return;
    my $loop = $self->{_serving_loop} or return;
    $loop->unwatch_io(handle => $bell, on_read_ready => 1);
}

sub _close {
    my ($self) = @_;

    $self->_unwatch;
    $self->_stop_listening;
    my $end_watchdog = delete $self->{_end_watchdog};
    $end_watchdog->() if $end_watchdog;
    my $pause = delete $self->{_accept_pause};
    $self->{_serving_loop}->unwatch_time($pause) if $pause && $self->{_serving_loop};
    delete @{$self}{qw(_core _lifespan _workers)};
    $self->{running} = 0;
    my $signals = delete $self->{_signals};
    $signals->remove if $signals;
}

# A server that is dropped without a shutdown stops serving.
sub DESTROY {
    my ($self) = @_;

    return if ${^GLOBAL_PHASE} eq 'DESTRUCT' || !$self->{_bell};
    $self->_unwatch;
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Serving - how one process of a server begins and ends

=head1 DESCRIPTION

The half of L<PAGI::Server> behind its C<listen> and C<shutdown>, in the process that serves: a
single one, or each worker. Its lifespan, its core, its signals, and their order. Nothing here is
meant for applications.

=cut

package PAGI::Server;
use strict;
use warnings;

use parent 'IO::Async::Notifier';

use Carp qw(croak);
use Future;
use IO::Async::Loop;
use POSIX        ();
use Scalar::Util qw(weaken);

our $VERSION = '0.003000';

our $TLS_AVAILABLE       = 0;
our $HTTP2_AVAILABLE     = 0;
our $FUTURE_XS_AVAILABLE = eval { require Future::XS; 1 } ? 1 : 0;
our $FUTURE_XS_ENABLED   = Future->isa('Future::XS')      ? 1 : 0;

BEGIN {
    die <<"END" if $ENV{PAGI_FUTURE_XS} && !eval { require Future::XS; 1 };
PAGI_FUTURE_XS=1 set but Future::XS is not installed.

To install Future::XS:
    cpanm Future::XS

Or unset the PAGI_FUTURE_XS environment variable.
END
}

use PAGI::Server::Core;
use PAGI::Server::ConnectionState;
use PAGI::Server::Dispatch;
use PAGI::Server::EventValidator;
use PAGI::Server::Lifespan;
use PAGI::Server::Listeners;
use PAGI::Server::Log;
use PAGI::Server::Options;
use PAGI::Server::Signals;
use PAGI::Server::TransportState;

sub has_tls { $TLS_AVAILABLE }

sub has_http2 { $HTTP2_AVAILABLE }

sub _init {
    my ($self, $params) = @_;

    $self->SUPER::_init($params);
    $self->{connections} = {};
    $self->{running}     = 0;
    $self->{state}       = {};
    $self->{$_}          = PAGI::Server::Options->default_of($_) for PAGI::Server::Options->names;
    $self->{extensions}  = {};
    $self->{access_log}  = \*STDERR;
    $self->{validate_events} = ($ENV{PAGI_ENV} // '') eq 'development' ? 1 : 0;
    $self->{_fresh}          = 1;
}

sub configure {
    my ($self, %params) = @_;

    my %given = map { $_ => delete $params{$_} }
        grep { PAGI::Server::Options->is_known($_) } keys %params;
    $self->SUPER::configure(%params);    # croaks over what is left
    my $fresh = delete $self->{_fresh};
    $self->_check_tls(\%given);
    PAGI::Server::Listeners->check(\%given) if $fresh;
    PAGI::Server::Options->check($_ => $given{$_}) for sort keys %given;
    die "app is required\n"        if ($fresh || exists $given{app}) && !$given{app};
    $self->_set_listeners(\%given) if $fresh;
    $self->_take(\%given);
}

sub listen {
    my ($self) = @_;

    return Future->done if $self->{running} || $self->{_starting};
    my $loop = $self->loop or croak 'PAGI::Server must be added to a loop before it can listen';
    $self->{shutting_down} = 0;
    $self->{_starting}     = 1;
    $self->{_signals}      = PAGI::Server::Signals->new(
        loop => $loop, server => $self, log => $self->_logger,
    )->install;
    $self->{_lifespan} = $self->_make_lifespan;
    my $listening = $self->{_lifespan}->startup->then(
        sub { $self->_open },
        sub { my @failure = @_; $self->_close; Future->fail(@failure) },
    );
    return $listening->on_ready(sub { $self->{_starting} = 0 })->retain;
}

sub shutdown {
    my ($self) = @_;

    return $self->{_shutdown} if $self->{_shutdown};
    return Future->done($self) unless $self->{running};
    $self->{running}       = 0;
    $self->{shutting_down} = 1;
    my $done = $self->_stop_core->then(sub { $self->{_lifespan}->shutdown })
        ->then(sub { $self->_close; Future->done($self) });
    return $done if $done->is_ready;
    weaken(my $weak = $self);
    $self->{_shutdown} = $done;
    return $done->on_ready(sub { delete $weak->{_shutdown} if $weak });
}

sub run {
    my ($self) = @_;

    my $loop = _new_loop($self->{loop_type});
    $loop->add($self);
    eval { $self->listen->get; 1 } or die $self->_start_error($@);
    $loop->run if $self->is_running || $self->{_shutdown};
    return;
}

sub port {
    my ($self) = @_;

    my ($tcp) = grep { $_->{type} eq 'tcp' } @{ $self->{listeners} // [] };
    return $tcp ? $tcp->{port} : $self->{port};
}

sub socket_path {
    my ($self) = @_;

    my ($unix) = grep { $_->{type} eq 'unix' } @{ $self->{listeners} // [] };
    return $unix ? $unix->{path} : undef;
}

sub listeners { $_[0]{listeners} }

sub is_running { $_[0]{running} ? 1 : 0 }

sub connection_count {
    my ($self) = @_;

    return $self->{_core}
        ? $self->{_core}->connection_count
        : scalar keys %{ $self->{connections} };
}

sub effective_max_connections { $_[0]{max_connections} || 1000 }

# ---- options ----

sub _check_tls {
    my ($self, $given) = @_;

    return unless $given->{ssl} && $given->{disable_tls};
    warn "PAGI::Server: TLS disabled via disable_tls option, ssl config ignored\n";
    delete $given->{ssl};
}

sub _set_listeners {
    my ($self, $given) = @_;

    $self->{listeners} = PAGI::Server::Listeners->from_options($given);
    @{$self}{qw(host port)} = () if defined $given->{listen} || defined $given->{socket};
}

sub _take {
    my ($self, $given) = @_;

    PAGI::Server::Log->validate($given->{log_level}) if defined $given->{log_level};
    _check_lifespan_mode($given->{lifespan_mode})    if defined $given->{lifespan_mode};
    _check_loop_type($given->{loop_type})            if defined $given->{loop_type};
    $self->_check_log_format($given->{access_log_format});
    $self->{$_} = $given->{$_} for $self->_changes($given);
    $self->{_log} = PAGI::Server::Log->new(level => $self->{log_level}, quiet => $self->{quiet});
    $self->{_core}->configure(PAGI::Server::Options->settings($self)) if $self->{_core};
}

# An undefined value means the default, but for access_log, where it means none.
sub _changes {
    my ($self, $given) = @_;

    return grep { defined $given->{$_} || $_ eq 'access_log' } keys %$given;
}

sub _check_lifespan_mode {
    my ($mode) = @_;

    die "Invalid lifespan_mode '$mode' - must be one of: auto, on, off\n"
        unless $mode =~ /\A(?:auto|on|off)\z/;
}

sub _check_loop_type {
    my ($type) = @_;

    die "Invalid loop_type '$type': must contain only letters, digits, and ::\n"
        unless $type =~ /\A[A-Za-z0-9_]+(?:::[A-Za-z0-9_]+)*\z/;
}

sub _check_log_format {
    my ($self, $format) = @_;

    return if !defined $format || $format eq 'clf';
    PAGI::Server::Core->check_log_format($format);
}

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
    );
}

sub _open {
    my ($self) = @_;

    my $opened = eval { $self->_start_core; $self->_bind; 1 };
    return $self->_give_up($@) unless $opened;
    $self->{running} = 1;
    $self->_announce;
    $self->{_signals}->ready;
    return Future->done($self);
}

# The application was started and cannot be reached: it is shut down again.
sub _give_up {
    my ($self, $error) = @_;

    return $self->{_lifespan}->shutdown->then(sub { $self->_close; Future->fail($error) });
}

sub _start_core {
    my ($self) = @_;

    weaken(my $weak = $self);
    my $core = $self->{_core} = PAGI::Server::Core->start(
        app             => $self->{app},
        loop            => $self->loop,
        settings        => PAGI::Server::Options->settings($self),
        state           => $self->{state},
        extensions      => $self->{extensions},
        fullflush       => exists $self->{extensions}{fullflush},
        validate_events => $self->{validate_events},
        $self->_access_log,
        on_log     => $self->_logger,
        on_stopped => sub { $weak->_stopped if $weak },
        on_idle    => sub { $weak->_idle    if $weak },
    );
    open my $bell, '<&=', POSIX::dup($core->bell) or die "Cannot watch the core: $!\n";
    $self->{_bell} = $bell;
    $self->loop->watch_io(handle => $bell, on_read_ready => sub { $core->drain });
}

sub _access_log {
    my ($self) = @_;

    return unless $self->{access_log};
    return (access_log => $self->{access_log}, log_format => $self->{access_log_format});
}

sub _bind {
    my ($self) = @_;

    for my $listener (@{ $self->{listeners} }) {
        $listener->{port} =
            $self->{_core}->listen($listener->{host}, $listener->{port}, $self->{listener_backlog});
    }
}

sub _announce {
    my ($self) = @_;

    $self->_log(warn => 'access_log is a terminal; this may impact performance. '
            . 'Consider redirecting to a file or setting access_log => undef for benchmarks.')
        if $self->{access_log} && -t $self->{access_log};
    $self->_log(info => $self->_banner);
    $self->_log(warn => 'Using default max_connections (1000). For production, consider tuning '
            . q{this value based on your workload. See 'perldoc PAGI::Server' for guidance.})
        if ($ENV{PAGI_ENV} // '') eq 'production' && !$self->{max_connections};
}

sub _banner {
    my ($self) = @_;

    my @names = map { PAGI::Server::Listeners->name($_) } @{ $self->{listeners} };
    my $loop  = ref $self->loop;
    $loop =~ s/\AIO::Async::Loop:://;
    my $xs   = $FUTURE_XS_ENABLED ? 'on' : $FUTURE_XS_AVAILABLE ? 'available' : 'not installed';
    my $what = @names == 1 ? 'on' : 'on:';
    return
          "PAGI Server listening $what "
        . join(', ', @names)
        . " (loop: $loop, max_conn: "
        . $self->effective_max_connections
        . ", http2: not installed, tls: not installed, future_xs: $xs)";
}

sub _new_loop {
    my ($type) = @_;

    return IO::Async::Loop->new unless defined $type;
    my $class = "IO::Async::Loop::$type";
    (my $file = "$class.pm") =~ s{::}{/}g;
    eval { require $file; 1 }
        or die "Cannot load loop backend '$type': $@\nInstall it with: cpanm $class\n";
    return $class->new;
}

sub _start_error {
    my ($self, $error) = @_;

    my $port = $self->port // '';
    return "Error: Port $port is already in use\n" if $error =~ /Address already in use/i;
    return "Error: Permission denied to bind to port $port\n" if $error =~ /Permission denied/i;
    $error =~ s/\n*\z//;
    return "Error starting server: $error\n";
}

# ---- end ----

# Done when no connection is left and no call of the application runs, or time is up.
sub _stop_core {
    my ($self) = @_;

    my $loop = $self->loop;
    $self->{_stopped} = $loop->new_future;
    $self->{_idle}    = $loop->new_future;
    $self->{_core}->stop;
    my $limit = $loop->delay_future(after => $self->{shutdown_timeout});
    return $self->{_stopped}->then(sub {
        $self->_idle;
        return Future->wait_any($limit, $self->{_idle});
    })->on_ready(sub { delete @{$self}{qw(_stopped _idle)} });
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

sub _close {
    my ($self) = @_;

    if (my $bell = delete $self->{_bell}) {
        $self->loop->unwatch_io(handle => $bell, on_read_ready => 1);
    }
    delete @{$self}{qw(_core _lifespan)};
    $self->{running} = 0;
    my $signals = delete $self->{_signals};
    $signals->remove if $signals;
}

# ---- log ----

sub _log {
    my ($self, $level, $message) = @_;

    $self->{_log}->log($level, $message);
}

sub _logger {
    my ($self) = @_;

    weaken(my $weak = $self);
    return sub { $weak->_log(@_) if $weak };
}

1;

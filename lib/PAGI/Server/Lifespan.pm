package PAGI::Server::Lifespan;
use strict;
use warnings;

use Scalar::Util qw(blessed reftype weaken);

our $VERSION = '0.003000';

use constant SPEC_VERSION => '0.3';

# What the application may send, and who takes it
my %SEND = (
    'lifespan.startup.complete'  => '_startup_complete',
    'lifespan.startup.failed'    => '_abort',
    'lifespan.shutdown.complete' => '_end_shutdown',
    'lifespan.shutdown.failed'   => '_shutdown_failed',
);

sub new {
    my ($class, %args) = @_;

    my $self = bless {
        mode             => 'auto',
        startup_timeout  => 30,
        shutdown_timeout => 30,
        is_worker        => 0,
        worker_num       => undef,
        state            => {},
        %args,
        events    => [{ type => 'lifespan.startup' }],    # not yet received
        waiting   => [],                                  # $receive Futures without an event
        supported => 0,
        finished  => 0,
    }, $class;
    weaken $self->{loop};
    return $self;
}

sub is_supported {
    my ($self) = @_;

    return $self->{supported};
}

sub startup {
    my ($self) = @_;

    my $starting = $self->{loop}->new_future;
    return $starting->done if $self->{mode} eq 'off';

    $self->{starting} = $starting;
    $self->_limit($self->{startup_timeout}, '_startup_timed_out') if $self->{startup_timeout};
    $self->_call_app;
    return $starting;
}

sub shutdown {
    my ($self) = @_;

    return $self->{stopping}               if $self->{stopping};
    return $self->{loop}->new_future->done if !$self->{supported} || $self->{finished};

    my $stopping = $self->{stopping} = $self->{loop}->new_future;
    $self->_limit($self->{shutdown_timeout}, '_shutdown_timed_out');
    $self->_queue({ type => 'lifespan.shutdown' });
    $self->_end_shutdown if !$self->{running} && @{ $self->{events} };    # nobody to answer
    return $stopping;
}

# The application's side

sub _call_app {
    my ($self) = @_;

    my $receive = sub { $self->_receive };
    my $send    = sub { $self->_send(@_) };
    my $running = eval { _future_of(scalar $self->{app}->($self->_scope, $receive, $send)) }
        || $self->{loop}->new_future->fail($@ || 'Died');

    $self->{running} = $running;
    weaken(my $weak = $self);
    $running->on_ready(sub { $weak->_app_ended(@_) if $weak });
}

sub _scope {
    my ($self) = @_;

    my %pagi = (version => SPEC_VERSION, spec_version => SPEC_VERSION);
    @pagi{qw(is_worker worker_num)} = ($self->{is_worker} ? 1 : 0, $self->{worker_num});
    return { type => 'lifespan', pagi => \%pagi, state => $self->{state} };
}

sub _receive {
    my ($self) = @_;

    my $future = $self->{loop}->new_future;
    my $event  = shift @{ $self->{events} };
    return $future->done($event) if $event;

    push @{ $self->{waiting} }, $future;
    $self->_let_go if $self->{finished};
    return $future;
}

sub _send {
    my ($self, $event) = @_;

    my $type   = (reftype($event) // '') eq 'HASH' ? $event->{type} // '' : '';
    my $sent   = $self->{loop}->new_future;
    my $method = $SEND{$type}
        or return $sent->fail("Unrecognized event type '$type' for lifespan protocol\n");

    $self->$method(_trimmed($event->{message} // ''));
    return $sent->done;
}

sub _queue {
    my ($self, $event) = @_;

    my $waiting = $self->{waiting};
    shift @$waiting while @$waiting && $waiting->[0]->is_ready;    # cancelled by the application
    my $receiver = shift @$waiting      or return push @{ $self->{events} }, $event;
    eval { $receiver->done($event); 1 } or $self->_app_failed($@);
}

sub _app_ended {
    my ($self, $running) = @_;

    delete $self->{running};
    my $error = $running->failure;
    return $self->_decline($error) if $self->{starting};
    $self->_app_failed($error)     if defined $error && $self->{supported};
    $self->_end_shutdown;
}

sub _app_failed {
    my ($self, $error) = @_;

    $self->_log(error => 'Lifespan app failed after startup: ' . _trimmed($error));
}

# The end of the start

sub _startup_complete {
    my ($self) = @_;

    my $starting = $self->_end_of('starting') or return;
    $self->{supported} = 1;
    $starting->done;
}

sub _decline {
    my ($self, $error) = @_;

    my $raised = defined $error ? 'raised: ' . _trimmed($error) : undef;
    return $self->_abort("lifespan_mode is 'on' but the application "
            . ($raised // 'returned without signalling startup'))
        if $self->{mode} eq 'on';

    my $reason = defined $raised ? " (application $raised)" : '';
    $self->_log(info => "Lifespan not supported, continuing without it$reason");
    $self->_finish('starting')->done;
}

sub _startup_timed_out {
    my ($self) = @_;

    my $message = "Lifespan startup timed out after $self->{startup_timeout}s";
    $self->_log(error => $message);
    $self->_abort($message);
}

sub _abort {
    my ($self, $message) = @_;

    my $starting = $self->_finish('starting') or return;
    my $who      = $self->{is_worker} ? "Worker $self->{worker_num} ($$):" : 'PAGI Server';
    $self->_log(error => "$who startup failed: $message");
    $starting->fail("Lifespan startup failed: $message\n");
}

# The end of the end

sub _end_shutdown {
    my ($self) = @_;

    my $stopping = $self->_finish('stopping') or return;
    $stopping->done;
}

sub _shutdown_failed {
    my ($self, $message) = @_;

    $self->{stopping} or return;
    $message = 'Lifespan shutdown failed' unless length $message;
    $self->_log(warn => "PAGI Server shutdown warning: $message");
    $self->_end_shutdown;
}

sub _shutdown_timed_out {
    my ($self) = @_;

    $self->_shutdown_failed("Lifespan shutdown timed out after $self->{shutdown_timeout}s");
}

# Waiting and letting go

sub _limit {
    my ($self, $seconds, $method) = @_;

    $self->{timer} = $self->{loop}->watch_time(
        after => $seconds,
        code  => sub { delete $self->{timer}; $self->$method },
    );
}

sub _end_of {
    my ($self, $phase) = @_;

    my $future = delete $self->{$phase} or return;
    my $timer  = delete $self->{timer};
    $self->{loop}->unwatch_time($timer) if $timer;
    return $future;
}

sub _finish {
    my ($self, $phase) = @_;

    my $future = $self->_end_of($phase) or return;
    $self->{finished} = 1;
    $self->{events}   = [];
    $self->_let_go;
    return $future;
}

# An application that waits for an event that never comes would hold itself, and us, for ever. It
# may be running just now (it has sent the signal that finished us), hence later.
sub _let_go {
    my ($self) = @_;

    $self->{loop}->watch_time(after => 0, code => sub { $self->_cancel_waiting });
}

sub _cancel_waiting {
    my ($self) = @_;

    my $waiting = delete $self->{waiting};
    $self->{waiting} = [];
    my $running = $self->{running} or return;
    $running->cancel if grep { !$_->is_ready } @$waiting;
}

sub _log {
    my ($self, $level, $message) = @_;

    $self->{log}->($level, $message) if $self->{log};
}

sub _future_of {
    my ($result) = @_;

    return $result if blessed $result && $result->can('on_ready');
    die 'Expected a blessed object reference to await';
}

sub _trimmed {
    my ($text) = @_;

    $text = "$text";
    $text =~ s/\s+\z//;
    return $text;
}

1;

=encoding utf8

=head1 NAME

PAGI::Server::Lifespan - the lifespan protocol of one server process

=head1 SYNOPSIS

    my $lifespan = PAGI::Server::Lifespan->new(
        app   => $app,
        loop  => $loop,
        state => \my %state,
        log   => sub { my ($level, $message) = @_; warn "$message\n" },
    );

    await $lifespan->startup;     # fails if the application refuses to start
    ...                           # serve
    await $lifespan->shutdown;    # never fails

=head1 DESCRIPTION

Calls the application once with a C<lifespan> scope, tells it C<lifespan.startup> before the server
accepts and C<lifespan.shutdown> after its connections are drained, and waits for the answers, as
L<PAGI::Spec::Lifespan> lays down. One object serves one start and one stop of one process.

The application's Future is held until it is ready, so that an application may keep its background
work in it. It is cancelled in one case only: the protocol is over and the application waits for yet
another event, which cannot come.

C<state> is handed to the application as it is, not as a copy: what is put in there, now or later,
is what the scopes of the requests copy.

=head2 How a start ends

    the application                       mode auto              mode on
    ------------------------------------  ---------------------  -------
    sends lifespan.startup.complete       goes on, supported     same
    sends lifespan.startup.failed         fails                  fails
    raises before it has signalled        goes on, unsupported   fails
    returns without a signal              goes on, unsupported   fails
    does neither within startup_timeout   fails                  fails

With mode C<off> the application is not called at all. An application that does not return a Future
has raised C<Expected a blessed object reference to await>. Whichever comes first decides: signals
that come later, or a second time, are accepted and mean nothing.

After C<lifespan.startup.complete> the application may return or raise. Neither stops the server; an
exception is logged as C<Lifespan app failed after startup: ERROR>.

=head2 What is logged

    error  PAGI Server startup failed: MESSAGE
    error  Worker N (PID): startup failed: MESSAGE          (instead, in a worker)
    error  Lifespan startup timed out after Ns              (and then the line above)
    info   Lifespan not supported, continuing without it
    info   Lifespan not supported, continuing without it (application raised: ERROR)
    error  Lifespan app failed after startup: ERROR
    warn   PAGI Server shutdown warning: MESSAGE

=head1 METHODS

=head2 new

    my $lifespan = PAGI::Server::Lifespan->new(app => $app, loop => $loop);

Takes

=over 4

=item app

The application, a code reference. Required.

=item loop

The L<IO::Async::Loop> of this process. Required. Held weakly.

=item state

The hash reference that becomes C<< $scope->{state} >>. Default a new one.

=item mode

C<auto>, C<on> or C<off>, see L</How a start ends>. Default C<auto>. Validated by whoever made the
object.

=item startup_timeout

How long the application may take to signal its start, in seconds. Default 30; 0 waits for ever.

=item shutdown_timeout

How long the application may take to signal its end, in seconds. Default 30; 0 does not wait.

=item is_worker, worker_num

What C<< $scope->{pagi} >> says about this process: 0 or 1, and the number of the worker (from 1) or
C<undef>. Default 0 and C<undef>.

=item log

A code reference that is called with a level (C<info>, C<warn>, C<error>) and a line without
newline. Default: nothing is logged. It must not hold the object that holds the lifespan.

=back

=head2 is_supported

    my $bool = $lifespan->is_supported;

Whether the application has signalled C<lifespan.startup.complete>, 0 or 1: only then is it told
C<lifespan.shutdown>.

=head2 startup

    my $future = $lifespan->startup;

Calls the application and returns a Future that is done when the server may go on, whether or not
the protocol L</is_supported>. It fails, after the reason has been logged, with

    Lifespan startup failed: MESSAGE

and a newline, where C<MESSAGE> is the application's own or one of

    lifespan_mode is 'on' but the application raised: ERROR
    lifespan_mode is 'on' but the application returned without signalling startup
    Lifespan startup timed out after Ns

=head2 shutdown

    my $future = $lifespan->shutdown;

Tells the application C<lifespan.shutdown> and returns a Future that is done when the application
has signalled its end, has raised or returned instead, or has not answered within
C<shutdown_timeout>. Never fails: what went wrong is logged. Done at once if the protocol is not
supported or if there is nobody left to answer. Asked again while it waits it returns the same
Future.

=head1 ERRORS

The application's own C<$send> fails with

    Unrecognized event type 'TYPE' for lifespan protocol

and a newline, when it is given anything but the four events of the protocol.

=head1 SEE ALSO

L<PAGI::Server>, L<PAGI::Spec::Lifespan>

=cut

package PAGI::Server;
use strict;
use warnings;

use parent 'PAGI::Server::Serving';

use Carp qw(croak);
use Future;
use Scalar::Util qw(weaken);

our $VERSION = '0.003000';

our $TLS_AVAILABLE       = 1;
our $HTTP2_AVAILABLE     = 1;
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

use PAGI::Server::AccessLog;
use PAGI::Server::Core;
use PAGI::Server::Inherited;
use PAGI::Server::Listeners;
use PAGI::Server::Log;
use PAGI::Server::Loop;
use PAGI::Server::Notify;
use PAGI::Server::Options;
use PAGI::Server::Protocol::HTTP2;
use PAGI::Server::Signals;
use PAGI::Server::Sockets;
use PAGI::Server::TLS;
use PAGI::Server::Workers;

sub has_tls { $TLS_AVAILABLE }

sub has_http2 { $HTTP2_AVAILABLE }

sub _init {
    my ($self, $params) = @_;

    $self->SUPER::_init($params);
    $self->{connections} = {};
    $self->{worker_pids} = {};
    $self->{running}     = 0;
    $self->{state}       = {};
    $self->{$_}          = PAGI::Server::Options->default_of($_) for PAGI::Server::Options->names;
    $self->{extensions}  = {};
    $self->{access_log}  = \*STDERR;
    $self->{validate_events} = ($ENV{PAGI_ENV} // '') eq 'development' ? 1 : 0;
    $self->{_fresh}          = 1;

    # What only a subclass can know. Its workers are made with it, too.
    my @own = $params->{workers} ? grep { !PAGI::Server::Options->is_known($_) } keys %$params : ();
    @{ $self->{_own_options} }{@own} = @{$params}{@own};
}

sub configure {
    my ($self, %params) = @_;

    my %given = map { $_ => delete $params{$_} }
        grep { PAGI::Server::Options->is_known($_) } keys %params;
    $self->SUPER::configure(%params);    # croaks over what is left
    my $fresh = delete $self->{_fresh};
    PAGI::Server::TLS->take($self, \%given) if $given{ssl};
    PAGI::Server::Listeners->check(\%given) if $fresh;
    $given{$_} = PAGI::Server::Options->check($_ => $given{$_}) for sort keys %given;
    PAGI::Server::Options->check_watermarks(\%given, $self);
    die "app is required\n"        if ($fresh || exists $given{app}) && !$given{app};
    $self->_set_listeners(\%given) if $fresh;
    $self->_take(\%given);
}

sub listen {
    my ($self) = @_;

    return Future->done if $self->{running} || $self->{_starting};
    my $loop = $self->loop or croak 'PAGI::Server must be added to a loop before it can listen';
    eval { PAGI::Server::TLS->set_up($self); 1 } or return Future->fail($@);
    $self->{shutting_down} = 0;
    weaken($self->{_serving_loop} = $loop);
    return $self->_start_workers if $self->{workers};
    $self->{_starting} = 1;
    $self->{_signals}  = $self->_make_signals->install;
    $self->{_lifespan} = $self->_make_lifespan;
    my $listening = $self->{_lifespan}->startup->then(
        sub { $self->_open },
        sub { my @failure = @_; $self->_close; Future->fail(@failure) },
    );
    $listening->on_ready(sub { $self->_start_over })->retain;
    return $listening->without_cancel;    # who gives up waiting leaves nothing half done
}

sub bind {
    my ($self) = @_;

    return $self->{_sockets} //= PAGI::Server::Sockets->open(
        listeners => $self->{listeners},
        backlog   => $self->{listener_backlog},
        inherited => $self->_collect_inherited_fds,
        log       => $self->_logger,
        succeeds  => $self->_is_successor,
        shares    => $self->{reuseport} && $self->{workers},
    );
}

# The service goes on: a manager that was told otherwise would end the successor, too.
sub _has_successor {
    my ($self) = @_;

    return $self->{_workers} && $self->{_workers}->has_successor;
}

# The sockets were opened by a process that had the same arguments.
sub _is_successor {
    my ($self) = @_;

    return
           $self->_is_heir
        || defined $ENV{PAGI_RELOADER_PID}
        || ($self->{_workers} && $self->{_workers}->is_successor);
}

# A master that is to take over from another one
sub _is_heir {
    my ($self) = @_;

    return $self->{workers} && defined PAGI::Server::Workers::Restart->predecessor;
}

sub shutdown {
    my ($self) = @_;

    return $self->{_shutdown}->without_cancel if $self->{_shutdown};
    return $self->_shutdown_once_started      if $self->{_starting};
    return Future->done($self) unless $self->{running};
    $self->{running}       = 0;
    $self->{shutting_down} = 1;
    # In a forked child: what is served is its parent's. And without the loop nothing can end.
    if ($self->_is_foreign || !$self->{_serving_loop}) {
        $self->_close;
        return Future->done($self);
    }
    PAGI::Server::Notify->stopping unless $self->{is_worker} || $self->_has_successor;
    my $stopped =
          $self->{_workers}
        ? $self->{_workers}->shutdown
        : $self->_stop_core->then(sub { $self->{_lifespan}->shutdown });
    my $done = $stopped->then(sub { $self->_close; Future->done($self) });
    return $done if $done->is_ready;
    weaken(my $weak = $self);
    $self->{_shutdown} = $done;
    $done->on_ready(sub { delete $weak->{_shutdown} if $weak });
    return $done->without_cancel;
}

sub run {
    my ($self) = @_;

    my $loop = $self->_make_loop;
    $loop->add($self);
    eval { $self->listen->get; 1 } or die $self->_start_error($@);
    $self->{_on_started}->() if $self->{_on_started} && !$self->{workers};
    $loop->run               if $self->is_running || $self->{_shutdown};
    die "All workers failed to start; no workers remain\n" if $self->{_workers_failed};
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

    my $accepted = $self->{_core} ? $self->{_core}->connection_count : 0;
    return $accepted + keys %{ $self->{connections} };
}

sub effective_max_connections {
    my ($self) = @_;

    my $most = $self->{max_connections} // 0;
    return $most > 0 ? $most : 1000;
}

sub reload_tls { PAGI::Server::TLS->reload($_[0]) }

sub _collect_inherited_fds { PAGI::Server::Inherited->collect($_[0]->_logger) }

sub _build_ssl_config { PAGI::Server::TLS->as_socket_options($_[0]) }

# ---- run ----

# The loop of a master is not that of its workers where a process can have only one.
sub _make_loop {
    my ($self) = @_;

    my $loop = PAGI::Server::Loop->make($self->{loop_type});
    return $loop if !$self->{workers} || PAGI::Server::Loop->is_own($loop);
    $self->{_loop_class} = ref $loop;
    return PAGI::Server::Loop->make_own;
}

sub _start_error {
    my ($self, $error) = @_;

    my $port = $self->port // '';
    $port = $1 if $error =~ /(?:socket on|bind to) \S*:([0-9]+): /;
    $error =~ s/\n*\z//;
    return "Error starting server: $error\n"
        if $error !~ /\A(?:Worker \d+: )?Cannot (?:create listening socket|bind to)\b/;
    return "Error: Port $port is already in use\n" if $error =~ /Address already in use/i;
    return "Error: Permission denied to bind to port $port\n" if $error =~ /Permission denied/i;
    return "Error starting server: $error\n";
}

# ---- options ----

sub _set_listeners {
    my ($self, $given) = @_;

    $self->{listeners} = PAGI::Server::Listeners->from_options($given);
    @{$self}{qw(host port)} = () if defined $given->{listen} || defined $given->{socket};
}

sub _take {
    my ($self, $given) = @_;

    $self->{$_} = $given->{$_} for $self->_changes($given);
    $self->{_access_log_formatter} = $self->_compile_access_log_format($self->{access_log_format})
        if !$self->{_access_log_formatter} || exists $given->{access_log_format};
    $self->_take_http2;
    $self->{_log} = PAGI::Server::Log->new(
        level => $self->{log_level},
        map { $_ => $self->{$_} } qw(quiet logger)
    );
    my $core = $self->{_core} or return;
    $self->{extensions} = { tls => {}, %{ $self->{extensions} } } if $self->{tls_enabled};
    $core->configure(PAGI::Server::Options->settings($self));
    $core->reconfigure({ $self->_changeable });
}

# Keys that programs look at
sub _take_http2 {
    my ($self) = @_;

    my $is_on = $self->{http2_enabled} = $self->{http2} ? 1 : 0;
    $self->{h2c_enabled} = $is_on && !$self->{ssl} ? 1 : 0;
    delete $self->{http2_protocol};
    $self->{http2_protocol} = PAGI::Server::Protocol::HTTP2->of($self) if $is_on;
}

# A function of what a request tells the log; the core renders its lines by the same rules.
sub _compile_access_log_format {
    my ($class, $format) = @_;

    return PAGI::Server::AccessLog->formatter($format);
}

# An undefined value means the default, but for those where it means none.
sub _changes {
    my ($self, $given) = @_;

    return grep { defined $given->{$_} || PAGI::Server::Options->may_be_none($_) } keys %$given;
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

__END__

=encoding utf8

=head1 NAME

PAGI::Server - asynchronous web server for PAGI applications, on a Rust core

=head1 SYNOPSIS

    use strict;
    use warnings;

    use Future::AsyncAwait;
    use PAGI::Server;

    my $app = async sub {
        my ($scope, $receive, $send) = @_;

        die "Unsupported scope type: $scope->{type}\n" if $scope->{type} ne 'http';
        await $send->({
            type    => 'http.response.start',
            status  => 200,
            headers => [['content-type', 'text/plain; charset=utf-8']],
        });
        await $send->({ type => 'http.response.body', body => "Hello from $scope->{raw_path}\n" });
    };

    # Blocks, and returns after TERM or INT
    PAGI::Server->new(app => $app, port => 5000)->run;

Or inside a program that has an L<IO::Async::Loop> of its own:

    use strict;
    use warnings;

    use Future::AsyncAwait;
    use IO::Async::Loop;
    use PAGI::Server;

    my $loop   = IO::Async::Loop->new;
    my $server = PAGI::Server->new(app => \&app, host => '127.0.0.1', port => 0);

    $loop->add($server);
    $server->listen->get;
    print 'Serving http://127.0.0.1:', $server->port, "/\n";
    $loop->run;

    async sub app {
        my ($scope, $receive, $send) = @_;

        return if $scope->{type} ne 'http';
        await $send->({ type => 'http.response.start', status => 200, headers => [] });
        await $send->({ type => 'http.response.body', body => "Hello\n" });
    }

Or from the command line, see L<pagi-server>:

    $ pagi-server --port 5000 ./app.pl

=head1 DESCRIPTION

Serves applications that keep to the L<PAGI> interface: one code reference that is called with
C<$scope>, C<$receive> and C<$send> for each request, and once for the life of the process, and
returns a L<Future>.

Sockets, parsing, framing and timers are in a library written in Rust, which runs on a thread of its
own. The application runs where it always did: in the thread, the process and the event loop of the
program that called L</listen>. No part of it needs to know that there is another thread. How it is
made is told in L<PAGI::Server::Architecture>.

=head2 What this version serves

The scopes C<http>, C<websocket>, C<sse> and C<lifespan>, over HTTP/2, HTTP/1.1 and HTTP/1.0, on TCP,
TLS and Unix sockets, in one process or in many. What is
missing in detail is listed in L<PAGI::Server::Compliance>.

=head1 OPTIONS

For L</new>, L</configure> and, where a flag is named, L<pagi-server>. A name that is not listed
here croaks:

    Unrecognised configuration keys for PAGI::Server - NAME

The options of L<IO::Async::Notifier> (C<on_error>, C<notifier_name>) are accepted, too. An option
that is C<undef> counts as not given, but for C<access_log>, C<logger> and C<h2_rst_rate_limit>, where
it means none.

A value that cannot be meant, such as a number that is none or is out of its range, dies with one of

    Invalid value 'X' for option 'NAME': must be a whole number between MIN and MAX
    Invalid value 'X' for option 'NAME': must be a whole number of bytes between MIN and MAX
    Invalid value 'X' for option 'NAME': must be a number of seconds between MIN and MAX
    Invalid value 'X' for option 'NAME': must be a code reference
    Invalid value 'X' for option 'NAME': must be a hash reference
    Invalid value 'X' for option 'NAME': must be an array reference
    Invalid value 'X' for option 'NAME': must be a filehandle
    Invalid value 'X' for option 'NAME': must be a string
    Invalid value 'X' for option 'NAME': must be a file mode between 0 and 4095

and a newline. Where no greatest value is given below, it is 2**53 - 1. Seconds may have fractions.
A number may be an object that stands for one, such as a L<Math::BigInt>. Booleans are true or false
by Perl's rules.

=head2 The application

=over 4

=item app

A code reference, or an object with an overloaded C<&{}>. Required, else C<app is required>. Called with C<$scope>, C<$receive> and C<$send>
in scalar context; returns a L<Future>, whose value is ignored.

=item extensions

A hash reference, default empty. What the server advertises: each scope gets a shallow copy as
C<< $scope->{extensions} >>. The copy is made of what the hash held at L</listen>, or at the last
L</configure>: what is put into it later is not seen. Only two keys mean something to the server itself: C<fullflush>, see
L</http.fullflush>, and C<tls>, which connections over TLS have, and no others, whatever is given
here.

=item lifespan_mode

C<auto> (default), C<on> or C<off>. Whether the application may, must or must not be asked to handle
the lifespan protocol, see L<PAGI::Server::Lifespan/How a start ends>. Flag C<--lifespan>.

    Invalid lifespan_mode 'X' - must be one of: auto, on, off

=item lifespan_startup_timeout

Seconds, default 30, 0 to 31536000. How long the application may take to signal its startup; 0 waits
for ever. Flag C<--lifespan-startup-timeout>.

=item validate_events

A boolean, default true where the environment variable C<PAGI_ENV> is C<development>, else false.
Runs L<PAGI::Server::EventValidator> over each event sent; it is stricter than what always holds.

=back

=head2 Where to listen

=over 4

=item host

A string, default C<127.0.0.1>. A numeric address or a name; IPv6 with or without brackets (C<::1>,
C<[::1]>). Of a name with several addresses the first one that can be bound is taken. All addresses of
the machine are C<0.0.0.0>; the empty string, which a variable may hold by mistake, is none. Flag
C<--host> of the runner.

    Invalid value '' for option 'host': must not be empty

=item port

A number, default 5000, 0 to 65535. 0 lets the system pick one, which L</port> tells after
L</listen>. Flag C<--port> of the runner.

=item listen

An array reference of hash references with C<host> and C<port>, or with C<socket> and perhaps
C<socket_mode>, each, instead of these options: several listeners of one server. Flag C<--listen>. Dies with one of

    Cannot specify both 'listen' and 'host' options          (port, socket, socket_mode alike)
    'listen' must be a non-empty arrayref
    Each listen spec must be a hashref
    TCP listen spec requires both 'host' and 'port'
    Cannot specify both 'socket' and 'host' in a listen spec (port alike)

and a newline.

=item listener_backlog

A number, default 2048, 1 to 2147483647. Connections that may wait to be accepted; the system has
its own limit. Flags C<--listener-backlog>, C<-b>.

=item socket

A path: the server listens on a Unix socket instead of C<host> and C<port>. What is there is
removed, whatever it is, unless it is a socket that somebody accepts on. The file is removed at the
end. Flag C<--socket>.

    Cannot specify both 'socket' and 'host' options          (port alike)

=item socket_mode

A file mode as a number, at most 07777, for C<socket>. Without it the socket is open to its owner
only. Flag C<--socket-mode>. The string C<'0660'>, as a file of settings has it, needs Perl's C<oct>:

    Invalid value '0660' for option 'socket_mode': must be a number, not octal digits

=item reuseport

A boolean, default 0. Each worker opens a TCP socket of its own for each listener, with
C<SO_REUSEPORT>, and the kernel spreads connections over them, each with a queue of its own. A worker
that is replaced (HUP, USR2, C<max_requests>, also after a crash) leaves its queue to its successor;
with TTOU, and where a worker keeps dying, what waits in it is lost. The port is not shared with another
server that is running already. Flag C<--reuseport>.

=item ssl

A hash reference: every TCP listener speaks TLS. Its keys, their errors and all else about it are in
L</TLS>. Flags C<--ssl-cert>, C<--ssl-key>, C<--ssl-ca>, C<--ssl-verify-client>,
C<--ssl-min-version>, C<--ssl-ciphers>.

=item disable_tls

A boolean, default 0. Serves in the clear although C<ssl> is given, whose files are not looked at,
and warns

    PAGI::Server: TLS disabled via disable_tls option, ssl config ignored

=back

=head2 Logs

=over 4

=item access_log

A filehandle, default C<STDERR>; C<undef> turns the access log off. A file, a string
opened for writing, a tied handle, or an object with a method C<print>. Flags C<--access-log>, C<--no-access-log> of the runner.

=item access_log_format

A string, default C<clf>. A preset or a format, see L</ACCESS LOG>. Flag C<--access-log-format>.

=item log_level

C<debug>, C<info> (default), C<warn> or C<error>: the least level of the server's own lines that is
shown. Flag C<--log-level>.

    Invalid log_level 'X' - must be one of: debug, info, warn, error

=item quiet

A boolean, default 0. Drops the server's own lines below C<error>, whatever C<log_level> says. Does
not touch the access log, nor the warnings about a failing application. Flags C<--quiet>, C<-q> of
the runner.

=item logger

A code reference. Called with a level and a text for each line that the server has to say, which
otherwise goes to C<warn>:

    logger => sub {
        my ($level, $text) = @_;    # 'info', 'PAGI Server listening on http://127.0.0.1:5000/ ...'
        $log->$level($text);        # of Log::Any, say; it has debug, info, warn and error
    },

The levels are those of C<log_level>. A text is characters, without a newline at its end. Lines that
C<log_level> or C<quiet> drop do not get here; warnings about the application do always, with the level
C<error>, or C<warn> for what does no harm. The access log has a handle of its own, C<access_log>.

Workers call it as well, in their own processes. It is called in between requests and in the midst of
them: it must neither block nor take long. What it throws is warned about, together with the line:
C<logger error: ERROR>.

=back

=head2 Limits of a request

=over 4

=item max_body_size

Bytes, default 10000000, 0 means no limit. A body that is declared longer, or grows longer, is
answered 413. Flag C<--max-body-size>.

=item max_header_size

Bytes, default 8192, 1 to 16777216. The head of a request from its first byte to its last line; a
longer one is answered 431. The request line alone may have 8192 bytes, whatever is said here, or is
answered 414. Flag C<--max-header-size>.

=item max_header_count

A number, default 100, 1 to 65535. Header lines of a request; more are answered 431. All Cookie
lines count as one; Content-Type and Content-Length are not counted. Flag C<--max-header-count>.

=back

=head2 Limits of the process

=over 4

=item max_connections

A number, default 0, which means 1000. Connections that are served at once; more are answered 503
and closed. Flag C<--max-connections>.

=item write_high_watermark

Bytes, default 65536, at least 1. Where so much of a response has not yet been handed to the system,
a C<$send> of a further piece waits. Flag C<--write-high-watermark>.

=item write_low_watermark

Bytes, default 16384, at least 1, or a quarter of the high one where only that is given and is not
above 16384. Below it, a waiting C<$send> goes on. Dies where it is not less than the high one:

    Option 'write_low_watermark' (N) must be less than 'write_high_watermark' (M)

Flag C<--write-low-watermark>.

=item loop_type

A string, default none. The subclass of L<IO::Async::Loop> that L</run> makes: C<Epoll>, C<Poll>,
C<Select>, C<EV>. Without it IO::Async chooses. Of no effect in a program that has a loop. Flags
C<--loop>, C<-l> of the runner.

    Invalid loop_type 'X': must contain only letters, digits, and ::

=item workers

A number, default 0: this process serves; at most 65535. With 1 or more this process becomes a master
that opens the sockets and has so many others serve, see L<PAGI::Server::Workers>. They get all
options, those of a subclass included, see L</SUBCLASSES>. Flags C<--workers>, C<-w>, where 1 means 0.

=item max_requests

A number, default 0. A worker that has served so many requests ends, and is replaced. Flag
C<--max-requests>.

=item max_requests_jitter

A number, default a tenth of C<max_requests>. The share of each worker is less than that by up to
so many requests, by chance, so that they do not all end together. Flag C<--max-requests-jitter>.

=item max_worker_memory

Bytes, default 0. A worker whose resident memory is larger ends, and is replaced; looked at each
second, where there is F</proc>. Flag C<--max-worker-memory>.

=item sync_file_threshold

Bytes, default 65536, at most 1073741824. A file body up to this size is read at once and leaves with
the head; a larger one is sent from the file. Flag C<--sync-file-threshold>.

=item max_receive_queue

A number, default 1000, at least 1. Messages of a WebSocket that may wait for the application; then
reading stops. A client that sends more while the application takes nothing for a second is closed
with 1008. Flag C<--max-receive-queue>.

=item max_ws_frame_size

Bytes, default 65536, at least 1. The largest payload of a frame from a WebSocket's client; a
message may have 128 times as many bytes, after decompression, however many frames it comes in. More
is closed with 1009. Flag C<--max-ws-frame-size>.

=item ws_compression

A number, default 12, at most 15. The window bits of permessage-deflate (RFC 7692), which is used for
a WebSocket whose client offers it: 9 to 15 (1 to 8 count as 9), 0 turns it off. With each bit more
repetitions are found twice as far back.

A connection costs nothing for it until its first compressed message. From then on, unless the client
wants no context kept, it costs about 180 KiB with 12 bits and 300 KiB with 15, both ways together.
A client that does not offer
C<client_max_window_bits> chooses its window itself, at most 32 KiB. Messages below 64 bytes are sent
as they are. Flag C<--ws-compression>.

=back

=head2 Times

All in seconds, 0 to 31536000.

=over 4

=item timeout

Default 60, 0 means never. How long a client may keep others waiting. No wait outlives it, and what
the application takes its time for is never counted. Flag C<--timeout>.

=over 4

=item between requests

A connection on which no request is running is closed, without a word, after this long without a
byte from the client.

=item the head of a request

may take twice this time from its first byte to its last: then it is answered 408.

=item the body of a request

While C<$receive> waits for it, the client has this long to send a byte. And it may keep the
application waiting for twice this time altogether, and for one second more for each 240 bytes that
came: bytes that trickle hold no place for long, and a long upload over any line lives. After that
the request is answered 408, or cut off where a response had started; the application sees
C<client_timeout>. The time does not run while C<$receive> is not waiting.

=item the response

While some of it waits to leave, the client has this long to take a part of it. Otherwise the
connection is closed; the application sees C<write_timeout>, and a C<$send> that waits is done. (The
system buffers on both sides, and tells of room in its own time: with buffers grown large it is a
good part of a megabyte.) After the end of a response the client has this long for what is left of
its own request body.

=back

=item request_timeout

Default 0, which means never. A request that is running is given up after this long in which nothing
moved: no byte came, none was sent by the application, none left. A warning says so, the connection
is closed, and the application sees C<client_timeout>. It counts also where it is the application
that takes its time. Flag C<--request-timeout>.

=item shutdown_timeout

Default 30. How long L</shutdown> waits for running requests, and then for the application's
lifespan. Flag C<--shutdown-timeout>.

=item heartbeat_timeout

Default 50. A worker whose event loop has not turned for so long is killed and replaced; where it
was blocked is warned of before, as far as Perl can tell. Flag C<--heartbeat-timeout>.

=item ws_idle_timeout

Default 0: never. After as long without bytes from the client, a C<$send> or a ping of
C<websocket.keepalive>, a WebSocket is closed, accepted or not. Neither C<timeout> nor
C<request_timeout> is for WebSockets. Flag C<--ws-idle-timeout>.

=item sse_idle_timeout

Seconds, default 0: never. An event stream on which nothing was sent for so long is ended, with
C<idle_timeout>, a line in the log, and the end of its connection. Counted from the call of the
application; each C<$send> in the scope and each comment of C<sse.keepalive> starts it anew. See
L<PAGI::Server::Connection/EVENT STREAMS>. Flag C<--sse-idle-timeout>.

=item sse_idle_timeout_scope

C<connection> (the default) or C<stream>: what C<sse_idle_timeout> ends. Over HTTP/1.1 a stream has
its connection to itself, and both mean the same. Over HTTP/2 the first one ends all streams of the
connection, the second one only the idle stream. Flag C<--sse-idle-timeout-scope>.

    Invalid sse_idle_timeout_scope 'X' - must be one of: connection, stream

=back

=head2 HTTP/2

What they mean to an application, and to a client, is told in L</HTTP/2 CONNECTIONS>.

=over 4

=item http2

A boolean, default 0. Speaks HTTP/2 beside HTTP/1: with C<ssl> to clients that ask for C<h2> by ALPN,
in the clear (and on Unix sockets) to those that begin with its preface. Flag C<--http2>.

=item h2_max_concurrent_streams

A number, default 100, 1 to 2147483647: SETTINGS_MAX_CONCURRENT_STREAMS. What a client opens beyond it
is refused with REFUSED_STREAM.

=item h2_initial_window_size

Bytes, default 65535, 1 to 2147483647: SETTINGS_INITIAL_WINDOW_SIZE, the bytes of a request body that
wait for their application at the most. The window of the whole connection is as large as those of
all its streams together.

=item h2_max_frame_size

Bytes, default 16384, 16384 to 16777215: SETTINGS_MAX_FRAME_SIZE.

=item h2_enable_push

A boolean, default 0. Of no effect: this server does not push, and must not say that it does.

=item h2_enable_connect_protocol

A boolean, default 1: SETTINGS_ENABLE_CONNECT_PROTOCOL, which WebSockets over HTTP/2 need (RFC 8441).

=item h2_max_header_list_size

Bytes, default 65536, 1 to 2147483647: SETTINGS_MAX_HEADER_LIST_SIZE. A request with more is answered
431, without a body and without the application; one with more than four times as much ends the
connection. C<max_header_count> holds as well, C<max_header_size> does not.

=item h2_rst_rate_limit

A hash reference, default C<< { burst => 1000, rate => 33 } >>. Resets of requests that have not been
answered: C<burst> of them at once, and C<rate> more each second; a client that sends more is left
with ENHANCE_YOUR_CALM. C<undef> for no limit; a key that is left out has its default.

    Invalid burst 'X' in h2_rst_rate_limit: must be a whole number

=back

=head1 SUBCLASSES

A subclass may have options of its own. It takes them as L<IO::Async::Notifier> says, in C<configure>
(or in C<_init>, after having called that of this class), and hands on the others:

    package My::Server;
    use parent 'PAGI::Server';

    sub configure {
        my ($self, %params) = @_;

        $self->{database} = delete $params{database} if exists $params{database};
        $self->SUPER::configure(%params);
    }

Each worker is a further object of the class of the master, made after the fork: C<new> is called
with the options of the master and, of what this class does not know, with the arguments that C<new> of
the master was given together with C<workers>: those are kept as long as the server is. What is set by
other means, as by a C<new> of the subclass' own, or by
C<configure> later, is not passed on.

=head1 METHODS

L<PAGI::Server> is an L<IO::Async::Notifier> and has all of its methods; and

=head2 new

    my $server = PAGI::Server->new(app => $app, %options);

Makes a server that does not listen yet: no socket is opened and no thread started. Takes the
L</OPTIONS> and dies as told there.

=head2 listen

    my $future = $server->listen;

Starts the application's lifespan, then listens. Returns a L<Future> that is done with the server
once connections are accepted. Croaks with C<PAGI::Server must be added to a loop before it can listen>
where that was not done.

Done at once, with nothing, if the server listens already or is about to. It may be called again
after L</shutdown>. Cancelling the Future is to give up waiting: the start goes on. Fails with one of

    Lifespan startup failed: MESSAGE
    PAGI::Server was shut down before it had started
    Cannot create listening socket on HOST:PORT: ERROR
    Cannot create Unix socket PATH: ERROR
    Cannot chmod PATH: ERROR
    Cannot open inherited fd N: ERROR
    Cannot start the core: ERROR
    Cannot watch the core: ERROR

and a newline; then nothing is bound, and a lifespan that had started was shut down.

=head2 bind

    my $sockets = $server->bind;

Opens the listening sockets, for L</listen> to use: for a program that wants to give up its rights
in between. Returns the L<PAGI::Server::Sockets>. Dies with the texts above.

=head2 shutdown

    my $future = $server->shutdown;

Ends the service, in this order: new connections are refused; idle ones are closed; running requests
may finish, with C<connection: close> in their responses; after C<shutdown_timeout> the rest is
closed with the reason C<server_shutdown>; the application is sent C<lifespan.shutdown> and has
C<shutdown_timeout> to answer. Returns a L<Future> that is done with the server after that; it does
not fail.

Done at once if the server does not run. While L</listen> is under way it is done when the
application has answered C<lifespan.startup>, and C<lifespan.shutdown> after that; nothing is bound
then, and C<listen> fails. Asked again meanwhile, all are done together. Cancelling the Future, as
C<< Future->wait_any >> does, is to give up waiting: the shutdown goes on. So does the loop.

=head2 run

    $server->run;

Makes a loop (see C<loop_type>; L<IO::Async> heeds C<IO_ASYNC_LOOP>), adds the server, listens and
turns the loop until TERM or INT has shut the server down, workers and all. Returns nothing. Dies with one of

    Error: Port PORT is already in use
    Error: Permission denied to bind to port PORT
    Error starting server: ERROR
    Cannot load loop backend 'X': ERROR
    All workers failed to start; no workers remain

and a newline.

=head2 configure

    $server->configure(max_body_size => 1_000_000, log_level => 'warn');

Changes options later. All of them are accepted and checked as in the constructor. They take effect

=over 4

=item at once

C<log_level>, C<quiet>, C<logger>, C<max_connections>, C<shutdown_timeout>

=item for requests that begin from now on

C<app>, C<extensions>, C<access_log>, C<access_log_format>, C<validate_events>

=item for connections accepted from now on

C<max_body_size>, C<max_header_size>, C<max_header_count>, C<max_receive_queue>,
C<max_ws_frame_size>, C<write_high_watermark>, C<write_low_watermark>, C<sync_file_threshold>,
C<timeout>, C<request_timeout>, C<ws_idle_timeout>, C<ws_compression>, C<sse_idle_timeout>,
C<sse_idle_timeout_scope>, C<http2> (in the clear; what TLS connections agree on is settled by
L</listen>), C<h2_max_concurrent_streams>, C<h2_initial_window_size>, C<h2_max_frame_size>,
C<h2_enable_push>, C<h2_enable_connect_protocol>, C<h2_max_header_list_size>, C<h2_rst_rate_limit>

=item with the next L</listen>

C<lifespan_mode>, C<lifespan_startup_timeout>, C<listener_backlog>, C<ssl>, C<disable_tls>,
C<workers>, C<reuseport>, C<heartbeat_timeout>

=item for workers that begin from now on (with HUP, for instance)

all of the above but C<workers> and C<reuseport>, in a server that has workers, and
C<max_requests>, C<max_requests_jitter>, C<max_worker_memory>

=item with L</run>

C<loop_type>

=item never

C<host>, C<port>, C<socket>, C<socket_mode>, C<listen>: the listeners are those of the constructor.

=back

=head2 port

    my $port = $server->port;

The port of the first TCP listener: the bound one after L</listen>, before it the configured one.

=head2 socket_path

    my $path = $server->socket_path;

The path of the first Unix socket; C<undef> without one.

=head2 listeners

    for my $listener (@{ $server->listeners }) { ... }

The listeners, as an array reference of hash references: C<type> is C<tcp>, with C<host> and C<port>,
and C<ssl> where that is used, or C<unix>, with C<path> and C<socket_mode>. C<_inherited> is true
where another process has opened the socket.
After L</listen> the port is the bound one. To be read only.

=head2 is_running

    my $bool = $server->is_running;

1 from the moment that connections are accepted until L</shutdown> is called, else 0.

=head2 connection_count

    my $count = $server->connection_count;

How many connections there are, idle ones included. Those that were turned away with 503 are not
counted. The core has those that the server accepted; C<< $server->{connections} >> holds no others
than those of L<PAGI::Server::Connection>.

=head2 effective_max_connections

    my $max = $server->effective_max_connections;

C<max_connections>, or 1000 where that is 0.

=head2 has_tls

    my $bool = PAGI::Server->has_tls;

Whether this version can do TLS: 1.

=head2 reload_tls

    my $bool = $server->reload_tls;

Reads certificates and keys anew for connections accepted from now on, and returns 1. What is wrong
with them is logged; then the old ones stay, and 0 is returned. Files that change are noticed
without it, see L</New certificates>.

=head2 has_http2

    my $bool = PAGI::Server->has_http2;

Whether this version can do HTTP/2: 1.

=head1 EVENTS

What each event does here. L<PAGI::Spec::Www> and L<PAGI::Spec::Lifespan> say what it is for.

=head2 Received in an http scope

=over 4

=item http.request

A piece of the request body: C<body>, at most 65536 bytes, and C<more>, 0 with the last piece and 1
before. Pieces come as they arrive; none but the last is empty. A request without a body has one
event, with an empty one.

At most 64 KiB are read ahead of the application: what it does not ask for stays with the client. A
client that expects C<100-continue> is sent it when the application first asks, unless it speaks
HTTP/1.0, has begun to send its body, or the response has started.

=item http.disconnect

The request is over: the client is gone, or the response is complete. The same at every further call
of C<$receive>.

=back

C<$receive> returns a done L<Future> where there is an event, else a pending one. Two calls get two
events, in order. A cancelled Future loses nothing.

=head2 Sent in an http scope

=over 4

=item http.response.start

C<status> (a whole number, 200 to 999, default 200), C<headers> (default none) and C<trailers>
(default 0). Nothing leaves until more is sent: head and first piece of the body are one write. A
second start is ignored.

Headers leave with the names, values and order given. The server adds C<date> and C<Server> unless
they are there, and is alone responsible for the connection and the framing: C<Transfer-Encoding>,
C<Keep-Alive> and C<Proxy-Connection> are dropped, of C<Connection> only C<close> is heeded, a
second or unreadable C<Content-Length> is dropped, and so is that of a 204.

=item http.response.body

C<body> (bytes, default empty) and C<more> (default 0: this is the last piece). Ignored before the
start and after the end. Without a C<Content-Length> the body is chunked in HTTP/1.1 and ended by
closing the connection in HTTP/1.0. To HEAD, and with 204, 205 and 304, nothing is sent of it.

Bytes beyond the C<Content-Length> are dropped, with a warning. If fewer came by the end, the
connection is closed.

C<file> (a path) or C<fh> (a handle) in place of C<body> is the whole rest of the body, from C<offset>
for C<length> bytes; its C<$send> waits until most of it has left. A failure changes nothing, so that
another body may follow. Only where a part had been sent before the file could not be read any more,
or had become shorter, the response breaks off with that, and the request ends with C<server_error>.

=item http.response.trailers

C<headers>, after the last piece of the body, if the start promised C<trailers>. They are sent where
the body is chunked and dropped elsewhere. Fields that have no meaning after the body (RFC 9110
6.5.1: those of framing, routing, control, authentication, and of how to read the content, as
Content-Length, Host, Cache-Control, Set-Cookie, Content-Type) are dropped. Ignored at any other
time.

=item http.fullflush

Lets go of a head that is held back. Needs the key C<fullflush> in C<extensions>, else it fails.

=back

An event takes effect when C<$send> is called, whether or not its Future is awaited; what is changed
in the event later changes nothing. The Future is done already, unless C<write_high_watermark> bytes
or more were waiting to leave before: then it is done when less than C<write_low_watermark> are
left, or the request is over. When the client is gone, and after the application has returned,
C<$send> does nothing.

A C<$send> that is refused fails its own Future and changes nothing else, so that something better
can be sent:

    Unrecognized event type 'TYPE' for http protocol
    a PAGI event must be a hash reference
    TYPE 'FIELD' must be an integer
    TYPE 'FIELD' must be an array reference
    TYPE 'FIELD' must be a byte string
    TYPE 'FIELD' must be bytes: it contains wide characters, encode it first
    http.response.start 'status' must be an integer between 200 and 999 (got N)
    Invalid header: each of the headers must be an array reference [name, value]
    Invalid header name: contains CR, LF, or null byte
    Invalid header name: contains control characters
    Invalid header name: must be a token
    Invalid header value: contains CR, LF, or null byte
    Invalid header value: contains wide characters
    Extension not enabled: fullflush
    http.response.body requires exactly one of body/file/fh (got N)
    http.response.body 'offset' must be an integer of at least 0
    Cannot stat file PATH: ERROR
    Cannot open file PATH: ERROR
    Failed to read file: ERROR
    Cannot read fh: not a filehandle
    Cannot read fh: the handle is closed
    Cannot seek: ERROR

each with a newline; and with C<validate_events> the texts of L<PAGI::Server::EventValidator>.

=head2 Received in a websocket scope

A GET of HTTP/1.1 with C<Upgrade: websocket>, C<Connection: upgrade> and a C<Sec-WebSocket-Key> has
this scope. What it lacks is C<method> and C<pagi.connection>; what it has beyond an http scope is
C<subprotocols>, a list of strings, and the key C<websocket.http.response> in C<extensions>. A body
is dropped.

=over 4

=item websocket.connect

The first event. Until the application answers, what the client sends is kept for later. An
application that asks for more before it has answered hears of nothing but the client's end, at most
half a second after that.

=item websocket.receive

A message, with one of the keys C<text> (characters) and C<bytes>. Fragments are joined, pings
answered.

=item websocket.disconnect

The end, after all messages that came before it, and again at each further call: C<code> and
C<reason>, a string of characters. They are those of the client's Close frame (1005 and C<''> if it
is empty), else

    1002, 1007, 1009  protocol_error     the client broke the protocol
    1008              queue_overflow     max_receive_queue
    1006              client_closed      it left without a Close
    1006              client_timeout     it did not answer the server's Close within 3 seconds
                                         of when that had left
    1006              idle_timeout       ws_idle_timeout
    1006              keepalive_timeout  websocket.keepalive
    1006              server_shutdown
    1006              read_error, write_error, write_timeout, server_error
    1006              ''                 after a handshake that was not accepted

What the server writes as the reason of its own Close frames:

    1001  Idle timeout
    1002  RSV bits must be 0, Reserved opcode, Invalid payload length, Frames must be masked,
          Control frame too large, Control frame must not be fragmented, Unexpected continuation
          frame, Expected a continuation frame, Invalid close frame, Invalid close code
    1007  Invalid UTF-8, Invalid UTF-8 in close reason, Invalid compressed data
    1008  Message queue overflow
    1009  Message too big

=back

=head2 Sent in a websocket scope

=over 4

=item websocket.accept

C<subprotocol> (a token) and C<headers>. Fields of the handshake itself and those of a body are
dropped. Once accepted, a second accept and what belongs to a denial are ignored. A subprotocol that
the client did not offer is sent all the same, with a line in the log; it makes clients fail.

=item websocket.send

C<text> or C<bytes>; C<text> counts where both are given, and nothing is sent without one. Text is
characters. Strings that are UTF-8 bytes already are sent as they are, so that encoded JSON is not
encoded twice. One frame, of any length. Ignored before the accept and after a close. Its Future
waits as that of C<http.response.body> does.

=item websocket.close

C<code> (default 1000; 1000-1003, 1007-1014 or 3000-4999) and C<reason> (cut to 123 bytes of UTF-8).
What the client sends after it is dropped until its own Close comes. Before the accept it rejects the
handshake with 403.

=item websocket.keepalive

A ping each C<interval> seconds, fractions allowed, 0.01 at the least; 0 or none stops. With
C<timeout>, a client that has not answered a ping as many seconds later is given up, without a Close.
While a full queue keeps the server from reading, it has more time.

=item websocket.http.response.start

Instead of an accept: C<status> (200 to 999, default 403) and C<headers> of a response that denies the
handshake. Nothing leaves before its body is complete.

=item websocket.http.response.body

C<body> and C<more>. With the last piece the response leaves, with its true C<content-length>, and
the connection is closed.

=back

Where the application returns, the server closes for it, with 1000; where it dies, with 1011; and at
a shutdown with 1001. If it does so before an answer to the handshake, that is 500.

A client that breaks the protocol is closed once the application has taken what came before and
asks for more, or after a second, so that it may answer.

    Unrecognized event type 'TYPE' for websocket protocol
    Invalid subprotocol: contains CR, LF, null, or whitespace
    Invalid subprotocol: must be alphanumeric, dash, underscore, or dot
    websocket.close 'code' must be one of 1000-1003, 1007-1014, 3000-4999
    websocket.http.response.start 'status' must be an integer between 200 and 999 (got N)
    TYPE 'FIELD' must be a string
    TYPE 'FIELD' must be text: it contains code points that Unicode excludes
    TYPE 'FIELD' must be a number

and the refusals of headers and bytes as in http.

=head2 Received in an sse scope

A request is one for an event stream, whatever its method, where an C<Accept> header names
C<text/event-stream> itself, in any case, with a weight that is not 0; C<*/*> and C<text/*> do not. A
WebSocket handshake remains one. The scope is that of C<http> without C<pagi.connection>.

=over 4

=item sse.request

A piece of the request body, as C<http.request>.

=item sse.disconnect

The stream is over; C<reason> is one of L</DISCONNECT REASONS>, or what the application gave its own
C<sse.close>. The same at every further call of C<$receive>. After a response in the stream's stead
there is none: C<$receive> then waits for ever.

=back

=head2 Sent in an sse scope

=over 4

=item sse.start

C<status> (default 200) and C<headers> (default none), as in C<http.response.start>; leaves at once.
Unless they are there the server adds C<content-type: text/event-stream>, C<cache-control:
no-cache>, C<date> and C<Server>, and over HTTP/1.1 C<connection: keep-alive>. A C<Content-Length> is
dropped. A second start is ignored. To HEAD, and with 204, 205 and 304, the head is all there is: the
stream ends with it, with C<client_closed>.

=item sse.send

An event: C<data>, C<event>, C<id> and C<retry> (milliseconds, digits only), written in the order
C<event>, C<data>, C<id>, C<retry>, one C<data:> line for each line of C<data>; CRLF, CR and LF end
one. No data is empty data, which clients dispatch. Waits like a piece of a body. Ignored before the
start.

=item sse.comment

C<comment>, with a colon before each line that has none. Never waits. Ignored before the start.

=item sse.keepalive

Sends C<comment> (default empty) every C<interval> seconds, fractions allowed, 0.01 at the least,
from one interval after the event on; the last event counts, an C<interval> of 0 stops it. A client
that does not read gets none until it does. Before the start nothing is written.

=item sse.close

Ends the stream at once, as a return of the application does. C<reason> is never sent. Another one is
ignored, any other event after it fails. Before the start it leaves the client without an answer:
500.

=item sse.http.response.start, sse.http.response.body

A response in the stream's stead, before C<sse.start> only: C<status> and C<headers>, then C<body>
and C<more>. It is sent when its body is complete, with the length of that, and its connection is
closed; not finished, it becomes a 500. Further starts, and a body before one, are ignored.

=item http.fullflush

As in an http scope.

=back

C<data>, C<event>, C<id>, C<comment> and C<reason> are text, sent as UTF-8: strings that Perl knows
to be characters are encoded; others stay as they are where they are valid UTF-8 (so that encoded
JSON may be given), and are Latin-1 where they are not.

Refused are, besides what an http scope refuses for the same reasons:

    Unrecognized event type 'TYPE' for sse protocol
    cannot send 'TYPE' after sse.close
    cannot send 'TYPE' after sse.http.response.start
    cannot decline with TYPE after sse.start
    Invalid SSE event name: contains newline
    Invalid SSE id: contains newline
    Invalid SSE retry: must be a non-negative integer
    sse.send 'data' must be a string
    sse.send 'data' must be text: it contains code points that Unicode excludes
    sse.keepalive 'interval' must be a number
    sse.start 'status' must be an integer between 200 and 999 (got N)

What the stream is on the wire, how it ends and how it is kept open is told in
L<PAGI::Server::Connection/EVENT STREAMS>.

=head2 In the lifespan scope

C<lifespan.startup> and C<lifespan.shutdown> are received; C<lifespan.startup.complete>,
C<lifespan.startup.failed>, C<lifespan.shutdown.complete> and C<lifespan.shutdown.failed> are sent.
See L<PAGI::Server::Lifespan>.

=head1 DISCONNECT REASONS

What C<< $scope->{'pagi.connection'}->disconnect_reason >> says (L<PAGI::Server::ConnectionState>),
the C<reason> of C<sse.disconnect>, and the C<reason> of L</websocket.disconnect> where its client gave none.
The first reason counts.

=over 4

=item client_closed

The client closed or reset the connection while its request was running; closing its sending half
counts. What it sent before that is still served: the application is called, and what it sends
before it first waits is written.

=item client_timeout

The client kept the application waiting for its body, see C<timeout>; or nothing moved for
C<request_timeout> seconds.

=item write_timeout

The client did not read its response, see C<timeout>.

=item read_error

Reading failed otherwise than by a reset.

=item write_error

Writing failed.

=item protocol_error

The body of the request broke the rules of the chunked coding.

=item body_too_large

A chunked body grew beyond C<max_body_size>.

=item server_error

The application failed, returned without a response or in the middle of one, or a file that it sent
could not be read to its end.

=item server_shutdown

The server was shut down and C<shutdown_timeout> was over. Event streams end at the beginning of a
shutdown.

=item idle_timeout

Nothing was sent on an event stream for C<sse_idle_timeout> seconds.

=item keepalive_timeout, queue_overflow

WebSockets only: see L</websocket.disconnect>.

=back

=head1 RESPONSES THE SERVER MAKES ITSELF

    status  body                                                     because of
    ------  -------------------------------------------------------  ---------------------------
    400     Bad Request                                              request line, header fields,
                                                                     Sec-WebSocket-Key
    400     chunked must be the final Transfer-Encoding
    400     Transfer-Encoding and Content-Length are mutually exclusive
    400     Invalid chunk size                                       chunked coding
    403     Forbidden                                                websocket.close before accept
    408     Request Timeout                                          a head, or a body, that takes
                                                                     too long
    413     Payload Too Large                                        max_body_size; a length above
                                                                     2147483647
    413     Chunk Too Large                                          10485760 bytes
    414     URI Too Long                                             8192 bytes of request line
    426     Upgrade Required                                         Sec-WebSocket-Version not 13
    431     Request Header Fields Too Large                          max_header_size,
                                                                     max_header_count
    500     Internal Server Error                                    the application failed
    501     CONNECT method not supported                             over HTTP/2
    501     Unsupported Transfer-Encoding                            other than chunked
    503     503 Service Unavailable - Server at capacity             max_connections

All but the last one look like this, without a newline at the end, and close the connection:

    HTTP/1.1 414 URI Too Long
    content-type: text/plain
    content-length: 12
    date: Sun, 22 Nov 2026 09:50:22 GMT
    Server: PAGI::Server/0.003000

    URI Too Long

The last one is sent as soon as the connection is there, without waiting for a request, and says
C<Retry-After: 5>.

426 adds C<Upgrade: websocket>, C<Connection: Upgrade> and C<Sec-WebSocket-Version: 13>.

Only 403, 500, and 400, 408 or 413 in the middle of a body, concern a request that the application
knows of;
and they are sent only where it has not started a response. Where it has, the connection is closed,
and the client can tell that the response is not complete.

=head1 LOG AND WARNING TEXTS

All of it leaves through Perl's C<warn>, one line each, so that a C<$SIG{__WARN__}> handler sees it,
or goes to the C<logger>, where there is one.

=head2 The server's own lines

are subject to C<log_level> and C<quiet>.

    info   PAGI Server listening on URL (loop: NAME, max_conn: N, http2: X, tls: X, future_xs: X)
    info   PAGI Server listening on: URL, URL (...)
    info   Lifespan not supported, continuing without it
    info   Lifespan not supported, continuing without it (application raised: ERROR)
    warn   access_log is a terminal; this may impact performance. Consider redirecting to a file or
           setting access_log => undef for benchmarks.
    warn   Using default max_connections (1000). For production, consider tuning this value based on
           your workload. See 'perldoc PAGI::Server' for guidance.
    warn   Connection rejected: at capacity (N/MAX)
    warn   Accept error (FD exhaustion): ERROR - pausing accept for 100ms
    debug  Accept resumed after FD exhaustion pause
    error  Accept error: ERROR
    debug  SSL handshake failed: ERROR
    info   TLS certificates reloaded
    error  TLS certificates not reloaded, the old ones stay: ERROR
    info   Note: TLS is configured but does not apply to Unix socket PATH
    warn   Request stall timeout (Ns) - closing connection
    warn   Request stall timeout (Ns) - resetting stream N         (HTTP/2)
    warn   WebSocket idle timeout (Ns) - closing connection
    warn   WebSocket keepalive timeout - no pong received within Ns
    warn   WebSocket subprotocol 'NAME' was not offered by the client
    warn   SSE idle timeout (Ns) - closing connection
    warn   Shutdown timeout: force-closing N active connections
    warn   PAGI Server shutdown warning: MESSAGE
    warn   Received SIGNAL signal (... only works in multi-worker mode)
    error  PAGI Server startup failed: MESSAGE
    error  Lifespan startup timed out after Ns
    error  Lifespan app failed after startup: ERROR
    error  Shutdown error: ERROR
    error  Failed to read file: ERROR                (one of an application that had returned)
    info   Reusing inherited fd N for KEY (source: pagi_reuse)        (or systemd)
    warn   Inherited fd N (KEY) does not match any listener spec — closing
    error  Cannot reopen PATH, the old file stays: ERROR

Those of a master and its workers are in L<PAGI::Server::Workers>. Each is one line here, too. The first one tells when the server is ready; its C<max_conn> is what
L</effective_max_connections> says. Guidance for that: a connection costs a descriptor and some KiB,
a request that runs costs what the application needs for it. Take what the process can bear of the
latter, and see that C<ulimit -n> allows for it.

=head2 Warnings about the application

are not subject to anything.

    PAGI application error: ERROR
    PAGI application error (SSE): ERROR
    PAGI application error (after response started): ERROR
    PAGI application error (after the client had gone): ERROR
    PAGI application error (WebSocket): ERROR
    PAGI connection error: Payload is too big. Deny big message or increase max_ws_frame_size (N)
    PAGI application returned without starting a response
    PAGI application returned with an incomplete response
    PAGI application sent more body bytes than its content-length; the excess was dropped
    PAGI: http.fullflush event rejected - extension not enabled
    Failed to read file: ERROR                       (where no $send waited for it)
    on_disconnect callback error: ERROR
    disconnect_future callback error: ERROR
    on_complete callback error: ERROR
    transport callback error: ERROR

An application that does not return a Future has failed with
C<Expected a blessed object reference to await>.

=head1 ACCESS LOG

One line for each request, once its response is complete or, without that, once the application is
done with it; and one for each request that the server refused. Connections turned away with 503
have none. Lines are written and flushed together for a batch of requests, before the core is told
to go on.

The format is the name of a preset or a text with atoms.

    clf       %h - - [%t] "%m %U%q" %s %ds
    combined  %h - - [%t] "%r" %s %b "%{Referer}i" "%{User-Agent}i"
    common    %h - - [%t] "%r" %s %b
    tiny      %m %U%q %s  and the duration in whole milliseconds, as in 12ms

    %h        address of the client
    %l %u     -
    %t        time at the end, UTC, as in 10/Feb/2026:12:34:56 +0000
    %r        request line: method, path with query, version
    %m        method; over HTTP/2 a WebSocket's is CONNECT
    %U        path, undecoded
    %q        ? and the query, or nothing
    %H        HTTP/1.1, HTTP/1.0, HTTP/2
    %s        status, - if none was sent; an accepted WebSocket's is 101, over HTTP/2 200
    %b %B     bytes of the body, without framing; for none %b is - and %B is 0
    %d        seconds from the complete head on, as in 0.012
    %D %T     the same in whole microseconds, in whole seconds
    %R        why it ended before it was complete (DISCONNECT REASONS), or -
    %{NAME}i  the first request header of that name, - if there is none
    %%        a percent sign

What is not known, as the path of a request that could not be parsed, is C<->. Quotes, backslashes,
control characters and bytes above 126 from the client are written as C<\xHH>, so that it cannot
forge a line. Other formats die in the constructor with one of

    Unknown access log format atom '%X'
    Unterminated %{...} in access log format
    Expected 'i' after %{NAME} in access log format

and a newline.

=head1 SIGNALS

While it runs, the server watches these on its loop; see L<PAGI::Server::Signals>.

=over 4

=item TERM, INT

Shut down, then stop the loop. A signal that comes while the server starts is remembered. A second
INT exits at once, with status 130.

=item HUP, USR2, TTIN, TTOU

Need workers, and are told of in L<PAGI::Server::Workers>. Without any a warning says so;
HUP also reads certificates anew, see L</New certificates>.

=item USR1

Opens log files again that L<PAGI::Server::LogFile> has opened, as L<pagi-server> has them opened.
Not watched where there is none.

=back

SIGPIPE is of no concern: writing is done by a thread on which all signals are blocked, but for
those that tell of a fault in the program.

=head1 EMBEDDING

=over 4

=item *

Add the server to the loop, call L</listen>, and turn the loop in any way: C<run>, C<loop_once>,
C<< Future->get >>. Any L<IO::Async::Loop> will do. There is one descriptor to watch for each
server, and it is the loop that is watched on; nothing polls.

=item *

All of the application runs while the loop turns, in the thread that turns it. A handler that
blocks, blocks the application; the core goes on accepting, reading and writing meanwhile.

=item *

Inside a handler C<< IO::Async::Loop->new >> is that same loop. Timers and clients made there tick.
At most some 190 requests, or 2 ms of them, are dispatched before the loop's other watchers have
their turn.

=item *

Several servers may live on one loop, and one may be shut down while the others go on. They share
the core's thread.

=item *

With C<workers> an application runs in processes that are forked from this one, and each has a server
object of its own. A C<$server> that the application closed over is there the copy of the master's,
which serves nothing: C<connection_count>, C<configure> or C<shutdown> of it have no effect on the
worker.

=item *

Fork before L</listen>, not after. There is no thread before it. A child that is forked later may
C<exec> or exit, and may make a server of its own; the inherited one is dead there. No method of it
should be called: C<$send> does nothing and C<$receive> fails with C<PAGI stream used in a forked
process>.

=item *

After L</shutdown> the server may be removed from its loop, or listen again. It is collected when
the last reference is gone.

=item *

In a program with interpreter threads (L<threads>) a server belongs to the thread that made it, and
is of no use in another one, which may make its own.

=item *

What belongs to a request is collected with it, unless the application keeps it. C<$scope> and its
values are the application's own to change.

=back

=head1 TLS

    PAGI::Server->new(
        app => $app,
        ssl => { cert_file => 'fullchain.pem', key_file => 'privkey.pem' },
    );

TLS 1.2 and 1.3, by rustls, which is part of this distribution: nothing else needs to be installed.
Handshakes and encryption run on the core's thread, never on the application's.

=head2 The keys of ssl

Each is optional but for a certificate and its key. Keys that are not listed here are ignored. Files
are looked for in the constructor, which dies where one is missing or unreadable, in the order of
this list. What is in them is read by L</listen>, which fails where it is of no use, before the
application is started. Besides what stands with the keys, that dies with

    ssl needs a cert_file and a key_file
    Cannot read SSL certificate file PATH: ERROR               (or key, or CA)
    Cannot set up TLS: ERROR

=over 4

=item cert_file

Path of a PEM file: the server's certificate, then those of the authorities in between.

    SSL certificate file not found: PATH
    SSL certificate file not readable: PATH
    SSL certificate file PATH contains no PEM certificate      (listen)
    SSL certificate file PATH is malformed: ERROR              (listen)

=item key_file

Path of a PEM file: the private key, without a passphrase. RSA, ECDSA (P-256, P-384) or Ed25519.

    SSL key file not found: PATH
    SSL key file not readable: PATH
    SSL key file PATH contains no PEM private key              (listen)
    SSL key file PATH is encrypted: please give a key without a passphrase
    SSL key file PATH is malformed: ERROR                      (listen)
    SSL key file PATH holds a key that is broken or of an unknown kind
    SSL key file PATH does not belong to certificate file PATH (listen)

=item ca_file

Path of a PEM file: the authorities whose certificates of clients are trusted. Of no effect without
C<verify_client>.

    SSL CA file not found: PATH
    SSL CA file not readable: PATH
    SSL CA file PATH contains no PEM certificate               (listen)

=item verify_client

Whether clients are asked for a certificate.

    false        they are not (default)
    'optional'   they are; whatever they have they are served, and the application decides by
                 client_cert_error of $scope->{extensions}{tls}
    true         they are, and only those with a good one are served: needs ca_file

=item min_version

C<TLSv1_2> (default) or C<TLSv1_3>: the least version. The best that both sides have is used. Earlier
versions are refused:

    Invalid ssl min_version 'X': must be TLSv1_2 or TLSv1_3

=item cipher_list

The cipher suites for TLS 1.2, in the syntax of OpenSSL; default

    ECDHE+AESGCM:DHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL:!EXPORT:!DES:!RC4:!MD5:!PSK:!aECDH:!EDH-DSS-DES-CBC3-SHA:!KRB5-DES-CBC3-SHA

There are six of them: ECDHE with ECDSA or RSA, and AES-128-GCM, AES-256-GCM or
ChaCha20-Poly1305. What a list says of others is passed over. The three suites of TLS 1.3 are always
there. It fails L</listen> with

    Invalid ssl cipher_list 'X': it selects no cipher suite

=item certificates

An array reference of hash references with C<cert_file> and C<key_file>: further certificates of the
same server. The one whose subjectAltName has the name that a client asks for (SNI) is presented, by
the name itself or by a wildcard (C<*.example.com>), of several the first whose kind of key the client
can check; else the first one of all, which is the one of C<cert_file> where that is given.

    ssl certificates must be an arrayref of hashrefs
    Each of ssl certificates requires both 'cert_file' and 'key_file'

=back

=head2 What an application sees

C<scheme> is C<https>, and C<< $scope->{extensions}{tls} >> has these keys, always all of them:

=over 4

=item server_cert

The certificate that was presented to this client, in PEM.

=item client_cert_chain

An array reference: what the client presented, in PEM, its own certificate first. Empty where it had
none or was not asked.

=item client_cert_name

The subject of the client's certificate, as RFC 4514 writes it (C<CN=Alice,O=Example>), as
characters; or C<undef>.

=item client_cert_error

Why that certificate is not to be trusted, as C<certificate has expired> or
C<unable to get local issuer certificate>; C<undef> where it is, or where there is none.

=item tls_version

A number: 0x0303 for TLS 1.2, 0x0304 for TLS 1.3.

=item cipher_suite

The number of the cipher suite in the IANA registry.

=back

All requests of a connection may share this one hash: it is to be read only. A certificate of a client must be a chain of
X.509 version 3 up to an authority of C<ca_file>; one of version 1 must be signed by such an
authority itself. Revocation is not looked at.

=head2 New certificates

The files are looked at again when connections come, at most once a second. Where one has changed, all
of them are read anew and hold for connections accepted from then on; those that are there live on.
HUP and L</reload_tls> have them read at once.
A pair that is of no use is refused with a line in the log, and the old one stays until the files
change again: so a certificate and its key may be replaced one after the other. A worker that begins
meanwhile has what the master could read last. L<pagi-server> reads the files before it gives up root's
rights (C<--user>); new ones must be readable without these, or the old ones stay.

=head2 Behaviour

A handshake must end within C<timeout>, or 60 seconds where that is 0. It counts as a connection from
its beginning. One that fails is ended with an alert and a line at level C<debug>. Above
C<max_connections> the 503 is sent inside TLS.

A connection ends with C<close_notify>, but where a response broke off: so its client can tell. A
client may end without one.

Sessions are resumed by tickets, whose keys change every six hours and die with the process. Early
data (0-RTT) and renegotiation are refused; there is no compression. With C<http2> the protocols
C<h2> and C<http/1.1> are offered by ALPN, else none.

=head1 HTTP/2 CONNECTIONS

Requests share a connection, and nothing else: each has its own C<$receive>, C<$send>,
C<pagi.connection> and C<pagi.transport>, its own timeouts and watermarks, and its own line in the
access log. One that fails is reset, and the others do not notice.

=head2 What an application sees

The same scopes and events as over HTTP/1.1, but for this:

=over 4

=item *

C<http_version> is C<2>.

=item *

C<scheme> of C<http> and C<sse> scopes is the one that the client names.

=item *

The host that a client asks for (C<:authority>) is the C<host> header: in the place of one that it
sent besides, else at the end. Fields of one name stand together, at the place of the first. Several
C<cookie> fields become one, at the end.

=item *

A target whose bytes are not UTF-8 is refused with a reset, and a C<#> in it ends it: percent-encode
them.

=item *

Trailers of a request are dropped. C<Expect> has no effect.

=back

Of the fields of a response those about the connection (C<Connection>, C<Upgrade> and the like) stay
behind, as does a value with control characters, for which the protocol has no place. Warnings about
an application name the stream:

    PAGI application error (HTTP/2 stream N): ERROR
    PAGI application error after response started (HTTP/2 stream N): ERROR
    PAGI application returned without starting a response (HTTP/2 stream N)
    PAGI application returned with an incomplete response (HTTP/2 stream N)

=head2 Ends

A response that breaks off is reset with INTERNAL_ERROR, a request that times out is answered 408 or
reset with CANCEL. A client that resets its request is C<client_closed>, one that breaks the
protocol's rules C<protocol_error>; that ends the connection, and its other streams with it.

A connection without a stream is closed after C<timeout>. A shutdown sends GOAWAY, takes no new
streams, and lets those that run finish within C<shutdown_timeout>; event streams and WebSockets are
ended as always.

=head2 WebSocket and event streams

Event streams are DATA frames. A WebSocket begins with an extended CONNECT (RFC 8441), is accepted
with status 200, and goes on as over HTTP/1.1, compression included. A CONNECT for anything else is
answered 501.

=head2 What is refused

Frames of a wrong size, on a stream that their sender has ended, or out of order end the connection
with the code that RFC 9113 has for it; so do, with ENHANCE_YOUR_CALM, too many resets
(C<h2_rst_rate_limit>), endless header blocks (more CONTINUATION frames than C<h2_max_header_list_size>
can need), and more than 2000 frames at once, or 200 a second, that bring nothing: pings, settings,
priorities, empty pieces, and windows that are opened more often than twice for each frame and once for
each KiB that was sent. A header block that cannot be decoded, and field names or values that cannot
be, end the connection with PROTOCOL_ERROR. Other malformed requests are reset one by one.

C<Upgrade: h2c> is ignored: RFC 9113 has removed it.

=head1 LIMITS AND SECURITY

=over 4

=item Memory of a connection

Idle: 2 to 3 KiB, over TLS 10. At most a request head, 64 KiB of unread body, 16 KiB of requests behind the
running one, and what the application sends: C<$send> waits above C<write_high_watermark>, but an
application that does not await it is not stopped.

=item Memory of a WebSocket

The messages that wait for the application: reading stops at C<max_receive_queue> of them or at 256
KiB. Beside them one message that is not complete, 128 times C<max_ws_frame_size>, grown as it
comes; and what L</ws_compression> needs. What a compressed message expands to is looked at while it
expands. Pings of a client that does not read are answered once, when it does.

=item Bodies that nobody reads

Up to 64 KiB of a body that the application left unread are read and dropped, so that the connection
can go on; a longer one ends it. A body is never taken for a request.

=item Ambiguous requests

are refused, and the connection is closed: two ways to tell the length, two lengths, line ends that
are no CRLF, folded lines, blanks before a colon, names that are no tokens, several Host lines, a
target that is neither a path nor a URL nor C<*>. What could hide a request in another one is tested
in F<t/security/hostile.t>.

=item Responses

Nothing that an application sends can add a header line, or a response, of somebody else's making:
names must be tokens, and values must not contain CR, LF or NUL. The length of a response is kept.

=item Slow clients

cost a connection each, no thread and no process. C<timeout> ends those that say nothing, whose head
or body does not end, and who do not read. Facing the open network without a proxy, choose
C<max_connections>.

=item Paths

are decoded once and not normalised: C<..>, C<//> and decoded slashes and NULs reach the
application.

=item Application errors

Their text goes to the log, never to the client.

=back

=head1 DIFFERENCES FROM THE REFERENCE

This distribution has the interface of the earlier PAGI::Server in Perl (0.002005), whose texts and
defaults it keeps. Programs may notice these:

=over 4

=item *

Request headers come one tuple for a line, in the order of the wire, trimmed; C<_> in a name stays.
Only Cookie lines are joined, with C<; >.

=item *

Refused with 400: folded lines, a blank before the colon, bare line feeds, several Host lines,
methods that are no tokens, targets that are none. HTTP/1.2 to 1.9 are treated as 1.1. A target with
a scheme gives its path, and its authority becomes C<host>.

=item *

Limits hold while bytes arrive, not only once a head is complete.

=item *

After the response is complete C<$receive> gives C<http.disconnect>, and only then; before, it waits
while the client is there. Closures of a request that is over do nothing.

=item *

An application that returns in the middle of a response has its connection closed and is told
C<server_error>. So does one that falls short of its C<Content-Length>.

=item *

A wide character in a body, a wrong type or an unsafe header fails that C<$send> alone, and leaves
the way open for another. Statuses below 200 and above 999 fail.

=item *

C<timeout> does not end a running request.

=item *

What was received before the client closed its sending half is served, and the answer is written.

=item *

204, 205 and 304 have no body and no chunked coding; an HTTP/1.0 connection is kept only where the length
is known; C<Connection: close> of the application is heeded; C<Date> is never doubled; reason
phrases are those of the IANA registry.

=item *

At shutdown connections close after their running response. What is cut off is told
C<server_shutdown>.

=item *

All options reach the workers. HUP starts new workers before it ends old ones. A hot restart hands
over as soon as the new workers are ready, and one that fails changes nothing. Workers ignore HUP,
USR2, TTIN and TTOU, which end those of the reference; they log warnings.

=item *

Sockets are not left open in programs that workers, or a single process, start.

=item *

Numbers are checked in the constructor, and IPv6 listeners work.

=item *

The access log is flushed, tells of refused requests, too, and escapes what clients send; C<tiny>
prints milliseconds.

=item *

A head or a body that stops or trickles in is answered 408 in the end, and a client that does not
read its response is left.

=item *

TLS: C<client_cert_name> is written as RFC 4514 wants it, C<cipher_suite> is known for TLS 1.2, too,
handshakes are bounded in time and count as connections, C<verify_client> may be C<optional>,
versions below 1.2 are refused by name, and C<{_ssl_ctx}> is no IO::Socket::SSL::SSL_Context.
Files that are of no use fail L</listen> before the application is started.

=item *

HTTP/2: files, trailers, WebSockets and event streams as over HTTP/1.1; each stream has its own
C<pagi.connection> with all of its states, its line in the access log, and a reset where its
application fails. Credit is given as the application reads. A shutdown sends GOAWAY and lets what runs
finish.

=item *

WebSockets: handshakes are checked (426, 400), and so are masks, fragments and text as it comes; the
client of an application that returns or dies is sent a Close; C<text> of any kind becomes UTF-8; there
is no limit on what is sent; permessage-deflate.

=back

=head1 ENVIRONMENT

=over 4

=item PAGI_ENV

C<development> turns C<validate_events> on; with C<production> a hint about C<max_connections> is
logged where that is not set. L<pagi-server> reads it, too, and sets it.

=item PAGI_FUTURE_XS

If true, L<Future::XS> must be installed, or loading this module dies:

    PAGI_FUTURE_XS=1 set but Future::XS is not installed.

=item PAGI_REUSE, LISTEN_FDS, LISTEN_PID

Sockets that were opened by another process, see L<PAGI::Server::Inherited>. While it listens the
server has its own in C<PAGI_REUSE>.

=item PAGI_ARGV, PAGI_MASTER_PID, PAGI_REUSE_SHARES

The arguments for the master that a hot restart starts, the number of the process that it is to
succeed (a master only, and a number only), and with C<reuseport>
the sockets of each worker, see L<PAGI::Server::Sockets::Shares>.

=item PAGI_RELOADER_PID, PAGI_RELOADER_FD

The process that does what C<--reload> asks for, and a descriptor that is at its end when that is gone.

=item NOTIFY_SOCKET, WATCHDOG_USEC

Where the service manager listens, see L<PAGI::Server::Notify>.

=item IO_ASYNC_LOOP

Which loop L</run> makes where C<loop_type> does not say.

=back

=head1 SEE ALSO

L<pagi-server>, L<PAGI>, L<PAGI::Server::Architecture>, L<PAGI::Server::Compliance>,
L<PAGI::Server::Contributing>, L<IO::Async>, L<Future::AsyncAwait>; to learn and to run it:
L<PAGI::Server::Tutorial>, L<PAGI::Server::Deployment>, L<PAGI::Server::EventLoops>,
L<PAGI::Server::Migration>, L<PAGI::Server::AsyncFile>

=cut

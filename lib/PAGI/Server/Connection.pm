package PAGI::Server::Connection;
use strict;
use warnings;

use Carp qw(croak);
use Future;
use IO::Async::Handle;
use IO::Async::Loop;
use POSIX        ();
use Scalar::Util qw(refaddr weaken);
use Socket       qw(AF_UNIX SO_ACCEPTCONN SOL_SOCKET sockaddr_family);

use PAGI::Server::AccessLog;
use PAGI::Server::Connection::Relay;
use PAGI::Server::Connection::TLS;
use PAGI::Server::Core;
use PAGI::Server::Dispatch;
use PAGI::Server::Log;
use PAGI::Server::Options;
use PAGI::Server::TLS;

our $VERSION = '0.003000';

# What only a connection takes. Everything else is an option of PAGI::Server, with its default,
# but for the largest body: that default is the server's own.
my %OWN = (
    stream                => undef,
    app                   => undef,
    protocol              => undef,
    server                => undef,
    state                 => {},
    tls_enabled           => 0,
    transport_type        => 'tcp',
    transport_path        => undef,
    alpn_protocol         => undef,
    h2_protocol           => undef,
    h2c_enabled           => 0,
    _access_log_formatter => undef,
);

my %TRANSPORT = map { $_ => 1 } qw(tcp unix);

# Seconds that the core has for the end after shutdown_timeout
my $GRACE = 3;

sub new {
    my ($class, %args) = @_;

    my ($unknown) =
        grep { !exists $OWN{$_} && !PAGI::Server::Options->is_known($_) } sort keys %args;
    croak "Unknown argument '$unknown' for PAGI::Server::Connection" if defined $unknown;
    for my $name (qw(stream app)) {
        croak "PAGI::Server::Connection needs the argument '$name'" unless $args{$name};
    }
    my $self = bless { $class->_defaults, $class->_given(%args), closed => 0, is_h2 => 0 }, $class;
    $self->_check;
    return $self;
}

sub start {
    my ($self) = @_;

    croak 'PAGI::Server::Connection: start was called before' if $self->{_started}++;
    if (my $fault = _fault_of($self->{stream})) {
        $self->{closed} = 1;
        die "Cannot serve the connection: $fault\n";
    }
    $self->{alpn_protocol} //=
        PAGI::Server::Connection::TLS->protocol($self->{stream}->read_handle);
    $self->{is_h2} = 1 if ($self->{alpn_protocol} // '') eq 'h2';
    return $self       if eval { $self->_begin; 1 };
    my $error = $@;
    $self->_forget;
    if (my $relay = delete $self->{_relay}) { $relay->drop }
    $self->{stream}->want_readready_for_read(1) if $self->{stream}->read_handle;
    die $error;
}

sub _begin {
    my ($self) = @_;

    my $stream = $self->{stream};
    weaken(my $weak = $self);
    $stream->configure(on_read => sub { 0 }, on_closed => sub { $weak->_lost if $weak });
    $self->{_core} = $self->_start_core;
    $self->{server}{connections}{ refaddr $self } = $self if $self->{server};
    return $self->_take_over if PAGI::Server::Connection::Relay->is_needed_for($stream);
    $stream->want_readready_for_read(0);
    return $self->_take_over if $stream->_is_empty;
    $stream->write('', on_flush => sub { $weak->_take_over_late if $weak && !$weak->{closed} });
    return;
}

# Why a stream cannot be served. A socket whose peer has gone already is served to its end.
sub _fault_of {
    my ($stream) = @_;

    my ($in, $out) = ($stream->read_handle, $stream->write_handle);
    return 'the stream is closed' unless $in && $out;
    return if PAGI::Server::Connection::Relay->is_needed_for($stream);
    my $listens = getsockopt $in, SOL_SOCKET, SO_ACCEPTCONN;
    return 'the socket listens' if defined $listens && unpack 'i', $listens;
    return                      if getpeername $in;
    my $own = getsockname $in;
    return if defined $own && sockaddr_family($own) != AF_UNIX && unpack 'x2 n', $own;
    return 'the socket is not connected';
}

# Nobody is there to catch what goes wrong.
sub _take_over_late {
    my ($self) = @_;

    return if eval { $self->_take_over; 1 };
    $self->_logger->('error', $@ =~ s/\n\z//r);
    $self->_end;
}

# Out of everything that would hold it.
sub _forget {
    my ($self) = @_;

    $self->{closed} = 1;
    delete $self->{server}{connections}{ refaddr $self } if $self->{server};
    delete $self->{_core};
    if (my $bell = delete $self->{_bell}) {
        $bell->remove_from_parent;
    }
}

# A future that is done when the connection has ended, gracefully if it may.
sub stop {
    my ($self) = @_;

    return Future->done                    if $self->{closed} || !$self->{_core};
    return $self->{_ended}->without_cancel if $self->{_ended};
    $self->{_ended} = $self->_loop->new_future;
    $self->{_core}->stop;
    $self->_insist;
    return $self->{_ended}->without_cancel;
}

# The core breaks off what it serves. It does not serve what waits for bytes that were to be written
# before, and nobody hears it where the stream is in no loop.
sub _insist {
    my ($self) = @_;

    my $loop = $self->_loop;
    weaken(my $weak = $self);
    my $id = $loop->watch_time(
        after => $self->{shutdown_timeout} + ($self->{_bell} ? $GRACE : 0),
        code  => sub { $weak->{stream}->close_now if $weak && !$weak->{closed} },
    );
    $self->{_ended}->on_ready(sub { $loop->unwatch_time($id) });
}

sub _close {
    my ($self) = @_;

    $self->{_core}->abort if $self->{_core};
}

# ---- event streams ----

# The bytes of an event, or of a comment, as the core writes them.
sub _format_sse_event   { return _sse_bytes('sse.send', $_[-1]) }
sub _format_sse_comment { return _sse_bytes('sse.comment', $_[-1]) }

sub _sse_bytes {
    my ($type, $event) = @_;

    return PAGI::Server::Core::codec_event(
        PAGI::Server::Dispatch::plain({ %$event, type => $type }));
}

# ---- arguments ----

sub _defaults {
    my ($class) = @_;

    my %server = map { $_ => PAGI::Server::Options->default_of($_) } PAGI::Server::Options->names;
    return (
        %server, %OWN,
        extensions      => {},
        state           => {},
        max_body_size   => undef,
        validate_events => 0,
    );
}

# As with the server, an undefined value is the default.
sub _given {
    my ($class, %args) = @_;

    return map { $_ => $args{$_} } grep { defined $args{$_} } keys %args;
}

sub _check {
    my ($self) = @_;

    croak "'stream' must be an IO::Async::Stream" unless eval { $self->{stream}->can('write') };
    croak "'h2_protocol' must be a PAGI::Server::Protocol::HTTP2"
        if $self->{h2_protocol} && !eval { $self->{h2_protocol}->can('options') };
    $self->{$_} = PAGI::Server::Options->check($_ => $self->{$_})
        for grep { defined $self->{$_} && PAGI::Server::Options->is_known($_) } sort keys %$self;
    PAGI::Server::AccessLog->format_of($_) for grep { defined } $self->{_access_log_formatter};
    croak "Invalid transport_type '$self->{transport_type}': must be tcp or unix"
        unless $TRANSPORT{ $self->{transport_type} };
}

# ---- the life of a connection ----

sub _start_core {
    my ($self) = @_;

    my $server = $self->{server};
    my $log    = $self->_logger;
    my $held   = $self;             # the connection holds itself to its end
    return PAGI::Server::Core->start(
        app             => $self->{app},
        loop            => $self->_loop,
        settings        => $self->_settings,
        state           => $self->{state},
        extensions      => PAGI::Server::TLS->without_own($self->{extensions}),
        fullflush       => exists $self->{extensions}{fullflush},
        validate_events => $self->{validate_events},
        logger          => $self->{logger} // ($server && $server->{logger}),
        $self->_access_log,
        on_log     => $log,
        on_stopped => sub { $held->_end if $held; undef $held },
        $server && $server->can('_on_request_complete')
        ? (on_request => sub { $server->_on_request_complete })
        : (),
    );
}

sub _settings {
    my ($self) = @_;

    my $h2       = $self->{h2_protocol};
    my $settings = PAGI::Server::Options->settings({ %$self, $h2 ? $h2->options : () });
    $settings->{h2_only} = 1 if $self->{is_h2};
    $settings->{http2}   = 1 if $self->{is_h2} || $self->{h2c_enabled};
    my $codec = $self->{protocol} // {};
    for my $limit (qw(max_request_line_size max_header_size max_header_count)) {
        $settings->{$limit} = $codec->{$limit} if defined $codec->{$limit};
    }
    return $settings;
}

sub _access_log {
    my ($self) = @_;

    return unless $self->{access_log};
    my $formatter = $self->{_access_log_formatter};
    my $format =
        $formatter
        ? PAGI::Server::AccessLog->format_of($formatter)
        : $self->{access_log_format};
    return (access_log => $self->{access_log}, log_format => $format);
}

sub _logger {
    my ($self) = @_;

    my ($server, $own) = @{$self}{qw(server logger)};
    return sub { $server->_log(@_) }
        if !$own && $server && $server->can('_log');
    my $log = PAGI::Server::Log->new(
        level => $self->{log_level},
        map { $_ => $self->{$_} } qw(quiet logger)
    );
    return sub { $log->log(@_) };
}

# Where neither is in a loop yet, it is the one that a program has.
sub _loop {
    my ($self) = @_;

    my ($loop) = grep { defined } map { $_->loop } grep { defined } @{$self}{qw(stream server)};
    return $loop // IO::Async::Loop->new;
}

sub _take_over {
    my ($self) = @_;

    my $stream = $self->{stream};
    my $socket = $stream->read_handle;
    my $early  = '';
    if (PAGI::Server::Connection::Relay->is_needed_for($stream)) {
        $self->{_relay} = PAGI::Server::Connection::Relay->new($stream);
        $socket = $self->{_relay}->socket;
    }
    else {
        $stream->push_on_read(sub { ($early, ${ $_[1] }) = (${ $_[1] }, ''); return });
    }
    $self->{_core}->adopt(
        socket => $socket,
        outer  => $stream->read_handle,
        path   => $self->{transport_type} eq 'unix' ? $self->{transport_path} // '' : undef,
        early  => $early,
        tls    => scalar $self->_tls,
    );
    $self->{_relay}->start if $self->{_relay};
    $self->_watch;
    $self->{_core}->stop if $self->{server} && $self->{server}{shutting_down};
    return $self;
}

# What the scopes tell of the stream's TLS; nothing for one in the clear.
sub _tls {
    my ($self) = @_;

    return unless $self->{tls_enabled};
    return PAGI::Server::Connection::TLS->facts($self->{stream}->read_handle, $self->_logger);
}

sub _patience {
    my ($self) = @_;

    return $self->{timeout} || PAGI::Server::Options->default_of('timeout');
}

# The bell hangs on the stream, so that it is in the same loop, whenever that comes.
sub _watch {
    my ($self) = @_;

    my $core = $self->{_core};
    my $fd   = POSIX::dup($core->bell) // die "Cannot watch the core: $!\n";
    open my $bell, '<&=', $fd or die "Cannot watch the core: $!\n";
    $self->{_bell} = IO::Async::Handle->new(
        read_handle   => $bell,
        on_read_ready => sub { $core->drain },
    );
    $self->{stream}->add_child($self->{_bell});
}

# Somebody closed the stream: the client is gone as far as the application is concerned.
sub _lost {
    my ($self) = @_;

    return if $self->{closed};
    $self->_close;
    my $core = $self->{_core};
    my $bell = $self->{_bell} or return $self->_end;
    $self->{stream}->remove_child($bell);
    $self->_loop->add($bell);
}

sub _end {
    my ($self) = @_;

    return if $self->{closed};
    $self->_forget;
    if   (my $relay = delete $self->{_relay}) { $relay->finish($self->_patience) }
    else                                      { $self->{stream}->close_now }
    my $ended = delete $self->{_ended};
    $ended->done if $ended;
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Connection - one connection over a stream of your own

=head1 SYNOPSIS

    use strict;
    use warnings;

    use Future::AsyncAwait;
    use IO::Async::Loop;
    use IO::Async::Stream;
    use PAGI::Server::Connection;
    use PAGI::Server::Protocol::HTTP1;

    my $app = async sub {
        my ($scope, $receive, $send) = @_;

        await $send->({ type => 'http.response.start', status => 204 });
        await $send->({ type => 'http.response.body' });
    };

    # $socket: a connected socket, from wherever you have it
    sub serve {
        my ($loop, $socket) = @_;

        my $stream = IO::Async::Stream->new(handle => $socket, on_read => sub { 0 });
        PAGI::Server::Connection->new(
            stream   => $stream,
            app      => $app,
            protocol => PAGI::Server::Protocol::HTTP1->new,
        )->start;
        $loop->add($stream);
    }

=head1 DESCRIPTION

Serves PAGI applications on a connection that somebody else accepted: a listener of your own, one
end of a socket pair, a socket that another process handed over. It is the connection of
L<PAGI::Server>, driven by the same core, without the listening.

=head2 What it takes over

C<start> takes the stream's socket over: from then on the core reads and writes it, on its own
thread, and the stream itself neither reads nor writes. Bytes that the stream has read already are
served first; bytes that it has yet to write leave first. At the end of the connection the stream is
closed, which takes it out of its loop. C<start> sets the stream's C<on_read> and C<on_closed>; use
C<< $stream->new_close_future >> to be told of the end.

A stream whose bytes only Perl can read and write is relayed: Perl copies between the stream and a
pair of sockets, one piece at a time, so that nothing piles up. That is so for streams with a
C<reader> or C<writer> of their own, for tied handles, for L<IO::Socket::SSL> handles (from
L<IO::Async::SSL>), for pipes, and for anything else that is not one socket. It costs Perl's time
for each piece. Where such a peer takes nothing of the last bytes for C<timeout> seconds (60 where
that is off), its stream is closed.

=head2 Its life

The object holds itself from C<start> to the end of the connection; nobody else has to. The stream
may be added to a loop, or to another notifier, before or after C<start>; until it is in a loop the
application is not called, and nobody hears that the client is gone: a stream that shall not be added
after all must be closed, with C<< $stream->close_now >>.

The end comes when the client closes, when the server side decides to (C<Connection: close>, an
error, a timeout, a shutdown), or when somebody closes the stream. Calls of the application that are
running then learn of it as the specification says: C<http.disconnect>, C<websocket.disconnect> or
C<sse.disconnect>, and their C<$send> is silent.

=head2 What it speaks

All that L<PAGI::Server> does, by the same rules, from the first byte to the last:

=over 4

=item HTTP/1.0 and HTTP/1.1

with keep-alive, pipelining, chunks, C<Expect: 100-continue>, trailers, limits and times. This is what
a connection speaks unless it is told otherwise, or finds otherwise.

=item HTTP/2

where both sides have agreed on C<h2> by ALPN (C<alpn_protocol>, which is found out by itself for a
stream of L<IO::Async::SSL>), and where the client begins with its preface and C<h2c_enabled> is true.
Each request is a stream, and each stream has its own call of the application; they run side by side.

=item WebSocket

over HTTP/1.1 by C<Upgrade>, over HTTP/2 by extended CONNECT (RFC 8441): the C<websocket> scope.

=item Server-Sent Events

over both: the C<sse> scope (L</EVENT STREAMS>).

=back

Which of the scopes a request gets is decided as L<PAGI::Server> decides it. There is no C<lifespan>
scope here: that is for a server, whose C<state> can be given to L</new>.

=head1 CONSTRUCTOR

=head2 new

    my $connection = PAGI::Server::Connection->new(%arguments);

Croaks for a name that is none of these, for C<stream> or C<app> missing, and for a value that
cannot be meant; the message names the argument:

    Unknown argument 'X' for PAGI::Server::Connection
    PAGI::Server::Connection needs the argument 'NAME'
    'stream' must be an IO::Async::Stream
    'h2_protocol' must be a PAGI::Server::Protocol::HTTP2
    Invalid transport_type 'X': must be tcp or unix
    The access log formatter must come from PAGI::Server->_compile_access_log_format

or is one of L<PAGI::Server/OPTIONS>.

=over 4

=item stream

An L<IO::Async::Stream>. Required.

=item app

The application, a code reference or an object with an overloaded C<&{}>. Required.

=item protocol

A L<PAGI::Server::Protocol::HTTP1>; its limits for heads (C<max_header_size>,
C<max_request_line_size>, C<max_header_count>) are the connection's. Default: the server's limits.

=item server

The object that the connection belongs to: a L<PAGI::Server>, or another one that is a hash and has the
method C<loop>. The connection is in its hash
C<< $server->{connections} >> from C<start> to the end, so that a shutdown of a L<PAGI::Server> waits
for it. If C<< $server->{shutting_down} >> is true at C<start>, one request is the last. Its methods
C<_log($level, $message)> and C<_on_request_complete> are called where it has them. Default: none;
log lines are warnings then, or go to C<logger>.

=item extensions

Hash reference: what C<< $scope->{extensions} >> holds. Default C<{}>.

=item state

Hash reference, copied shallowly for C<< $scope->{state} >> of each scope. Default C<{}>.

=item transport_type

C<tcp> or C<unix>. With C<unix> the scope has no C<client>, and C<server> is
C<[transport_path, undef]>. Default C<tcp>: C<client> and C<server> are the socket's addresses, read
once, or C<127.0.0.1> with the ports 0 and 5000 where it has none.

=item transport_path

Path of the Unix socket, with C<transport_type> C<unix>.

=item max_body_size

As of L<PAGI::Server>, but unlimited by default.

=item access_log, _access_log_formatter

Filehandle for the access log; default: none, there is no access log. The formatter, if given, is one
of C<< PAGI::Server->_compile_access_log_format >> and counts in the place of C<access_log_format>. No
other function will do: the core renders the lines, and calls none.

=item tls_enabled

True where the stream's bytes travel over TLS, which is the stream's business; see L</TLS>. Default 0.

=item alpn_protocol

What was agreed upon by ALPN. With C<h2> the connection speaks HTTP/2 and nothing else, from its first
byte on; with anything else HTTP/1, or what C<h2c_enabled> says. Default: what the stream's handle tells
at L</start>, if that is an L<IO::Socket::SSL>; C<< $connection->{alpn_protocol} >> is that from then on.

=item h2c_enabled

With a true value it speaks HTTP/2 to a client that begins with its preface, else HTTP/1. The options
C<h2_*> of L<PAGI::Server> hold for both.

=item h2_protocol

A L<PAGI::Server::Protocol::HTTP2>; its settings are the connection's, in the place of the options C<h2_*>.
Default: those options.

=back

Every other argument is an option of L<PAGI::Server/OPTIONS> with the server's default, and holds for
this connection alone: C<timeout>, C<request_timeout>, C<write_high_watermark>,
C<write_low_watermark>, C<sync_file_threshold>, C<validate_events>, C<shutdown_timeout>,
C<max_receive_queue>, C<max_ws_frame_size>, C<ws_idle_timeout>, C<ws_compression>,
C<sse_idle_timeout>, C<sse_idle_timeout_scope>, C<access_log_format>, C<log_level>, C<quiet>,
C<logger>. As with the server, an undefined value means the default.

=head1 METHODS

=head2 start

    $connection->start;

Takes the stream over and serves. Returns the object. Croaks when called twice; dies with
C<Cannot serve the connection: ERROR> where the stream is closed, or its socket listens, is not
connected or no stream socket. The stream is then still the caller's to close. The texts:

    PAGI::Server::Connection: start was called before
    Cannot serve the connection: ERROR
    Cannot watch the core: ERROR            (there are no more descriptors)

=head2 stop

    await $connection->stop;

Lets the running request finish, begins no other, and closes; what still runs after
C<shutdown_timeout> seconds is broken off. Returns a Future that is done at the end of the connection;
cancelling it is to give up waiting.

=head1 TLS

    use IO::Async::SSL;    # gives the loop its SSL_listen

    $loop->SSL_listen(
        handle             => $listening,
        SSL_cert_file      => $cert_file,
        SSL_key_file       => $key_file,
        SSL_alpn_protocols => ['h2', 'http/1.1'],    # for those who want HTTP/2
        on_ssl_error       => sub { warn "TLS: $_[0]\n" },
        on_stream          => sub {
            my ($stream) = @_;
            PAGI::Server::Connection->new(
                stream      => $stream,
                app         => $app,
                tls_enabled => 1,
            )->start;
            $loop->add($stream);
        },
    );

A stream of L<IO::Async::SSL>, made by its C<SSL_listen> or C<SSL_upgrade>, is served like any other:
give it to L</new> when its handshake is through, with C<< tls_enabled => 1 >>. The scopes then have
the C<scheme> C<https> or C<wss>, and C<< $scope->{extensions}{tls} >> as L<PAGI::Server/TLS>
describes it; what it holds is read from the stream's handle at C<start>. Where the handle is no
L<IO::Socket::SSL> (somebody else ended the TLS before it), the six keys are there, and tell nothing:
they are undefined, the chain is empty. The suite's number is undefined for a suite that is rare.

A certificate that cannot be read leaves its keys like that, with a warning,
C<TLS server certificate extraction error: ERROR> or C<TLS client certificate extraction error:
ERROR>; requests are served all the same.

=head1 EVENT STREAMS

How Server-Sent Events are served: the C<sse> scope of L<PAGI::Spec::Www>, whose events are listed
in L<PAGI::Server/Sent in an sse scope>.

=head2 On the wire, over HTTP/1.1

    HTTP/1.1 200 OK
    content-type: text/event-stream
    cache-control: no-cache
    connection: keep-alive
    date: Sun, 22 Nov 2026 12:00:00 GMT
    Server: PAGI::Server/0.003000
    Transfer-Encoding: chunked

    9
    data: x

    0

The head leaves with C<sse.start>, each event and each comment is one chunk and leaves at once. To an
HTTP/1.0 client there are no chunks, and the end of the connection is the end of the stream.

A stream is the last that its connection carries, although the head says C<keep-alive>, as
L<PAGI::Spec::Www> has it. A proxy that keeps its connections to the server (nginx: C<keepalive> in
C<upstream>) may believe it, and lose a request to the connection that is just being closed. For such
a proxy give C<sse.start> the header C<< ['connection', 'close'] >>, which is sent instead. What the client sends behind its request is read,
so that its leaving is noticed, and dropped.

=head2 The end

The application returns, dies, or sends C<sse.close>: all the same on the wire. What was sent
leaves, then the last chunk, then the connection is closed, and a line is in the access log: the
status, no bytes, the whole duration. After C<sse.close> the application may go on; it has
C<sse.disconnect> with its own reason.

The client leaves: C<sse.disconnect> with C<client_closed>, and whatever is sent counts for nothing.
A shutdown ends streams in order and at once, with C<server_shutdown>: an C<EventSource> comes
again, and finds the next server. A stream that is begun during a shutdown ends with its head; other
answers still go out.

Whether an C<EventSource> comes again is up to the application: C<retry> says after how long, C<id>
becomes its C<Last-Event-ID> header, and a 204 (C<sse.http.response.start>) keeps it away. The server
remembers nothing.

=head2 Many subscribers

One event for many streams is many calls of C<$send>. Events of 4 KiB and more are made once and
shared by the streams that have yet to write them; below that making them costs less than looking.
A client that reads slowly parks its own C<$send>, at C<write_high_watermark>, and nobody else's; do
not await one subscriber before you send to the next:

    my @sent = map { $_->($event) } values %send;    # all at once
    await Future->wait_all(@sent);                   # or drop those that are not ready

=head2 SSE over HTTP/2 and the idle timeout

What C<sse_idle_timeout> ends.

=over 4

=item Transparency

The events are the same over both. Only the framing differs: chunks over HTTP/1.1, DATA frames over
HTTP/2, where there is neither C<connection> nor C<Transfer-Encoding>. C<http_version> in the scope
tells which it is.

=item Level

The timeout belongs to the connection, not to the stream. Over HTTP/2 an idle timer that fires ends
the whole connection with all its streams. Over HTTP/1.1 each stream has a connection of its own, so
that there is no difference.

=item What speaks for it

One simple rule for both protocols; it is that of Go's net/http2, hyper and axum, Netty and Vert.x,
Hypercorn and gRPC; no further code for the life of streams.

=item What speaks against it

Streams that have nothing to do with it end as well. A client that has event streams and other
requests on one connection sees drops that it cannot explain.

=item Recommendation

Send comments (C<sse.keepalive>) at an interval below C<sse_idle_timeout>: each starts the timer
anew. Behind a proxy, stay below its idle timeout for streams as well (Envoy: C<stream_idle_timeout>;
nginx: C<proxy_read_timeout>, with C<proxy_buffering off>; HAProxy: C<timeout server>, C<timeout
tunnel>).

=item The other way

C<< sse_idle_timeout_scope => 'stream' >> is there for the variant in which only the idle stream is
reset (as Node.js and Envoy do it) and the application has C<idle_timeout>. Over HTTP/1.1 both words
mean the same.

=back

=head1 KEYS

C<< $connection->{closed} >> is 1 once the connection is over. C<is_h2> is 1 where both sides had agreed
on HTTP/2 before C<start>, see C<alpn_protocol>. Where it is the preface that tells (C<h2c_enabled>) it
stays 0: what is spoken is the C<http_version> of each scope.

=head1 SEE ALSO

L<PAGI::Server>, L<PAGI::Server::Protocol::HTTP1>

=cut

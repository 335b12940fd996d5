package PAGI::Server::Protocol::HTTP2::Session;
use strict;
use warnings;

use Carp qw(croak);

use PAGI::Server::Core;
use PAGI::Server::Protocol::Fields;

our $VERSION = '0.003000';

# Whose mistakes are not those of PAGI::Server::Protocol::HTTP2, which makes sessions.
our @CARP_NOT = qw(PAGI::Server::Protocol::HTTP2);

# So much is gathered by one call of extract.
use constant MOST => 1024 * 1024;

use constant { NO_ERROR => 0, INTERNAL_ERROR => 2 };

# What the core makes of a call about a stream, as PAGI_DONE and so on of xs/pagi_core.h.
use constant { DONE => 0, NO_STREAM => 1 };
my %COMPLAINT = (
    2 => 'has no response yet',
    3 => 'has a response already',
    4 => 'has ended its response',
);

my %IS_CALLBACK = map { $_ => 1 } qw(on_request on_body on_close);

sub CLONE_SKIP { 1 }

sub _new {
    my ($class, $settings, %callbacks) = @_;

    for my $name (sort keys %callbacks) {
        croak "Unknown callback '$name'" if !$IS_CALLBACK{$name};
        croak "Callback '$name' must be a code reference"
            if defined $callbacks{$name} && ref $callbacks{$name} ne 'CODE';
    }
    return bless {
        core      => _open($settings),
        callbacks => \%callbacks,
        sources   => {},
        out       => '',
    }, $class;
}

sub feed {
    my ($self) = @_;

    my $used = _feed($self->{core}, $_[1]);
    $self->_tell;
    return $used;
}

sub extract {
    my ($self) = @_;

    while (1) {
        $self->{out} .= _take($self->{core});
        last if length $self->{out} >= MOST;
        my ($id, $room) = _ask($self->{core}) or last;
        $self->_fill($id, $room);
    }
    my $bytes = $self->{out};
    $self->{out} = '';
    $self->_tell;
    return $bytes;
}

sub want_read { _wants_read($_[0]{core}) ? 1 : 0 }

sub want_write {
    my ($self) = @_;

    return length $self->{out} || _wants_write($self->{core}) ? 1 : 0;
}

sub submit_response {
    my ($self, $id, %response) = @_;

    my $body = delete $response{body};
    return $self->submit_response_streaming($id, %response, data_callback => $body)
        if ref $body eq 'CODE';
    my $has_body = defined $body && length $body;
    $self->_begin($id, $has_body, %response) or return 0;
    return $has_body ? $self->submit_data($id, $body, 1) : 1;
}

sub submit_response_streaming {
    my ($self, $id, %response) = @_;

    my ($callback, $data) = delete @response{qw(data_callback callback_data)};
    croak "Callback 'data_callback' must be a code reference"
        if defined $callback && ref $callback ne 'CODE';
    $self->_begin($id, 1, %response) or return 0;
    if ($callback) {
        $self->{sources}{$id} = [$callback, $data];
        _source($self->{core}, $id, 1);
    }
    return 1;
}

sub resume_stream {
    my ($self, $id) = @_;

    return $self->{sources}{$id} ? $self->_done($id, _source($self->{core}, $id, 1)) : 0;
}

sub submit_data {
    my ($self, $id, undef, $is_last) = @_;

    return $self->_done($id, _push($self->{core}, $id, $_[2] // '', $is_last ? 1 : 0));
}

sub submit_trailers {
    my ($self, $id, $headers) = @_;

    my $plain = PAGI::Server::Protocol::Fields->plain($headers);
    return $self->_done($id, _trailers($self->{core}, $id, $plain));
}

sub reset_stream {
    my ($self, $id, $code) = @_;

    return $self->_done($id, _reset($self->{core}, $id, $code // NO_ERROR));
}

sub terminate {
    my ($self, $code) = @_;

    _terminate($self->{core}, $code // NO_ERROR);
    $self->_tell;
    return;
}

sub _begin {
    my ($self, $id, $has_body, %response) = @_;

    my ($status, $headers) = delete @response{qw(status headers)};
    my ($unknown) = sort keys %response;
    croak "Unknown argument '$unknown' of a response" if defined $unknown;
    $status //= 200;
    die "Invalid status: must be an integer between 200 and 999\n"
        if ref $status || $status !~ /\A[2-9][0-9]{2}\z/;
    my $plain = PAGI::Server::Protocol::Fields->plain($headers // []);
    return $self->_done($id, _respond($self->{core}, $id, $status, $plain, $has_body ? 1 : 0));
}

sub _done {
    my ($self, $id, $outcome) = @_;

    return 1 if $outcome == DONE;
    return 0 if $outcome == NO_STREAM;
    croak "Stream $id $COMPLAINT{$outcome}";
}

# The next piece of a response. The stream is not asked again before the callback has said that it
# may be: by what it returns, or by resume_stream.
sub _fill {
    my ($self, $id, $room) = @_;

    my $core = $self->{core};
    my ($callback, $data) = @{ $self->{sources}{$id} };
    my ($chunk, $is_last);
    _source($core, $id, 0);
    if (!eval { ($chunk, $is_last) = $callback->($id, $room, $data); 1 }) {
        my $error = $@;
        _reset($core, $id, INTERNAL_ERROR);
        die $error;
    }
    return if !defined $chunk && !$is_last;
    _push($core, $id, $chunk // '', $is_last ? 1 : 0);
    _source($core, $id, 1) if !$is_last;
    return;
}

# Tells of what happened. A callback that comes back here has the rest told by the call that called
# it, in order.
sub _tell {
    my ($self) = @_;

    return if $self->{is_telling};
    local $self->{is_telling} = 1;
    while (my ($report) = _next($self->{core})) {
        my ($name, @args) = @$report;
        delete $self->{sources}{ $args[0] } if $name eq 'on_close';
        my $callback = $self->{callbacks}{$name} or next;
        $callback->(@args);
    }
    return;
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Protocol::HTTP2::Session - an HTTP/2 server from bytes to bytes

=head1 SYNOPSIS

    use strict;
    use warnings;

    use PAGI::Server::Protocol::HTTP2;
    use Scalar::Util qw(weaken);

    my $weak;
    my $session = PAGI::Server::Protocol::HTTP2->new->create_session(
        on_request => sub {
            my ($id, $pseudo, $headers, $has_body) = @_;
            $weak->submit_response(
                $id,
                status  => 200,
                headers => [['content-type', 'text/plain']],
                body    => "You asked for $pseudo->{':path'}\n",
            );
        },
    );
    weaken($weak = $session);

    # What a client sends, however it comes here; what goes back to it.
    my $from_client = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . "\0\0\0\4\0\0\0\0\0"
        . "\0\0\3\1\5\0\0\0\1\x82\x84\x86";
    $session->feed($from_client);
    my $to_client = '';
    while (length(my $bytes = $session->extract)) { $to_client .= $bytes }

    print length $to_client, " bytes to send\n";
    print "The connection can be closed\n" if !$session->want_read && !$session->want_write;

=head1 DESCRIPTION

The server's side of one HTTP/2 connection without the connection, for programs that have bytes and
no socket: tests, tunnels, servers of another make. The engine is the one that serves connections,
and so are the rules about what a client may do and how often: what L<PAGI::Server> ends a connection
for ends a session.

A session needs no loop, no thread and no server; it can be made before a fork and used behind it. It
has no timers: whoever carries the bytes knows how long a client may be silent. Who wants requests as
PAGI scopes uses L<PAGI::Server::Connection>.

Bytes go in by L</feed> and come out by L</extract>. What happened is told by callbacks, at the end of
these two and of L</terminate>, when all has been done: so a callback may call any method. What
happens by that is told after it has returned, in order. Where a callback dies, the method that called
it does, and what was not told is told by the next one. A session holds its callbacks, which should
therefore not hold it.

=head1 CONSTRUCTOR

    my $session = $http2->create_session(%callbacks);

See L<PAGI::Server::Protocol::HTTP2/create_session>. The settings are those of that object. Its
SETTINGS frame is the first that L</extract> gives.

Croaks with

    Unknown callback 'X'
    Callback 'X' must be a code reference

=over 4

=item on_request

    on_request => sub { my ($id, \%pseudo, \@headers, $has_body) = @_; ... }

A request's head has come, on the stream of that number. C<%pseudo> has the pseudo-header fields by
their names, colon included: C<:method>, C<:scheme>, C<:authority>, C<:path>, and C<:protocol> with an
extended CONNECT; those that were sent. C<@headers> has C<[$name, $value]> for each other field, as
bytes. C<$has_body> is 1 where a body follows, which may turn out to be empty.

Requests that HTTP/2 calls malformed are reset and not told of.

=item on_body

    on_body => sub { my ($id, $data, $eof) = @_; ... }

A piece of a request's body; C<$eof> is 1 with the last one, which may be empty. Trailer fields are
dropped. The client's windows open again at once.

=item on_close

    on_close => sub { my ($id, $code) = @_; ... }

A stream is over: C<$code> is 0 where both sides have ended it, else the error code (RFC 9113 7) with
which one of them has reset it, or the session has ended. It comes once for each request told of.

=back

=head1 METHODS

Those about a stream return 1, or 0 where there is no such stream (any more): a client may go at any
time. They croak where the caller should know better:

    Stream N has no response yet
    Stream N has a response already
    Stream N has ended its response
    There are more header fields than HTTP/2 has room for

Headers are C<[$name, $value]>, bytes; names go in lower case. Fields that HTTP/2 has no place for,
such as C<connection>, are left out, and none is added, C<date> and C<server> included. What cannot go
on the wire is refused with the texts of L<PAGI::Server::Protocol::HTTP1/ERRORS>.

=head2 feed

    my $used = $session->feed($bytes);

Takes what the client sent, cut anywhere. Returns how many bytes were used: all, or 0 once the session
is over.

=head2 extract

    my $bytes = $session->extract;

What is to be sent to the client, about 1 MiB at most; empty where there is nothing. Streams whose
response has a C<data_callback> are asked in turn for what the client's windows take.

=head2 want_read

1 until the session is over: the client broke the protocol, which a GOAWAY in what is left to
L</extract> tells it; or it has said that it leaves, and no stream is left; or L</terminate>.

=head2 want_write

1 where L</extract> has something to give.

=head2 submit_response

    $session->submit_response($id, status => 200, headers => \@headers, body => $body);

A whole response. C<body> is a string of bytes, or a code reference as C<data_callback> below; without
it the response ends with its head. Nothing is sent of a body in answer to HEAD, or with the statuses
204, 205 and 304. C<status> is 200 where it is not given; interim responses cannot be sent:

    Invalid status: must be an integer between 200 and 999
    Unknown argument 'X' of a response
    Callback 'data_callback' must be a code reference

=head2 submit_response_streaming

    $session->submit_response_streaming($id,
        status        => 200,
        headers       => \@headers,
        data_callback => sub { my ($id, $max, $data) = @_; return ($chunk, $eof) },
        callback_data => $data,
    );

A response whose body comes piece by piece. The callback is called by L</extract> when the client's
windows are open: for up to C<$max> bytes; more are kept until they can go. It returns bytes and
whether they are the last, or C<undef> if there are none just now: then it is not asked again before
L</resume_stream>. If it dies, the stream is reset with INTERNAL_ERROR and L</extract> dies with its
exception; no bytes are lost by that.

Without a callback the body is given by L</submit_data>. It can be given like that with one, too.

=head2 resume_stream

    $session->resume_stream($id);

There is something for the callback to give again.

=head2 submit_data

    $session->submit_data($id, $bytes, $eof);

A piece of the response that L</submit_response_streaming> began; the last one where C<$eof> is true.
It waits for the client's windows as long as it must: nothing bounds what is kept.

=head2 submit_trailers

    $session->submit_trailers($id, \@headers);

Ends that response, with trailer fields.

=head2 reset_stream

    $session->reset_stream($id, $code);

Ends a stream with RST_STREAM, by default with NO_ERROR. C<on_close> tells of it.

=head2 terminate

    $session->terminate($code);

Ends the session with GOAWAY, by default with NO_ERROR, and all its streams, of which C<on_close>
tells. What is left for L</extract> ends with that frame.

=head1 SEE ALSO

L<PAGI::Server::Protocol::HTTP2>, L<PAGI::Server::Connection>

=cut

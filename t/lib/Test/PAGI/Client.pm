package Test::PAGI::Client;

# A raw HTTP/1 client on a non-blocking socket, driven by the test's own loop. It writes exactly
# the bytes it is given and reads exactly what comes, so that tests read as conversations. What it
# shares with clients of HTTP/2 is told in Test::PAGI::Client::Common.

use strict;
use warnings;

use parent 'Test::PAGI::Client::Common';

use Carp         qw(croak);
use Errno        qw(EAGAIN EINPROGRESS EINTR EWOULDBLOCK);
use Scalar::Util qw(weaken);
use Socket       qw(
    AF_INET AF_UNIX SOCK_STREAM SOL_SOCKET SO_ERROR SO_LINGER SO_RCVBUF SO_SNDBUF IPPROTO_TCP TCP_NODELAY
    MSG_NOSIGNAL SHUT_WR inet_aton pack_sockaddr_in pack_sockaddr_un
    unpack_sockaddr_in
);
use Test::PAGI::Loop qw(DEADLINE test_loop turn wait_until);
use Test::PAGI::Response;

# connect_tcp(host => , port => , rcvbuf => bytes, sndbuf => bytes). Small buffers make
# backpressure visible early; they must be set before the connection exists.
sub connect_tcp {
    my ($class, %args) = @_;
    socket my $fh, AF_INET, SOCK_STREAM, 0 or croak "socket: $!";
    setsockopt $fh, SOL_SOCKET, SO_RCVBUF, $args{rcvbuf} if $args{rcvbuf};
    setsockopt $fh, SOL_SOCKET, SO_SNDBUF, $args{sndbuf} if $args{sndbuf};
    $fh->blocking(0);
    my $host  = $args{host} // '127.0.0.1';
    my $begun = connect $fh, pack_sockaddr_in($args{port}, inet_aton($host));
    croak "connect $host:$args{port}: $!"      if !$begun && $! != EINPROGRESS;
    _await_connected($fh, "$host:$args{port}") if !$begun;
    setsockopt $fh, IPPROTO_TCP, TCP_NODELAY, 1;
    return $class->new($fh);
}

# connect_unix($path)
sub connect_unix {
    my ($class, $path) = @_;
    socket my $fh, AF_UNIX, SOCK_STREAM, 0 or croak "socket: $!";
    connect $fh, pack_sockaddr_un($path)   or croak "connect $path: $!";
    return $class->new($fh);
}

# Waits for the kernel alone: a full backlog must not block the loop that would empty it.
sub _await_connected {
    my ($fh, $where) = @_;
    my $error = 0;
    wait_until {
        $error = unpack 'i', getsockopt $fh, SOL_SOCKET, SO_ERROR;
        $error || getpeername $fh;
    }
    "the connection to $where";
    return if !$error;
    local $! = $error;
    croak "connect $where: $!";
}

# Over any connected stream handle (a TLS socket, one end of a socketpair).
sub new {
    my ($class, $fh) = @_;
    $fh->blocking(0);
    my $self = bless { fh => $fh, in => '', out => '', eof => 0, error => undef, reading => 0 },
        $class;
    return $self->start_reading;
}

sub DESTROY {
    my ($self) = @_;
    return if ${^GLOBAL_PHASE} eq 'DESTRUCT';
    $self->close;
    return;
}

# --- state ---

sub is_eof    { return $_[0]{eof} }                                   # peer closed, cleanly or not
sub error     { return $_[0]{error} }                                 # errno text when not cleanly
sub buffer    { return $_[0]{in} }                                    # received and not yet taken
sub unsent    { return length $_[0]{out} }                            # written and not yet accepted
sub is_closed { return !$_[0]{fh} }
sub received  { return $_[0]{received} // 0 }                         # how many bytes came
sub port      { return (unpack_sockaddr_in getsockname $_[0]{fh})[0] }

# --- writing ---

# Queues bytes and sends what the socket takes now; the loop sends the rest.
sub write {
    my ($self, $bytes) = @_;
    $self->{out} .= $bytes;
    $self->_flush;
    return $self;
}

# As write, and waits until the kernel has it all.
sub write_all {
    my ($self, $bytes, $timeout) = @_;
    $self->write($bytes);
    wait_until { !$self->unsent || $self->{eof} } 'the socket to take all bytes', $timeout;
    return $self;
}

# One byte per write, the loop turning in between.
sub drip {
    my ($self, $bytes) = @_;
    for my $byte (split //, $bytes) {
        $self->write($byte);
        turn(0.001);
    }
    return $self;
}

# The pieces one after the other, giving the server time to read each by itself.
sub write_pieces {
    my ($self, @pieces) = @_;
    for my $piece (@pieces) {
        $self->write_all($piece);
        turn(0.005) for 1 .. 2;
    }
    return $self;
}

# Finishes our side of the stream (FIN); reading goes on.
sub half_close {
    my ($self) = @_;
    wait_until { !$self->unsent || $self->{eof} } 'the socket to take all bytes before FIN';
    shutdown $self->{fh}, SHUT_WR;
    return $self;
}

# Closes with RST instead of FIN.
sub reset {
    my ($self) = @_;
    setsockopt $self->{fh}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
    return $self->close;
}

sub close {
    my ($self) = @_;
    my $fh = $self->{fh} or return $self;
    $self->stop_reading;
    test_loop()->unwatch_io(handle => $fh, on_write_ready => 1) if delete $self->{writing};
    delete $self->{fh};
    close $fh;
    return $self;
}

# --- reading ---

sub start_reading {
    my ($self) = @_;
    return $self if $self->{reading} || $self->{eof};
    $self->{reading} = 1;
    weaken(my $weak = $self);
    test_loop()->watch_io(handle => $self->{fh}, on_read_ready => sub { $weak->_fill });
    return $self;
}

sub stop_reading {
    my ($self) = @_;
    test_loop()->unwatch_io(handle => $self->{fh}, on_read_ready => 1) if $self->{reading};
    $self->{reading} = 0;
    return $self;
}

# The next response. undef when the peer closed without a byte of it; is_truncated when it closed
# in the middle; dies when neither comes in time. Option method => 'HEAD' says there is no body.
sub read_response {
    my ($self, %opt) = @_;
    my $response = $self->_pending($opt{method});
    my $what     = $opt{what} // 'a response';
    my $ended    = eval {
        wait_until {
            $response->is_over || $response->take(\$self->{in}, $self->{eof}) || $self->{eof}
        }
        $what, $opt{timeout};
    };
    croak $@ . '  received so far: ' . _shown(($response->raw_head // '') . $self->{in})
        unless $ended;
    delete $self->{response};
    return defined $response->raw_head ? $response : undef;
}

# What there is of the response that read_response will give.
sub partial {
    my ($self) = @_;
    my $response = $self->_pending;
    $response->take(\$self->{in}, $self->{eof}) if !$response->is_over;
    return $response;
}

sub is_read      { return !$_[0]{response} }
sub request_over { return $_[0]->read_until_eof($_[1]) eq '' }

sub _pending {
    my ($self, $method) = @_;
    return $self->{response} if $self->{response};
    my $begun = shift @{ $self->{begun} // [] };
    return $self->{response} = Test::PAGI::Response->new(method => $method // $begun);
}

# Everything until the peer closes, raw.
sub read_until_eof {
    my ($self, $timeout) = @_;
    wait_until { $self->{eof} } 'the server to close the connection', $timeout;
    my $bytes = $self->{in};
    $self->{in} = '';
    return $bytes;
}

# Exactly $n raw bytes (fewer when the peer closes before).
sub read_bytes {
    my ($self, $n, $timeout) = @_;
    wait_until { length $self->{in} >= $n || $self->{eof} } "$n bytes", $timeout;
    return substr $self->{in}, 0, $n, '';
}

# Raw bytes up to and including the first match of a pattern.
sub read_until {
    my ($self, $pattern, $timeout) = @_;
    wait_until { $self->{in} =~ $pattern || $self->{eof} } "bytes matching $pattern", $timeout;
    $self->{in} =~ /\A(.*?$pattern)/s or croak 'closed after ' . _shown($self->{in});
    return substr $self->{in}, 0, length $1, '';
}

# --- whole requests ---

# The bytes of a request. version '1.1', headers [[name, value], ...], body; Host comes first
# unless host => undef. A body gets a content-length; chunked => [pieces] is sent in chunks.
sub request_bytes {
    my ($self, $method, $target, %opt) = @_;
    my @fields = exists $opt{host} && !defined $opt{host} ? () : ([Host => $opt{host} // 'test']);
    push @fields, @{ $opt{headers} // [] };
    push @fields, ['Content-Length' => length $opt{body}] if defined $opt{body};
    push @fields, ['Content-Length' => $opt{length}]      if defined $opt{length};
    push @fields, ['Transfer-Encoding' => 'chunked']      if $opt{chunked} || _is_endless(%opt);
    my $head = "$method $target HTTP/" . ($opt{version} // '1.1') . "\r\n";
    $head .= "$_->[0]: $_->[1]\r\n" for @fields;
    my $body = $opt{chunked} ? _chunked(@{ $opt{chunked} }) : $opt{body} // '';
    return "$head\r\n$body";
}

# Sends a request and reads nothing.
sub begin {
    my ($self, $method, $target, %opt) = @_;
    push @{ $self->{begun} }, $method;
    $self->{chunks} = _is_endless(%opt);
    return $self->write($self->request_bytes($method, $target, %opt));
}

sub _is_endless {
    my (%opt) = @_;
    return $opt{more} && !defined $opt{length};
}

# A part of the body of a request that was begun with more => 1, and the last one.
sub body {
    my ($self, $bytes) = @_;
    $bytes = sprintf "%x\r\n%s\r\n", length $bytes, $bytes if $self->{chunks} && length $bytes;
    return $self->write($bytes);
}

sub end_body {
    my ($self, $bytes) = @_;
    return $self->body($bytes // '')->write($self->{chunks} ? "0\r\n\r\n" : '');
}

sub abort { return $_[0]->reset }

# Sends a request and reads its response.
sub request {
    my ($self, $method, $target, %opt) = @_;
    my $timeout = delete $opt{timeout};
    $self->write($self->request_bytes($method, $target, %opt));
    return $self->read_response(method => $method, timeout => $timeout);
}

# --- inside ---

sub _chunked {
    my (@pieces) = @_;
    return join '', map({ sprintf "%x\r\n%s\r\n", length, $_ } grep { length } @pieces),
        "0\r\n\r\n";
}

sub _fill {
    my ($self) = @_;
    my $got = sysread $self->{fh}, $self->{in}, 262_144, length $self->{in};
    $self->{received} += $got // 0;
    return $self->{on_read} && $self->{on_read}->() if $got;
    return if !defined $got && _is_transient();
    $self->{error} = "$!" unless defined $got;
    $self->_ended;
    return;
}

sub _flush {
    my ($self) = @_;
    while (length $self->{out}) {
        my $sent = $self->_put(substr $self->{out}, 0, 262_144);
        return $self->_watch_writing if !defined $sent && _is_transient();
        return $self->_broken        if !defined $sent;
        substr $self->{out}, 0, $sent, '';
    }
    test_loop()->unwatch_io(handle => $self->{fh}, on_write_ready => 1) if delete $self->{writing};
    return;
}

# MSG_NOSIGNAL: a test must not ignore SIGPIPE for the whole process, or it would hide it when
# the server raises one.
sub _put {
    my ($self, $bytes) = @_;
    return send $self->{fh}, $bytes, MSG_NOSIGNAL;
}

sub _watch_writing {
    my ($self) = @_;
    return if $self->{writing}++;
    weaken(my $weak = $self);
    test_loop()->watch_io(handle => $self->{fh}, on_write_ready => sub { $weak->_flush });
    return;
}

# A refused write (EPIPE, ECONNRESET) drops what is queued; what was received stays readable.
sub _broken {
    my ($self) = @_;
    $self->{error} = "$!";
    $self->{out}   = '';
    test_loop()->unwatch_io(handle => $self->{fh}, on_write_ready => 1) if delete $self->{writing};
    return;
}

sub _ended {
    my ($self) = @_;
    $self->{eof} = 1;
    $self->stop_reading;
    $self->{on_read}->() if $self->{on_read};
    return;
}

sub _is_transient { return $! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR }

sub _shown {
    my ($bytes) = @_;
    my $text = substr $bytes, 0, 400;
    $text =~ s/([^ -~])/$1 eq "\n" ? '\n' : $1 eq "\r" ? '\r' : sprintf '\x%02x', ord $1/ge;
    return length($bytes) . " bytes: $text";
}

1;

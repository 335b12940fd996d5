package Test::PAGI::Client::TLS;

# The raw client over TLS: the same conversations, encrypted.
#
#     my $client = Test::PAGI::Client::TLS->connect_tcp(port => $port, tls => {...});
#
# tls has options of IO::Socket::SSL; the server's certificate is not checked unless they say so.
# A server that ends without a close_notify leaves an error, as a reset does.

use strict;
use warnings;

use parent 'Test::PAGI::Client';

use Carp  qw(croak);
use Errno ();
use IO::Select;
use IO::Socket::SSL qw(SSL_VERIFY_NONE SSL_WANT_READ SSL_WANT_WRITE $SSL_ERROR);
use Net::SSLeay;
use Socket           qw(SHUT_WR SOL_SOCKET SO_LINGER);
use Test::PAGI::Loop qw(DEADLINE test_loop turn wait_until);
use Time::HiRes      qw(time);

sub connect_tcp {
    my ($class, %args) = @_;
    local our %options = %{ delete $args{tls} // {} };
    return $class->SUPER::connect_tcp(%args);
}

sub new {
    my ($class, $fh) = @_;
    our %options;
    my @options =
        _needs_own(%options) ? (SSL_verify_mode => SSL_VERIFY_NONE, %options) : _context();
    IO::Socket::SSL->start_SSL(
        $fh,
        SSL_startHandshake => 0,
        SSL_hostname       => 'localhost',
        @options,
    ) or croak "TLS: $SSL_ERROR";
    $fh->blocking(0);
    _shake($fh);
    my $self = $class->SUPER::new($fh);
    $self->_fill;    # what came along with the handshake
    return $self;
}

# One for all, and one for all that speak HTTP/2: making it reads the system's certificates, which
# takes longer than a handshake.
sub _context {
    our (%options, %contexts);
    my @protocols = @{ $options{SSL_alpn_protocols} // [] };
    my $context   = $contexts{"@protocols"} //= IO::Socket::SSL::SSL_Context->new(
        SSL_verify_mode => SSL_VERIFY_NONE,
        @protocols ? (SSL_alpn_protocols => \@protocols) : (),
    );
    return SSL_reuse_ctx => $context;
}

sub _needs_own {
    my (%options) = @_;
    return grep { $_ ne 'SSL_alpn_protocols' } keys %options;
}

# The server's half runs on a thread of its own: what is waited for here is the socket.
sub _shake {
    my ($fh)  = @_;
    my $ready = IO::Select->new($fh);
    my $end   = time + DEADLINE;
    until ($fh->connect_SSL) {
        croak "TLS: $SSL_ERROR"                       if !_wants();
        croak 'timed out waiting for a TLS handshake' if time > $end;
        $ready->can_read(0.02);
        turn(0);
    }
    return;
}

sub _wants { return $SSL_ERROR == SSL_WANT_READ || $SSL_ERROR == SSL_WANT_WRITE }

sub socket { return $_[0]{fh} }

# close_notify, then FIN; reading goes on.
sub half_close {
    my ($self) = @_;
    wait_until { !$self->unsent || $self->{eof} } 'the socket to take all bytes before FIN';
    local $SIG{PIPE} = 'IGNORE';
    Net::SSLeay::shutdown($self->{fh}->_get_ssl_object);
    shutdown $self->{fh}, SHUT_WR;
    return $self;
}

# FIN without a close_notify.
sub cut {
    my ($self) = @_;
    shutdown $self->{fh}, SHUT_WR;
    return $self;
}

sub reset {
    my ($self) = @_;
    setsockopt $self->{fh}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
    $self->{is_reset} = 1;
    return $self->close;
}

sub close {
    my ($self) = @_;
    my $fh = $self->{fh} or return $self;
    $self->stop_reading;
    test_loop()->unwatch_io(handle => $fh, on_write_ready => 1)
        if delete $self->{writing};
    delete $self->{fh};
    local $SIG{PIPE} = 'IGNORE';
    $fh->close(SSL_no_shutdown => $self->{is_reset});
    return $self;
}

# Until nothing is left of what the session has decrypted: that rings no bell.
sub _fill {
    my ($self) = @_;
    my $left = 262_144;
    while (my $fh = $self->{fh}) {
        my $got = $fh->sysread($self->{in}, 65_536, length $self->{in});
        $left -= $got // 0;
        $self->{received} += $got // 0;
        last if $got && $left <= 0 && !$fh->pending;
        next if $got;
        last if !defined $got && _wants();
        # IO::Socket::SSL makes no difference between an end and an end in the middle.
        my $is_notified = Net::SSLeay::get_shutdown($fh->_get_ssl_object) & 2;
        $self->{error} = "$SSL_ERROR"      if !defined $got;
        $self->{error} = 'no close_notify' if defined $got && !$is_notified;
        return $self->_ended;
    }
    $self->{on_read}->() if $self->{on_read};
    return;
}

# Records that are refused leave $! as _flush expects it.
sub _put {
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $sent = $self->{fh}->syswrite($bytes);
    $! = Errno::EAGAIN() if !defined $sent && _wants();
    return $sent;
}

1;

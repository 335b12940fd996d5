package Bench::Probe;
use strict;
use warnings;

# Small clients: is the server there, does it answer rightly, does it keep connections.

use Exporter qw(import);
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;

our @EXPORT_OK = qw(accepts free_port keeps_alive page);

use constant HOST => '127.0.0.1';

# A port that the system says is free.
sub free_port {
    my $socket = IO::Socket::INET->new(LocalAddr => HOST, LocalPort => 0, Listen => 1)
        or die "no free port: $@\n";
    return $socket->sockport;
}

sub accepts {
    my ($port) = @_;
    return defined _connect($port);
}

# The body of a GET; dies unless the status is 200.
sub page {
    my ($port, $timeout) = @_;
    my $agent    = HTTP::Tiny->new(timeout => $timeout, keep_alive => 0, proxy => undef);
    my $response = $agent->get("http://127.0.0.1:$port/");
    return $response->{content} if $response->{status} == 200;
    die "GET / gave $response->{status}: " . substr($response->{content}, 0, 200) . "\n";
}

# Whether a second request on the same connection is answered. $complete matches a whole response.
sub keeps_alive {
    my ($port, $complete) = @_;
    my $socket = _connect($port) or return 0;
    local $SIG{PIPE} = 'IGNORE';
    for my $request (1 .. 2) {
        my $text = "GET / HTTP/1.1\r\nHost: 127.0.0.1:$port\r\n\r\n";
        return 0 unless syswrite $socket, $text;
        return 0 unless _read_until($socket, $complete);
    }
    return 1;
}

sub _connect {
    my ($port) = @_;
    return IO::Socket::INET->new(PeerAddr => HOST, PeerPort => $port, Timeout => 5);
}

sub _read_until {
    my ($socket, $complete) = @_;
    my $select = IO::Select->new($socket);
    my $text   = '';
    while ($text !~ $complete) {
        return 0 unless $select->can_read(5);
        return 0 unless sysread $socket, $text, 65536, length $text;
    }
    return 1;
}

1;

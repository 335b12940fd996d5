package Bench::Reader;
use strict;
use warnings;

# A client that reads a large response and does as little as it can: the kernel drops the bytes
# (MSG_TRUNC, tcp(7)) instead of copying them. A process of its own, so that its CPU can be told.

use IO::Socket::INET;
use POSIX       ();
use Time::HiRes qw(clock time);

use constant { MSG_TRUNC => 0x20, AT_ONCE => 1024 * 1024, HEAD => 65_536 };

# Reads PATH once on a connection of its own: {bytes, seconds, cpu}. Calls $meanwhile->() about
# twenty times a second until it is through, within SECONDS.
sub fetch {
    my ($port, $path, $seconds, $meanwhile) = @_;
    pipe my $result, my $out or die "pipe: $!\n";
    my $pid = fork // die "cannot fork: $!\n";
    _child($out, $port, $path, $seconds) if !$pid;
    close $out;
    my $text = '';
    my $bits = '';
    vec($bits, fileno $result, 1) = 1;

    while (1) {
        my $ready = select my $readable = $bits, undef, undef, 0.05;
        $meanwhile->() if $meanwhile;
        next           if $ready <= 0;
        sysread $result, $text, 4096, length $text or last;
    }
    waitpid $pid, 0;
    my ($bytes, $took, $cpu) = $text =~ /\A(\d+) ([\d.]+) ([\d.]+)\n\z/
        or die "the reader failed: $text\n";
    return { bytes => $bytes, seconds => $took, cpu => $cpu };
}

sub _child {
    my ($out, $port, $path, $seconds) = @_;
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP ALRM);
    alarm $seconds;
    my $text = eval { sprintf "%d %.6f %.6f\n", _read($port, $path) } // $@;
    syswrite $out, $text;
    POSIX::_exit(0);
}

sub _read {
    my ($port, $path) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
        or die "connect: $@\n";
    my ($start, $cpu) = (time, clock);
    syswrite $socket, "GET $path HTTP/1.1\r\nHost: 127.0.0.1:$port\r\n\r\n";
    my $head = '';
    while ($head !~ /\r\n\r\n/) {
        sysread $socket, $head, HEAD, length $head or die "no head: $head\n";
    }
    die "unexpected answer: $head\n" if $head !~ m{\AHTTP/1\.1 200 };
    my ($length) = $head =~ /^content-length: (\d+)/mi or die "no length: $head\n";
    my $left     = $length - length((split /\r\n\r\n/, $head, 2)[1]);
    while ($left > 0) {
        defined recv($socket, my $dropped, $left < AT_ONCE ? $left : AT_ONCE, MSG_TRUNC)
            or die "recv: $!\n";
        die "the response ended $left bytes early\n" if !length $dropped;
        $left -= length $dropped;
    }
    return ($length, time - $start, clock() - $cpu);
}

1;

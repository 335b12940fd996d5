package Bench::Holder;
use strict;
use warnings;

# A process that holds keep-alive connections on each of which one request was answered.

use POSIX ();
use Socket
    qw(AF_INET SOCK_STREAM INADDR_LOOPBACK MSG_DONTWAIT MSG_PEEK SOL_SOCKET SO_RCVTIMEO pack_sockaddr_in);

use constant {
    AT_ONCE  => 64,     # requests under way
    PATIENCE => 120,    # seconds for all connections
    ANSWER   => 10,     # seconds for one
};

# Words before a command, so that it may have as many descriptors. Dies where it may not.
sub with_descriptors {
    my ($count) = @_;
    my $script = "ulimit -n $count && exec \"\$@\"";
    system('sh', '-c', $script, 'sh', 'true') == 0
        or die "this needs $count descriptors: raise the hard limit (ulimit -Hn)\n";
    return ('sh', '-c', $script, 'sh');
}

# Returns once COUNT connections are held.
sub start {
    my ($class, $port, $count) = @_;
    my @wrapper = with_descriptors($count + AT_ONCE);
    pipe my $from, my $out or die "pipe: $!\n";
    pipe my $in, my $to    or die "pipe: $!\n";
    my $pid = fork // die "cannot fork: $!\n";
    if (!$pid) {
        open STDIN, '<&', $in;
        open STDOUT, '>&', $out;
        close $_ for $from, $to, $in, $out;
        exec @wrapper, $^X, __FILE__, $port, $count or POSIX::_exit(127);
    }
    my $self = bless { pid => $pid, from => $from, to => $to }, $class;
    my $line = readline $from // '';
    die "the client could not hold $count connections: $line\n" if $line ne "held $count\n";
    return $self;
}

# Ends it, by which its connections close. Returns how many the server had not closed before.
sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    close $self->{to};
    my ($still) = (readline($self->{from}) // '') =~ /^still (\d+)/;
    waitpid $pid, 0;
    return $still // 0;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $@);
    $self->stop;
    return;
}

# --- as a program: PORT COUNT ---

sub main {
    my ($port, $count) = @_;
    alarm PATIENCE + 600;
    my @held;
    push @held, _open($port, $count - @held) while @held < $count;
    $| = 1;
    print "held $count\n";
    readline *STDIN;
    print 'still ', scalar(grep { _is_open($_) } @held), "\n";
    return;
}

sub _open {
    my ($port, $wanted) = @_;
    my @sockets = map { _connect($port) } 1 .. ($wanted < AT_ONCE ? $wanted : AT_ONCE);
    my $request =
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:$port\r\nUser-Agent: idle\r\nAccept: */*\r\n\r\n";
    syswrite $_, $request for @sockets;
    for my $socket (@sockets) {
        my $text = '';
        while ($text !~ /\r\n\r\nHello, World!\z/) {
            sysread $socket, $text, 4096, length $text or die "no answer: $!\n";
        }
    }
    return @sockets;
}

sub _connect {
    my ($port) = @_;
    socket my $socket, AF_INET, SOCK_STREAM, 0                or die "socket: $!\n";
    connect $socket, pack_sockaddr_in($port, INADDR_LOOPBACK) or die "connect: $!\n";
    setsockopt $socket, SOL_SOCKET, SO_RCVTIMEO, pack('l!l!', ANSWER, 0);
    return $socket;
}

# Nothing to read and no end.
sub _is_open {
    my ($socket) = @_;
    return !defined recv($socket, my $byte, 1, MSG_PEEK | MSG_DONTWAIT) && $!{EAGAIN};
}

main(@ARGV) if !caller;

1;

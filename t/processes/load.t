# Under load, across HUP, HUP and USR2: no request fails, over each carrier (issue 8; benches/restart
# does the same with wrk and h2load, for longer).
# A client may use a connection just as the server closes it (RFC 9112 9.5): what came within the last
# call is answered, and only a client that took longer than that may try again.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp;
use IO::Socket::INET;
use POSIX       ();
use Time::HiRes ();
use Test2::V0;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Process;
use Test::PAGI::Tree qw(root);

-e '/proc/self/stat' or plan skip_all => 'needs /proc';

# How long after its last use a connection of a server that ends still takes a request, and how long
# a handshake may still take, seconds (connection/h1/wait.rs, server/accept.rs)
use constant { LAST_CALL => 0.25, LAST_HANDSHAKE => 0.5 };

my $HAS_TLS   = eval { require IO::Socket::SSL; require Test::PAGI::Certificates; 1 };
my $DIRECTORY = File::Temp->newdir;
my $PID_FILE  = "$DIRECTORY/pid";
my $APP       = root() . '/benches/apps/hello.pl';
my $TEST      = $$;
my %MINE;

END {
    kill KILL => keys %MINE, grep { $_ } pid_now() if $$ == $TEST;
}

sub now { return Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) }

# A client of its own process: requests one after the other, until it is told to stop; on one
# connection as long as the server keeps it, or on a new one each time. It says a letter for each
# that was served, and for each that came too late; a line for each that failed.
sub client {
    my ($connect, $is_kept) = @_;
    pipe my $reader, my $writer or die $!;
    my $pid = fork // die "fork: $!";
    if ($pid) {
        $MINE{$pid} = 1;
        $reader->blocking(0);
        return { pid => $pid, reader => $reader, said => '' };
    }
    alarm 120;
    my $is_over = 0;
    $SIG{TERM} = sub { $is_over = 1 };
    $SIG{PIPE} = 'IGNORE';
    my ($socket, $since);
    while (!$is_over) {
        $socket = undef if !$is_kept;
        my $begun = now();
        $since = $begun if !$socket;
        $socket //= $connect->();
        my ($sent, $error, $closes) =
            $socket ? request($socket, $is_kept) : (now(), "connect: $!");
        last if $is_over;
        my $limit   = $socket ? LAST_CALL : $! == POSIX::ECONNREFUSED() ? 9**9**9 : LAST_HANDSHAKE;
        my $is_late = $error =~ /\A(?:connect|write|end): / && $sent - $since >= $limit;
        syswrite $writer, !$error ? 's' : $is_late ? 'l' : "\n$error\n";
        $since  = $begun;
        $socket = undef if $error || $closes;
    }
    POSIX::_exit(0);
}

# When it was sent, what is wrong, if anything, and whether the connection is at its end
sub request {
    my ($socket, $is_kept) = @_;
    my $how  = $is_kept ? '' : "Connection: close\r\n";
    my $done = syswrite $socket, "GET / HTTP/1.1\r\nHost: x\r\n$how\r\n";
    my $sent = now();
    return ($sent, "write: $!", 1) if !$done;
    my $in = '';
    while ($in !~ /\r\n\r\n(.*)\z/s || length $1 < ($in =~ /^content-length: (\d+)/im ? $1 : 0)) {
        my $got = sysread $socket, $in, 4096, length $in;
        next if !defined $got && $!{EINTR};
        return ($sent, $in eq '' ? 'end: ' . ($got // $!) : "broken answer: $in") if !$got;
    }
    return ($sent, "answer: $in") if $in !~ m{\AHTTP/1\.1 200 };
    return ($sent, '', $in =~ /^connection: close\r$/im);
}

# What the clients have said so far; true once each was served some more
sub are_served {
    my ($more, @clients) = @_;
    for my $client (@clients) {
        while (sysread $client->{reader}, $client->{said}, 4096, length $client->{said}) { }
    }
    return !grep { $_->{said} =~ tr/s// < $more } @clients;
}

sub start {
    my (@flags) = @_;
    unlink $PID_FILE;
    my $process = Test::PAGI::Process->start(
        command => [
            Test::PAGI::Process::perl_command(root() . '/bin/pagi-server'),
            qw(-E none --no-access-log -w 2 -p 0 --pid), $PID_FILE, @flags, $APP
        ],
        env => { PAGI_REUSE => undef, PAGI_ARGV => undef, NOTIFY_SOCKET => undef },
    );
    return ($process, $process->wait_for(err => qr{listening on https?://127\.0\.0\.1:(\d+)/}));
}

sub pid_now {
    open my $fh, '<', $PID_FILE or return 0;
    return (readline($fh) // '') =~ /\A(\d+)\n/ ? $1 : 0;
}

# Until all workers are other ones than before
sub rolls {
    my ($process) = @_;
    my $pid       = $process->pid;
    my %old       = map { $_ => 1 } workers_of($pid);
    $process->signal('HUP');
    wait_until {
        my @now = workers_of($pid);
        die "the server has ended:\n" . $process->stderr if $process->has_ended;
        @now == 2 && !grep { $old{$_} } @now
    }
    'new workers', 20;
}

sub workers_of {
    my ($pid) = @_;
    open my $fh, '<', "/proc/$pid/task/$pid/children" or return;
    return split ' ', readline($fh) // '';
}

sub goes_on {
    my ($name, $connect, @flags) = @_;
    subtest $name => sub {
        my ($process, $port) = start(@flags);
        my $old     = $process->pid;
        my @clients = map {
            client(sub { $connect->($port) }, $_ % 2)
        } 1 .. 4;
        my $served = 0;
        my $serve  = sub {
            $served += 5;
            wait_until { are_served($served, @clients) } 'every client to be served', 20;
        };
        $serve->(), rolls($process) for 1, 2;
        $serve->();
        $process->signal('USR2');
        wait_until { $process->has_ended && pid_now() != $old } 'the successor', 20;
        $MINE{ my $new = pid_now() } = 1;
        $serve->();
        kill TERM => map { $_->{pid} } @clients;
        waitpid($_->{pid}, 0), delete $MINE{ $_->{pid} } for @clients;
        are_served(0, @clients);
        my $said = join "\n", map { $_->{said} } @clients;
        is [grep { /[^sl]/ } split /\n/, $said], [],
            'of ' . $said =~ tr/s// . ' requests none failed';
        note 'later than the last call: ' . $said =~ tr/l//;
        is $process->{status}, 0, 'the first master ends well';
        kill TERM => $new;
        wait_until { !pid_now() } 'the end of the second', 20;
        delete $MINE{$new};
    };
}

sub in_the_clear {
    my ($port) = @_;
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
}

sub over_tls {
    my ($port) = @_;
    return IO::Socket::SSL->new(PeerAddr => '127.0.0.1', PeerPort => $port, SSL_verify_mode => 0);
}

goes_on('in the clear', \&in_the_clear);
goes_on('with reuseport', \&in_the_clear, '--reuseport');
if ($HAS_TLS) {
    my $ssl = Test::PAGI::Certificates->shared;
    goes_on(
        'over TLS', \&over_tls, '--ssl-cert' => $ssl->{cert_file},
        '--ssl-key'                          => $ssl->{key_file}
    );
}

done_testing;

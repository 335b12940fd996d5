# Under load, across HUP, HUP and USR2: no request fails, over each carrier (issue 8; benches/restart
# does the same with wrk and h2load, for longer)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp;
use IO::Socket::INET;
use POSIX ();
use Test2::V0;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Process;
use Test::PAGI::Tree qw(root);

-e '/proc/self/stat' or plan skip_all => 'needs /proc';
$ENV{PAGI_TEST_LOAD} or plan skip_all => 'set PAGI_TEST_LOAD=1: needs a machine that is not busy';

my $HAS_TLS   = eval { require IO::Socket::SSL; require Test::PAGI::Certificates; 1 };
my $DIRECTORY = File::Temp->newdir;
my $PID_FILE  = "$DIRECTORY/pid";
my $APP       = root() . '/benches/apps/hello.pl';
my @MINE;

END { kill KILL => @MINE if @MINE }

# A client of its own process: requests one after the other, until it is told to stop; on one
# connection as long as the server keeps it, or on a new one each time.
sub client {
    my ($connect, $is_kept) = @_;
    pipe my $reader, my $writer or die $!;
    my $pid = fork // die "fork: $!";
    if ($pid) {
        push @MINE, $pid;
        return { pid => $pid, reader => $reader };
    }
    @MINE = ();
    my $is_over = 0;
    $SIG{TERM} = sub { $is_over = 1 };
    $SIG{PIPE} = 'IGNORE';
    my ($served, %failed, $socket) = (0);
    while (!$is_over) {
        $socket = undef if !$is_kept;
        $socket //= $connect->();
        my ($why, $closes) = $socket ? request($socket, $is_kept) : "connect: $!";
        last if $is_over;
        $why ? $failed{$why}++ : $served++;
        $socket = undef if $why || $closes;
    }
    print {$writer} join(' ', $served, %failed), "\n";
    close $writer;
    POSIX::_exit(0);
}

# What is wrong, if anything, and whether the connection is at its end. A kept one on which nothing
# comes may have been closed just before: the next request shows.
sub request {
    my ($socket, $is_kept) = @_;
    my $how = $is_kept ? '' : "Connection: close\r\n";
    syswrite $socket, "GET / HTTP/1.1\r\nHost: x\r\n$how\r\n" or return "write: $!";
    my $in = '';
    while ($in !~ /\r\n\r\n(.*)\z/s || length $1 < ($in =~ /^content-length: (\d+)/im ? $1 : 0)) {
        my $got = sysread $socket, $in, 4096, length $in;
        next                  if !defined $got && $!{EINTR};
        return "read: $!"     if !defined $got;
        return "end at '$in'" if !$got;
    }
    return $in =~ m{\AHTTP/1\.1 200 } ? ('', $in =~ /^connection: close\r$/im) : "answer: $in";
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

sub told {
    my ($process, $line, $count) = @_;
    wait_until { (() = $process->stderr =~ /$line/g) >= $count } "$line, $count times";
}

sub workers_of {
    my ($pid) = @_;
    open my $fh, '<', "/proc/$pid/task/$pid/children" or return;
    return split ' ', readline($fh) // '';
}

# Until all workers are other ones than before
sub rolls {
    my ($process) = @_;
    my $pid       = $process->pid;
    my %old       = map { $_ => 1 } workers_of($pid);
    $process->signal('HUP');
    wait_until {
        my @now = workers_of($pid);
        @now == 2 && !grep { $old{$_} } @now
    }
    'new workers', 60;
}

sub goes_on {
    my ($name, $connect, @flags) = @_;
    subtest $name => sub {
        my ($process, $port) = start(@flags);
        my $old     = $process->pid;
        my @clients = map {
            client(sub { $connect->($port) }, $_ % 2)
        } 1 .. 4;
        rolls($process) for 1, 2;
        $process->signal('USR2');
        wait_until { $process->has_ended && pid_now() != $old } 'the successor', 60;
        push @MINE, my $new = pid_now();
        kill TERM => map { $_->{pid} } @clients;
        my ($served, @failed) = (0);

        for my $client (@clients) {
            my ($count, @why) = split ' ', readline($client->{reader}) // '0 no report', 2;
            $served += $count;
            push @failed, grep { /\S/ } @why;
            waitpid $client->{pid}, 0;
        }
        is \@failed, [], "of $served requests none failed";
        cmp_ok $served, '>', 20, 'there were some';
        is $process->{status}, 0, 'the first master ends well';
        kill TERM => $new;
        wait_until { !pid_now() } 'the end of the second';
        @MINE = ();
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

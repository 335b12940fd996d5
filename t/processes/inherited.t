# What the environment says that is not so: descriptors that are no listening sockets, a predecessor
# that is none; and a system with few descriptors to give (contract 07 section 8)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Cwd qw(abs_path);
use IO::Socket::INET;
use Test2::V0;
use Test::PAGI::Command qw(app_text body command ends file port_of read_file write_file);
use Test::PAGI::Process;
use Test::PAGI::Tree qw(root);

-e '/proc/self/stat' or plan skip_all => 'needs /proc';

my $APP     = write_file('app.pl', app_text('served'));
my @FLAGS   = qw(-E none --no-access-log --shutdown-timeout 2);
my @COMMAND = (Test::PAGI::Process::perl_command(abs_path(root()) . '/bin/pagi-server'), @FLAGS);

# The command, run by a perl that does something before
sub after {
    my ($code, @words) = @_;
    return Test::PAGI::Process->start(
        code => "use strict; use POSIX (); use Socket; $code; exec \@ARGV or die \$!",
        args => [@COMMAND, @words, $APP],
        env  => { map { $_ => undef } qw(PAGI_ENV PAGI_REUSE PAGI_ARGV NOTIFY_SOCKET) },
    );
}

sub a_port {
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die $!;
    return $socket->sockport;
}

my %NOT_ONE = (
    'nothing' => ['POSIX::close(90)', 'Bad file descriptor'],
    'a file'  => ['POSIX::dup2(POSIX::open("/dev/null"), 90)', 'Socket operation on non-socket'],
    'a socket that does not listen' => [
        'socketpair my $one, my $two, AF_UNIX, SOCK_STREAM, 0; POSIX::dup2(fileno $one, 90)',
        'Invalid argument',
    ],
);
for my $what (sort keys %NOT_ONE) {
    subtest "PAGI_REUSE names $what" => sub {
        my ($code, $error) = @{ $NOT_ONE{$what} };
        for my $workers (0, 2) {
            my $port    = a_port();
            my $process = after(
                qq{$code; \$ENV{PAGI_REUSE} = "127.0.0.1:$port:90"}, '-w', $workers, '-p',
                $port
            );
            my $status = $process->wait_exit;
            is $status & 127, 0, "with $workers workers: no signal";
            isnt $status, 0, 'exit status';
            like $process->stderr,
                qr/^Error starting server: Cannot open inherited fd 90: $error$/m,
                'why';
        }
    };
}

subtest 'LISTEN_FDS counts more than there are' => sub {
    for my $count (7, 100_000, '9' x 30) {
        for my $workers (0, 2) {
            my $begin   = '@ENV{qw(LISTEN_PID LISTEN_FDS)} = ($$, "' . $count . '")';
            my $process = after($begin, '-w', $workers, '-p', 0);
            like body(port_of($process)), qr/^served/, "$count, with $workers workers: serves";
            is ends($process), 0, 'exit status';
            my @said = $process->stderr =~ /^(.*inherited fd.*)$/mgi;
            cmp_ok scalar @said, '<', 20, 'few words of it';
        }
    }
};

subtest 'few descriptors' => sub {
    my $served = 0;
    for my $limit (map { 2 * $_ } 3 .. 12) {
        for my $workers (0, 2) {
            my $process = Test::PAGI::Process->start(
                command => [
                    'sh', '-c', "ulimit -n $limit; exec \"\$@\"", 'sh', @COMMAND, '-w', $workers,
                    '-p', 0, $APP
                ],
                env => { PAGI_ENV => undef, PAGI_REUSE => undef },
            );
            my $has_started = eval { port_of($process) };
            my $status      = $has_started ? ends($process) : $process->wait_exit;
            $served++ if $has_started;
            is $status & 127, 0, "$limit, with $workers workers: no signal";
            isnt $process->stderr, '', 'something is said';
            unlike $process->stderr, qr/panicked/, 'no panic';
        }
    }
    note "$served have served";
};

subtest 'a predecessor that is none' => sub {
    for my $master ('x', '0', '', '-1', '1x') {
        for my $workers (0, 2) {
            my $process = command(
                [@FLAGS, qw(-p 0 -w), $workers, '--pid', file('pid'), $APP],
                PAGI_MASTER_PID => $master
            );
            like body(port_of($process)), qr/^served/, "'$master', with $workers workers: serves";
            is read_file('pid'), $process->pid . "\n", 'the pid file';
            is ends($process), 0, 'exit status';
            unlike $process->stderr, qr/non-numeric|old master/, 'nothing is said of it';
        }
    }
};

subtest 'a single process succeeds nobody' => sub {
    my $process = command([@FLAGS, qw(-p 0 --pid), file('pid'), $APP], PAGI_MASTER_PID => $$);
    like body(port_of($process)), qr/^served/, 'serves';
    is read_file('pid'), $process->pid . "\n", 'the pid file';
    is ends($process), 0, 'exit status';
};

subtest 'reuseport: the port of another server is taken' => sub {
    my @reuseport = (@FLAGS, qw(-w 2 --reuseport));
    my $first     = command([@reuseport, qw(-p 0), $APP]);
    my $port      = port_of($first);
    my $second    = command([@reuseport, '-p', $port, $APP]);
    isnt $second->wait_exit, 0, 'exit status of a second one';
    like $second->stderr, qr/^Error: Port $port is already in use$/m, 'why';
    like body($port), qr/^served/, 'the first one serves';
    is ends($first), 0, 'exit status';
    $second = command([@reuseport, '-p', $port, $APP]);
    is port_of($second), $port, 'then it is free';
    is ends($second), 0, 'exit status';
};

done_testing;

# What the system refuses, and signals at the worst moment: a master goes on with those that serve
# (contract 07 sections 3, 6 and 9)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp;
use Test2::V0;
use Test::PAGI::Client;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Process;

-e '/proc/self/stat' or plan skip_all => 'needs /proc';

my $DIRECTORY = File::Temp->newdir;

# Forks only while no file tells it not to. What it has to say goes through a logger, which sends the
# signal that is asked for as soon as the banner is there.
my $PROGRAM = <<'PERL';
    use strict; use warnings; use Errno;
    my ($directory, $signal, %options);
    BEGIN {
        ($directory, $signal, %options) = @ARGV;
        *CORE::GLOBAL::fork = sub {
            $! = Errno::EAGAIN(), return undef if -e "$directory/no-fork";
            return CORE::fork();
        };
    }
    use Future::AsyncAwait; use PAGI::Server;
    my $app = async sub {
        my ($scope, $receive, $send) = @_;
        die "no\n" if $scope->{type} ne 'http';
        await $send->({ type => 'http.response.start', headers => [] });
        await $send->({ type => 'http.response.body', body => $$ });
    };
    my $logger = sub {
        my ($level, $text) = @_;
        kill $signal => $$ if $signal && $text =~ /listening on/;
        print STDERR "$level: $text\n";
    };
    if (delete $options{no_perl}) { $^X = '/nowhere/perl' }
    PAGI::Server->new(
        app => $app, access_log => undef, host => '127.0.0.1', port => 0, workers => 2,
        shutdown_timeout => 3, logger => $logger, %options
    )->run;
PERL

sub start {
    my ($signal, %options) = @_;
    return Test::PAGI::Process->start(
        code => $PROGRAM,
        args => ['--', "$DIRECTORY", $signal, %options],
        env  => { PAGI_ENV => undef, PAGI_REUSE => undef, PAGI_ARGV => undef },
    );
}

sub port_of { return $_[0]->wait_for(err => qr{listening on http://127\.0\.0\.1:(\d+)/}) }

sub ask {
    my ($process) = @_;
    return Test::PAGI::Client->connect_tcp(port => port_of($process))->get('/')->body;
}

sub ends {
    my ($process) = @_;
    $process->signal('TERM');
    return $process->wait_exit;
}

sub refuse_forks {
    my ($bool) = @_;
    my $file = "$DIRECTORY/no-fork";
    return unlink $file if !$bool;
    open my $fh, '>', $file or die $!;
    return;
}

my %ANSWER = (
    HUP  => qr/^info: (Received HUP, performing graceful restart)$/m,
    TTIN => qr/^info: (Received TTIN, spawning worker 3 \(total: 3\))$/m,
    TTOU => qr/^info: (Received TTOU, killing worker \(remaining: 1\))$/m,
    USR2 => qr/^info: (Hot restart: new master spawned as PID \d+)$/m,
);

for my $signal (sort keys %ANSWER) {
    subtest "$signal by somebody who has just read the banner" => sub {
        my $process = start($signal, no_perl => 1);
        ok $process->wait_for(err => $ANSWER{$signal}), 'is obeyed';
        ok ask($process), 'it serves';
        is ends($process), 0, 'exit status';
    };
}

subtest 'TERM by somebody who has just read the banner' => sub {
    my $process = start('TERM');
    is $process->wait_exit, 0, 'exit status';
};

subtest 'no process to be had' => sub {
    my $process = start('');
    my $worker  = ask($process);
    refuse_forks(1);

    $process->signal('HUP');
    $process->wait_for(err => qr/^error: (Fork failed: Resource temporarily unavailable)$/m);
    $process->wait_for(err =>
            qr/^error: (Graceful restart: new worker 1 did not start, the others stay as they are)$/m
    );
    $process->signal('USR2');
    $process->wait_for(
        err => qr/^error: (Hot restart fork failed: Resource temporarily unavailable)$/m);
    my $retry = qr/trying again in 1s: Fork failed: Resource temporarily unavailable$/m;
    $process->signal('TTIN');
    $process->wait_for(err => qr/^error: (Cannot start worker 3, $retry)/m);
    kill KILL => $worker;
    $process->wait_for(err => qr/^error: (Cannot start worker [12], $retry)/m);
    isnt ask($process), $worker, 'those that are there serve';

    refuse_forks(0);
    my %seen;
    wait_until { $seen{ ask($process) } = 1; keys %seen == 3 } 'all three';
    is ends($process), 0, 'exit status';
};

subtest 'nor at the start' => sub {
    refuse_forks(1);
    my $process = start('');
    isnt $process->wait_exit, 0, 'exit status';
    like $process->stderr, qr/^Error starting server: Fork failed: Resource temporarily/m, 'why';
    refuse_forks(0);
};

subtest 'no perl to become for a hot restart' => sub {
    my $process = start('', no_perl => 1);
    ask($process);
    for my $time (1, 2) {
        $process->signal('USR2');
        wait_until { (() = $process->stderr =~ /ended before it took over/g) == $time } 'its end';
    }
    like $process->stderr,
        qr/^error: Hot restart exec failed: No such file or directory$/m, 'why';
    ok ask($process), 'it serves';
    is ends($process), 0, 'exit status';
};

done_testing;

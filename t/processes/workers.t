# Workers: what they are, how they end, who replaces them (contract 07 section 3)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Config;
use Test2::V0;
use Test::PAGI::Loop qw(holds wait_until);
use Test::PAGI::Prefork;

-e '/proc/self/stat' or plan skip_all => 'needs /proc';

sub prefork { return Test::PAGI::Prefork->start(shutdown_timeout => 3, @_) }

sub state_of {
    my ($pid) = @_;
    open my $fh, '<', "/proc/$pid/stat" or return 'gone';
    return (readline($fh) =~ /\) (\w)/)[0];
}

subtest 'two workers, one master' => sub {
    my $prefork = prefork(workers => 2);
    my @workers = $prefork->wait_started(2);
    like $prefork->stderr,
        qr{^PAGI Server \(multi-worker, shared-socket\) listening on \S+ with 2 workers \(loop: \w+, max_conn: 1000/worker, }m,
        'the banner';
    my ($pid, $loop) = $prefork->ask;
    ok scalar(grep { $_ == $pid } @workers), 'a worker answers, not the master';
    isnt $loop, '', 'under a loop of its own';
    is [sort $prefork->stdout =~ /^START (.*)$/mg], ['1 1', '2 1'], 'one lifespan each';
    is $prefork->finish, 0, 'TERM: exit status';
    is [sort $prefork->stdout =~ /^SHUTDOWN (.*)$/mg], [1, 2], 'each is shut down';
    like $prefork->stdout, qr/END\n\z/, 'run returns';
    is [grep { kill 0 => $_ } @workers], [], 'nobody is left';
};

# What a process ignores is ignored by those that it becomes by exec, too.
subtest 'programs that an application starts hear signals' => sub {
    my $prefork = prefork(workers => 1);
    $prefork->wait_started(1);
    my ($ignored) = $prefork->client->get('/status')->body =~ /^SigIgn:\s*([0-9a-f]+)$/m;
    my %number;
    @number{ split ' ', $Config::Config{sig_name} } = split ' ', $Config::Config{sig_num};
    is [grep { hex($ignored) & 1 << $number{$_} - 1 } qw(TERM INT HUP USR1 USR2 TTIN TTOU)], [],
        'all of them';
    is $prefork->finish, 0, 'exit status';
};

subtest 'one worker is a worker' => sub {
    my $prefork = prefork(workers => 1);
    my @workers = $prefork->wait_started(1);
    is scalar $prefork->ask, $workers[0], 'it answers';
    is $prefork->finish, 0, 'exit status';
};

# One process has one such loop: workers must not go on with their master's.
for my $class (qw(Glib Mojo EV)) {
    subtest "workers with the loop of $class" => sub {
        skip_all("IO::Async::Loop::$class is not installed")
            if !eval "require IO::Async::Loop::$class; 1";
        for my $round (1 .. 4) {
            my $prefork = prefork(workers => 2, loop_type => $class, shutdown_timeout => 8);
            $prefork->wait_started(2);
            my ($pid, $loop) = $prefork->ask;
            is $loop, "IO::Async::Loop::$class", 'it is theirs';
            is $prefork->finish, 0, 'exit status';
            is [sort $prefork->stdout =~ /^SHUTDOWN (.*)$/mg], [1, 2], 'each is shut down';
            like $prefork->stderr, qr/\(loop: $class, /, 'the banner tells of it';
        }
    };
}

subtest 'reuseport: sockets of their own' => sub {
    my $prefork = prefork(workers => 2, reuseport => 1);
    $prefork->wait_started(2);
    like $prefork->stderr, qr/\(multi-worker, reuseport\)/, 'the banner';
    my %seen;
    wait_until { $seen{ $prefork->ask } = 1; keys %seen == 2 } 'both to be asked';
    pass 'both answer';
    is $prefork->finish, 0, 'exit status';
};

subtest 'reuseport: a replacement finds what waited for its predecessor' => sub {
    my $prefork = prefork(workers => 1, reuseport => 1, heartbeat_timeout => 0);
    my ($old) = $prefork->wait_started(1);
    kill STOP => $old;
    wait_until { state_of($old) eq 'T' } 'it to stand still';
    my @clients = map { $prefork->client } 1 .. 20;
    $_->write($_->request_bytes(GET => '/')) for @clients;
    kill KILL => $old;
    my @bodies = map {
        eval { $_->read_response->body }
            // 'lost'
    } @clients;
    is [grep { !/\A\d+ / || /\A$old / } @bodies], [], 'all are answered';
    is $prefork->finish, 0, 'exit status';
};

subtest 'reuseport: nothing is sent to a worker that is not there' => sub {
    my $prefork = prefork(workers => 2, reuseport => 1);
    my ($victim, $other) = $prefork->wait_started(2);
    for my $n (1 .. 3) {
        kill KILL => $victim;
        last if $n == 3;
        wait_until {
            my @now = grep { $_ != $other } $prefork->workers;
            @now && $now[0] != $victim && ($victim = $now[0])
        }
        'another';
        wait_until { (() = $prefork->stdout =~ /^STARTED /mg) == 2 + $n } 'its start';
    }
    $prefork->wait_for(err => qr/^(Worker \d keeps ending, starting it again in 1s)$/m);
    is [grep { $_ != $other } map { scalar $prefork->ask } 1 .. 20], [], 'the other one answers';
    $prefork->signal('TTIN');
    $prefork->wait_workers(3);
    my %seen;
    wait_until { $seen{ $prefork->ask } = 1; keys %seen == 3 } 'all to be asked';
    is $prefork->finish, 0, 'exit status';
};

subtest 'a worker that is killed is replaced' => sub {
    my $prefork = prefork(workers => 2);
    my ($victim, $other) = $prefork->wait_started(2);
    kill KILL => $victim;
    wait_until {
        !grep({ $_ == $victim } $prefork->workers) && $prefork->workers == 2
    }
    'another';
    ok scalar(grep { $_ == $other } $prefork->workers), 'the other stays';
    $prefork->wait_for(err => qr/^(Worker $victim \(worker \d\) ended with signal 9)$/m);
    is $prefork->finish, 0, 'exit status';
};

subtest 'one that keeps dying is waited for' => sub {
    my $prefork = prefork(workers => 1);
    for my $n (1 .. 2) {
        my ($worker) = $prefork->wait_started(1);
        wait_until { (() = $prefork->stdout =~ /^START /mg) >= $n } 'the start';
        kill KILL => $worker;
        wait_until {
            !grep { $_ == $worker } $prefork->workers
        }
        'its end';
    }
    $prefork->wait_for(err => qr/^(Worker 1 keeps ending, starting it again in 0\.5s)$/m);
    $prefork->wait_workers(1);
    is $prefork->finish, 0, 'exit status';
};

subtest 'all fail to start' => sub {
    my $prefork = prefork(workers => 2, touch => 'fail');
    isnt $prefork->wait_exit, 0, 'exit status';
    like $prefork->stderr, qr/^Worker 1 \(\d+\): startup failed: no database$/m, 'why';
    like $prefork->stderr, qr/^Worker $_ startup failed, not respawning$/m, "worker $_" for 1, 2;
    like $prefork->stderr,
        qr/^All workers have exited and none were respawned; shutting down$/m, 'the end';
    like $prefork->stderr, qr/^All workers failed to start; no workers remain$/m, 'of run';
    is scalar(() = $prefork->stdout =~ /^START /mg), 2, 'no more starts than workers';
};

subtest 'a blocked worker is killed and says where it was' => sub {
    my $prefork = prefork(workers => 2, heartbeat_timeout => 0.5);
    $prefork->wait_started(2);
    holds { $prefork->stderr !~ /timeout/ } 'the living live', 1;
    my $client = $prefork->client;
    $client->write($client->request_bytes(GET => '/block'));
    my $pid = $prefork->wait_for(
        err => qr/^Worker (\d+) \(worker \d\) heartbeat timeout after 0\.5s, sending SIGKILL$/m);
    $prefork->wait_for(err => qr/^Worker \d \($pid\) is blocked here:\n(    -e line \d+, in .*)$/m);
    unlike $prefork->stderr, qr/in \(eval\)$/m, 'without what tells nothing';
    wait_until {
        !grep({ $_ == $pid } $prefork->workers) && $prefork->workers == 2
    }
    'another';
    $prefork->ask;
    is $prefork->finish, 0, 'exit status';
};

subtest 'heartbeat_timeout 0: workers work' => sub {
    my $prefork = prefork(workers => 1, heartbeat_timeout => 0);
    $prefork->wait_started(1);
    ok $prefork->ask, 'served';
    is $prefork->finish, 0, 'exit status';
};

subtest 'max_requests' => sub {
    my $prefork = prefork(workers => 1, max_requests => 3, log_level => 'debug');
    $prefork->wait_started(1);
    my %count;
    $count{ $prefork->ask }++ for 1 .. 12;
    # The last one has done less. How many slip in before a door closes is up to the machine.
    cmp_ok scalar(grep { $_ < 3 } values %count), '<', 2, 'each but the last serves so many';
    cmp_ok scalar keys %count, '>', 1, 'one after the other';
    like $prefork->stderr, qr/^Worker \d+: reached max_requests \(3\), shutting down$/m, 'logged';
    unlike $prefork->stderr, qr/keeps ending|ended with/, 'as it should be'
        or diag $prefork->stderr;
    is $prefork->finish, 0, 'exit status';
};

subtest 'max_worker_memory' => sub {
    my $prefork = prefork(workers => 1, max_worker_memory => 60_000_000);
    my ($worker) = $prefork->wait_started(1);
    $prefork->client->get('/grow');
    $prefork->wait_for(err =>
            qr/^(Worker $worker: uses \d+ bytes of memory, more than max_worker_memory \(60000000\), shutting down)$/m
    );
    wait_until {
        !grep({ $_ == $worker } $prefork->workers) && $prefork->workers == 1
    }
    'another';
    is $prefork->finish, 0, 'exit status';
};

subtest 'a worker that ignores TERM is killed after shutdown_timeout' => sub {
    my $prefork = prefork(workers => 1, shutdown_timeout => 0.5);
    $prefork->wait_started(1);
    my $client = $prefork->client;
    $client->write($client->request_bytes(GET => '/block'));
    wait_until { !$client->unsent } 'the request';
    holds { 1 } 'a moment', 0.2;
    is $prefork->finish, 0, 'exit status';
    like $prefork->stderr, qr/^Worker \d+ did not exit after 0\.5s, sending SIGKILL$/m, 'warned';
};

subtest 'a shutdown waits for requests, and no longer' => sub {
    my $prefork = prefork(workers => 2, shutdown_timeout => 20);
    $prefork->wait_started(2);
    my $client = $prefork->client;
    $client->write($client->request_bytes(GET => '/wait'));
    $prefork->wait_for(out => qr/^(WAITING)/m);
    $prefork->signal('TERM');
    $prefork->signal('TERM');
    holds { !$prefork->has_ended } 'it waits';
    $prefork->touch('release');
    is $client->read_response->status, 200, 'answered';
    is $prefork->wait_exit(5), 0, 'exit status';
};

subtest 'TERM while workers start (P19)' => sub {
    my $prefork = prefork(workers => 2, touch => 'hang', lifespan_startup_timeout => 1);
    $prefork->port;
    wait_until { (() = $prefork->stdout =~ /^START /mg) == 2 } 'the starts';
    $prefork->signal('TERM');
    is $prefork->wait_exit(8), 0, 'exit status';
};

subtest 'workers without a master end' => sub {
    my $prefork = prefork(workers => 2);
    my @workers = $prefork->wait_started(2);
    $prefork->signal('KILL');
    $prefork->wait_exit;
    wait_until {
        !grep { kill 0 => $_ } @workers
    }
    'their end';
    pass 'gone';
};

subtest 'what a master does not show' => sub {
    my $prefork = prefork(workers => 1, quiet => 1, host => 'localhost');
    wait_until { $prefork->stdout =~ /^START/m } 'the start';
    is $prefork->finish, 0, 'exit status';
    is $prefork->stderr, '', 'when it is quiet';
};

done_testing;

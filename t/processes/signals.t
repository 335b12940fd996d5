# Signals to a master: rolling restart, more and fewer workers, hot restart
# (contract 07 sections 6 and 9)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Loop qw(holds wait_until);
use Test::PAGI::Prefork;

-e '/proc/self/stat' or plan skip_all => 'needs /proc';

sub prefork { return Test::PAGI::Prefork->start(workers => 2, shutdown_timeout => 3, @_) }

sub are_new {
    my ($prefork, $count, @old) = @_;
    my %old = map { $_ => 1 } @old;
    my @now;
    my $is_so = sub {
        @now = $prefork->workers;
        @now == $count && !grep { $old{$_} } @now;
    };
    eval {
        wait_until { $is_so->() } 'new workers';
    } or die "$@ old: @old, now: @now\n" . $prefork->stderr . $prefork->stdout;
    return $prefork->workers;
}

subtest 'HUP: new workers first, then the old ones go' => sub {
    my $prefork = prefork();
    my @old     = $prefork->wait_started(2);
    my $client  = $prefork->client;
    $client->write($client->request_bytes(GET => '/wait'));
    $prefork->wait_for(out => qr/^(WAITING)/m);
    $prefork->signal('HUP');
    wait_until { $prefork->ask; (() = $prefork->stdout =~ /^START /mg) == 4 } 'two starts';
    like $prefork->stderr, qr/^Received HUP, performing graceful restart$/m, 'logged';
    ok !$client->is_eof, 'a request in flight goes on';
    $prefork->touch('release');
    is $client->read_response->status, 200, 'and is answered';
    my @new = are_new($prefork, 2, @old);
    $prefork->signal('HUP')->signal('HUP');
    are_new($prefork, 2, @old, @new);
    like $prefork->stdout, qr/START.*START.*SHUTDOWN/s, 'in this order';
    is $prefork->finish, 0, 'exit status';
};

subtest 'HUP: where no new worker starts, the old ones stay' => sub {
    my $prefork = prefork();
    my @old     = $prefork->wait_started(2);
    $prefork->touch('fail')->signal('HUP');
    $prefork->wait_for(
        err => qr/^(Graceful restart: new worker 1 did not start, the others stay as they are)$/m);
    is [$prefork->wait_workers(2)], [@old], 'they serve';
    ok $prefork->ask, 'indeed';
    $prefork->remove('fail')->signal('HUP');
    are_new($prefork, 2, @old);
    is $prefork->finish, 0, 'exit status';
};

subtest 'HUP: an old worker that does not end is killed' => sub {
    my $prefork = prefork(shutdown_timeout => 0.5);
    my @old     = $prefork->wait_started(2);
    my $client  = $prefork->client;
    $client->write($client->request_bytes(GET => '/block'));
    wait_until { !$client->unsent } 'the request';
    holds { 1 } 'a moment', 0.2;
    $prefork->signal('HUP');
    $prefork->wait_for(
        err => qr/^(Worker \d+ did not exit after 0\.5s during restart, sending SIGKILL)$/m);
    are_new($prefork, 2, @old);
    is $prefork->finish, 0, 'exit status';
};

subtest 'HUP and USR2 during a shutdown' => sub {
    my $prefork = prefork(shutdown_timeout => 20);
    $prefork->wait_started(2);
    my $client = $prefork->client;
    $client->write($client->request_bytes(GET => '/wait'));
    $prefork->wait_for(out => qr/^(WAITING)/m);
    $prefork->signal('TERM');
    wait_until {
        !eval { $prefork->client }
    }
    'the port to be closed';
    $prefork->signal($_) for qw(HUP TTIN TTOU USR2);
    $prefork->wait_for(err => qr/^(Server is shutting down, ignoring USR2)$/m);
    $prefork->touch('release');
    is $client->read_response->status, 200, 'answered';
    is $prefork->wait_exit(5), 0, 'exit status';
    unlike $prefork->stderr, qr/Received/, 'nothing else was done';
};

subtest 'TTIN, TTOU' => sub {
    my $prefork = prefork();
    my @old     = $prefork->wait_started(2);
    $prefork->signal('TTIN');
    $prefork->wait_for(err => qr/^(Received TTIN, spawning worker 3 \(total: 3\))$/m);
    my @three = $prefork->wait_workers(3);
    is [
        grep {
            my $pid = $_;
            grep { $_ == $pid } @three
        } @old
        ],
        \@old, 'the first two stay';
    wait_until { (() = $prefork->stdout =~ /^START /mg) == 3 } 'the third';
    $prefork->signal('TTOU');
    $prefork->wait_for(err => qr/^(Received TTOU, killing worker \(remaining: 2\))$/m);
    is [$prefork->wait_workers(2)], \@old, 'the newest goes';
    $prefork->signal('TTOU');
    $prefork->wait_workers(1);
    $prefork->signal('TTOU');
    holds { $prefork->workers == 1 } 'one stays';
    is $prefork->finish, 0, 'exit status';
};

subtest 'TTOU: the last one stays, also where others could not be replaced' => sub {
    my $prefork = prefork();
    my ($victim, $last) = $prefork->wait_started(2);
    $prefork->touch('fail');
    kill KILL => $victim;
    $prefork->wait_for(err => qr/^(Worker \d startup failed, not respawning)$/m);
    $prefork->signal('TTOU');
    holds { "@{[$prefork->workers]}" eq $last } 'it stays';
    is scalar $prefork->ask, $last, 'and serves';
    is $prefork->finish, 0, 'exit status';
};

subtest 'INT to the whole group' => sub {
    my $prefork = prefork();
    my @workers = $prefork->wait_started(2);
    kill INT => $prefork->pid, @workers;
    is $prefork->wait_exit, 0, 'exit status';
    is [sort $prefork->stdout =~ /^SHUTDOWN (.*)$/mg], [1, 2], 'orderly';
};

subtest 'a second INT does not wait' => sub {
    my $prefork = prefork(shutdown_timeout => 60);
    my @workers = $prefork->wait_started(2);
    my $client  = $prefork->client;
    $client->write($client->request_bytes(GET => '/wait'));
    $prefork->wait_for(out => qr/^(WAITING)/m);
    $prefork->signal('INT');
    holds { !$prefork->has_ended } 'the first does';
    $prefork->signal('INT');
    is $prefork->wait_exit >> 8, 130, 'exit status';
    wait_until {
        !grep { kill 0 => $_ } @workers
    }
    'the workers to end';
};

subtest 'HUP, USR2, TTIN and TTOU to workers' => sub {
    my $prefork = prefork();
    my @workers = $prefork->wait_started(2);
    kill $_ => @workers for qw(HUP USR1 USR2 TTIN TTOU);
    holds { "@{[$prefork->workers]}" eq "@workers" } 'are for their master';
    is $prefork->finish, 0, 'exit status';
};

done_testing;

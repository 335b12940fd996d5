# A master inside somebody else's program, and what of a worker shows (contract 01 sections 2.3, 2.7)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp;
use Future::AsyncAwait;
use PAGI::Server;
use POSIX ();
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Client;
use Test::PAGI::Lifespan;
use Test::PAGI::Loop qw(settle test_loop wait_until);

my $TEST = $$;

# Workers are forked out of this test: what it would do at its end is not theirs.
END { POSIX::_exit($?) if $$ != $TEST }

my @log;
local $SIG{__WARN__} = sub { $$ == $TEST ? push @log, $_[0] : print STDERR @_ };

sub server {
    my (%options) = @_;
    my $server = PAGI::Server->new(
        app => hello(), host => '127.0.0.1', port => 0, access_log => undef, shutdown_timeout => 3,
        %options,
    );
    test_loop()->add($server);
    return $server;
}

sub get { return Test::PAGI::Client->connect_tcp(port => $_[0]->port)->get('/') }

subtest 'listen and shutdown, twice' => sub {
    my $server = server(workers => 2);
    for my $round (1, 2) {
        @log = ();
        ref_is settle($server->listen), $server, "round $round: listen";
        is $server->is_running, 1, 'runs';
        is $server->{bound_port}, $server->port, 'bound_port';
        is scalar keys %{ $server->{worker_pids} }, 2, 'worker_pids';
        is get($server)->body, 'hello', 'serves';
        like $log[0], qr/\(multi-worker, shared-socket\) listening on/, 'one banner';
        my @pids = keys %{ $server->{worker_pids} };
        ref_is settle($server->shutdown), $server, 'shutdown';
        is $server->is_running, 0, 'does not run';
        is [grep { kill 0 => $_ } @pids], [], 'nobody is left';
        is $server->{worker_pids}, {}, 'nor in worker_pids';
        ok !eval { get($server); 1 }, 'nor does anybody listen';
    }
    test_loop()->remove($server);
};

subtest 'the master, as its workers know it' => sub {
    my ($server, $told) = (undef, File::Temp->new);
    my $app = async sub {
        my ($scope, $receive, $send) = @_;
        return await reply($send, $$ . ' ' . $server->shutdown->is_done)
            if $scope->{type} eq 'http';
        await serve_lifespan($receive, $send);
        open my $file, '>>', $told or die $!;
        print {$file} "shutdown of $$\n";
    };
    $server = server(workers => 1, quiet => 1, app => $app);
    settle($server->listen);
    like get($server)->body, qr/\A[0-9]+ 1\z/, 'its shutdown there is done at once';
    my ($pid, $done) = split ' ', get($server)->body;
    kill TERM => $pid;
    wait_until { -s $told } 'the lifespan of the worker to end';
    open my $file, '<', $told or die $!;
    is readline $file, "shutdown of $pid\n", 'the worker still obeys its signals';
    settle($server->shutdown);
    test_loop()->remove($server);
};

subtest 'beside a server of this process' => sub {
    my ($single, $prefork) = (server(quiet => 1), server(workers => 1, quiet => 1));
    settle($single->listen);
    settle($prefork->listen);
    is get($_)->body, 'hello', 'serves' for $single, $prefork;
    settle($prefork->shutdown);
    is get($single)->body, 'hello', 'goes on';
    settle($single->shutdown);
    test_loop()->remove($_) for $single, $prefork;
};

subtest 'a socket that cannot be opened' => sub {
    my $first = server(quiet => 1);
    settle($first->listen);
    my $second = server(workers => 2, port => $first->port);
    my $listen = $second->listen;
    wait_until { $listen->is_ready } 'listen';
    like $listen->failure, qr/Address already in use/, 'listen fails';
    is $second->{worker_pids}, {}, 'no worker was started';
    settle($first->shutdown);
    test_loop()->remove($_) for $first, $second;
};

subtest 'requests are counted in workers' => sub {
    my $single = server(max_requests => 2);
    $single->_on_request_complete for 1 .. 3;
    is $single->{_request_count}, undef, 'not in a single process';
    my $worker = server(max_requests => 2, log_level => 'debug');
    @{$worker}{qw(is_worker _request_count)} = (1, 0);
    @log = ();
    $worker->_on_request_complete;
    is $worker->{_request_count}, 1, 'one';
    ok !$worker->{_max_requests_shutdown_triggered}, 'not the last';
    $worker->_on_request_complete for 1 .. 2;
    is $worker->{_request_count}, 3, 'three';
    ok $worker->{_max_requests_shutdown_triggered}, 'triggered';
    is \@log, ["Worker $$: reached max_requests (2), shutting down\n"], 'once';
    test_loop()->remove($_) for $single, $worker;
};

done_testing;

# A server inside someone else's program (contract 01 section 2.6)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future::AsyncAwait;
use IO::Async::Loop;
use POSIX        ();
use Scalar::Util qw(weaken);
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Client;
use Test::PAGI::Loop qw(settle test_loop turn wait_until);
use Test::PAGI::Process;
use Test::PAGI::Server;

subtest 'loop_once is enough: every event wakes the loop' => sub {
    my $loop = test_loop();
    with_server {
        my ($t)    = @_;
        my $client = $t->client;
        my $rounds = 0;
        $client->write($client->request_bytes(GET => '/'));
        while ($client->buffer !~ /hello/ && $rounds < 50) {
            $loop->loop_once(10);    # the deadline of a round; an event ends it much earlier
            $rounds++;
        }
        like $client->buffer, qr/hello/, 'served';
        cmp_ok $rounds, '<', 50, "in $rounds rounds";
    }
    app => hello();
};

subtest 'inside a handler IO::Async::Loop->new is the running loop' => sub {
    my $seen;
    with_server { is $_[0]->get('/')->body, 'ok', 'served' } app => http_app {
        my ($scope, $receive, $send) = @_;
        $seen = IO::Async::Loop->new;
        return reply($send, 'ok');
    };
    ref_is $seen, test_loop(), 'the same';
};

subtest 'timers of the application tick' => sub {
    my $app = http_app {
        my ($scope, $receive, $send) = @_;
        return (
            async sub {
                for my $n (1 .. 3) {
                    await IO::Async::Loop->new->delay_future(after => 0.01);
                }
                await reply($send, 'ticked');
            }
        )->();
    };
    with_server { is $_[0]->get('/')->body, 'ticked', 'served' } app => $app;
};

subtest 'other watchers of the loop live under load' => sub {
    my ($ticks, $answers) = (0, 0);
    with_server {
        my ($t) = @_;
        my @clients = map { $t->client } 1 .. 8;
        my $again;
        $again = sub { $ticks++; test_loop()->watch_time(after => 0.001, code => $again) };
        my $id = test_loop()->watch_time(after => 0.001, code => $again);
        for my $round (1 .. 20) {
            $_->write(join '', map { $_->request_bytes(GET => '/') } ($_) x 20) for @clients;
            for my $client (@clients) {
                $client->read_response->body eq 'hello' and $answers++ for 1 .. 20;
            }
        }
        $again = sub { };
        is $answers, 3200, 'all answered';
        cmp_ok $ticks, '>', 5, "the timer ticked $ticks times";
        turn(0.01);
    }
    app => hello();
};

subtest 'several servers on one loop; one stops, the others go on' => sub {
    my @servers = map {
        my $name = $_;
        Test::PAGI::Server->new(app => http_app { reply($_[2], $name) })->start;
    } qw(one two three);
    is $servers[$_]->get('/')->body, (qw(one two three))[$_], "server $_" for 0 .. 2;
    my $kept = $servers[2]->client;
    is $kept->get('/')->body, 'three', 'a kept connection';
    $servers[1]->stop;
    is $servers[0]->get('/')->body, 'one', 'the first goes on';
    is $kept->get('/')->body, 'three', 'the kept connection too';
    $servers[0]->stop;
    is $servers[2]->get('/')->body, 'three', 'the last one as well';
    $servers[2]->stop;
};

subtest 'listen again after shutdown (A08)' => sub {
    my $t = Test::PAGI::Server->new(app => hello())->start;
    is $t->get('/')->body, 'hello', 'served';
    my $server = $t->server;
    settle($server->shutdown, 'the shutdown');
    is $server->is_running, 0, 'stopped';
    my $reason = 'none';
    settle($server->listen, 'the second listen');
    is $server->is_running, 1, 'running again';
    my $client = Test::PAGI::Client->connect_tcp(port => $server->port);
    is $client->get('/')->body, 'hello', 'served again';
    is $client->get('/')->body, 'hello', 'and the connection is kept: it is not shutting down';
    $client->close;
    $t->stop;
};

subtest 'a server can be removed from its loop and collected' => sub {
    my $t = Test::PAGI::Server->new(app => hello())->start;
    weaken(my $weak = $t->server);
    is $t->get('/')->body, 'hello', 'served';
    $t->stop;
    undef $t;
    wait_until { !defined $weak } 'the server to be collected';
    pass 'collected';
};

subtest 'a server that was removed from its loop first is shut down all the same' => sub {
    my $t      = Test::PAGI::Server->new(app => hello())->start;
    my $server = $t->server;
    my $kept   = $t->client;
    is $kept->get('/')->body, 'hello', 'served';
    test_loop()->remove($server);
    is $kept->get('/')->body, 'hello', 'and still';
    ref_is settle($server->shutdown, 'the shutdown'), $server, 'the shutdown is done';
    is $kept->read_until_eof, '', 'connections are closed';
    is $server->is_running, 0, 'it does not run';
    ok $server->shutdown->is_done, 'and again';
    $t->stop;
};

subtest 'many servers, one after the other' => sub {
    my $before = Test::PAGI::Loop::open_fds();
    for my $n (1 .. 20) {
        my $t = Test::PAGI::Server->new(app => hello())->start;
        $t->get('/')->body eq 'hello' or fail "server $n";
        $t->stop;
    }
    wait_until { !defined $before || Test::PAGI::Loop::open_fds() <= $before }
    'the descriptors to be closed';
    pass 'no descriptor is left';
};

subtest 'construct, fork, listen: the child serves (and so does the parent)' => sub {
    my $program = <<'PERL';
        use strict; use warnings; use IO::Async::Loop; use PAGI::Server; use Future;
        my $app = sub {
            my ($scope, $receive, $send) = @_;
            return Future->done if $scope->{type} ne 'http';
            $send->({ type => 'http.response.start', headers => [['content-length', length $$]] });
            return $send->({ type => 'http.response.body', body => $$ });
        };
        my $server = PAGI::Server->new(app => $app, port => 0, quiet => 1, access_log => undef);
        $| = 1;
        my $child = fork // die;
        my $loop = IO::Async::Loop->new;
        $loop->add($server);
        $server->listen->get;
        print "PORT $$ ", $server->port, " end\n";
        $loop->run;
        if ($child) { kill TERM => $child; waitpid $child, 0; print "CHILD $?\n" }
PERL
    my $process = Test::PAGI::Process->start(code => $program);
    $process->wait_for(out => qr/(PORT.*end\nPORT.*end\n)/s);
    my %ports = $process->stdout =~ /PORT (\d+) (\d+) end/g;
    is scalar keys %ports, 2, 'two processes listen';
    for my $pid (sort keys %ports) {
        my $client = Test::PAGI::Client->connect_tcp(port => $ports{$pid});
        is $client->get('/')->body, $pid, ($pid == $process->pid ? 'parent' : 'child');
        $client->close;
    }
    $process->signal('TERM');
    is $process->wait_exit, 0, 'the parent exits cleanly';
    like $process->stdout, qr/^CHILD 0$/m, 'and the child';
    is $process->stderr, '', 'nothing on STDERR';
};

subtest 'a fork while the server runs leaves the parent alone' => sub {
    with_server {
        my ($t) = @_;
        my $client = $t->client;
        is $client->get('/')->body, 'hello', 'before';
        my $pid = fork // die "fork: $!";
        POSIX::_exit(system($^X, '-e', '0') == 0 ? 0 : 1) if !$pid;
        waitpid $pid, 0;
        is $?, 0, 'the child ran';
        is $client->get('/')->body, 'hello', 'after, on the kept connection';
        is $t->get('/')->body, 'hello', 'and on a new one';
    }
    app => hello();
};

subtest 'exit with a request in flight is clean' => sub {
    my $program = <<'PERL';
        use strict; use warnings; use IO::Async::Loop; use PAGI::Server; use Future; use Socket;
        my $server = PAGI::Server->new(port => 0, quiet => 1, access_log => undef,
            app => sub { $_[0]{type} eq 'http' ? exit 0 : Future->done });
        my $loop = IO::Async::Loop->new;
        $loop->add($server);
        $server->listen->get;
        socket my $c, AF_INET, SOCK_STREAM, 0;
        connect $c, pack_sockaddr_in($server->port, INADDR_LOOPBACK) or die;
        syswrite $c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        $loop->run;
PERL
    my $process = Test::PAGI::Process->start(code => $program);
    is $process->wait_exit, 0, 'exit status of exit(0) inside the application';
    is $process->stderr, '', 'nothing on STDERR';
};

for my $class (qw(Epoll Poll Select Glib Mojo EV)) {
    subtest "loop class $class" => sub {
        skip_all("IO::Async::Loop::$class is not installed")
            if !eval "require IO::Async::Loop::$class; 1";
        my $program = <<'PERL';
            use strict; use warnings; use IO::Async::Loop;
            use Test::PAGI::App; use Test::PAGI::Server;
            my $app = http_app {
                my ($scope, $receive, $send) = @_;
                return read_body($receive)->then(sub { reply($send, length $_[0]) });
            };
            with_server {
                my ($t) = @_;
                my $client = $t->client;
                print ref IO::Async::Loop->new, "\n";
                print $client->request(POST => '/', body => 'x' x $_)->body, "\n" for 0, 10, 300_000;
            } app => $app;
            print "END\n";
PERL
        my $process =
            Test::PAGI::Process->start(code => $program, env => { IO_ASYNC_LOOP => $class });
        is $process->wait_exit, 0, 'exit status';
        is $process->stdout, "IO::Async::Loop::$class\n0\n10\n300000\nEND\n", 'served';
        is $process->stderr, '', 'nothing on STDERR';
    };
}

done_testing;

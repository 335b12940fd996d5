# A server that is a whole process: signals and exit (contract 07 sections 4, 5 and 6)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Client;
use Test::PAGI::Loop qw(holds wait_until);
use Test::PAGI::Process;

# Prints its ports, serves, prints END when run returns. /slow answers when SIGUSR1 came.
my $PROGRAM = <<'PERL';
    use strict; use warnings; use Future; use Future::AsyncAwait; use IO::Async::Loop; use PAGI::Server;
    $| = 1;
    my $release = Future->new;
    my $server;
    my $app = async sub {
        my ($scope, $receive, $send) = @_;
        if ($scope->{type} eq 'lifespan') {
            await $receive->();
            my $loop = IO::Async::Loop->new;
            $loop->watch_signal(USR1 => sub { $release->done });
            my $ready;
            $ready = sub {
                return $loop->watch_time(after => 0.01, code => $ready) if !$server->is_running;
                print "PORT $_->{port}\n" for @{ $server->listeners };
                print "READY\n";
            };
            $ready->();
            await $send->({ type => 'lifespan.startup.complete' });
            await $receive->();
            print "LIFESPAN SHUTDOWN\n";
            await $send->({ type => 'lifespan.shutdown.complete' });
            return;
        }
        print "REQUEST $scope->{path}\n";
        await $release if $scope->{path} eq '/slow';
        await $send->({ type => 'http.response.start', headers => [['content-length', 4]] });
        await $send->({ type => 'http.response.body', body => 'done' });
    };
    my %options = @ARGV;
    $options{listen} = [map { { host => '127.0.0.1', port => 0 } } 1 .. $options{listen}]
        if $options{listen};
    my %where = $options{listen} ? () : (host => '127.0.0.1', port => 0);
    $server = PAGI::Server->new(app => $app, access_log => undef, %where, %options);
    $server->run;
    print "END\n";
PERL

sub start_server {
    my (@options) = @_;
    my $process = Test::PAGI::Process->start(
        code => $PROGRAM, args => ['--', @options],
        env  => { PAGI_ENV => undef }
    );
    $process->wait_for(out => qr/(READY)/);
    my @ports = $process->stdout =~ /^PORT (\d+)$/mg;
    return ($process, @ports);
}

sub client { return Test::PAGI::Client->connect_tcp(port => $_[0]) }

sub refuses_connections {
    my ($port) = @_;
    return !eval { client($port)->close; 1 };
}

for my $signal (qw(TERM INT)) {
    subtest "$signal stops an idle server: run returns, exit 0" => sub {
        my ($process, $port) = start_server();
        my $idle = client($port);
        is $idle->get('/')->body, 'done', 'serves';
        $process->signal($signal);
        is $process->wait_exit, 0, 'exit status';
        is $idle->read_until_eof, '', 'the idle connection is closed';
        like $process->stdout, qr/LIFESPAN SHUTDOWN\nEND\n\z/,
            'lifespan.shutdown, then run returns';
    };

    subtest "$signal lets a request in flight finish" => sub {
        my ($process, $port) = start_server();
        my ($slow, $idle)    = (client($port), client($port));
        is $idle->get('/')->body, 'done', 'a kept connection';
        $slow->write($slow->request_bytes(GET => '/slow'));
        $process->wait_for(out => qr{(REQUEST /slow)});
        $process->signal($signal);
        is $idle->read_until_eof, '', 'the idle connection closes at once';
        wait_until { refuses_connections($port) } 'new connections to be refused';
        holds { !$process->has_ended && !$slow->is_eof } 'the process waits for the request';
        unlike $process->stdout, qr/LIFESPAN SHUTDOWN/, 'lifespan.shutdown waits too';
        $process->signal('USR1');
        is $slow->read_response->body, 'done', 'answered';
        is $slow->read_until_eof, '', 'then closed';
        is $process->wait_exit, 0, 'exit status';
        like $process->stdout, qr/LIFESPAN SHUTDOWN\nEND\n\z/, 'lifespan.shutdown, then the end';
    };
}

subtest 'a second TERM changes nothing' => sub {
    my ($process, $port) = start_server();
    my $slow = client($port);
    $slow->write($slow->request_bytes(GET => '/slow'));
    $process->wait_for(out => qr{(REQUEST /slow)});
    $process->signal('TERM');
    wait_until { refuses_connections($port) } 'new connections to be refused';
    $process->signal('TERM');
    holds { !$process->has_ended } 'still waiting';
    $process->signal('USR1');
    is $slow->read_response->body, 'done', 'answered';
    is $process->wait_exit, 0, 'exit status';
    is scalar(() = $process->stdout =~ /LIFESPAN SHUTDOWN/g), 1, 'one lifespan.shutdown';
};

subtest 'shutdown_timeout ends a request that never ends' => sub {
    my ($process, $port) = start_server(shutdown_timeout => 0.5, log_level => 'warn');
    my $slow = client($port);
    $slow->write($slow->request_bytes(GET => '/slow'));
    $process->wait_for(out => qr{(REQUEST /slow)});
    $process->signal('TERM');
    is $process->wait_exit, 0, 'exit status';
    like $process->stderr, qr/^Shutdown timeout: force-closing 1 active connections$/m, 'warned';
    like $process->stdout, qr/LIFESPAN SHUTDOWN\nEND\n\z/, 'an orderly end all the same';
    is $slow->read_until_eof, '', 'the client is cut off';
};

my %WARNED = (HUP => 'graceful', USR2 => 'hot');
for my $signal (sort keys %WARNED) {
    my $text = "Received $signal signal ($WARNED{$signal} restart only works in multi-worker mode)";

    subtest "$signal is warned about and changes nothing" => sub {
        my ($process, $port) = start_server();
        my $client = client($port);
        is $client->get('/')->body, 'done', 'serves';
        $process->signal($signal);
        $process->wait_for(err => qr/^(\Q$text\E)$/m);
        is $client->get('/')->body, 'done', 'goes on, on the kept connection';
        is client($port)->get('/')->body, 'done', 'and on a new one';
        $process->signal('TERM');
        is $process->wait_exit, 0, 'exit status';
    };

    subtest "$signal to a quiet server: nothing is said" => sub {
        my ($process, $port) = start_server(quiet => 1);
        $process->signal($signal);
        is client($port)->get('/')->body, 'done', 'goes on';
        $process->signal('TERM');
        is $process->wait_exit, 0, 'exit status';
        is $process->stderr, '', 'nothing on STDERR';
    };
}

for my $signal (qw(TTIN TTOU)) {
    subtest "$signal does not stop the process (P05)" => sub {
        my ($process, $port) = start_server();
        $process->signal($signal);
        is client($port)->get('/')->body, 'done', 'goes on';
        $process->signal('TERM');
        is $process->wait_exit, 0, 'exit status';
    };
}

subtest 'a client that closes early raises no SIGPIPE' => sub {
    my ($process, $port) = start_server();
    for my $n (1 .. 20) {
        my $client = client($port);
        $client->write($client->request_bytes(GET => '/') x 5)->reset;
    }
    is client($port)->get('/')->body, 'done', 'goes on';
    $process->signal('TERM');
    is $process->wait_exit, 0, 'exit status';
};

subtest 'two listeners: both serve, both stop' => sub {
    my ($process, @ports) = start_server(listen => 2);
    is scalar @ports, 2, 'two ports';
    is client($_)->get('/')->body, 'done', 'serves' for @ports;
    like $process->stderr, qr{^PAGI Server listening on: http://127\.0\.0\.1:$ports[0]/, }m,
        'banner';
    $process->signal('TERM');
    is $process->wait_exit, 0, 'exit status';
    ok refuses_connections($_), 'nothing listens' for @ports;
};

subtest 'the banner' => sub {
    my ($process, $port) = start_server();
    my $banner = qr{
        ^PAGI\ Server\ listening\ on\ http://127\.0\.0\.1:$port/
        \ \(loop:\ \w+,\ max_conn:\ 1000,\ http2:\ [^,]+,\ tls:\ [^,]+,\ future_xs:\ [^)]+\)$
    }mx;
    like $process->stderr, $banner, 'one line';
    $process->signal('TERM');
    $process->wait_exit;
};

done_testing;

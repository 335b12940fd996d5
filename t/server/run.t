# bin/pagi-server as a process (contract 08, 09 sections 2 and 9)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Cwd        qw(getcwd);
use File::Temp qw(tempdir);
use Test2::V0;
use Test::PAGI::Client;
use Test::PAGI::Lifespan qw(free_port);
use Test::PAGI::Process;

my ($SCRIPT) = map { Cwd::abs_path("$FindBin::Bin/../../$_") } 'bin/pagi-server';
my $dir = tempdir(CLEANUP => 1);

my $HELLO = <<'PERL';
    sub {
        my ($scope, $receive, $send) = @_;
        require Future;
        return Future->done if $scope->{type} ne 'http';
        $send->({ type => 'http.response.start', headers => [['content-length', 5]] });
        return $send->({ type => 'http.response.body', body => 'hello' });
    }
PERL

# Writes an application file; returns its path.
sub app_file {
    my ($name, $code) = @_;
    open my $fh, '>', "$dir/$name" or die "$dir/$name: $!";
    print {$fh} $code;
    close $fh;
    return "$dir/$name";
}

sub pagi {
    my (@args) = @_;
    return Test::PAGI::Process->start(
        command => [Test::PAGI::Process::perl_command($SCRIPT, @args)],
        env     => { PAGI_ENV => undef },
    );
}

# The port of the banner.
sub port_of {
    my ($process) = @_;
    return $process->wait_for(
        err => qr{^PAGI Server listening on http://127\.0\.0\.1:(\d+)/ \(loop: }m);
}

sub serves {
    my (@args)  = @_;
    my $process = pagi('-p', 0, @args);
    my $client  = Test::PAGI::Client->connect_tcp(port => port_of($process));
    is $client->get('/')->body, 'hello', 'serves';
    $client->close;
    $process->signal('TERM');
    is $process->wait_exit, 0, 'TERM: exit 0';
    return $process;
}

sub fails {
    my ($text, @args) = @_;
    my $process = pagi(@args);
    isnt $process->wait_exit, 0, 'exit status is not 0';
    like $process->stderr, $text, 'text on STDERR';
    return $process;
}

my $file = app_file('hello.pl', $HELLO);

subtest 'an application file'        => sub { serves($file) };
subtest 'an application file, --app' => sub { serves('--app', $file) };
subtest 'an application in -e'       => sub { serves('-e', $HELLO) };
subtest 'host and port flags'        => sub { serves('--host', '127.0.0.1', $file) };

subtest 'production (STDIN is no terminal): no access log' => sub {
    unlike serves($file)->stderr, qr{"GET / HTTP|"GET /"}, 'no line';
};

subtest '-E none: the access log is on STDERR' => sub {
    like serves('-E', 'none', $file)->stderr, qr{^127\.0\.0\.1 - - \[.+\] "GET /" 200 \d}m, 'line';
};

subtest '--access-log: the log is in the file' => sub {
    my $log = "$dir/access.log";
    unlike serves('-E', 'none', '--access-log', $log, $file)->stderr, qr{"GET /"}, 'not on STDERR';
    open my $in, '<', $log or die "$log: $!";
    like join('', <$in>), qr{\A127\.0\.0\.1 - - \[.+\] "GET /" 200 \d}, 'line';
};

subtest '--no-access-log: none' => sub {
    unlike serves('-E', 'none', '--no-access-log', $file)->stderr, qr{"GET /"}, 'no line';
};

subtest 'FindBin of an application file is its directory' => sub {
    my $app = app_file('findbin.pl', "use FindBin; die qq{at \$FindBin::Bin with \$0\\n};");
    fails(qr{^Error loading \Q$app\E: at \Q$dir\E with \Q$app\E$}m, $app);
};

subtest '-I and -M' => sub {
    mkdir "$dir/inc";
    app_file('inc/My_Hello.pm', "package My_Hello; sub app { return $HELLO } 1;");
    serves('-I', "$dir/inc", '-M', 'My_Hello', '-e', 'My_Hello::app()');
    serves("-I$dir/inc", '-MMy_Hello', '-e', 'My_Hello::app()');
};

subtest 'server flags reach the server' => sub {
    my $process = pagi('-p', 0, '--max-body-size', 5, $file);
    my $client  = Test::PAGI::Client->connect_tcp(port => port_of($process));
    is $client->request(POST => '/', body => '123456')->status, 413, '--max-body-size';
    $process->signal('TERM');
    is $process->wait_exit, 0, 'exit status';
};

subtest '--version' => sub {
    my $process = pagi('--version');
    is $process->wait_exit, 0, 'exit 0';
    like $process->stdout, qr/\Apagi-server \(PAGI \S+, PAGI::Server [0-9._]+\)\n\z/, 'text';
};

subtest '--help' => sub {
    my $process = pagi('--help');
    is $process->wait_exit, 0, 'exit 0';
    like $process->stdout, qr/\AUsage: pagi-server \[options\] \[app\] \[key=value \.\.\.\]/,
        'text';
};

my $not_code = app_file('notcode.pl', '42;');
my $broken   = app_file('broken.pl', 'sub { ');
my $dying    = app_file('dying.pl', 'die "no way\n";');

# [rule, text, arguments]
my @FAILURES = (
    ['a missing file', qr/^App file not found: \S*nofile\.pl$/m, './nofile.pl'],
    ['a file without application', qr/^App file must return a coderef, got: /m, $not_code],
    ['a file that does not compile', qr/^Error loading \Q$broken\E: /m, $broken],
    ['a file that dies', qr/^Error loading \Q$dying\E: no way$/m, $dying],
    ['-e without application', qr/^-e code must return a coderef, got non-reference$/m, '-e', '42'],
    ['-e that returns a hash', qr/^-e code must return a coderef, got HASH$/m, '-e', '+{}'],
    ['-e that does not compile', qr/^Error evaluating -e code: /m, '-e', 'sub {'],
    ['a missing -M', qr/^Cannot load module No::Such: /m, '-M', 'No::Such', '-e', $HELLO],
    ['a missing module', qr/^Cannot find module 'No::Such': /m, 'No::Such'],
    ['a bad module name', qr/^Invalid module name: No::Such-thing$/m, 'No::Such-thing'],
    ['a missing server', qr/^Cannot load server 'No::Such': /m, '-s', 'No::Such', '-e', $HELLO],
    ['an unknown option (C01)', qr/--bogus/, '--bogus', $file],
    ['a bad --log-level', qr/^Invalid log_level 'loud'/m, '--log-level', 'loud', $file],
    ['a bad --lifespan', qr/^Invalid lifespan_mode 'maybe'/m, '--lifespan', 'maybe', $file],
    [
        'a bad loop',
        qr/^Cannot load loop backend 'NoSuch': .*^Install it with: cpanm IO::Async::Loop::NoSuch$/ms,
        '-p', 0, '-l', 'NoSuch', $file
    ],
    [
        'an access log that cannot be opened', qr{^Cannot open access log /nowhere/log: }m,
        '--access-log', '/nowhere/log', $file
    ],
    [
        'a pid file that cannot be written', qr{^Cannot write PID file /nowhere/pid: }m,
        '--pid', '/nowhere/pid', $file
    ],
);

for my $case (@FAILURES) {
    my ($rule, $text, @args) = @$case;
    subtest "fails: $rule" => sub { fails($text, @args) };
}

subtest 'fails: a port in use' => sub {
    my $process = pagi('-p', 0, $file);
    my $port    = port_of($process);
    fails(qr/^Error: Port $port is already in use$/m, '-p', $port, $file);
    $process->signal('TERM');
    is $process->wait_exit, 0, 'the first goes on until TERM';
};

subtest 'fails: lifespan on with an application that declines' => sub {
    my $why     = q{lifespan_mode is 'on' but the application returned without signalling startup};
    my $process = fails(
        qr/^PAGI Server startup failed: \Q$why\E$/m,
        '-p', 0, '--lifespan', 'on', $file
    );
    like $process->stderr, qr/^Error starting server: Lifespan startup failed: \Q$why\E$/m, 'and';
};

subtest 'fails: what was not permitted is not always the port' => sub {
    my $failing = app_file('failing.pl', <<'PERL');
    sub {
        my ($scope, $receive, $send) = @_;
        my $message = 'Cannot open the database: Permission denied';
        return $receive->()
            ->then(sub { $send->({ type => 'lifespan.startup.failed', message => $message }) });
    }
PERL
    fails(
        qr/^Error starting server: Lifespan startup failed: .*: Permission denied$/m,
        '-p', 0, $failing
    );
};

subtest '--pid: the file holds the pid, and goes away' => sub {
    my $pid_file = "$dir/server.pid";
    my $process  = pagi('-p', 0, '--pid', $pid_file, $file);
    port_of($process);
    open my $in, '<', $pid_file or die "$pid_file: $!";
    is join('', <$in>), $process->pid . "\n", 'pid';
    $process->signal('TERM');
    is $process->wait_exit, 0, 'exit status';
    ok !-e $pid_file, 'removed';
};

subtest 'quiet: nothing on STDERR' => sub {
    my $port    = free_port();
    my $process = pagi('-q', '-p', $port, $file);
    Test::PAGI::Loop::wait_until {
        eval { Test::PAGI::Client->connect_tcp(port => $port)->close; 1 }
    }
    'the server to listen';
    $process->signal('TERM');
    is $process->wait_exit, 0, 'exit status';
    is $process->stderr, '', 'STDERR';
};

done_testing;

# The real command, as an operator runs it: pid file, log files, user, background, service manager,
# hot restart, reload (contract 07 sections 9 and 10, 08)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use IO::Socket::INET;
use POSIX ();
use Test2::V0;
use Test::PAGI::Client;
use Test::PAGI::Command qw(
    app_text await_end body command ends file manager mine port_of read_file write_file
);
use Test::PAGI::Loop qw(wait_until);

-e '/proc/self/stat' or plan skip_all => 'needs /proc';

my $DIRECTORY = file();
my $APP       = write_file('app.pl', app_text('first'));

subtest 'a single process: pid file, Unix socket beside TCP' => sub {
    my $socket  = file('app.sock');
    my $process = command([
        qw(-E none --no-access-log --listen 127.0.0.1:0 --listen), $socket, '--socket-mode',
        '0666', '--pid', file('single.pid'), $APP
    ]);
    $process->wait_for(err => qr/(listening on: http.*unix:\Q$socket\E)/);
    is read_file('single.pid'), $process->pid . "\n", 'its number';
    like(Test::PAGI::Client->connect_unix($socket)->get('/')->body, qr/^first/, 'served');
    is ends($process), 0, 'exit status';
    ok !-e file('single.pid'), 'the pid file is gone';
    ok !-e $socket, 'so is the socket';
};

subtest 'a second start does not take the pid file of the first' => sub {
    for my $workers (0, 2) {
        my @flags = (qw(-E none --no-access-log -w), $workers, '--pid', file('twice.pid'));
        my $first = command([@flags, qw(-p 0), $APP]);
        my $port  = port_of($first);
        isnt command([@flags, '-p', $port, $APP])->wait_exit, 0, 'the second one fails';
        is read_file('twice.pid'), $first->pid . "\n", "with $workers workers: the file stays";
        is ends($first), 0, 'exit status';
        ok !-e file('twice.pid'), 'it goes with its owner';
    }
};

subtest 'signals before the server hears them' => sub {
    write_file('Local_Early.pm', <<'PERL');
package Local_Early;
use parent 'PAGI::Server';
sub run { kill $_ => $$ for qw(HUP USR1 USR2 TTIN TTOU); return $_[0]->SUPER::run }
1;
PERL
    for my $workers (0, 2) {
        my @flags   = (qw(-E none --no-access-log -p 0 -w), $workers, '--pid', file('early.pid'));
        my $process = command([@flags, '-I', "$DIRECTORY", '-s', 'Local_Early', $APP]);
        like body(port_of($process)), qr/^first/, "with $workers workers: it serves";
        kill USR1 => $process->pid;
        like body(port_of($process)), qr/^first/, 'even without log files to open again';
        is ends($process), 0, 'exit status';
    }
};

subtest 'USR1: the access log is opened again' => sub {
    for my $workers (0, 2) {
        my $name    = "access-$workers.log";
        my $process = command([
            qw(-E none -q --access-log-format %m -w), $workers, '--access-log', file($name),
            '--listen', file('log.sock'), $APP
        ]);
        my $get = sub { Test::PAGI::Client->connect_unix(file('log.sock'))->get('/')->status };
        wait_until {
            eval { $get->() }
        }
        'the server';
        wait_until { read_file($name) =~ /^GET\n/ } 'the first line';
        rename file($name), file("$name.1");
        $process->signal('USR1');
        wait_until { -e file($name) } 'the new file';
        wait_until { $get->(); read_file($name) =~ /^GET\n/ } 'a line in it';
        pass "with $workers workers";
        is ends($process), 0, 'exit status';
    }
};

subtest 'hot restart' => sub {
    my $process =
        command([qw(-E none --no-access-log -w 2 -p 0 --pid), file('hot.pid'), $APP]);
    my $port = port_of($process);
    my $old  = $process->pid;
    like body($port), qr/^first/, 'the first program';
    is read_file('hot.pid'), "$old\n", 'its pid file';

    write_file('app.pl', "die qq{broken\\n}");
    $process->signal('USR2');
    $process->wait_for(err =>
            qr/^(Hot restart: new master \d+ ended before it took over \(status \d+\), going on)$/m
    );
    like body($port), qr/^first/, 'a program that does not start changes nothing';
    is read_file('hot.pid'), "$old\n", 'nor the pid file';

    my $failing = q{$receive->()->on_done(sub { $send->({ type => 'lifespan.startup.failed' }) })};
    write_file('app.pl', app_text('none') =~ s/die "no\\n" if/return $failing if/r);
    $process->signal('USR2');
    $process->wait_for(
        err => qr/^(Hot restart: no workers running, not retiring old master $old)$/m);
    $process->wait_for(err =>
            qr/^(?s:.*)^(Hot restart: new master \d+ ended before it took over \(status \d+\))/m);
    wait_until { (() = $process->stderr =~ /ended before it took over/g) == 2 } 'its end';
    like body($port), qr/^first/, 'nor does one whose workers do not start';

    write_file('app.pl', "kill KILL => \$\$;");
    $process->signal('USR2');
    $process->wait_for(err =>
            qr/^(Hot restart: new master \d+ ended before it took over \(signal 9\), going on)$/m);

    write_file('app.pl', app_text('second'));
    $process->signal('USR2');
    wait_until { (() = $process->stderr =~ /new master spawned/g) == 4 } 'the new master';
    $process->signal('USR2');
    $process->wait_for(err => qr/^(Hot restart already in progress, ignoring USR2)$/m);
    my ($bodies, $failed) = (0, 0);
    wait_until {
        eval { body($port); 1 } ? $bodies++ : $failed++;
        $process->has_ended;
    }
    'the old master to go';
    is $failed, 0, "none of $bodies requests failed";
    my ($new) = read_file('hot.pid') =~ /\A(\d+)\n\z/;
    mine($new);
    isnt $new, $old, 'the pid file is that of the new master';
    like body($port), qr/^second/, 'the second program';
    like $process->stderr,
        qr/^Hot restart: 2 workers healthy, sending SIGTERM to old master $old$/m,
        'the log says so';
    is $process->{status}, 0, 'the old master ends well';
    kill USR2 => $new;
    wait_until { my $now = read_file('hot.pid'); $now && $now ne "$new\n" } 'a third one';
    ($new) = read_file('hot.pid') =~ /\A(\d+)\n\z/;
    mine($new);
    like body($port), qr/^second/, 'and again';
    await_end($new);
    ok !-e file('hot.pid'), 'the pid file is gone in the end';
};

subtest 'reuseport: a new master whose workers do not start takes nobody\'s sockets' => sub {
    my $process = command([qw(-E none --no-access-log -w 2 --reuseport -p 0), $APP]);
    my $port    = port_of($process);
    my %served;
    my $asks = sub {
        %served = ();
        wait_until { $served{ (split ' ', body($port))[1] } = 1; keys %served == 2 } 'both workers';
    };
    $asks->();
    my @before  = sort keys %served;
    my $failing = q{$receive->()->on_done(sub { $send->({ type => 'lifespan.startup.failed' }) })};
    write_file('app.pl', app_text('none') =~ s/die "no\\n" if/return $failing if/r);
    $process->signal('USR2');
    $process->wait_for(err => qr/(ended before it took over)/);
    $asks->();
    is [sort keys %served], \@before, 'they serve';
    write_file('app.pl', app_text('second'));
    unlike $process->stderr, qr/Accept error/, 'undisturbed';
    is ends($process), 0, 'exit status';
};

subtest 'the successor of somebody who has gone' => sub {
    my $gone = fork // die "fork: $!";
    POSIX::_exit(0) if !$gone;
    waitpid $gone, 0;
    my $process = command([qw(-E none --no-access-log -w 2 -p 0), $APP], PAGI_MASTER_PID => $gone);
    $process->wait_for(err => qr/^(Hot restart: old master $gone is no longer running)$/m);
    like body(port_of($process)), qr/^second/, 'serves';
    is ends($process), 0, 'exit status';
};

subtest 'in the background' => sub {
    my $process = command([
        qw(-E none -D -w 2 --pid), file('daemon.pid'), '--listen',
        file('daemon.sock'), '--no-access-log', $APP
    ]);
    is $process->wait_exit, 0, 'the command returns';
    wait_until { -S file('daemon.sock') && read_file('daemon.pid') =~ /\n/ } 'socket and pid file';
    my ($pid) = read_file('daemon.pid') =~ /\A(\d+)\n\z/;
    mine($pid);
    like(
        Test::PAGI::Client->connect_unix(file('daemon.sock'))->get('/')->body, qr/^second/,
        'serves'
    );
    is readlink "/proc/$pid/cwd", '/', 'in the root directory';
    my $before = $pid;
    kill USR2 => $pid;
    wait_until { my $now = read_file('daemon.pid'); $now && $now ne "$pid\n" } 'a hot restart';
    ($pid) = read_file('daemon.pid') =~ /\A(\d+)\n\z/;
    mine($pid);
    wait_until { !kill 0 => $before } 'the first one to end';
    like(
        Test::PAGI::Client->connect_unix(file('daemon.sock'))->get('/')->body, qr/^second/,
        'serves'
    );
    await_end($pid);
    ok !-e file('daemon.pid'), 'the pid file is gone';
    ok !-e file('daemon.sock'), 'the socket is gone';
};

subtest 'in the background, and the start fails' => sub {
    my %failing = (
        'on and dies'   => ['--lifespan on', 'die qq{no database\n}', qr/no database$/m],
        'without words' => [
            '--lifespan on', 'return $_[2]->({ type => "lifespan.startup.failed" })',
            qr/startup failed:/,
        ],
        'too late' => [
            '--lifespan-startup-timeout 0.3', 'require Future; return Future->new',
            qr/Lifespan startup timed out after 0\.3s$/m,
        ],
    );
    for my $name (sort keys %failing) {
        my ($flags, $code, $says) = @{ $failing{$name} };
        for my $workers (0, 2) {
            my $process = command([
                qw(-E none --no-access-log -p 0 -D -w), $workers, split(' ', $flags), '-e',
                "sub { $code }"
            ]);
            is $process->wait_exit >> 8, 1, "$name, with $workers workers: exit status";
            like $process->stderr, $says, 'why';
        }
    }
};

subtest 'lifespan.startup.failed without a message is said once' => sub {
    my $process = command([
        qw(-E none --no-access-log -p 0 -w 2 -e),
        'sub { $_[2]->({ type => "lifespan.startup.failed" }) }'
    ]);
    isnt $process->wait_exit, 0, 'exit status';
    is [sort $process->stderr =~ /^Worker (\d) \(\d+\): startup failed:\s*?$/mg], [1, 2],
        'by each worker';
    is scalar(() = $process->stderr =~ /^Worker \d \(/mg), 2, 'and nothing more';
};

subtest 'a user, and a port that is root\'s' => sub {
    my @nobody = getpwnam 'nobody';
    skip_all 'needs root and a user nobody' if $> != 0 || !@nobody;
    my $port;
    for my $try (reverse 600 .. 1023) {
        my $free = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $try, Listen => 1);
        $port = $try, last if $free;
    }
    my ($uid, $gid) = @nobody[2, 3];
    my %reuseport = (2 => '--no-reuseport', 3 => '--reuseport');
    for my $workers (0, 1, 2, 3) {
        my $socket  = file("user-$workers.sock");
        my $process = command([
            qw(-E none --no-access-log --user nobody -w), $workers, $reuseport{$workers} // (),
            '--listen', "127.0.0.1:$port", '--listen', $socket, $APP
        ]);
        $process->wait_for(err => qr/(listening on)/);
        my ($word, $pid, $ids) = split ' ', body($port), 3;
        like $ids, qr/\A$uid:$uid:$gid(?: $gid)*\z/, "with $workers workers: all of the user's ids";
        is [(stat $socket)[4, 5]], [$uid, $gid], 'the socket is theirs';
        is ends($process), 0, 'exit status';
    }
};

subtest 'the service manager' => sub {
    my ($path, $hears) = manager('notify');
    for my $workers (0, 2) {
        $hears->();
        my $process = command(
            [qw(-E none -q -p 0 --no-access-log -w), $workers, $APP],
            NOTIFY_SOCKET => $path, WATCHDOG_USEC => 200_000, WATCHDOG_PID => undef
        );
        $hears->(qr/^READY=1$/m);
        $hears->(qr/(?:^WATCHDOG=1\n.*){3}/ms);
        if ($workers) {
            $hears->();
            $process->signal('HUP');
            $hears->(qr/^RELOADING=1\nMONOTONIC_USEC=\d+\n.*^READY=1$/ms);
        }
        is ends($process), 0, 'exit status';
        $hears->(qr/^STOPPING=1$/m);
        pass "with $workers workers";
    }
};

subtest '--reload' => sub {
    my $process = command([qw(-E none --no-access-log -p 0 --reload), $APP]);
    my $port    = port_of($process);
    like body($port), qr/^second/, 'before';
    write_file('app.pl', app_text('third one'));
    $process->wait_for(err => qr/^(Reloading: \S*app\.pl has changed)$/m);
    wait_until { body($port) =~ /^third/ } 'the new program';
    write_file('app.pl', 'die "broken"');
    $process->wait_for(err => qr/^(The server has ended \(status \d+\), waiting for a change)$/m);
    write_file('app.pl', app_text('fourth'));
    wait_until { body($port) =~ /^fourth/ } 'one that works again';
    is ends($process), 0, 'exit status';
};

subtest 'errors name what is wrong' => sub {
    my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die $!;
    my $port  = $taken->sockport;
    for my $workers (0, 2) {
        my @background = $workers ? '-D' : ();
        my $process    = command([qw(-E none -w), $workers, '-p', $port, @background, $APP]);
        isnt $process->wait_exit, 0, 'exit status';
        like $process->stderr, qr/^Error: Port $port is already in use$/m, 'the port';
    }
    my $long = file('x' x 120);
    my %said = (
        '--workers -3'           => qr/^Invalid value '-3' for option 'workers': must be/m,
        '--workers x'            => qr/^Value "x" invalid for option workers/m,
        '--bogus'                => qr/^Unknown option: --bogus \(see pagi-server --help\)$/m,
        '--pid /nix/pid'         => qr{^Cannot write PID file /nix/pid: No such file}m,
        '--pid /nix/pid -D'      => qr{^Cannot write PID file /nix/pid: No such file}m,
        '--access-log /nix/log'  => qr{^Cannot open access log /nix/log: No such file}m,
        "--socket $long"         => qr{^Error starting server: .* \Q$long\E: File name too long$}m,
        "--socket $DIRECTORY"    => qr{^Error starting server: .* \Q$DIRECTORY\E: Is a directory$}m,
        '--listen 192.0.2.1:0'   => qr{^Error starting server: .* 192\.0\.2\.1:0: Cannot assign}m,
        '--user nobody-of-ours'  => qr{^(?:Unknown user: nobody-of-ours|Must run as root .*)$}m,
        '--loop NoSuch'          => qr{^Cannot load loop backend 'NoSuch': }m,
        '--reload --daemonize'   => qr{^--reload cannot be used with --daemonize$}m,
        '--access-log-format %Z' => qr{'%Z'}m,
    );
    for my $flags (sort keys %said) {
        my $process = command([qw(-E none -p 0), split(' ', $flags), $APP]);
        isnt $process->wait_exit, 0, "$flags: exit status";
        like $process->stderr, $said{$flags}, 'what it is';
    }
};

subtest 'an application that exits while it is loaded' => sub {
    for my $status (0, 3) {
        my $app = write_file("exit$status.pl", "exit $status;");
        for my $words ([$app], ['-e', "exit $status"], ['-D', $app]) {
            my $process = command([qw(-E none -p 0 -w 2), @$words]);
            is $process->wait_exit >> 8, $status || 1, "@$words: exit status";
            like $process->stderr, qr/^The application has ended .* loaded \(exit $status\)$/m,
                'why';
        }
    }
};

done_testing;

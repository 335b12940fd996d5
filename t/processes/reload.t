# --reload and signals: whom they reach, and how both processes end
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Client;
use Test::PAGI::Command qw(
    app_text body children_of command ends file mine port_of read_file write_file
);
use Test::PAGI::Loop qw(holds wait_until);

-e '/proc/self/stat' or plan skip_all => 'needs /proc';

my $RELEASE = file('release');
my $APP     = write_file('app.pl', app_text('first', <<"PERL"));
if (\$scope->{type} eq 'http' && \$scope->{path} eq '/slow') {
    syswrite STDERR, "WAITING\\n";
    await IO::Async::Loop->new->delay_future(after => 0.02) while !-e '$RELEASE';
}
PERL

# The command, the process that serves, and the port
sub start {
    my (@flags) = @_;
    my $process = command([qw(-E none -p 0 --reload), @flags, $APP]);
    my $port    = port_of($process);
    my ($child) = children_of($process->pid);
    mine($child);
    return ($process, $child, $port);
}

sub is_gone {
    my (@pids) = @_;
    wait_until {
        !grep { kill 0 => $_ } @pids
    }
    "the end of @pids";
}

for my $workers (0, 2) {
    my @flags = ('--no-access-log', '-w', $workers);

    subtest "with $workers workers: INT from a terminal lets requests finish" => sub {
        unlink $RELEASE;
        my ($process, $child, $port) = start(@flags);
        my $client = Test::PAGI::Client->connect_tcp(port => $port);
        $client->write($client->request_bytes(GET => '/slow'));
        $process->wait_for(err => qr/^(WAITING)$/m);
        kill INT => $child, $process->pid;
        holds { !$process->has_ended && !$client->is_eof } 'the request is waited for', 1;
        write_file('release', '');
        is $client->read_response->status, 200, 'and answered';
        is $process->wait_exit, 0, 'exit status';
    };

    subtest "with $workers workers: a second INT does not wait" => sub {
        unlink $RELEASE;
        my ($process, $child, $port) = start(@flags);
        my $client = Test::PAGI::Client->connect_tcp(port => $port);
        $client->write($client->request_bytes(GET => '/slow'));
        $process->wait_for(err => qr/^(WAITING)$/m);
        $process->signal('INT');
        wait_until {
            !eval { Test::PAGI::Client->connect_tcp(port => $port)->get('/') }
        }
        'the first to be heard';
        $process->signal('INT');
        is $process->wait_exit >> 8, 130, 'exit status';
        is_gone($child);
    };

    subtest "with $workers workers: nobody is left when the reloader is killed" => sub {
        my ($process, $child, $port) = start(@flags);
        my @workers = children_of($child);
        ok body($port), 'it serves';
        $process->signal('KILL');
        is_gone($child, @workers);
        pass 'gone';
    };
}

subtest 'USR1 opens the log again' => sub {
    my ($process, $child, $port) =
        start('--access-log', file('log'), qw(--access-log-format %m));
    body($port);
    wait_until { read_file('log') eq "GET\n" } 'a line';
    rename file('log'), file('log.1');
    $process->signal('USR1');
    wait_until { -e file('log') } 'the new file';
    body($port);
    wait_until { read_file('log') eq "GET\n" } 'a line in it';
    is ends($process), 0, 'exit status';
};

subtest 'USR2 is not for what runs under --reload' => sub {
    for my $whom (0, 1) {
        my ($process, $child, $port) = start(qw(--no-access-log -w 2));
        kill USR2 => $whom ? $child : $process->pid;
        $process->wait_for(err => qr/^(Running under --reload, ignoring USR2)$/m);
        ok body($port), 'it serves';
        is ends($process), 0, 'exit status';
        unlike $process->stderr, qr/new master|The server has ended/, 'and did nothing else';
    }
};

done_testing;

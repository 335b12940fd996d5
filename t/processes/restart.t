# Hot restarts that do not go smoothly, and what a service manager is told of them; back-off and TTOU
# (contract 07 sections 3, 6 and 9)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Cwd qw(abs_path);
use Test2::V0;
use Test::PAGI::Command qw(
    app_text await_end body command file manager port_of read_file successor write_file
);
use Test::PAGI::Loop qw(holds wait_until);
use Test::PAGI::Prefork;
use Test::PAGI::Process;
use Test::PAGI::Tree qw(root);

-e '/proc/self/stat' or plan skip_all => 'needs /proc';

my $ONCE  = file('once');
my $DYING = <<"PERL";
if (\$scope->{type} eq 'lifespan') {
    my \$mark = '$ONCE.' . \$scope->{pagi}{worker_num};
    if (!-e \$mark) { open my \$fh, '>', \$mark; close \$fh; kill KILL => \$\$; sleep 1 while 1 }
}
PERL
my $APP = write_file('app.pl', app_text('first'));

sub start {
    my ($flags, %env) = @_;
    return command([qw(-E none --no-access-log -w 2 -p 0 --pid), file('pid'), @$flags], %env);
}

subtest 'the service manager is not told that the service stops' => sub {
    my ($path, $hears) = manager('restarted');
    my $process = start([$APP], NOTIFY_SOCKET => $path);
    $hears->(qr/^READY=1$/m);
    $hears->();
    $process->signal('USR2');
    my $new = successor($process);
    is $hears->(qr/^READY=1$/m), "READY=1\nMAINPID=$new\n", 'who is ready, and nothing else';
    $hears->();
    await_end($new);
    is $hears->(qr/^STOPPING/), "STOPPING=1\n", 'but by the last one';
};

subtest 'workers that are killed as they start are replaced, and the start goes on' => sub {
    my ($path, $hears) = manager('killed');
    my $dying   = write_file('dying.pl', app_text('dying', $DYING));
    my $process = start([$dying], NOTIFY_SOCKET => $path);
    $hears->(qr/^READY=1$/m);
    pass 'the first start';
    unlink "$ONCE.1", "$ONCE.2";
    $process->signal('USR2');
    my $new = successor($process);
    is [map { -e "$ONCE.$_" ? 1 : 0 } 1, 2], [1, 1], 'they were killed';
    unlike $process->stderr, qr/no workers running/, 'nobody gave up';
    like $process->stderr, qr/2 workers healthy/, 'the successor has taken over';
    await_end($new);
};

subtest 'TTOU gives up one that waits before one that serves' => sub {
    my $process = Test::PAGI::Prefork->start(workers => 2, shutdown_timeout => 3);
    my ($victim) = $process->wait_started(2);
    for my $n (1 .. 3) {
        my @before = $process->workers;
        kill KILL => $victim;
        last if $n == 3;
        my %old = map { $_ => 1 } @before;
        wait_until {
            ($victim) = grep { !$old{$_} } $process->workers
        }
        'another';
        wait_until { (() = $process->stdout =~ /^STARTED /mg) == 2 + $n } 'its start';
    }
    $process->wait_for(err => qr/^(Worker \d keeps ending, starting it again in 1s)$/m);
    my ($left) = $process->wait_workers(1);
    $process->signal('TTOU');
    $process->wait_for(err => qr/^(Received TTOU, killing worker \(remaining: 1\))$/m);
    holds { "@{[$process->workers]}" eq $left } 'the one that serves stays, alone', 1.2;
    is scalar $process->ask, $left, 'and serves';
    $process->signal('TTOU');
    holds { "@{[$process->workers]}" eq $left } 'it is the last', 0.2;
    is $process->finish, 0, 'exit status';
};

subtest 'the program as it was called, where it was called' => sub {
    mkdir file($_)                 or die $! for qw(one two);
    symlink 'one', file('current') or die $!;
    write_file("$_/app.pl", app_text($_, q{$0 = 'somebody else';})) for qw(one two);
    my $process = Test::PAGI::Process->start(
        code => 'chdir $ENV{PWD} or die $!; exec @ARGV',
        args => [
            Test::PAGI::Process::perl_command(abs_path(root()) . '/bin/pagi-server'),
            qw(-E none --no-access-log -w 2 -p 0 --pid), file('pid'), './app.pl'
        ],
        env => { PAGI_ENV => undef, PAGI_REUSE => undef, PWD => file('current') },
    );
    my $port = port_of($process);
    like body($port), qr/^one /, 'the old release';
    unlink file('current');
    symlink 'two', file('current') or die $!;
    $process->signal('USR2');
    my $new = successor($process);
    like body($port), qr/^two /, 'the new one, by way of the same link';
    await_end($new);
};

done_testing;

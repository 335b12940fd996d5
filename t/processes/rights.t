# --user, where the pid file, the socket and the log are in a directory of root's
# (contract 07 section 10)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Command qw(
    app_text await_end body command ends file read_file successor write_file
);
use Test::PAGI::Loop qw(wait_until);

my @NOBODY = getpwnam 'nobody';
plan skip_all => 'needs /proc, root and a user nobody' if !-e '/proc/self/stat' || $> || !@NOBODY;

my $APP = write_file('app.pl', app_text('served'));
my $LOG = file('log');

sub start {
    my (@flags) = @_;
    my $process = command([
        qw(-E none -p 0 --user nobody --shutdown-timeout 2 --access-log-format %m), @flags, '--pid',
        file('pid'), $APP
    ]);
    $process->wait_for(err => qr/(listening on)/);
    return ($process, $process->stderr =~ m{http://127\.0\.0\.1:(\d+)});
}

sub owner { return join ' ', (stat file($_[0]))[4, 5] }

my $THEIRS = join ' ', @NOBODY[2, 3];

for my $workers (0, 2) {
    subtest "with $workers workers: the pid file" => sub {
        my ($process, $port) = start('-w', $workers, '--no-access-log');
        is read_file('pid'), $process->pid . "\n", 'names the process';
        is owner('pid'), $THEIRS, 'and is the user\'s';
        is ends($process), 0, 'exit status';
        is read_file('pid'), '', 'names nobody any more';
    };
}

subtest 'a hot restart, with a log' => sub {
    my ($process, $port) = start('-w', 2, '--access-log', $LOG);
    is owner('log'), $THEIRS, 'the log is the user\'s';
    body($port);
    wait_until { read_file('log') =~ /^GET$/m } 'a line in the log';
    $process->signal('USR1');
    $process->signal('USR2');
    my $new = successor($process);
    unlike $process->stderr, qr/Cannot/, 'nothing is refused';
    my ($word, $pid, $ids) = split ' ', body($port), 3;
    like $ids, qr/\A$NOBODY[2]:$NOBODY[2]:/, 'it serves as the user';
    await_end($new);
    is read_file('pid'), '', 'the pid file names nobody any more';
};

subtest 'a log that is somebody else\'s stays so' => sub {
    unlink $LOG;
    write_file('log', '');
    chown 1, 1, $LOG;
    my ($process) = start('--access-log', $LOG);
    is owner('log'), '1 1', 'as it was';
    is ends($process), 0, 'exit status';
};

subtest 'a link to a file of root\'s gives nothing away' => sub {
    unlink $LOG;
    write_file('secret', '');
    symlink 'secret', $LOG or die $!;
    my ($process) = start('--access-log', $LOG);
    is owner('secret'), '0 0', 'it is root\'s';
    is ends($process), 0, 'exit status';
};

done_testing;

# --user, where the pid file, the socket and the log are in a directory of root's
# (contract 07 section 10)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Client;
use Test::PAGI::Command qw(app_text await_end command ends file mine read_file write_file);
use Test::PAGI::Loop    qw(wait_until);

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

sub ask { return Test::PAGI::Client->connect_tcp(port => $_[0])->get('/')->body }

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
    ask($port);
    wait_until { read_file('log') =~ /^GET$/m } 'a line in the log';
    $process->signal('USR1');
    my $old = $process->pid;
    $process->signal('USR2');
    wait_until {
        die $process->stderr if $process->stderr =~ /ended before/;
        $process->has_ended && read_file('pid')  =~ /\A(?!$old)\d+\n/
    }
    'the successor';
    my $new = read_file('pid') + 0;
    mine($new);
    unlike $process->stderr, qr/Cannot/, 'nothing is refused';
    my ($word, $pid, $ids) = split ' ', ask($port), 3;
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

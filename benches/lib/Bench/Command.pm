package Bench::Command;
use strict;
use warnings;

# Runs a program to its end, but not for longer than it may take.

use Bench::Home qw(HOME);
use Exporter    qw(import);
use POSIX       ();

our @EXPORT_OK = qw(first_line output setup);

# output(SECONDS, WORDS...): (wait status, standard output and error together). Dies when the
# program is still running after SECONDS; it is then killed.
sub output {
    my ($seconds, @command) = @_;
    my $pid = open(my $pipe, '-|') // die "cannot fork: $!\n";
    _become(@command) if !$pid;

    my $text     = '';
    my $finished = eval {
        local $SIG{ALRM} = sub { die "late\n" };
        alarm $seconds;
        local $/;
        $text = <$pipe> // '';
        alarm 0;
        1;
    };
    my $error = $@;
    alarm 0;
    kill KILL => $pid if !$finished;
    close $pipe;
    my $status = $?;
    return ($status, $text) if $finished;
    die $error eq "late\n" ? "$command[0] took longer than $seconds s\n" : $error;
}

# The first line of what a program says, or '' when it fails; for versions.
sub first_line {
    my (@command) = @_;
    my ($status, $text) = output(30, @command);
    return $status ? '' : (split /\n/, $text)[0] // '';
}

# Runs benches/setup for the named parts; what could not be had is skipped later, by name.
sub setup {
    my (@parts) = @_;
    return system HOME . '/setup', @parts;
}

sub _become {
    my (@command) = @_;
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
    open STDIN, '<', '/dev/null';
    open STDERR, '>&', \*STDOUT;
    no warnings 'exec';
    exec { $command[0] } @command or print "cannot run $command[0]: $!\n";
    POSIX::_exit(127);
}

1;

package Bench::Procfs;
use strict;
use warnings;

# What Linux's /proc says about a process and its descendants.

use Exporter qw(import);
use POSIX    ();

our @EXPORT_OK = qw(cpu_seconds resident_kib started_at tree);

use constant TICKS => POSIX::sysconf(POSIX::_SC_CLK_TCK());

# proc_pid_stat(5), counted from the field after the command's name.
use constant { STATE => 0, PPID => 1, UTIME => 11, CSTIME => 14, STARTTIME => 19 };

# The pid and the pids of all its living descendants, parents first.
sub tree {
    my ($root) = @_;
    my %children;
    for my $pid (map { m{^/proc/(\d+)$} } glob '/proc/[0-9]*') {
        my @stat = _stat($pid) or next;
        push @{ $children{ $stat[PPID] } }, $pid;
    }
    my @tree = ($root);
    for (my $i = 0; $i < @tree; $i++) {
        push @tree, sort { $a <=> $b } @{ $children{ $tree[$i] } || [] };
    }
    return @tree;
}

# User and system time of the whole tree, children that were reaped included.
sub cpu_seconds {
    my ($root) = @_;
    my $ticks = 0;
    for my $pid (tree($root)) {
        my @stat = _stat($pid) or next;
        $ticks += $_ for @stat[UTIME .. CSTIME];
    }
    return $ticks / TICKS;
}

# Resident memory of one process. The roll-up is exact; statm may lag behind by some pages for
# each thread.
sub resident_kib {
    my ($pid) = @_;
    for my $file ("/proc/$pid/smaps_rollup", "/proc/$pid/status") {
        return $1 if _slurp($file) =~ /^(?:Rss|VmRSS):\s+(\d+) kB/m;
    }
    return 0;
}

# Tells a process from a later one with the same pid; undef when there is none, or a zombie.
sub started_at {
    my ($pid) = @_;
    my @stat = _stat($pid);
    return @stat && $stat[STATE] ne 'Z' ? $stat[STARTTIME] : undef;
}

sub _stat {
    my ($pid) = @_;
    return _slurp("/proc/$pid/stat") =~ /^.*\) (.*)/s ? split ' ', $1 : ();
}

sub _slurp {
    my ($file) = @_;
    open my $handle, '<', $file or return '';
    local $/;
    return scalar(<$handle>) // '';
}

1;

package Bench::Rounds;
use strict;
use warnings;

# Measures several servers side by side: all are up, and in each round each of them has its turn,
# so that what the machine does to one it does to its neighbours as well.

use Bench::Command qw(output);
use Bench::Home    qw(HOME);
use Bench::Load    qw(wrk);
use Bench::Probe   qw(keeps_alive);
use Bench::Servers ();

use constant WARM_UP => 1;    # seconds; wrk knows no fractions

# new(rows => [rows of Bench::Servers], seconds => N, rounds => N, connections => N,
#     ceiling => BOOLEAN, say => sub)
sub new {
    my ($class, %args) = @_;
    return bless { %args, results => [], skipped => [], ceilings => [] }, $class;
}

# Starts, measures and stops. Returns ($results, $skipped, $ceilings): a hash for each server with
# name, what, version, idle, loaded (lists of KiB), keeps_alive, samples ([{requests, rate, cpu},
# ...]), errors and complaint; [name, reason] for those that were skipped or FAILED to start; and
# the application's own CPU per call, once for each round.
sub run {
    my ($self) = @_;
    $self->_start($_)   for @{ $self->{rows} };
    $self->_warm_up($_) for @{ $self->{results} };
    for my $round (1 .. $self->{rounds}) {
        $self->{say}->("round $round of $self->{rounds}");
        $self->_measure($_) for _rotated($round, @{ $self->{results} });
        $self->_ceiling if $self->{ceiling};
    }
    $self->_stop($_) for @{ $self->{results} };
    return @{$self}{qw(results skipped ceilings)};
}

# The application alone, in a perl of its own: CPU in microseconds per call.
sub _ceiling {
    my ($self) = @_;
    my @command = ($^X, HOME . '/ceiling.pl', '--seconds', 1, HOME . '/apps/hello.pl');
    my ($status, $text) = output(60, @command);
    my ($cpu) = $text =~ m{([\d.]+) us CPU per call};
    return $self->{say}->("  ceiling.pl failed: $text") if !defined $cpu;
    push @{ $self->{ceilings} }, $cpu;
    $self->{say}->(sprintf '  %-8s %33.1f us CPU/call', 'ceiling', $cpu);
}

sub _start {
    my ($self, $row) = @_;
    my $reason = Bench::Servers::missing($row);
    return $self->_skip($row, "skipped: $reason") if $reason;
    my $process = eval { Bench::Servers::start($row) };
    return $self->_skip($row, "FAILED: $@") if !$process;
    push @{ $self->{results} },
        {
        %{$row}{qw(name what)},
        process     => $process,
        version     => $row->{version}->() || '?',
        idle        => [$process->resident_kib],
        keeps_alive => keeps_alive($process->port, $row->{complete}),
        errors      => 0,
        complaint   => '',
        samples     => [],
        };
}

sub _skip {
    my ($self, $row, $reason) = @_;
    push @{ $self->{skipped} }, [$row->{name}, _one_line($reason)];
    $self->{say}->("$row->{name}: $self->{skipped}[-1][1]");
}

sub _warm_up {
    my ($self, $result) = @_;
    my $load = wrk($result->{process}->port, $self->{connections}, WARM_UP);
    _note_errors($result, $load);
}

sub _measure {
    my ($self, $result) = @_;
    my $process = $result->{process};
    my $cpu     = $process->cpu_seconds;
    my $load    = wrk($process->port, $self->{connections}, $self->{seconds});
    $cpu = $process->cpu_seconds - $cpu;
    _note_errors($result, $load);
    push @{ $result->{samples} },
        {
        requests => $load->{requests},
        rate     => $load->{rate},
        cpu      => 1e6 * $cpu / $load->{requests},
        };
    $self->{say}->(
        sprintf '  %-8s %8.0f requests/s, %6.1f us CPU/request',
        $result->{name}, $load->{rate}, $result->{samples}[-1]{cpu}
    );
}

sub _stop {
    my ($self, $result) = @_;
    my $process = delete $result->{process};
    $result->{loaded} = [$process->resident_kib];
    $process->stop;
}

sub _note_errors {
    my ($result, $load) = @_;
    return if !$load->{errors};
    $result->{errors} += $load->{errors};
    $result->{complaint} = join '; ', grep { length } @{$result}{'complaint'}, $load->{complaint};
}

# Nobody is always first.
sub _rotated {
    my ($round, @list) = @_;
    return if !@list;
    my $first = ($round - 1) % @list;
    return @list[$first .. $#list, 0 .. $first - 1];
}

sub _one_line {
    my ($text) = @_;
    $text =~ s/\s+/ /g;
    $text =~ s/ $//;
    return $text;
}

1;

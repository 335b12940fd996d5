package Bench::Report;
use strict;
use warnings;

# Figures as Markdown.

use Bench::Command qw(first_line);
use Exporter       qw(import);
use List::Util     qw(max min);
use POSIX          ();

our @EXPORT_OK = qw(
    hello_report machine median publish table thousands verdict verdict_least
);

# Issue 2: CPU per request of the first divided by that of the second, and what it may be.
my @RATIOS = (
    [ours     => 'bare', 2.5],
    [ours     => 'granian', 1.0],
    [ours     => 'starman', 0.25],
    [ours     => 'uvicorn', undef],
    [ours     => 'twiggy', undef],
    [ours     => 'feersum', undef],
    [ours     => 'ceiling', undef],
    [stream10 => 'ours', 2.0],
);

use constant IDLE_MIB => 25;    # issue 2: an idle process of ours stays under this

# The whole report of benches/hello. %run: seconds, rounds, connections, ceilings ([us per call
# of hello.pl, one for each round]).
sub hello_report {
    my ($results, $skipped, %run) = @_;
    my %by_name = map { $_->{name} => $_ } @$results;
    $by_name{ceiling} = { samples => [map { { cpu => $_ } } @{ $run{ceilings} }] };
    return join "\n", "# Hello over $run{connections} keep-alive connections", '',
        machine(), '',
        "$run{rounds} rounds of $run{seconds} s for each server, interleaved; wrk with one thread."
        . ' Medians; absolute figures are noisy, ratios less so.', '',
        _servers($results, \%by_name), '',
        (map { "* $_->[0]: $_->[1]" } @$skipped), '',
        "## CPU per request, as ratios within each round", '', _ratios(\%by_name), '',
        _idle($by_name{ours}), _errors($results), '';
}

# One line about where the figures come from.
sub machine {
    my ($cpus, $model) = (0, 'unknown CPU');
    if (open my $info, '<', '/proc/cpuinfo') {
        while (my $line = <$info>) {
            $cpus++ if $line =~ /^processor\s*:/;
            $model = $1 if $line =~ /^model name\s*:\s*(.*)/;
        }
    }
    my ($system, undef, $release) = POSIX::uname();
    return sprintf '%s: %s, %d cores, %s %s, perl %vd, %s.',
        POSIX::strftime('%Y-%m-%d', gmtime), $model, $cpus, $system, $release, $^V,
        first_line('rustc', '--version') || 'no rustc';
}

sub _servers {
    my ($results, $by_name) = @_;
    my @rows = map { _server($_, $by_name->{bare}) } @$results;
    return table(
        [
            'server', 'what', 'version', 'requests/s (noisy)', 'CPU us/request (noisy)',
            'CPU / bare', 'RSS idle MiB', 'RSS after MiB', 'keep-alive', 'errors'
        ],
        @rows
    );
}

sub _server {
    my ($result, $bare) = @_;
    my ($ratio) = $bare ? _spread($result, $bare) : ();
    return [
        @{$result}{qw(name what version)},
        thousands(median(map { $_->{rate} } @{ $result->{samples} })),
        sprintf('%.1f', median(map { $_->{cpu} } @{ $result->{samples} })),
        defined $ratio ? sprintf '%.2f', $ratio : '-',
        _mib(@{ $result->{idle} }),
        _mib(@{ $result->{loaded} }),
        $result->{keeps_alive} ? 'yes' : 'no',
        thousands($result->{errors}),
    ];
}

sub _ratios {
    my ($by_name) = @_;
    my @rows;
    for my $ratio (@RATIOS) {
        my ($above, $below, $target) = @$ratio;
        my ($middle, $least, $most)  = _spread(@{$by_name}{ $above, $below });
        push @rows,
            [
            "$above / $below",
            defined $middle ? sprintf('%.2f', $middle)               : '-',
            defined $middle ? sprintf('%.2f to %.2f', $least, $most) : '-',
            defined $target ? "at most $target"                      : '-',
            verdict($middle, $target),
            ];
    }
    return table(['ratio', 'median', 'rounds', 'target', ''], @rows);
}

# Median, least and most of the rounds' ratios; nothing when either was not measured.
sub _spread {
    my ($above, $below) = map { $_ ? $_->{samples} : [] } @_;
    my $last = min($#$above, $#$below);
    return if $last < 0;
    my @ratios = map { $above->[$_]{cpu} / $below->[$_]{cpu} } 0 .. $last;
    return (median(@ratios), min(@ratios), max(@ratios));
}

sub _idle {
    my ($ours) = @_;
    return 'Idle memory of ours: not measured.' if !$ours;
    my $mib = max(@{ $ours->{idle} }) / 1024;
    return sprintf 'Idle memory of ours: %.1f MiB resident, target under %d: %s.', $mib, IDLE_MIB,
        verdict($mib, IDLE_MIB);
}

sub _errors {
    my ($results) = @_;
    my @bad = grep { $_->{errors} } @$results;
    return '', 'No errors.' if !@bad;
    return '', map { "* $_->{name}: $_->{complaint}" } @bad;
}

# To standard output, and into the file if one is named.
sub publish {
    my ($text, $file) = @_;
    print $text, "\n";
    return if !defined $file;
    open my $handle, '>', $file or die "$file: $!\n";
    print {$handle} $text, "\n";
    close $handle or die "$file: $!\n";
}

sub verdict {
    my ($value, $target) = @_;
    return 'not measured' if !defined $value;
    return ''             if !defined $target;
    return $value <= $target ? 'met' : sprintf 'MISSED by %.0f %%', 100 * ($value / $target - 1);
}

# Of what must not be less than its target.
sub verdict_least {
    my ($value, $target) = @_;
    return $value >= $target ? 'met' : sprintf 'MISSED by %.0f %%', 100 * (1 - $value / $target);
}

sub median {
    my @sorted = sort { $a <=> $b } @_;
    return if !@sorted;
    return ($sorted[$#sorted / 2] + $sorted[@sorted / 2]) / 2;
}

# A Markdown table with aligned columns; what looks like a number stands to the right.
sub table {
    my ($head, @rows) = @_;
    my (@widths, @right);
    for my $i (0 .. $#$head) {
        my @cells = map { $_->[$i] } @rows;
        $widths[$i] = max(3, map { length } $head->[$i], @cells);
        $right[$i]  = !grep { !/^[-\d.,+ ]+$/ } @cells;
    }
    my $line = sub {
        my @cells = @{ $_[0] };
        return
            '| '
            . join(' | ', map { _pad($cells[$_], $widths[$_], $right[$_]) } 0 .. $#cells) . ' |';
    };
    my @rule = map { $right[$_] ? '-' x ($widths[$_] - 1) . ':' : '-' x $widths[$_] } 0 .. $#$head;
    return join "\n", map { $line->($_) } $head, \@rule, @rows;
}

sub _pad {
    my ($text, $width, $right) = @_;
    return sprintf $right ? '%*s' : '%-*s', $width, $text;
}

sub thousands {
    my ($number) = @_;
    my $text = sprintf '%.0f', $number;
    1 while $text =~ s/^(-?\d+)(\d{3})/$1,$2/;
    return $text;
}

# One figure for each process.
sub _mib {
    my (@kib) = @_;
    return join ' + ', map { sprintf '%.1f', $_ / 1024 } @kib;
}

1;

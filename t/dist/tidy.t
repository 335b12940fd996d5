# All Perl is as perltidy writes it with .perltidyrc. A gate for those who change things.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Tree qw(is_checkout perl_files root slurp);

skip_all 'not a checkout' if !is_checkout();
if (!eval { require Perl::Tidy; 1 }) {
    die 'perltidy is not installed' if $ENV{PAGI_GATES};
    skip_all 'perltidy is not installed';
}

for my $path (perl_files()) {
    my $code = slurp($path);
    utf8::encode($code);
    my $failed = Perl::Tidy::perltidy(
        argv        => [],
        perltidyrc  => root() . '/.perltidyrc',
        source      => \$code,
        destination => \my $tidy,
        stderr      => \my $complaints,
        errorfile   => \my $errors,
    );
    my ($lines, $wanted) = map { [split /^/] } $code, $tidy // '';
    my ($first) = grep { ($lines->[$_] // '') ne ($wanted->[$_] // '') } 0 .. $#$lines;
    ok !$failed && $code eq $tidy, $path
        or diag $complaints // '', $errors // '',
        defined $first
        ? 'line ' . (1 + $first) . ": $lines->[$first]  wanted: " . ($wanted->[$first] // '')
        : '';
}

done_testing;

# What the server says is in a manual: the texts of errors, warnings and log lines, as the source has
# them. What stands for a value there is a word in capitals, or an example, in the manual.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Tree qw(code_of files line_of modules pod_of slurp);

my $MANUALS = join "\n", map { pod_of($_) } files('lib', qr/\.(?:pm|pod)\z/), 'bin/pagi-server';
$MANUALS =~ s/[A-Z]<+\s*(?:[^<>|]*\|)?([^<>]*?)\s*>+/$1/g;
$MANUALS =~ s/\s+/ /g;

# Where Perl says something: the level of a line, or what dies and warns, and a string
my $PERL = qr{
    \b(?: (?: die | croak | warn | _say | _complain | _refuse ) \b [\s(]*
         | (?: debug | info | warn | error ) \b '? \s* (?: => | , ) \s* )
    (?<quote>["']) (?<text>(?:\\.|(?!\k<quote>).)*) \k<quote>
}xs;

# And Rust: whole sentences
my $RUST = qr{" (?<text> [A-Z][\w/]*[ ](?:\\.|[^"\\])+ ) "}xs;

# What is told to nobody but programmers of this distribution
my $APART = qr/\AInvalid fact /;

# A pattern for a text, or nothing where too little of it is fixed. A value may be anything short.
sub pattern_of {
    my ($text) = @_;
    $text =~ s/(?:\\n)+\z//;
    $text =~ s/\\\n\s*/ /g;           # a Rust string that goes on in the next line
    $text =~ s/\\n.*//s;
    $text =~ s/\\(["'\\\$\@])/$1/g;
    my $value  = "\0";
    my $braces = qr/\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}/;
    $text =~ s/\@$braces/$value/g;
    $text =~ s/\$\$(?!\w)|\$[!@\d]|\$(?:\w+|$braces)(?:(?:->)?(?:$braces|\[[^\]]*\]))*/$value/g;
    $text =~ s/$braces|%\.?\d*[sdf]/$value/g;
    $text =~ s/\s+/ /g;
    $text =~ s/\A $|\A $//;
    return if length($text =~ s/[\0\W]//gr) < 10;
    return join '.{0,60}?', map { quotemeta } split /\0+/, $text, -1;
}

sub missing {
    my ($path, $code, $says) = @_;
    my @missing;
    while ($code =~ /$says/g) {
        my ($text, $at) = ($+{text}, $-[0]);
        next if $text =~ $APART;
        my $pattern = pattern_of($text) // next;
        push @missing, line_of($path, $code, $at) . ": $text" if $MANUALS !~ /$pattern/;
    }
    return @missing;
}

subtest 'Perl' => sub {
    my @missing = map { missing($_, code_of($_), $PERL) } modules();
    is scalar @missing, 0, "every text is in a manual" or diag join "\n", @missing;
};

subtest 'the core' => sub {
    my @said = grep { !m{/(?:wire/h1/phrase|config|transport/tls/cipher|\w*tests)\b} }
        files('rust/src', qr/\.rs\z/);
    my @missing;
    for my $path (@said) {
        my $code = slurp($path) =~ s/^\#\[cfg\(test\)\]\nmod .*//smr;
        $code =~ s{^\s*//.*$}{}gm;
        $code =~ s/^\s*(?:debug_assert|panic|unreachable|assert)\w*!\(.*?\);$//gms;
        push @missing, missing($path, $code, $RUST);
    }
    is scalar @missing, 0, "every text is in a manual" or diag join "\n", @missing;
};

done_testing;

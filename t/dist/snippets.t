# Code in the manuals, beyond each SYNOPSIS: every piece compiles, under strict.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future::AsyncAwait;
use Test2::V0;
use Test::PAGI::Tree qw(files pod_of);

# What a piece of Perl begins with, among tables, texts, commands and configurations
my $BEGINS = qr/
    (?: my | our | use | await | return | async | sub | print | for | if | die | package | local
      | logger\ =>
      | [\$\@%]\w+ (?: \s* = | -> | \{ )
      | \$self | PAGI::[\w:]+->\w+ )
    \b?
/x;

# Of Perl the beginning, but a text, or a file of something else
my $OTHER = qr/\A\s*(?:\$\s|PAGI::Server->configure\b|die\ \w+\ )/;

# Verbatim paragraphs that belong together
sub blocks {
    my ($pod) = @_;
    my @blocks = '';
    for my $paragraph (split /\n{2,}/, $pod) {
        if    ($paragraph =~ /\A[ \t]/) { $blocks[-1] .= "$paragraph\n\n" }
        elsif (length $blocks[-1])      { push @blocks, '' }
    }
    return grep { length } @blocks;
}

sub is_perl {
    my ($block) = @_;
    my ($first) = grep { /\S/ && !/\A\s*#/ } split /\n/, $block;
    return 0 if !defined $first || $block =~ $OTHER;
    return $first =~ /\A\s+$BEGINS/ && $block =~ /[;{},]\s*(?:#.*)?$/m;
}

# A piece as a program: in a sub that may await and return, with variables of the reader's.
sub program {
    my ($block, $number) = @_;
    my %used = map { $_ => 1 } $block =~ /([\$\@%][a-z_]\w*)/gi;
    $used{"\@$_"} = 1 for $block =~ /\$([a-z]\w*)\[/g;
    $used{"%$_"}  = 1 for $block =~ /\$([a-z]\w*)\{/g;
    delete @used{ qw($a $b $_ @_ @ARGV %ENV @INC $send), map { "\$$_" } 1 .. 9 };
    my $mine = join ', ', sort(keys %used), '$send';
    $block =~ s/^\s*\$ .*//mgs;                        # commands that follow
    $block =~ s/^(\s*)\.{3}(?=\s*(?:#.*)?$)/$1;/mg;    # what is left out
    $block = "my %piece = ($block);" if $block =~ /\A\s*\w+ =>/;
    return "package Snippet$number; use strict; no warnings; use Future::AsyncAwait;\n"
        . "my ($mine);\nno warnings;\nreturn async sub {\n#line 1\n$block\n};\n";
}

my $number = 0;
for my $path ('README.pod', files('lib', qr/\.(?:pm|pod)\z/), 'bin/pagi-server') {
    my @pieces = grep { is_perl($_) } blocks(pod_of($path)) or next;
    subtest $path => sub {
        for my $block (@pieces) {
            # Whether a variable outlives its sub is no question for a piece of a program.
            local $SIG{__WARN__} = sub { };
            my $code      = eval program($block, ++$number);
            my $reason    = $@;
            my ($missing) = $reason =~ /^Can't locate (\S+)\.pm in \@INC/;
            if ($missing && $missing !~ /^PAGI/) { note "piece $number needs $missing" }
            else { ok $code, "piece $number" or diag $reason, $block }
        }
    };
}
cmp_ok $number, '>', 100, "there are many ($number)";

done_testing;

package Test::PAGI::Tree;

# The distribution as a tree of files, for the tests in t/dist.

use strict;
use warnings;

use Carp       qw(croak);
use Cwd        qw(abs_path);
use Exporter   qw(import);
use File::Find qw(find);
use FindBin;

our @EXPORT_OK = qw(
    root is_checkout files perl_files modules module_name slurp code_of pod_of line_of
);

my ($ROOT) = grep { -e "$_/Makefile.PL" } map { abs_path("$FindBin::Bin/$_") } qw(. .. ../..);

sub root { return $ROOT // croak 'this test is not in the distribution' }

# Not an unpacked release: some gates are for those who change things.
sub is_checkout { return !-e root() . '/META.json' }

# Paths from the root, sorted, of the files below a directory that match.
sub files {
    my ($directory, $pattern) = @_;
    my @files;
    my %how = (
        no_chdir   => 1,
        preprocess => sub {
            grep { !/\A(?:\..*|target)\z/ } @_;
        },
        wanted => sub { push @files, $_ if -f },
    );
    find(\%how, root() . "/$directory");
    return sort grep { $_ =~ $pattern } map { substr $_, 1 + length root() } @files;
}

sub perl_files {
    my @everything = map { files($_, qr//) } qw(lib bin t examples benches script);
    return grep { /\.(?:pm|pl|t|PL|psgi)\z/ || slurp($_) =~ /\A#!.*\bperl\b/ } 'Makefile.PL',
        @everything;
}

sub modules { return files('lib', qr/\.pm\z/) }

sub module_name {
    my ($path) = @_;
    return $path =~ s{\Alib/|\.pm\z}{}gr =~ s{/}{::}gr;
}

sub slurp {
    my ($path) = @_;
    open my $fh, '<:encoding(UTF-8)', root() . "/$path" or croak "$path: $!";
    local $/;
    return scalar <$fh>;
}

# Perl without its manual, its end and whole-line comments; lines keep their numbers.
sub code_of {
    my ($path) = @_;
    my $code   = slurp($path) =~ s/^__(?:END|DATA)__\n.*//smr;
    $code =~ s/^(=[a-zA-Z].*?(?:^=cut\b[^\n]*\n|\z))/"\n" x $1 =~ tr{\n}{}/gsme;
    return $code =~ s/^\s*#.*$//gmr;
}

# The manual alone.
sub pod_of {
    my ($path) = @_;
    return join "\n", slurp($path) =~ /^(=[a-zA-Z].*?)(?:^=cut\b|\z)/gsm;
}

# path:line of a place in a text.
sub line_of {
    my ($path, $text, $at) = @_;
    return "$path:" . (1 + substr($text, 0, $at) =~ tr/\n//);
}

1;

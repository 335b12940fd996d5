# What is released is what building, testing and reading it needs, and nothing else.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use ExtUtils::Manifest qw(maniread);
use Test2::V0;
use Test::PAGI::Tree qw(files is_checkout root);

chdir root() or die $!;

# In a checkout there is no MANIFEST; it would be what this prints.
my @listed = is_checkout() ? split /\n/, qx{"$^X" script/manifest} : sort keys %{ maniread() };
my $files  = { map { $_ => 1 } @listed };

subtest 'needed' => sub {
    my @needed = (
        qw(Cargo.lock Cargo.toml Changes LICENSE Makefile.PL README.pod rust/build.rs script/vendor),
        files('bin', qr{[^~]\z}),
        files('examples', qr{[^~]\z}),
        files('lib', qr{\.(?:pm|pod)\z}),
        files('rust/src', qr{\.rs\z}),
        files('t', qr{\.(?:t|pm)\z}),
        files('xs', qr{\.(?:c|h|xs)\z}),
    );
    is [grep { !$files->{$_} } @needed], [], 'is in';
    is [grep { !-e } grep { $_ ne 'MANIFEST' } @listed], [], 'is there';
};

subtest 'needless' => sub {
    my $needless =
        qr{(?:^|/)(?:target|blib|\.git|\.work|core)(?:/|\z)|\.(?:so|o|bak|tdy|tar\.gz)\z};
    is [grep { $_ =~ $needless && !m{\Avendor/} } @listed], [], 'is out';
};

# Whoever adds a file that the release needs, adds it to git as well.
subtest 'in git' => sub {
    skip_all 'not a checkout' if !is_checkout() || !$ENV{PAGI_GATES};
    my %tracked = map { $_ => 1 } split /\n/, qx{git -c safe.directory='*' ls-files};
    skip_all 'git does not tell' if !%tracked;
    is [grep { !$tracked{$_} && $_ ne 'MANIFEST' } @listed], [], 'all of it';
};

subtest 'the crates' => sub {
    skip_all 'a checkout has none' if is_checkout();
    ok $files->{'.cargo/config.toml'}, 'cargo is told where they are';
    ok scalar(grep { m{\Avendor/tokio/src/} } @listed), 'and they are there';
};

done_testing;

# Every module loads by itself, and all of the distribution is of one version.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test2::V0;
use Test::PAGI::Tree qw(modules module_name root slurp);

my ($VERSION) = slurp('lib/PAGI/Server.pm') =~ /^our \$VERSION = '([0-9.]+)';/m;

subtest 'modules' => sub {
    for my $module (map { module_name($_) } modules()) {
        ok lives { (my $file = "$module.pm") =~ s{::}{/}g; require $file }, "$module loads"
            or diag $@;
        is $module->VERSION, $VERSION, "$module has the version of PAGI::Server";
    }
};

subtest 'every module loads without the others' => sub {
    for my $module (map { module_name($_) } modules()) {
        my $error = do {
            local $ENV{PERL5LIB} = join ':', grep { !ref } @INC;
            qx{"$^X" -we "require $module" 2>&1};
        };
        is [$?, $error], [0, ''], $module;
    }
};

subtest 'one version' => sub {
    my ($major, $minor, $patch) = $VERSION =~ /\A([0-9]+)\.([0-9]{3})([0-9]{3})\z/;
    my $cargo = join '.', map { 0 + $_ } $major, $minor, $patch;
    like slurp('Cargo.toml'), qr/^version = "\Q$cargo\E"$/m, 'Cargo.toml';
    like slurp('rust/src/lib.rs'), qr/\bVERSION: &str = "\Q$VERSION\E";/, 'rust/src/lib.rs';
    like slurp('Changes'), qr/^\Q$VERSION\E\b/m, 'Changes';
};

done_testing;

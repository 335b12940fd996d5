# Architecture, "Layers": who calls the compiled half. (rust/tests/layers.rs: the Rust side.)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Tree qw(code_of files line_of module_name modules slurp);

# Modules that may call functions of PAGI::Server::Core.
my $CALLERS = qr/\APAGI::Server::(?:
    Core | Options | TLS | AccessLog | Dispatch | Stream | Connection | ConnectionState
    | TransportState
    | Protocol::.+
)\z/x;

# PAGI::Server itself, its serving half, starts a core and calls the methods of that object.
my $METHODS_ONLY = qr/\APAGI::Server(?:::Serving)?\z/;

# What the C half names of Perl's.
my $NAMED_IN_C = qr/"(PAGI::Server::\w+)::(\w+)"/;

sub places {
    my ($path, $pattern) = @_;
    my $code = code_of($path);
    my @places;
    push @places, line_of($path, $code, $-[0]) . ": $&" while $code =~ /$pattern/g;
    return @places;
}

subtest 'functions of the core' => sub {
    my @wrong;
    for my $path (modules()) {
        my $module = module_name($path);
        next if $module =~ $CALLERS;
        my $allowed = $module =~ $METHODS_ONLY ? qr/(?!;|->)/ : qr//;
        push @wrong, places($path, qr/\bPAGI::Server::Core\b$allowed.*/);
    }
    is \@wrong, [], 'are called by those who may';
};

subtest 'the object' => sub {
    my $loaders = qr/\b(?:XSLoader|DynaLoader)\b.*/;
    my @others  = grep { !m{\Alib/PAGI/Server/Core\.pm\z} } modules(), 'bin/pagi-server';
    is [map { places($_, $loaders) } @others], [], 'is loaded by PAGI::Server::Core alone';
};

subtest 'calls from C' => sub {
    my %named;
    for my $path (files('xs', qr/\.(?:c|xs)\z/)) {
        my $code = slurp($path);
        $named{$1}{$2} = $path while $code =~ /$NAMED_IN_C/g;
    }
    ok scalar keys %named, 'there are some';
    for my $module (sort keys %named) {
        ok eval "require $module; 1", "$module is there" or diag $@;
        ok $module->can($_), "${module}::$_, which $named{$module}{$_} calls"
            for grep { !/\A(?:_guts|[A-Z]+)\z/ } sort keys %{ $named{$module} };
    }
};

done_testing;

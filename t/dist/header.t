# xs/pagi_core.h says the same as rust/src/ffi: functions, structures and numbers.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Tree qw(files slurp);

# C's name for what the core calls otherwise.
my %STRUCT = (
    Text       => 'pagi_text',
    Owned      => 'pagi_owned',
    RawPair    => 'pagi_pair',
    RawValue   => 'pagi_value',
    FieldRow   => 'pagi_field_row',
    EventRow   => 'pagi_event_row_t',
    OptionRow  => 'pagi_option_row_t',
    Setting    => 'pagi_setting',
    RawArrival => 'pagi_arrival',
    RawAdopted => 'pagi_adopted',
    ScopeValue => 'pagi_scope_value',
    RawEvent   => 'pagi_event',
    RawHead    => 'pagi_head',
    RawChunks  => 'pagi_chunks',
    RawLogInfo => 'pagi_log_info',
    RawReport  => 'pagi_report',
);

my %NUMBER = (
    u8    => 'uint8_t',
    u16   => 'uint16_t',
    u32   => 'uint32_t',
    i32   => 'int32_t',
    i64   => 'int64_t',
    usize => 'size_t',
    isize => 'ptrdiff_t',
    f64   => 'double',
    '()'  => 'void',
);

# Where an enum of C has its numbers in Rust: in rust/src/ffi as a module of its name (pagi_did is
# "mod did"), or here.
my %NUMBERS_OF = (
    pagi_arrival_kind => 'mod kind',
    pagi_ended        => 'enum Ended',
    pagi_field_kind   => ['rust/src/event/value.rs', 'enum Kind'],
    pagi_news         => 'impl News',
    pagi_scope_kind   => ['rust/src/event/scope.rs', 'enum Kind'],
);

# Names that C spells otherwise than Rust, or that Rust does without.
my %SPELLED = (CLIENT_GONE => 'GONE');
my %ONLY_C  = (WRONG       => 'what the core does not know is wrong');

my $HEADER = slurp('xs/pagi_core.h') =~ s{/\*.*?\*/}{}gsr;
my $RUST   = join "\n", map { slurp($_) =~ s{//.*$}{}gmr } files('rust/src/ffi', qr/\.rs\z/);

# ---- C ----

# "const char *name" => "pointer"; arrays of C are not pointers.
sub c_type {
    my ($declaration) = @_;
    return 'pointer' if $declaration =~ /\*/;
    my ($type) = $declaration =~ /\A\s*(?:const\s+)?(\w+)/;
    return $type . ($declaration =~ /(\[.*\])/ ? $1 : '');
}

sub c_functions {
    my %functions;
    while ($HEADER =~ /^((?:const\s+)?\w+\s*\*?)\s*(pagi_\w+)\(([^)]*)\);/gm) {
        my ($returns, $name, $parameters) = ($1, $2, $3);
        my @types = map { c_type($_) } grep { $_ ne 'void' } split /\s*,\s*/, $parameters;
        $functions{$name} = [c_type($returns), @types];
    }
    return \%functions;
}

sub c_structs {
    my %structs;
    while ($HEADER =~ /typedef struct \{(.*?)\}\s*(\w+);/gs) {
        my ($fields, $name) = ($1, $2);
        $structs{$name} = [map { c_fields($_) } split /\s*;\s*/, $fields];
    }
    return \%structs;
}

# "pagi_text name, kind" is two.
sub c_fields {
    my ($declaration) = @_;
    my ($type, @more) = split /\s*,\s*/, $declaration;
    return (c_type($type // return), map { c_type($type =~ s/\w+\z/$_/r) } @more);
}

sub c_enums {
    my %enums;
    while ($HEADER =~ /enum (\w+) \{(.*?)\};/gs) {
        my ($name, $body) = ($1, $2);
        $enums{$name} = { $body =~ /PAGI_(\w+) = (\d+)/g };
    }
    return \%enums;
}

# ---- Rust ----

sub rust_type {
    my ($type) = @_;
    return 'pointer'                   if $type =~ /\A(?:\*(?:const|mut)|&)/;
    return rust_type($1) . "[PAGI_$2]" if $type =~ /\A\[(\w+); (\w+)\]\z/;
    return $NUMBER{$type} // $STRUCT{$type} // "unknown: $type";
}

sub rust_functions {
    my %functions;
    while ($RUST =~ /fn (pagi_\w+)\(([^)]*)\)\s*->\s*([^{]*?),\s[^,]*,\s*\{/g) {
        my ($name, $parameters, $returns) = ($1, $2, $3);
        my @types = map { s/\A\s*\w+:\s*//r } grep { /\S/ } split /\s*,\s*/, $parameters;
        $functions{$name} = [map { rust_type(s/\s+\z//r) } $returns, @types];
    }
    return \%functions;
}

sub rust_structs {
    my %structs;
    while ($RUST =~ /#\[repr\(C\)\].*?struct (\w+) \{(.*?)\n\}/gs) {
        my ($name, $fields) = ($1, $2);
        $structs{ $STRUCT{$name} // $name } =
            [map { rust_type($_) } $fields =~ /^\s*pub \w+:\s*(.*?),?\s*$/gm];
    }
    return \%structs;
}

# A block's NAME = NUMBER, with the names as C writes them.
sub rust_numbers {
    my ($block, @paths) = @_;
    my ($body) = map { slurp($_) =~ m/^\s*(?:pub )?\Q$block\E \{(.*?)^\s*\}/ms } @paths;
    my %numbers = ($body // '') =~ /(\w+)(?:: \w+)? = (\d+)[,;]/g;
    return { map { uc(s/(?<=[a-z])(?=[A-Z])/_/gr) => $numbers{$_} } keys %numbers };
}

# ---- the same? ----

sub same {
    my ($c, $rust, $what) = @_;
    ok scalar keys %$c, "there are $what in C";
    is [sort keys %$c], [sort keys %$rust], "the same $what";
    is $c->{$_}, $rust->{$_}, $_ for grep { $rust->{$_} } sort keys %$c;
}

# An enum of C with Rust's names.
sub plain {
    my ($enum) = @_;
    my %plain = map { s/\A(?:FIELD|SCOPE)_//r => $enum->{$_} } grep { !$ONLY_C{$_} } keys %$enum;
    return { map { $SPELLED{$_} // $_ => $plain{$_} } keys %plain };
}

subtest 'functions' => sub { same(c_functions(), rust_functions(), 'functions') };

subtest 'structures' => sub { same(c_structs(), rust_structs(), 'structures') };

subtest 'numbers' => sub {
    my $enums = c_enums();
    for my $name (sort keys %$enums) {
        my $where = $NUMBERS_OF{$name} // $name =~ s/\Apagi_/mod /r;
        my ($path, $block) = ref $where ? @$where : (undef, $where);
        my @paths = $path // files('rust/src', qr/\.rs\z/);
        is plain($enums->{$name}), rust_numbers($block, @paths), "$name is $block";
    }
    my ($most) = $HEADER =~ /PAGI_MAX_FIELDS (\d+)/;
    like slurp('rust/src/event/mod.rs'), qr/MAX_FIELDS: usize = $most;/, 'PAGI_MAX_FIELDS';
};

done_testing;

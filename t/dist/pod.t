# The manuals: well-formed, complete, and in step with the tables they describe.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use PAGI::Server::Options;
use Pod::Checker;
use Test2::V0;
use Test::PAGI::Process;
use Test::PAGI::Tree qw(code_of files module_name modules pod_of root slurp);

# What no reader of a manual looks for.
my %OBVIOUS = map { $_ => 1 } qw(CLONE CLONE_SKIP DESTROY import);

# Documented as a heading or an item.
sub names {
    my ($pod) = @_;
    my @titles = $pod =~ /^=(?:head[234]|item)\s+(.*?)\s*$/gm;
    return map { $_ => 1 } map { /[\w.:]+/g } @titles;
}

my $MANUALS = join "\n", map { pod_of($_) } files('lib', qr/\.(?:pm|pod)\z/);

subtest 'every module has a manual' => sub {
    for my $path (modules()) {
        my ($pod, $module) = (pod_of($path), module_name($path));
        like $pod, qr/^=head1 NAME\n\n\Q$module\E - \S/m, "$module: name and purpose";
        my %named = names($pod);
        my @subs  = grep { !/\A_/ && !$OBVIOUS{$_} } code_of($path) =~ /^\s*sub\s+(\w+)/gm;
        is [grep { !$named{$_} } @subs], [], "$module: every public function";
    }
};

subtest 'well-formed' => sub {
    for my $path (files('lib', qr/\.(?:pm|pod)\z/), 'bin/pagi-server', glob_root('*.pod')) {
        my $checker = Pod::Checker->new(-warnings => 1);
        open my $out, '>', \my $complaints or die $!;
        $checker->parse_from_file(root() . "/$path", $out);
        is [$checker->num_errors || 0, $checker->num_warnings || 0], [0, 0], $path
            or diag $complaints;
    }
};

# Pod::Checker takes them for text.
subtest 'commands have an empty line before and after' => sub {
    for my $path (files('lib', qr/\.(?:pm|pod)\z/), 'bin/pagi-server', glob_root('*.pod')) {
        my $pod = pod_of($path);
        my @bad = $pod =~ /[^\n]\n(=[a-z]\w+[^\n]*)\n/g;
        push @bad, $pod =~ /^(=(?:head\d|item|over|back)\b[^\n]*)\n(?!\n|\z)/gm;
        is \@bad, [], $path;
    }
};

# Where a name of a file may lead: from the root, or below one of these
my @PLACES = ('', map { "$_/" } qw(t rust/src rust/src/transport lib/PAGI/Server t/security rust));

sub is_there {
    my ($name) = @_;
    return 1 if $name =~ /\*/;
    for my $place (@PLACES) {
        return 1 if grep { -e root() . "/$place$name$_" } '', qw(.t .rs .pm .pl);
    }
    return 0;
}

# A table of Compliance has names like http/scope: those that begin as a directory of ours does.
sub names_in_tables {
    my ($pod) = @_;
    my @words = map { m{(?<![\w/.:])([a-z]\w*/[a-z][\w/-]*\w)(?![\w/])}g } $pod =~ /^(    .*)$/gm;
    return grep {
        my ($directory) = m{\A(\w+)/};
        -d root() . "/t/$directory" || -d root() . "/rust/src/$directory";
    } @words;
}

subtest 'files that manuals name' => sub {
    my $elsewhere = qr{\A(?:/|rust/fuzz/target|\.work|auto/|blib|target)};
    for my $path (files('lib', qr/\.(?:pm|pod)\z/), glob_root('*.pod')) {
        my $pod   = pod_of($path);
        my @names = grep { m{/} && $_ !~ $elsewhere } $pod =~ m{F<([\w./*-]+)>}g;
        push @names, names_in_tables($pod) if $path =~ /Compliance/;
        my %seen;
        is [grep { !$seen{$_}++ && !is_there($_) } @names], [], $path;
    }
};

subtest 'options' => sub {
    my %named = names(pod_of('lib/PAGI/Server.pm'));
    is [grep { !$named{$_} } PAGI::Server::Options->names], [], 'are in the manual of PAGI::Server';
    is [grep { !$_->{doc} } PAGI::Server::Options->rows], [], 'say in a sentence what they are for';
};

subtest 'flags' => sub {
    my $process = Test::PAGI::Process->start(
        command => [Test::PAGI::Process::perl_command(root() . '/bin/pagi-server', '--help')]);
    is $process->wait_exit, 0, 'pagi-server --help';
    my $help   = $process->stdout;
    my $manual = pod_of('bin/pagi-server');
    for my $flag (map { @{ $_->{flags} } } PAGI::Server::Options->cli_spec) {
        my $dashed = length $flag > 1 ? "--$flag"                   : "-$flag";
        my $shown  = length $flag > 1 ? qr/--(?:\[no-\])?\Q$flag\E/ : qr/-$flag/;
        ok $help   =~ /(?:^|\s)$shown\b/m, "$dashed is in the help";
        ok $manual =~ /B<\Q$dashed\E>/, "$dashed is in the manual of pagi-server";
    }
    my @shown   = $help =~ /^\s+(?:-\w, )?--(?:\[no-\])?([\w-]+)/gm;
    my @missing = grep { $manual !~ /B<--\Q$_\E>/ } @shown;
    is \@missing, [], 'every flag of the help is in the manual';
};

subtest 'events' => sub {
    my @events = PAGI::Server::Core::event_rows();
    ok scalar @events, 'there are some';
    for my $event (@events) {
        my $name = ref $event eq 'HASH' ? $event->{name} : $event;
        ok $MANUALS =~ /\b\Q$name\E\b/, $name;
    }
};

subtest 'disconnect reasons' => sub {
    my ($table) = slurp('rust/src/error.rs') =~ /^reasons! \{(.*?)^\}/ms;
    my @tokens = ($table // '') =~ /= "(\w+)",/g;
    ok scalar @tokens, 'there are some';
    ok $MANUALS =~ /\b\Q$_\E\b/, $_ for @tokens;
};

subtest 'responses of the server itself' => sub {
    my ($table) = slurp('rust/src/wire/refusal.rs') =~ /^refusals! \{(.*?)^\}/ms;
    my @rows = ($table // '') =~ /= (\d+),\s*"([^"]*)"/g;
    ok scalar @rows, 'there are some';
    my $words = $MANUALS =~ s/\s+/ /gr;
    while (my ($status, $text) = splice @rows, 0, 2) {
        ok $words =~ /\b$status\b/, "$status";
        ok $words =~ /\Q$text\E/, $text;
    }
};

sub glob_root {
    my ($pattern) = @_;
    opendir my $directory, root() or die $!;
    return grep { /\.pod\z/ } sort readdir $directory;
}

done_testing;

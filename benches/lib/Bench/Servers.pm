package Bench::Servers;
use strict;
use warnings;

# The servers that are compared, as a table: how each is started, and why it cannot be.

use Bench::Command qw(first_line output);
use Bench::Home    qw(HOME TOP WORK);
use Bench::Process;
use Exporter         qw(import);
use Text::ParseWords qw(shellwords);

our @EXPORT_OK = qw(choose missing names parts start);

use constant {
    APPS     => HOME . '/apps',
    BARE     => WORK . '/target/release/bare',
    VENV     => WORK . '/venv/bin',
    GREETING => 'Hello, World!',
};

# A whole response as it stands on the wire; and its body.
my %HELLO  = (body => GREETING, complete      => qr/\r\n\r\n.*Hello, World!\z/s);
my %STREAM = (body => GREETING x 10, complete => qr/\r\n0\r\n\r\n\z/);

# setup and program: the part of benches/setup that installs it, and what must exist then;
# missing: a reason not to start it, for a server that is not installed but built.
my @SERVERS = (
    {
        name    => 'ours',
        what    => 'PAGI::Server, hello.pl',
        missing => \&_not_built,
        command => sub { _ours($_[0], 'hello.pl') },
        env     => { PAGI_ENV => 'production' },
        version => \&_ours_version,
        %HELLO,
    },
    {
        name    => 'stream10',
        what    => 'PAGI::Server, stream10.pl: 10 chunks',
        missing => \&_not_built,
        command => sub { _ours($_[0], 'stream10.pl') },
        env     => { PAGI_ENV => 'production' },
        version => \&_ours_version,
        %STREAM,
    },
    {
        name    => 'bare',
        what    => 'tokio + httparse, no Perl',
        setup   => 'bare',
        program => BARE,
        command => sub { (BARE, $_[0]) },
        version => sub { _locked('tokio') },
        %HELLO,
    },
    {
        name    => 'granian',
        what    => 'Rust core, ASGI, uvloop, 1 worker',
        setup   => 'python',
        program => VENV . '/granian',
        command => \&_granian,
        version => sub { _pip('granian') },
        %HELLO,
    },
    {
        name    => 'uvicorn',
        what    => 'httptools + uvloop, ASGI, 1 worker',
        setup   => 'python',
        program => VENV . '/uvicorn',
        command => \&_uvicorn,
        version => sub { _pip('uvicorn') },
        %HELLO,
    },
    {
        name    => 'starman',
        what    => 'prefork, PSGI, 1 worker',
        setup   => 'perl',
        program => 'starman',
        command => sub { _psgi('starman', $_[0], 'hello.psgi', qw(--workers 1)) },
        version => sub { _module('Starman') },
        %HELLO,
    },
    {
        name    => 'twiggy',
        what    => 'AnyEvent, PSGI',
        setup   => 'perl',
        program => 'twiggy',
        command => sub { _psgi('twiggy', $_[0], 'hello.psgi') },
        version => sub { _module('Twiggy') },
        %HELLO,
    },
    {
        name    => 'feersum',
        what    => 'libev in C, PSGI',
        setup   => 'perl',
        program => 'feersum',
        command => sub { _psgi('feersum', $_[0], 'hello-close.psgi') },
        version => sub { _module('Feersum') },
        %HELLO,
    },
);

sub names {
    return map { $_->{name} } @SERVERS;
}

# The rows with the given names, in the table's order; all when none is given.
sub choose {
    my (@names) = @_;
    my %known   = map  { $_ => 1 } names();
    my @unknown = grep { !$known{$_} } @names;
    die "no server '@unknown'; there are: @{[names()]}\n" if @unknown;
    my %wanted = map { $_ => 1 } @names ? @names : names();
    return grep { $wanted{ $_->{name} } } @SERVERS;
}

# Why the server cannot be started here, or undef.
sub missing {
    my ($server) = @_;
    return $server->{missing}->() if $server->{missing};
    my $program = $server->{program};
    my @places  = $program =~ m{/} ? $program : map { "$_/$program" } split /:/, $ENV{PATH};
    return if grep { -x } @places;
    return "$program is not installed (benches/setup $server->{setup})";
}

# The parts of benches/setup that the servers need.
sub parts {
    my (@servers) = @_;
    my %parts = map { $_->{setup} => 1 } grep { $_->{setup} } @servers;
    return sort keys %parts;
}

# Starts the server; %more: wrapper => words to put before its command, env, ready_time.
sub start {
    my ($server, %more) = @_;
    my @wrapper = @{ delete $more{wrapper} || [] };
    my %env     = (%{ $server->{env} || {} }, %{ delete $more{env} || {} });
    return Bench::Process->start(
        name    => $server->{name},
        body    => $server->{body},
        env     => \%env,
        cwd     => TOP,
        log     => WORK . "/logs/$server->{name}.log",
        command => sub { (@wrapper, $server->{command}->($_[0])) },
        %more,
    );
}

# The words that start pagi-server, without its arguments.
sub ours_command {
    return shellwords($ENV{PAGI_SERVER_CMD}) if $ENV{PAGI_SERVER_CMD};
    return ($^X, _includes(), 'bin/pagi-server');
}

sub _ours {
    my ($port, $app) = @_;
    return (ours_command(), qw(-q --no-access-log -p), $port, APPS . "/$app");
}

sub _ours_version {
    return first_line(ours_command(), '--version') =~ /(\S+)\)\s*$/ ? $1 : '';
}

# blib when it was built, else lib.
sub _includes {
    return -e TOP . '/blib/arch/auto/PAGI/Server/Server.so'
        ? ('-I' . TOP . '/blib/lib', '-I' . TOP . '/blib/arch')
        : '-I' . TOP . '/lib';
}

# PAGI::Server must load from this checkout, not from an installation.
sub _not_built {
    return if $ENV{PAGI_SERVER_CMD};
    my $load = 'require PAGI::Server; print $INC{"PAGI/Server.pm"}, "\n"';
    my ($status, $text) = output(60, $^X, _includes(), '-e', $load);
    my $top = quotemeta TOP;
    return if !$status && $text =~ /^$top/m && -e TOP . '/bin/pagi-server';
    my ($why) = $status ? split /\n/, $text : "PAGI::Server found at $text";
    $why =~ s/\(you may need.*//;
    return "the server is not built here (perl Makefile.PL && make): $why";
}

sub _granian {
    my ($port) = @_;
    return (
        VENV . '/granian', qw(--interface asgi --workers 1 --loop uvloop --no-log --no-ws),
        qw(--http 1 --working-dir), APPS, qw(--host 127.0.0.1 --port), $port, 'hello:app'
    );
}

sub _uvicorn {
    my ($port) = @_;
    return (
        VENV . '/uvicorn', qw(--workers 1 --loop uvloop --http httptools --ws none),
        qw(--no-access-log --log-level critical --app-dir), APPS,
        qw(--host 127.0.0.1 --port), $port, 'hello:app'
    );
}

sub _psgi {
    my ($program, $port, $app, @options) = @_;
    return ($program, @options, qw(-E deployment --listen), "127.0.0.1:$port", APPS . "/$app");
}

sub _locked {
    my ($crate) = @_;
    my (undef, $text) = output(10, 'cat', HOME . '/bare/Cargo.lock');
    return $text =~ /^name = "\Q$crate\E"\nversion = "(.*)"/m ? "$crate $1" : '';
}

sub _pip {
    my ($package) = @_;
    my $code = "import importlib.metadata as m; print(m.version('$package'))";
    return first_line(VENV . '/python', '-c', $code);
}

# The peers from Debian run under Debian's perl, which need not be ours.
sub _module {
    my ($module) = @_;
    return first_line('/usr/bin/perl', "-M$module", '-e', "print $module->VERSION");
}

1;

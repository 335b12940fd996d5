package Bench::Sockets;
use strict;
use warnings;

# The servers of benches/websocket as rows of Bench::Servers, and the load for them.

use Bench::Command qw(first_line output);
use Bench::Home    qw(HOME WORK);
use Bench::Servers;
use Exporter   qw(import);
use IPC::Open2 ();

our @EXPORT_OK = qw(echoes hold load sockets);

use constant {
    APPS     => HOME . '/apps',
    TOOL     => WORK . '/target/release/wsbare',
    VENV     => WORK . '/venv/bin',
    PATIENCE => 60,
};

# For those who hold many connections; the peers know no such limit.
use constant MOST => 10_000;

my ($HELLO) = Bench::Servers::choose('ours');

my @SERVERS = (
    {
        %$HELLO,
        name    => 'ours',
        what    => 'PAGI::Server, echo.pl',
        command => sub {
            my ($port) = @_;
            return (
                Bench::Servers::ours_command(), qw(-q --no-access-log --max-connections), MOST,
                '-p', $port, APPS . '/echo.pl'
            );
        },
    },
    {
        name    => 'bare',
        what    => 'tokio-tungstenite, no Perl',
        setup   => 'wsbare',
        program => TOOL,
        command => sub { (TOOL, 'serve', $_[0]) },
        version => sub { _locked('tokio-tungstenite') },
    },
    (
        map {
            my $library = $_;
            {
                name    => "uvicorn-$library",
                what    => "$library + uvloop, ASGI, 1 worker",
                setup   => 'python',
                program => VENV . '/uvicorn',
                command => sub { _uvicorn($library, @_) },
                version => sub { _pip('uvicorn') . ', ' . _pip($library) },
            }
        } qw(websockets wsproto)
    ),
    {
        name    => 'granian',
        what    => 'Rust core, ASGI, uvloop, 1 worker',
        setup   => 'python',
        program => VENV . '/granian',
        command => \&_granian,
        version => sub { _pip('granian') },
    },
    {
        name    => 'mojolicious',
        what    => 'Mojo::Server::Daemon, EV',
        setup   => 'mojolicious',
        program => '/usr/share/perl5/Mojolicious.pm',
        missing => sub { -e '/usr/share/perl5/Mojolicious.pm' ? undef : 'not installed' },
        command => sub {
            my ($port) = @_;
            return (
                '/usr/bin/perl', APPS . '/echo-mojo.pl', qw(daemon -m production -c 10000 -l),
                "http://127.0.0.1:$port"
            );
        },
        version => sub {
            first_line('/usr/bin/perl', '-MMojolicious', '-e', 'print Mojolicious->VERSION');
        },
    },
);

# The rows with the given names; all when none is given.
sub sockets {
    my (@names) = @_;
    my %wanted  = map { $_ => 1 } @names;
    return map { { body => 'Hello, World!', env => {}, %$_ } }
        grep { !@names || $wanted{ $_->{name} } } @SERVERS;
}

# Messages a second and the 50th and 99th percentile of their times in milliseconds.
sub load {
    my ($port, $connections, $bytes, $seconds) = @_;
    my ($status, $text) =
        output($seconds + PATIENCE, TOOL, 'load', $port, $connections, $bytes, $seconds);
    my ($count, $time, $p50, $p99) = $text =~ /\A(\d+) ([\d.]+) (\d+) (\d+)\n\z/;
    die "the load generator failed: $text\n" if $status || !$count;
    return { count => $count, rate => $count / $time, p50 => $p50 / 1000, p99 => $p99 / 1000 };
}

# Exactly so many messages, a multiple of CONNECTIONS, within SECONDS.
sub echoes {
    my ($port, $connections, $bytes, $messages, $seconds) = @_;
    die "$messages messages are no multiple of $connections\n" if $messages % $connections;
    my @arguments = ($port, $connections, $bytes, $seconds, $messages / $connections);
    my ($status, $text) = output($seconds + PATIENCE, TOOL, 'load', @arguments);
    my ($count) = $text =~ /\A(\d+) /;
    die "the load generator failed: $text\n" if $status || !$count;
    return { errors => $messages - $count, complaint => "$count came back" };
}

# Opens connections; code that closes them.
sub hold {
    my ($port, $connections) = @_;
    my $pid = IPC::Open2::open2(
        my $out, my $in, 'sh', '-c',
        'ulimit -n 20000; exec "$@"', 'sh', TOOL, 'hold', $port, $connections
    );
    my $line = <$out> // '';
    die "the connections could not be opened: $line\n" if $line ne "open\n";
    return sub { close $in; waitpid $pid, 0 };
}

sub _uvicorn {
    my ($library, $port) = @_;
    return (
        VENV . '/uvicorn', qw(--workers 1 --loop uvloop --http httptools --ws), $library,
        qw(--ws-ping-interval 3600 --no-access-log --log-level critical --app-dir), APPS,
        qw(--host 127.0.0.1 --port), $port, 'echo:app'
    );
}

sub _granian {
    my ($port) = @_;
    return (
        VENV . '/granian', qw(--interface asgi --workers 1 --loop uvloop --no-log --ws),
        qw(--http 1 --working-dir), APPS, qw(--host 127.0.0.1 --port), $port, 'echo:app'
    );
}

sub _locked {
    my ($crate) = @_;
    my (undef, $text) = output(10, 'cat', HOME . '/wsbare/Cargo.lock');
    return $text =~ /^name = "\Q$crate\E"\nversion = "(.*)"/m ? $1 : '';
}

sub _pip {
    my ($package) = @_;
    my $code = "import importlib.metadata as m; print(m.version('$package'))";
    return "$package " . first_line(VENV . '/python', '-c', $code);
}

1;

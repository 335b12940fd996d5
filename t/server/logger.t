# The option logger: every line that a server has to say, in one process and in many
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future::AsyncAwait;
use Test2::V0;
use IO::Async::OS;
use IO::Async::Stream;
use PAGI::Server;
use PAGI::Server::Connection;
use PAGI::Server::Log;
use PAGI::Server::Runner;
use Test::PAGI::App;
use Test::PAGI::Client;
use Test::PAGI::Loop qw(test_loop wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Process;
use Test::PAGI::Server;

# A logger, and the lines that it was told.
sub logger {
    my @lines;
    return (sub { push @lines, "$_[0]: $_[1]"; return }, \@lines);
}

subtest 'a log with a logger' => sub {
    my ($logger, $lines) = logger();
    my $log = PAGI::Server::Log->new(level => 'warn', logger => $logger);
    is warnings { $log->log($_ => "a $_ line") for qw(debug info warn error) }, [],
        'nothing warned';
    is $lines, ['warn: a warn line', 'error: a error line'], 'what the level lets through';
    @$lines = ();
    $log->quiet(1);
    $log->log($_ => 'x') for qw(warn error);
    is $lines, ['error: x'], 'quiet';

    my $bad = PAGI::Server::Log->new(logger => sub { die "no disk\n" });
    local $@ = 'mine';
    is warnings { $bad->log(info => 'a line') }, ["a line\nlogger error: no disk\n"],
        'a logger that dies: nothing is lost';
    is $@, 'mine', '$@ is that of the caller';
};

subtest 'is a function' => sub {
    for my $value ('x', {}, [], 1) {
        like dies {
            PAGI::Server->new(app => sub { }, logger => $value)
        },
            qr/\AInvalid value '.*' for option 'logger': must be a code reference$/, "'$value'";
    }
};

# What goes wrong, by the path of the request: in the server's own turn, and in one of the loop's.
my %WRONG = (
    '/now'   => async sub { die "right away\n" },
    '/later' => async sub { await test_loop()->delay_future(after => 0); die "no luck\n" },
    '/state' => async sub {
        my ($scope, $receive, $send) = @_;
        $scope->{'pagi.connection'}->on_complete(sub { die "callback\n" });
        await reply($send, 'ok');
    },
    '/long' => async sub {
        my ($scope, $receive, $send) = @_;
        await test_loop()->delay_future(after => 0);
        my @headers = (['content-length', 2]);
        await $send->({ type => 'http.response.start', status => 200, headers => \@headers });
        await $send->({ type => 'http.response.body', body    => 'too long' });
    },
);

my %LINE = (
    '/now'   => qr/\Aerror: PAGI application error.*: right away\z/,
    '/later' => qr/\Aerror: PAGI application error.*: no luck\z/,
    '/state' => qr/\Aerror: on_complete callback error: callback\z/,
    '/long'  => qr/\Awarn: PAGI application sent more body bytes .*dropped\z/,
);

for_each_transport {
    my ($on) = @_;
    my ($logger, $lines) = logger();

    with_server {
        my ($t) = @_;
        like $lines->[-1], qr/\Ainfo: PAGI Server listening on \S+ \(.*\)\z/, 'the banner';
        @$lines = ();
        for my $path (sort keys %LINE) {
            $t->get($path);
            wait_until { @$lines } "the line of $path";
            like $lines, [$LINE{$path}], "the line of $path";
            @$lines = ();
        }
        $t->server->configure(quiet => 1);
        $t->get('/now');
        wait_until { @$lines } 'the line';
        like $lines, [$LINE{'/now'}], 'quiet hides no failure of the application';
    }
    on        => $on, app => http_app { $WRONG{ $_[0]{path} }->(@_) }, logger => $logger,
        quiet => 0;
}
accepts => 1;

subtest 'notes of the core' => sub {
    my ($logger, $lines) = logger();
    with_server {
        my ($t) = @_;
        my $held = $t->client;
        $held->get('/');
        my $refused = $t->client;
        $refused->read_until_eof;
        is [grep { /rejected/ } @$lines], ['warn: Connection rejected: at capacity (1/1)'], 'one';
        $t->server->configure(log_level => 'error');
        $t->client->read_until_eof;
        is [grep { /rejected/ } @$lines], ['warn: Connection rejected: at capacity (1/1)'],
            'log_level holds';
    }
    app => hello(), logger => $logger, max_connections => 1, quiet => 0;
};

subtest 'configure' => sub {
    my ($logger, $lines) = logger();
    my ($other, $later)  = logger();
    with_server {
        my ($t) = @_;
        my $get = sub { my $client = $t->client; $client->get($_[0]); $client->close };
        $get->('/one');
        $t->server->configure(logger => $other);
        $get->('/two');
        $t->server->configure(logger => undef);
        $get->('/three');
        is [map { /(\w+)\z/ } @$lines], ['one'], 'the first';
        is [map { /(\w+)\z/ } @$later], ['two'], 'another';
        is [map { /(\w+)$/ } $t->take_warnings], ['three'], 'none: warnings again';
    }
    app => http_app { die substr($_[0]{path}, 1) . "\n" }, logger => $logger, quiet => 1;
};

subtest 'two servers in one loop' => sub {
    my @logs    = map { [logger()] } 1, 2;
    my @names   = qw(first second);
    my $failing = http_app { my $name = $_[0]{path}; return Future->fail("$name\n") };
    with_server {
        my ($one) = @_;
        with_server {
            my ($two) = @_;
            $_->get('/' . $_->port) for $one, $two, $one;
            is [map { scalar @{ $_->[1] } } @logs], [2, 1], 'each has its own lines';
            like $logs[1][1][0], qr{: /@{[$two->port]}\z}, 'the right ones';
        }
        app => $failing, logger => $logs[1][0], quiet => 1;
    }
    app => $failing, logger => $logs[0][0], quiet => 1;
};

subtest 'a connection by itself' => sub {
    my ($logger, $lines) = logger();
    my ($served, $peer)  = IO::Async::OS->socketpair('unix', 'stream');
    my $stream = IO::Async::Stream->new(handle => $served, on_read => sub { 0 });
    test_loop()->add($stream);
    PAGI::Server::Connection->new(
        stream => $stream,
        app    => async sub { die "alone\n" },
        logger => $logger,
    )->start;
    my $client = Test::PAGI::Client->new($peer);
    is $client->get('/')->status, 500, 'an error';
    is $lines, ['error: PAGI application error: alone'], 'the line';
};

subtest 'disable_tls' => sub {
    my ($logger, $lines) = logger();
    PAGI::Server->new(app => sub { }, ssl => {}, disable_tls => 1, logger => $logger);
    is $lines, ['warn: PAGI::Server: TLS disabled via disable_tls option, ssl config ignored'],
        'the line of the constructor';
};

subtest 'workers' => sub {
    my $program = <<'END';
use Future::AsyncAwait;
use PAGI::Server;
my $app = async sub {
    my ($scope, $receive, $send) = @_;
    die "not that\n" if $scope->{type} ne 'http';
    die "from a worker\n";
};
PAGI::Server->new(
    app => $app, port => 0, workers => 1, access_log => undef,
    logger => sub { syswrite STDOUT, "<$$ $_[0] $_[1]>\n" },
)->run;
END
    my $process =
        Test::PAGI::Process->start(command => [Test::PAGI::Process::perl_command('-e', $program)]);
    my $port   = $process->wait_for(out => qr{<\d+ info PAGI Server .*? http://[^:]+:(\d+)/});
    my $master = $process->wait_for(out => qr{<(\d+) info PAGI Server .*? listening on });
    my $client = Test::PAGI::Client->connect_tcp(port => $port);
    is $client->get('/')->status, 500, 'asked';
    my $worker = $process->wait_for(out => qr/<(\d+) error PAGI application error: from a worker>/);
    isnt $worker, $master, 'a line of a worker';
    $client->close;
    $process->signal('HUP');
    my $same =
        $process->wait_for(out => qr/<(\d+) info Received HUP, performing graceful restart>/);
    is $same, $master, 'a line of the master';
    $process->signal('TERM');
    $process->wait_exit;
    is $process->stderr, '', 'nothing is warned';
};

subtest 'a runner' => sub {
    my ($logger, $lines) = logger();
    my $runner = PAGI::Server::Runner->new(server_options => { logger => $logger, socket => '/x' });
    $runner->_parse_app_args('x');
    $runner->{host} = 'h';
    $runner->_address;
    is $lines, [
        "warn: Ignoring argument without '=': x",
        'warn: Ignoring --host with --socket or --listen',
        ],
        'its own lines';
};

done_testing;

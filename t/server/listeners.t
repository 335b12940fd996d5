# Where a server listens: several sockets at once, Unix sockets, inherited ones
# (contract 07 sections 7 and 8)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp;
use IO::Socket::INET;
use IO::Socket::UNIX;
use PAGI::Server;
use PAGI::Server::Inherited;
use PAGI::Server::Sockets;
use POSIX  ();
use Socket qw(AF_INET6 SOCK_STREAM inet_pton pack_sockaddr_in6);
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Client;
use Test::PAGI::Loop qw(test_loop wait_until);
use Test::PAGI::Process;
use Test::PAGI::Server;

my $DIRECTORY = File::Temp->newdir;
my @NO_TCP    = (without => [qw(host port)]);

delete @ENV{qw(PAGI_REUSE LISTEN_FDS LISTEN_PID LISTEN_FDNAMES)};

sub path { return "$DIRECTORY/$_[0].sock" }
sub mode { return sprintf '%04o', (stat $_[0])[2] & 07777 }

sub over_unix { return Test::PAGI::Client->connect_unix($_[0])->get('/') }

sub failure {
    my (%options) = @_;
    my $server = PAGI::Server->new(app => hello(), quiet => 1, access_log => undef, %options);
    test_loop()->add($server);
    my $listening = $server->listen;
    wait_until { $listening->is_ready } 'listen';
    test_loop()->remove($server);
    return $listening->failure;
}

sub tcp_v6 {
    my ($port) = @_;
    socket my $fh, AF_INET6, SOCK_STREAM, 0                           or die "socket: $!";
    connect $fh, pack_sockaddr_in6($port, inet_pton(AF_INET6, '::1')) or die "connect: $!";
    return Test::PAGI::Client->new($fh);
}

my $HAS_V6 = eval {
    socket my $fh, AF_INET6, SOCK_STREAM, 0                    or die;
    bind $fh, pack_sockaddr_in6(0, inet_pton(AF_INET6, '::1')) or die;
};

# Where a name means IPv6 first, or nothing (a machine without /etc/hosts), the address is used.
my ($error, $first) = Socket::getaddrinfo('localhost', 0, { socktype => SOCK_STREAM });
my $LOCALHOST = !$error && $first->{family} == Socket::AF_INET() ? 'localhost' : '127.0.0.1';

subtest 'several at once: TCP over IPv4 and IPv6, and a Unix socket' => sub {
    my $path = path('several');
    my @v6   = $HAS_V6 ? ({ host => '[::1]', port => 0 }, { host => '::1', port => 0 }) : ();
    my @scopes;
    my $app = http_app {
        my ($scope, $receive, $send) = @_;
        push @scopes, $scope;
        return reply($send, 'ok');
    };
    with_server {
        my ($t) = @_;
        my @ports = map { $_->{port} } @{ $t->server->listeners };
        is $t->get('/')->body, 'ok', 'IPv4';
        is over_unix($path)->body, 'ok', 'Unix';
        is $scopes[1]{server}, [$path, undef], 'its scope tells the path';
        ok !exists $scopes[1]{client}, 'and of no client';
        is $t->server->port, $ports[0], 'port is that of the first';
        is $t->server->socket_path, $path, 'socket_path';

        for my $n ($HAS_V6 ? (2, 3) : ()) {
            is tcp_v6($ports[$n])->get('/')->body, 'ok', 'IPv6';
            is $scopes[-1]{server}, ['::1', $ports[$n]], 'its scope';
        }
    }
    @NO_TCP,
        app    => $app,
        listen => [{ host => $LOCALHOST, port => 0 }, { socket => $path }, @v6];
    ok !-e $path, 'the file is gone afterwards';
};

subtest 'a Unix socket' => sub {
    my $path = path('mode');
    open my $stale, '>', $path or die $!;
    my $umask = umask;
    with_server {
        my ($t) = @_;
        is over_unix($path)->status, 200, 'takes the place of a file';
        is mode($path), '0660', 'has the mode that it shall have';
        is umask, $umask, 'the umask is what it was';
        is $t->server->port, undef, 'no port';
    }
    @NO_TCP, app => hello(), socket => $path, socket_mode => 0660;
    ok !-e $path, 'is removed';
    with_server {
        is mode($path), '0600', 'without a mode it is open to nobody else';
    }
    @NO_TCP, app => hello(), socket => $path;
};

subtest 'in a spec of listen a false socket is none' => sub {
    for my $none ('', 0, undef) {
        my %spec      = (socket => $none, host => '127.0.0.1', port => 0);
        my @listeners = @{ PAGI::Server->new(app => hello(), listen => [\%spec])->listeners };
        is \@listeners, [{ type => 'tcp', host => '127.0.0.1', port => 0 }], 'host and port count';
        is $spec{socket}, $none, 'what was given is as it was';
    }
};

subtest 'a Unix socket that cannot be' => sub {
    like failure(socket => "$DIRECTORY/none/x.sock"),
        qr{\ACannot create Unix socket \Q$DIRECTORY\E/none/x\.sock: No such file}, 'no directory';
    like failure(socket => "$DIRECTORY/" . 'x' x 200),
        qr{\ACannot create Unix socket \S+: File name too long}, 'a name that is too long';
    my $path = path('alive');
    my $live = IO::Socket::UNIX->new(Local => $path, Listen => 1) or die $!;
    like failure(socket => $path), qr/\ACannot create Unix socket \S+: Address already in use/,
        'one that another server accepts on is not stolen';
    ok -S $path, 'and its file stays';
};

subtest 'a file that is not ours any more stays' => sub {
    my $path = path('taken');
    with_server {
        unlink $path;
        open my $other, '>', $path or die $!;
    }
    @NO_TCP, app => hello(), socket => $path;
    ok -e $path, 'there';
};

subtest 'a port that is taken, a host that is not ours' => sub {
    my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die $!;
    my $port  = $taken->sockport;
    is failure(host => '127.0.0.1', port => $port),
        "Cannot create listening socket on 127.0.0.1:$port: Address already in use\n", 'taken';
    like failure(host => '192.0.2.1', port => 0),
        qr/\ACannot create listening socket on 192\.0\.2\.1:0: \S/, 'not ours';
    my $path = path('first');
    like failure(listen => [{ socket => $path }, { host => '127.0.0.1', port => $port }]),
        qr/in use/, 'the second of two';
    ok !-e $path, 'takes the first along';
};

subtest 'PAGI_REUSE' => sub {
    my $tcp   = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 9) or die $!;
    my $port  = $tcp->sockport;
    my $path  = path('inherited');
    my $unix  = IO::Socket::UNIX->new(Local     => $path, Listen       => 9) or die $!;
    my $extra = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 9) or die $!;
    open my $file, '<', $0 or die $!;
    my @fds = map { POSIX::dup(fileno $_) } $tcp, $unix, $extra, $file;
    local $ENV{PAGI_REUSE} = "junk,127.0.0.1:$port:$fds[0],unix:$path:$fds[1],127.0.0.1:1:$fds[2]"
        . ",127.0.0.1:2:$fds[3],127.0.0.1:3:999";
    with_server {
        my ($t)    = @_;
        my @warned = grep { /inherited fd/i } $t->take_warnings;
        my @want   = (
            "Reusing inherited fd $fds[0] for 127.0.0.1:$port (source: pagi_reuse)\n",
            "Reusing inherited fd $fds[1] for unix:$path (source: pagi_reuse)\n",
            "Inherited fd $fds[2] (127.0.0.1:1) does not match any listener spec "
                . "\xe2\x80\x94 closing\n",
        );
        is \@warned, \@want, 'what the log says';
        ok POSIX::fstat($fds[3]), 'what is no socket is left alone';
        is [map { $_->{_inherited} } @{ $t->server->listeners }], [1, 1], '_inherited';
        is $t->get('/')->status, 200, 'serves TCP';
        is over_unix($path)->status, 200, 'serves the Unix socket';
    }
    @NO_TCP, app => hello(), quiet => 0,
        listen   => [{ host => '127.0.0.1', port => $port }, { socket => $path }];
    ok -S $path, 'an inherited socket keeps its file';
};

subtest 'what a server opens is in PAGI_REUSE while it listens' => sub {
    local $ENV{PAGI_REUSE} = undef;
    delete $ENV{PAGI_REUSE};
    my $path = path('registered');
    with_server {
        my ($t) = @_;
        my $port = $t->port;
        like $ENV{PAGI_REUSE}, qr/(?:\A|,)127\.0\.0\.1:$port:\d+(?:,|\z)/, 'TCP';
        like $ENV{PAGI_REUSE}, qr/(?:\A|,)unix:\Q$path\E:\d+(?:,|\z)/, 'Unix';
    }
    @NO_TCP, app => hello(),
        listen   => [{ host => '127.0.0.1', port => 0 }, { socket => $path }];
    is $ENV{PAGI_REUSE} // '', '', 'and not afterwards';
};

sub collect {
    my @log;
    my $found = PAGI::Server::Inherited->collect(sub { push @log, "$_[0] $_[1]" });
    return ($found, @log);
}

subtest 'systemd' => sub {
    local @ENV{qw(LISTEN_PID LISTEN_FDS LISTEN_FDNAMES)} = ($$ + 1, 1, 'x');
    is [collect()], [{}], 'for another process: nothing';
    is [@ENV{qw(LISTEN_PID LISTEN_FDS LISTEN_FDNAMES)}], [undef, undef, undef], 'but removed';
    my $code = <<'PERL';
        use IO::Socket::INET; use POSIX (); use PAGI::Server::Inherited;
        my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1);
        POSIX::dup2(fileno $s, 3) if fileno $s != 3;
        POSIX::dup2(0, 4);
        @ENV{qw(LISTEN_PID LISTEN_FDS)} = ($$, 2);
        my $found = PAGI::Server::Inherited->collect(sub { print "$_[0] $_[1]\n" });
        my $key = '127.0.0.1:' . $s->sockport;
        print join(' ', %{$found->{$key}}{qw(fd type source)}), "\n" if $found->{$key};
        print join(',', grep { /LISTEN/ } keys %ENV), "\n";
PERL
    my $process = Test::PAGI::Process->start(code => $code);
    $process->wait_exit;
    is $process->stdout,
        "warn Cannot getsockname on inherited fd 4: Socket operation on non-socket\n"
        . "fd 3 type tcp source systemd\n\n", 'for this process: looked at, then removed';
};

subtest 'entries of PAGI_REUSE' => sub {
    local $ENV{PAGI_REUSE} = '[::1]:80:7,unix:/a:b:9,nonsense,h:x:3,1.2.3.4:5:6';
    my ($found) = collect();
    is $found, {
        '[::1]:80' => { type => 'tcp', host => '::1', port => 80, fd => 7, source => 'pagi_reuse' },
        'unix:/a:b' => { type => 'unix', path => '/a:b', fd => 9, source => 'pagi_reuse' },
        '1.2.3.4:5' =>
            { type => 'tcp', host => '1.2.3.4', port => 5, fd => 6, source => 'pagi_reuse' },
        },
        'by the key of their listener; others are skipped';
};

subtest 'a socket that is not there' => sub {
    local $ENV{PAGI_REUSE} = '127.0.0.1:4:999';
    is failure(host => '127.0.0.1', port => 4),
        "Cannot open inherited fd 999: Bad file descriptor\n",
        'is named';
};

done_testing;

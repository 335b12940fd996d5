package Test::PAGI::Matrix;

# The same test over every transport: what the specification says must not depend on the wire.
#
#     for_each_transport {
#         my ($on) = @_;
#         with_server { my ($t) = @_; ... } on => $on, app => $app;
#     };                                 # or: } protocol => 'h1';
#
# Clients of all protocols have the calls of Test::PAGI::Client::Common. Tests of HTTP/1's bytes
# (request lines, chunks, kept connections, invitations, pipelining) say protocol => 'h1', and why,
# and still run over every carrier of it. PAGI_TEST_TRANSPORT=name runs one transport only.
#
# A file that mostly waits for timers says use Test::PAGI::Matrix qw(-at_once): its transports then
# run beside one another, each in a process of its own.

use strict;
use warnings;
use feature 'state';

use Carp       qw(croak);
use Exporter   ();
use File::Temp ();
use IO::Async::Stream;
use IO::Socket::INET;
use POSIX     ();
use Test2::V0 ();
use Test::PAGI::Certificates;
use Test::PAGI::Client;
use Test::PAGI::NeedsTLS ();

our @ISA       = qw(Exporter);
our @EXPORT    = qw(for_each_transport);
our @EXPORT_OK = qw(serve_connection);

# A transport is a row: how the server is configured for it, how a client connects, and whether it
# is the server that accepts (accepts => 1), which tests of accepting ask for. One that needs what
# is not installed everywhere says so with is_there.
my @TRANSPORTS = (
    {
        name     => 'h1',
        protocol => 'h1',
        carrier  => 'tcp',
        accepts  => 1,
        options  => {},
        connect  => \&_connect_tcp,
    },
    {
        name     => 'connection',
        protocol => 'h1',
        carrier  => 'tcp',
        accepts  => 0,
        options  => {},
        connect  => \&_connect_given,
    },
    {
        name     => 'h1+tls',
        protocol => 'h1',
        carrier  => 'tls',
        accepts  => 1,
        options  => sub { return (ssl => Test::PAGI::Certificates->shared) },
        connect  => \&_connect_tls,
        is_there => \&Test::PAGI::NeedsTLS::is_there,
    },
    {
        name     => 'h1+unix',
        protocol => 'h1',
        carrier  => 'unix',
        accepts  => 1,
        options  => sub { return (socket => _new_path()) },
        without  => [qw(host port)],
        connect  => \&_connect_unix,
    },
    {
        name     => 'h2c',
        protocol => 'h2',
        carrier  => 'tcp',
        accepts  => 1,
        options  => { http2 => 1 },
        connect  => \&_connect_h2c,
    },
    {
        name     => 'h2+tls',
        protocol => 'h2',
        carrier  => 'tls',
        accepts  => 1,
        options  => sub { return (http2 => 1, ssl => Test::PAGI::Certificates->shared) },
        connect  => \&_connect_h2_tls,
        is_there => \&Test::PAGI::NeedsTLS::is_there,
    },
);

sub import {
    my ($class, @names) = @_;
    my $is_at_once = grep { $_ eq '-at_once' } @names;
    _run_at_once() if $is_at_once && !$ENV{PAGI_TEST_TRANSPORT};
    return $class->export_to_level(1, $class, grep { $_ ne '-at_once' } @names);
}

# The test file again for each transport, all at the same time, instead of what follows here.
sub _run_at_once {
    my @runs = map { _start_run($_->{name}) } grep { _fits($_, {}) } @TRANSPORTS;
    for my $run (@runs) {
        waitpid $run->{pid}, 0;
        my $status = $?;
        Test2::V0::ok(!$status, "over $run->{name}")
            or Test2::V0::diag(do { local (@ARGV, $/) = "$run->{output}"; scalar <> });
    }
    Test2::V0::done_testing();
    exit;
}

sub _start_run {
    my ($name) = @_;
    my $output = File::Temp->new;
    my $pid    = fork // croak "fork: $!";
    return { name => $name, pid => $pid, output => $output } if $pid;
    open STDOUT, '>', "$output" or POSIX::_exit(126);
    open STDERR, '>&', \*STDOUT or POSIX::_exit(126);
    local $ENV{PAGI_TEST_TRANSPORT} = $name;
    exec $^X, map({ "-I$_" } @INC), $0 or POSIX::_exit(127);
}

sub for_each_transport (&;@) {
    my ($block, %only) = @_;
    my $wanted = $ENV{PAGI_TEST_TRANSPORT};
    my @fit    = grep { _fits($_, \%only) && $_->{name} eq ($wanted // $_->{name}) } @TRANSPORTS;
    Test2::V0::pass("nothing to test over $wanted") if !@fit;
    for my $on (map { bless {%$_}, __PACKAGE__ } @fit) {
        Test2::V0::subtest('over ' . $on->name, sub { $block->($on) });
    }
    return;
}

sub _fits {
    my ($row, $only) = @_;
    return 0 if $row->{is_there} && !$row->{is_there}->();
    return !grep { $row->{$_} ne $only->{$_} } keys %$only;
}

# The transport of tests that do not ask for one.
sub default { return bless { %{ $TRANSPORTS[0] } }, __PACKAGE__ }

# One of them by its name.
sub transport {
    my ($name) = @_;
    return map { bless {%$_}, __PACKAGE__ } grep { $_->{name} eq $name } @TRANSPORTS;
}

sub name      { return $_[0]{name} }
sub protocol  { return $_[0]{protocol} }
sub carrier   { return $_[0]{carrier} }
sub is_secure { return $_[0]{carrier} eq 'tls' }

# --- what lawfully differs (contract 05, sections 6 and 14) ---

# The body of a response that is the server's own.
sub says {
    my ($self, $text) = @_;
    return $self->{protocol} eq 'h2' ? "$text\n" : $text;
}

# The pattern of a warning about an application, but for what it ends with.
sub blames {
    my ($self, $text) = @_;
    return qr/\A\Q$text\E/ if $self->{protocol} ne 'h2';
    $text =~ s/ \((after response started)\)/ $1/;
    return qr/\A\Q$text\E \(HTTP\/2 stream \d+\)/;
}

# How a client goes away: name => sub of the client.
sub ways_to_leave {
    my ($self) = @_;
    return (
        'closes (FIN)'          => sub { $_[0]->close },
        'resets (RST)'          => sub { $_[0]->reset },
        'closes its half (FIN)' => sub { $_[0]->half_close },
        $self->{protocol} eq 'h2' ? ('resets its stream' => sub { $_[0]->abort }) : (),
    );
}

sub server_options {
    my ($self) = @_;
    return ref $self->{options} eq 'CODE' ? $self->{options}->() : %{ $self->{options} };
}

# Whether the scope tells of addresses.
sub has_addresses { return $_[0]{carrier} ne 'unix' }

# Defaults of the test's server that do not go with its options.
sub without { return @{ $_[0]{without} // [] } }

# The port that its clients connect to.
sub port {
    my ($self, $t) = @_;
    return $self->{accepts} ? $t->port : _listener($t)->sockport;
}

# A client connected to a running Test::PAGI::Server.
sub connect {
    my ($self, $t, %options) = @_;
    return $self->{connect}->($t, %options);
}

# A client of a PAGI::Server::Connection: the test accepts, with a listener of its own.
sub _connect_given {
    my ($t, %options) = @_;
    my $listener = _listener($t);
    my $client   = Test::PAGI::Client->connect_tcp(port => $listener->sockport, %options);
    serve_connection($t, $listener->accept // croak "accept: $!");
    return $client;
}

sub _listener {
    my ($t) = @_;
    return $t->{listener} //= IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 100, Proto => 'tcp',
    ) // croak "listen: $@";
}

# Hands a connected socket to a PAGI::Server::Connection with the options of the test's server.
sub serve_connection {
    my ($t, $socket, %args) = @_;
    require PAGI::Server::Connection;
    require PAGI::Server::Protocol::HTTP1;
    my $server = $t->server;
    my %of     = %{ $t->{options} };
    delete @of{qw(host port socket listen access_log_format)};
    my %codec = map { $_ => delete $of{$_} }
        grep { exists $of{$_} } qw(max_header_size max_header_count);
    my $stream     = IO::Async::Stream->new(handle => $socket, on_read => sub { 0 });
    my $connection = PAGI::Server::Connection->new(
        map({ $_ => $server->{$_} } qw(max_body_size access_log access_log_format)), %of,
        protocol => PAGI::Server::Protocol::HTTP1->new(%codec),
        stream   => $stream,
        server   => $server,
        state    => $server->{state},
        %args,
    );
    $server->add_child($stream);
    $connection->start;
    return $connection;
}

sub _connect_tcp {
    my ($t, %options) = @_;
    return Test::PAGI::Client->connect_tcp(port => $t->port, %options);
}

sub _connect_tls {
    my ($t, %options) = @_;
    require Test::PAGI::Client::TLS;
    return Test::PAGI::Client::TLS->connect_tcp(port => $t->port, %options);
}

sub _connect_h2c {
    my ($t, %options) = @_;
    require Test::PAGI::Client::H2;
    return Test::PAGI::Client::H2->new(_connect_tcp($t, %options), %options);
}

sub _connect_h2_tls {
    my ($t, %options) = @_;
    require Test::PAGI::Client::H2;
    my $wire = _connect_tls($t, %options, tls => { SSL_alpn_protocols => ['h2'] });
    return Test::PAGI::Client::H2->new($wire, scheme => 'https', %options);
}

# A path of its own for each server, gone with this process.
sub _new_path {
    state $directory = File::Temp->newdir;
    state $count     = 0;
    return "$directory/" . ++$count . '.sock';
}

sub _connect_unix {
    my ($t) = @_;
    return Test::PAGI::Client->connect_unix($t->server->socket_path);
}

1;

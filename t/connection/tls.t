# PAGI::Server::Connection over streams of IO::Async::SSL (contract 01 section 3, 06 section 10)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::NeedsTLS;
use IO::Async::OS;
use IO::Async::Stream;
use IO::Select;
use IO::Socket::INET;
use PAGI::Server::Connection;
use Test::PAGI::Certificates;
use Test::PAGI::Client::TLS;
use Test::PAGI::Loop qw(open_fds test_loop turn wait_until);
use Test::PAGI::Puppet;
use Test::PAGI::WebSocket;

skip_all 'IO::Async::SSL is missing' unless eval { require IO::Async::SSL; 1 };

# What WebSocket->open asks for a client
sub Given::client { return $_[0]{client} }

my $made = Test::PAGI::Certificates->new;
my $pair = $made->self_signed('localhost');
my @KEYS = sort qw(
    server_cert client_cert_chain client_cert_name client_cert_error tls_version cipher_suite
);

my $puppet = Test::PAGI::Puppet->new;

sub slurp {
    my ($file) = @_;
    open my $fh, '<', $file or die "$file: $!";
    local $/;
    return <$fh>;
}

# The port of a listener that serves what comes through its handshake with a Connection. What its
# connections are made with can be changed in the hash that comes along.
sub listener {
    my (%ssl) = @_;
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 10)
        // die "listen: $@";
    my %with;
    my $serve = sub {
        my ($stream) = @_;
        $with{last} = PAGI::Server::Connection->new(
            stream      => $stream,
            app         => $puppet->app,
            tls_enabled => 1,
            %{ $with{args} // {} },
        )->start;
        test_loop()->add($stream);
    };
    test_loop()->SSL_listen(
        handle        => $socket,
        SSL_cert_file => $pair->{cert_file},
        SSL_key_file  => $pair->{key_file},
        %ssl,
        on_stream    => $serve,
        on_ssl_error => sub { },
    )->get;
    return ($socket->sockport, \%with);
}

sub client {
    my ($port, %options) = @_;
    return Test::PAGI::Client::TLS->connect_tcp(port => $port, tls => \%options);
}

my ($port, $with) = listener();

my %SUITE = (
    TLSv1_2 => [0x0303, 'ECDHE-ECDSA-AES128-GCM-SHA256', 0xc02b],
    TLSv1_3 => [0x0304],
);

for my $version (sort keys %SUITE) {
    my ($number, $name, $suite) = @{ $SUITE{$version} };
    my %options = (SSL_version => $version, $name ? (SSL_cipher_list => $name) : ());

    subtest "$version: an http scope" => sub {
        my $client = client($port, %options);
        for my $path (qw(/one /two)) {
            $client->write("GET $path HTTP/1.1\r\nHost: x\r\n\r\n");
            my $call = $puppet->next_call;
            my $tls  = $call->scope->{extensions}{tls};
            is $call->scope->{scheme}, 'https', 'scheme';
            is $call->scope->{client}[1], $client->port, 'the address of the client';
            is [sort keys %$tls], \@KEYS, 'the six keys';
            is $tls->{server_cert}, slurp($pair->{cert_file}), 'server_cert, as openssl writes it';
            is [@{$tls}{qw(client_cert_chain client_cert_name client_cert_error)}],
                [[], undef, undef], 'no certificate of the client';
            is $tls->{tls_version}, $number, 'tls_version';
            is $tls->{cipher_suite}, $suite // in_set(0x1301 .. 0x1303), 'cipher_suite';
            $call->reply($path);
            is $client->read_response->body, $path, 'answered';
        }
        $client->close;
        wait_until { $with->{last}{closed} } 'the end';
    };

    subtest "$version: an sse scope" => sub {
        my $client = client($port, %options);
        $client->write("GET / HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
        my $call = $puppet->next_call;
        is $call->scope->{type}, 'sse', 'type';
        is $call->scope->{scheme}, 'https', 'scheme';
        is $call->scope->{extensions}{tls}{tls_version}, $number, 'tls_version';
        $call->send(type => 'sse.start');
        $call->send(type => 'sse.send', data => 'x');
        $client->read_until(qr/data: x\n\n/);
        $call->finish;
        $client->read_until_eof;
        is $client->error, undef, 'it ends with a close_notify';
    };

    subtest "$version: a websocket scope" => sub {
        my $client = client($port, %options);
        my $ws     = Test::PAGI::WebSocket->open(bless { client => $client }, 'Given');
        my $call   = $puppet->next_call;
        is $call->scope->{type}, 'websocket', 'type';
        is $call->scope->{scheme}, 'wss', 'scheme';
        is $call->scope->{extensions}{tls}{tls_version}, $number, 'tls_version';
        is $call->event->{type}, 'websocket.connect', 'connect';
        $call->send(type => 'websocket.accept');
        $ws->accepted;
        $ws->text('hello');
        is $call->event->{text}, 'hello', 'a message comes';
        $call->send(type => 'websocket.send', text => 'there');
        is $ws->message, 'there', 'and one goes';
        $call->finish;
        $client->close;
        wait_until { $with->{last}{closed} } 'the end';
    };
}

subtest 'large bodies, both ways' => sub {
    my $client = client($port);
    my $body   = join '', map { chr(ord('a') + $_ % 26) x 1000 } 1 .. 1000;
    $client->write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n$body");
    my ($call, $got) = ($puppet->next_call, '');
    while (1) {
        my $event = $call->event;
        $got .= $event->{body};
        last unless $event->{more};
    }
    ok $got eq $body, 'the body comes';
    $call->reply($body);
    ok $client->read_response->body eq $body, 'and goes';
    $client->close;
    wait_until { $with->{last}{closed} } 'the end';
};

subtest 'a client with a certificate' => sub {
    my $ca     = $made->authority('Test CA');
    my $inner  = $made->issue($ca, 'Inner CA', is_ca         => 1);
    my $mine   = $made->issue($inner, 'Test Client', subject => '/O=Test/CN=Test Client');
    my $theirs = $made->issue($made->authority('Other CA'), 'Other Client');
    my ($port) = listener(
        SSL_ca_file         => $ca->{cert_file},
        SSL_verify_mode     => IO::Socket::SSL::SSL_VERIFY_PEER(),
        SSL_verify_callback => sub { 1 },
    );
    my $told = sub {
        my ($version, $pair) = @_;
        my $client = client(
            $port,
            SSL_version => $version,
            $pair
            ? (SSL_cert_file => $pair->{cert_file}, SSL_key_file => $pair->{key_file})
            : (),
        );
        $client->write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        my $call = $puppet->next_call;
        $call->reply('ok');
        $client->read_response;
        $client->close;
        return $call->scope->{extensions}{tls};
    };
    for my $version (sort keys %SUITE) {
        my $tls = $told->($version, $mine);
        is [sort keys %$tls], \@KEYS, "$version: the six keys";
        is join('', @{ $tls->{client_cert_chain} }), slurp($mine->{cert_file}),
            'the chain, leaf first';
        is $tls->{client_cert_name}, 'CN=Test Client,O=Test', 'the name as RFC 4514 writes it';
        is $tls->{client_cert_error}, undef, 'no error';

        $tls = $told->($version, $theirs);
        is $tls->{client_cert_name}, 'CN=Other Client', "$version: one that is not trusted";
        like $tls->{client_cert_error}, qr/unable to/, 'what is wrong with it, in words';

        $tls = $told->($version);
        is [@{$tls}{qw(client_cert_chain client_cert_name client_cert_error)}],
            [[], undef, undef], "$version: none";
    }
};

subtest 'what cannot be read is undefined, with a warning' => sub {
    my @log;
    my $server = bless { connections => {} }, 'Test::Logger';
    no warnings 'once';
    *Test::Logger::_log = sub { push @log, "$_[1]: $_[2]" };
    *Test::Logger::loop = sub { test_loop() };
    local $with->{args} = { server => $server };
    no warnings 'redefine';
    local *IO::Socket::SSL::sock_certificate  = sub { die "no server\n" };
    local *IO::Socket::SSL::peer_certificates = sub { die "no client\n" };
    my $client = client($port);
    $client->write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    my $call = $puppet->next_call;
    is $call->scope->{extensions}{tls}, {
        server_cert       => undef,
        client_cert_chain => [],
        client_cert_name  => undef,
        client_cert_error => undef,
        tls_version       => 0x0304,
        cipher_suite      => T(),
        },
        'the request is served';
    is \@log, [
        'warn: TLS server certificate extraction error: no server',
        'warn: TLS client certificate extraction error: no client',
        ],
        'the warnings';
    $call->reply('ok');
    $client->read_response;
    $client->close;
    wait_until { $with->{last}{closed} } 'the end';
};

subtest 'a handle that tells nothing' => sub {
    for my $enabled (0, 1) {
        my ($served, $peer) = IO::Async::OS->socketpair('unix', 'stream');
        my $stream = IO::Async::Stream->new(handle => $served, on_read => sub { 0 });
        test_loop()->add($stream);
        PAGI::Server::Connection->new(
            stream      => $stream,
            app         => $puppet->app,
            tls_enabled => $enabled,
            extensions  => { tls => { mine => 1 }, other => {} },
        )->start;
        my $client = Test::PAGI::Client->new($peer);
        $client->write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        my $call       = $puppet->next_call;
        my $extensions = $call->scope->{extensions};
        is $call->scope->{scheme}, $enabled ? 'https' : 'http', "tls_enabled $enabled: scheme";
        is $extensions->{other}, {}, 'what was given is there';
        is $extensions->{tls}, {
            map({ $_ => undef } @KEYS),
            client_cert_chain => [],
            },
            'six keys, nothing in them'
            if $enabled;
        ok !exists $extensions->{tls}, 'no such key in the clear' if !$enabled;
        $call->reply('ok');
        $client->read_response;
        $client->close;
    }
};

# IO::Async::SSL comes back for the rest of a record, and dies where a stream that still wants to
# read is closed by then.
subtest 'a stream that is closed in the middle of a record' => sub {
    my $client = client($port);
    $client->write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
    my $call   = $puppet->next_call;
    my $stream = $with->{last}{stream};
    $client->write('x' x 16384);
    IO::Select->new($stream->read_handle)->can_read(10);
    $stream->on_read_ready;
    ok $stream->read_handle->pending, 'half of it is read';
    $stream->close_now;
    turn(0) for 1 .. 3;
    my $event = $call->event;
    $event = $call->event if $event->{type} eq 'http.request';
    is $event->{type}, 'http.disconnect', 'the application hears of the end';
    $call->finish;
    $client->close;
    wait_until { $with->{last}{closed} } 'the end';
};

subtest 'nothing stays' => sub {
    my $fds = open_fds();
    for (1 .. 5) {
        my $client = client($port);
        $client->write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        $puppet->next_call->reply('ok');
        is $client->read_response->body, 'ok', 'answered';
        $client->read_until_eof;
        is $client->error, undef, 'a close_notify';
    }
    delete $with->{last};
    wait_until { open_fds() <= $fds } 'the descriptors to be closed';
};

done_testing;

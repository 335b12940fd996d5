# Handshakes that do not come about, and ends of connections (contract 06 sections 5 and 7, L06)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::NeedsTLS;
use Test::PAGI::App;
use Test::PAGI::Certificates;
use Test::PAGI::Client;
use Test::PAGI::Client::TLS;
use Test::PAGI::Loop qw(holds wait_until);
use Test::PAGI::Puppet;
use Test::PAGI::Server;

my $pair  = Test::PAGI::Certificates->shared;
my $calls = 0;
my $app   = http_app { $calls++; reply($_[2], 'ok') };

sub secure {
    my ($t, %tls) = @_;
    return Test::PAGI::Client::TLS->connect_tcp(port => $t->port, tls => \%tls);
}

sub plain {
    my ($t) = @_;
    return Test::PAGI::Client->connect_tcp(port => $t->port);
}

# A ClientHello as OpenSSL makes it.
sub client_hello {
    my $context = IO::Socket::SSL::SSL_Context->new(SSL_verify_mode => 0);
    my $ssl     = Net::SSLeay::new($context->{context});
    my ($in, $out) = map { Net::SSLeay::BIO_new(Net::SSLeay::BIO_s_mem()) } 1 .. 2;
    Net::SSLeay::set_bio($ssl, $in, $out);
    Net::SSLeay::set_tlsext_host_name($ssl, 'localhost');
    Net::SSLeay::connect($ssl);
    my $hello = Net::SSLeay::BIO_read($out);
    Net::SSLeay::free($ssl);
    return $hello;
}

with_server {
    my ($t) = @_;

    my %junk = (
        'plain HTTP'              => "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        'the preface of HTTP/2'   => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        'zeros'                   => "\0" x 4096,
        'a huge record'           => "\x16\x03\x01\xff\xff" . "\1" x 70_000,
        'a record after a hello'  => client_hello() . "\x17\x03\x03\x00\x05hello",
        'an alert'                => "\x15\x03\x03\x00\x02\x02\x28",
        'a hello of no length'    => "\x16\x03\x01\x00\x04\x01\x00\x00\x00",
        'a hello that says 16 MB' => "\x16\x03\x01\x00\x04\x01\xff\xff\xff",
        'a hello of SSL 2'        => "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" . 'x' x 37,
    );
    $calls = 0;
    for my $name (sort keys %junk) {
        my $client = plain($t)->write($junk{$name});
        $client->half_close;
        my $answer = $client->read_until_eof;
        unlike $answer, qr/HTTP/, "$name: no HTTP answer";
    }
    my $hello = client_hello();
    for my $length (0 .. 12, map { 13 + 20 * $_ } 0 .. length($hello) / 20 - 1) {
        my $client = plain($t)->write(substr $hello, 0, $length);
        $client->half_close->read_until_eof;
    }
    pass 'hellos that are cut off end';
    for my $at (map { 7 * $_ } 0 .. length($hello) / 7 - 1) {
        my $spoilt = $hello;
        substr($spoilt, $at, 1) ^= "\x55";
        my $client = plain($t)->write($spoilt);
        $client->half_close->read_until_eof;
    }
    pass 'hellos that are spoilt end';
    is $calls, 0, 'the application was not called';
    wait_until { $t->server->connection_count == 0 } 'all places to be free';
    is secure($t)->get('/')->body, 'ok', 'the server goes on';
}
app => $app, ssl => $pair;

subtest 'what fails is told at level debug' => sub {
    my @lines;
    with_server {
        my ($t) = @_;
        plain($t)->write("GET / HTTP/1.1\r\n\r\n")->read_until_eof;
        wait_until { grep { /SSL handshake failed: / } @lines = $t->take_warnings, @lines }
        'the line';
        is scalar(grep { /SSL handshake failed: \S/ } @lines), 1, 'one line';
    }
    app => $app, ssl => $pair, quiet => 0, log_level => 'debug';
};

subtest 'versions and suites that the server does not have' => sub {
    with_server {
        my ($t) = @_;
        for my $options (
            { SSL_version => 'TLSv1_1', SSL_cipher_list => 'ALL:@SECLEVEL=0' },
            { SSL_version => 'TLSv1', SSL_cipher_list   => 'ALL:@SECLEVEL=0' },
            { SSL_version => 'TLSv1_2', SSL_cipher_list => 'AES128-SHA:@SECLEVEL=0' },
            { SSL_version => 'TLSv1_2', SSL_cipher_list => 'ECDHE-ECDSA-AES128-SHA' },
            )
        {
            ok !eval { secure($t, %$options) }, join ' ',
                map { $options->{$_} } sort keys %$options;
        }
    }
    app => $app, ssl => $pair;
    with_server {
        my ($t) = @_;
        ok !eval { secure($t, SSL_version => 'TLSv1_2') }, 'TLS 1.2 where 1.3 is the floor';
    }
    app => $app, ssl => { %$pair, min_version => 'TLSv1_3' };
};

subtest 'a silent client holds a place, and not for ever' => sub {
    with_server {
        my ($t) = @_;
        my $silent = plain($t);
        wait_until { $t->server->connection_count == 1 } 'it to be counted';
        my $begun = plain($t)->write(substr client_hello(), 0, 50);
        wait_until { $t->server->connection_count == 2 } 'the one that began, too';
        $_->read_until_eof for $silent, $begun;
        wait_until { $t->server->connection_count == 0 } 'both places to be free';
        pass 'both were closed';
    }
    app => $app, ssl => $pair, timeout => 0.3;
};

subtest 'a shutdown does not wait for handshakes' => sub {
    my $silent;
    with_server {
        my ($t) = @_;
        $silent = plain($t);
        wait_until { $t->server->connection_count == 1 } 'it to be counted';
    }
    app => $app, ssl => $pair, shutdown_timeout => 60;
    is $silent->read_until_eof, '', 'closed';
};

subtest 'above max_connections 503 is said inside TLS' => sub {
    with_server {
        my ($t) = @_;
        my $first = secure($t);
        is $first->get('/')->status, 200, 'there is one place';
        my $second = secure($t);
        is $second->read_response->status, 503, '503';
        is $second->read_until_eof, '', 'and the end';
        is $second->error, undef, 'with close_notify';
        is $first->get('/')->status, 200, 'the first is served on';
    }
    app => $app, ssl => $pair, max_connections => 1;
};

subtest 'the end of a connection' => sub {
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;
        my $client = secure($t)->write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        $puppet->next_call->reply('bye');
        is $client->read_response->body, 'bye', 'a last response';
        $client->read_until_eof;
        is $client->error, undef, 'close_notify';

        $client = secure($t)->write("GET / HTTP/1.0\r\n\r\n");
        my $call = $puppet->next_call;
        $call->start;
        $call->body('half of it', more => 1);
        $call->finish;
        $t->wait_warning(qr/incomplete response/);
        $client->read_until_eof;
        ok $client->error, 'a response that breaks off: no close_notify, the client can tell';

        $client = secure($t)->write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
        $call   = $puppet->next_call;
        $client->cut;
        wait_until { !$call->connection->is_connected } 'the application to be told';
        is $call->connection->disconnect_reason, 'client_closed', 'FIN without close_notify';
        $call->finish;
    }
    app => $puppet->app, ssl => $pair;

    with_server {
        my ($t) = @_;
        my $client = secure($t);
        is $client->read_until_eof, '', 'an idle connection ends';
        is $client->error, undef, 'with close_notify';
    }
    app => $app, ssl => $pair, timeout => 0.3;

    with_server {
        my ($t) = @_;
        my $client = secure($t)->write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")->half_close;
        is $client->read_response->body, 'ok', 'a client that ended its half is served';
    }
    app => $app, ssl => $pair;
};

done_testing;

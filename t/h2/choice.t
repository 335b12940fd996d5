# contract 05 sections 1 and 2: when HTTP/2 is spoken, and the settings that the server announces
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp qw(tempdir);
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Certificates;
use Test::PAGI::Client;
use Test::PAGI::Client::H2;
use Test::PAGI::Matrix;
use Test::PAGI::NeedsTLS ();
use Test::PAGI::Prefork;
use Test::PAGI::Server;

my ($h2c) = Test::PAGI::Matrix::transport('h2c');
my %SETTINGS = (
    h2_max_concurrent_streams  => 7,
    h2_initial_window_size     => 70_000,
    h2_max_frame_size          => 20_000,
    h2_max_header_list_size    => 300,
    h2_enable_push             => 1,
    h2_enable_connect_protocol => 0,
);

# By the numbers of RFC 9113 6.5.2 and RFC 8441 3.
sub announced {
    my ($h2)       = @_;
    my ($frame)    = $h2->wait_frame('SETTINGS');
    my %by_numbers = unpack '(nN)*', $frame->{payload};
    return \%by_numbers;
}

my $called = 0;
my $app    = http_app {
    my ($scope, $receive, $send) = @_;
    $called++;
    return reply($send, $scope->{http_version});
};

subtest 'settings' => sub {
    &with_server(
        sub {
            my ($t) = @_;
            my $h2 = $t->client;
            is announced($h2), { 3 => 7, 4 => 70_000, 5 => 20_000, 6 => 300 }, 'as the options say';
            my $response = $h2->get('/', headers => [['x', 'y' x 400]]);
            is [$response->status, $called], [431, 0], 'a larger header list is refused';
            is $h2->get('/')->body, '2', 'the connection lives';
        },
        on  => $h2c,
        app => $app,
        %SETTINGS
    );
};

subtest 'workers have them too' => sub {
    my $prefork = Test::PAGI::Prefork->start(workers => 1, http2 => 1, %SETTINGS);
    my $wire    = Test::PAGI::Client->connect_tcp(port => $prefork->port);
    my $h2      = Test::PAGI::Client::H2->new($wire);
    is announced($h2), { 3 => 7, 4 => 70_000, 5 => 20_000, 6 => 300 }, 'as the options say';
    my ($pid) = $prefork->workers;
    like $h2->get('/')->body, qr/\A$pid /, 'and answer';
    $h2->close;
};

if (Test::PAGI::NeedsTLS::is_there()) {
    require Test::PAGI::Client::TLS;
    my $pair  = Test::PAGI::Certificates->shared;
    my $offer = sub {
        my ($port, @names) = @_;
        my %tls = @names ? (tls => { SSL_alpn_protocols => \@names }) : ();
        return Test::PAGI::Client::TLS->connect_tcp(port => $port, %tls);
    };

    my @cases = (
        ['h2', qw(h2 http/1.1)],
        ['h2', qw(http/1.1 h2)],
        ['h2', 'h2'],
        ['http/1.1', 'http/1.1'],
        [undef],
    );
    subtest 'TLS' => sub {
        &with_server(
            sub {
                my ($t) = @_;
                for my $case (@cases) {
                    my ($expected, @names) = @$case;
                    my $wire   = $offer->($t->port, @names);
                    my $is_h2  = ($expected // '') eq 'h2';
                    my $client = $is_h2 ? Test::PAGI::Client::H2->new($wire) : $wire;
                    is $client->get('/')->body, $is_h2 ? '2' : '1.1', "offered: @names";
                    is $wire->socket->alpn_selected, $expected, 'agreed on';
                    $client->close;
                }
            },
            app   => $app,
            http2 => 1,
            ssl   => $pair
        );
    };

    subtest 'TLS without http2' => sub {
        &with_server(
            sub {
                my ($t) = @_;
                my $wire = $offer->($t->port, qw(h2 http/1.1));
                is $wire->get('/')->body, '1.1', 'HTTP/1';
                is $wire->socket->alpn_selected, undef, 'and no ALPN at all';
                $wire->close;
            },
            app => $app,
            ssl => $pair
        );
    };

    subtest 'a worker, over TLS' => sub {
        my $prefork = Test::PAGI::Prefork->start(workers => 1, http2 => 1, ssl => $pair);
        my $wire    = $offer->($prefork->port, 'h2');
        my $h2      = Test::PAGI::Client::H2->new($wire, scheme => 'https');
        my ($pid)   = $prefork->workers;
        like $h2->get('/')->body, qr/\A$pid /, 'speaks it';
        $h2->close;
    };

    subtest 'a Unix socket beside TLS' => sub {
        my $path = tempdir(CLEANUP => 1) . '/sock';
        &with_server(
            sub {
                my $wire = Test::PAGI::Client->connect_unix($path);
                my $h2   = Test::PAGI::Client::H2->new($wire);
                is $h2->get('/')->body, '2', 'by prior knowledge';
                $h2->close;
                is(Test::PAGI::Client->connect_unix($path)->get('/')->body, '1.1', 'or HTTP/1');
            },
            app     => $app,
            http2   => 1,
            ssl     => $pair,
            without => [qw(host port)],
            listen  => [{ host => '127.0.0.1', port => 0 }, { socket => $path }]
        );
    };
}

subtest 'disable_tls' => sub {
    my %none = (cert_file => '/no/cert.pem', key_file => '/no/key.pem');
    &with_server(
        sub {
            my ($t) = @_;
            like [$t->take_warnings]->[0] // '', qr/TLS disabled/, 'a warning';
            is $t->client->get('/')->body, '2', 'h2c by prior knowledge';
        },
        on          => $h2c,
        app         => $app,
        ssl         => \%none,
        disable_tls => 1
    );
};

done_testing;

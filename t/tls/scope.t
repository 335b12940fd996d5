# What a scope tells of TLS (contract 06 sections 3 and 4; PAGI::Spec::Tls)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::NeedsTLS;
use Test::PAGI::App;
use Test::PAGI::Certificates;
use Test::PAGI::Client::TLS;
use Test::PAGI::Server;

my $made = Test::PAGI::Certificates->new;
my $pair = $made->self_signed('localhost');
my @KEYS = sort qw(
    server_cert client_cert_chain client_cert_name client_cert_error tls_version cipher_suite
);

my @scopes;
my $app = http_app { push @scopes, $_[0]; reply($_[2], 'ok') };

sub slurp {
    my ($file) = @_;
    open my $fh, '<', $file or die "$file: $!";
    local $/;
    return <$fh>;
}

# The scopes of requests by a client with these options.
sub scopes_of {
    my ($ssl, $client_options, $requests) = @_;
    @scopes = ();
    with_server {
        my ($t) = @_;
        my $client =
            Test::PAGI::Client::TLS->connect_tcp(port => $t->port, tls => $client_options // {});
        is $client->get('/')->status, 200, 'served' for 1 .. $requests // 1;
        $client->close;
    }
    app => $app, ssl => { %$pair, %{ $ssl // {} } };
    return @scopes;
}

subtest 'six keys, and no others' => sub {
    my ($scope) = scopes_of();
    my $tls = $scope->{extensions}{tls};
    is $scope->{scheme}, 'https', 'scheme';
    is [sort keys %$tls], \@KEYS, 'keys';
    is $tls->{server_cert}, slurp($pair->{cert_file}), 'server_cert is PEM, as openssl writes it';
    is $tls->{client_cert_chain}, [], 'no chain';
    is [@{$tls}{qw(client_cert_name client_cert_error)}], [undef, undef], 'no name, no error';
    is $tls->{tls_version}, 0x0304, 'TLS 1.3 where both can';
    ok grep({ $tls->{cipher_suite} == $_ } 0x1301 .. 0x1303), 'a suite of TLS 1.3';
};

subtest 'TLS 1.2 tells its version and suite, too' => sub {
    my %suite =
        ('ECDHE-ECDSA-AES128-GCM-SHA256' => 0xc02b, 'ECDHE-ECDSA-CHACHA20-POLY1305' => 0xcca9);
    for my $name (sort keys %suite) {
        my ($scope) = scopes_of({}, { SSL_version => 'TLSv1_2', SSL_cipher_list => $name });
        is $scope->{extensions}{tls}{tls_version}, 0x0303, 'version';
        is $scope->{extensions}{tls}{cipher_suite}, $suite{$name}, $name;
    }
};

subtest 'min_version is a floor; cipher_list is obeyed' => sub {
    my ($scope) = scopes_of({ min_version => 'TLSv1_3' });
    is $scope->{extensions}{tls}{tls_version}, 0x0304, 'TLS 1.3';
    ($scope) = scopes_of({ cipher_list => 'AES256+ECDSA' }, { SSL_version => 'TLSv1_2' });
    is $scope->{extensions}{tls}{cipher_suite}, 0xc02c, 'the one suite of the list';
};

subtest 'each request has a hash of its own' => sub {
    my ($first, $second) = scopes_of({}, {}, 2);
    is $first->{extensions}{tls}, $second->{extensions}{tls}, 'the same content';
    ref_is_not $first->{extensions}, $second->{extensions}, 'not the same hash';
};

subtest 'in the clear there is no such key, whatever is advertised' => sub {
    @scopes = ();
    with_server { $_[0]->get('/') } app => $app, extensions => { tls => {}, other => 1 };
    is $scopes[0]{scheme}, 'http', 'scheme';
    is $scopes[0]{extensions}, { other => 1 }, 'extensions';
};

subtest 'numbers are numbers' => sub {
    my ($scope) = scopes_of();
    require B;
    for my $key (qw(tls_version cipher_suite)) {
        my $flags = B::svref_2object(\$scope->{extensions}{tls}{$key})->FLAGS;
        ok $flags & B::SVf_IOK() && !($flags & B::SVf_POK()), $key;
    }
};

subtest 'a client with a certificate' => sub {
    my $ca    = $made->authority('Test CA');
    my $inner = $made->issue($ca, 'Inner CA', is_ca => 1);
    my $mine  = $made->issue(
        $inner, 'Test Client',
        subject => '/C=DE/O=Kühn, Söhne \\+ Co/emailAddress=a@b/CN=Test Client',
        is_utf8 => 1
    );
    my %mine = (SSL_cert_file => $mine->{cert_file}, SSL_key_file => $mine->{key_file});

    my ($unasked) = scopes_of({}, \%mine);
    is $unasked->{extensions}{tls}{client_cert_chain}, [], 'is not asked for it by default';

    for my $mode (1, 'optional') {
        for my $version (qw(TLSv1_2 TLSv1_3)) {
            my ($scope) = scopes_of(
                { verify_client      => $mode, ca_file => $ca->{cert_file} },
                { %mine, SSL_version => $version }
            );
            my $tls = $scope->{extensions}{tls};
            is [sort keys %$tls], \@KEYS, "$version, mode $mode: the same keys";
            is join('', @{ $tls->{client_cert_chain} }), slurp($mine->{cert_file}),
                'the chain, leaf first';
            is $tls->{client_cert_name},
                "CN=Test Client,1.2.840.113549.1.9.1=#1603614062,O=K\xfchn\\, S\xf6hne \\+ Co,C=DE",
                'the name as RFC 4514 writes it';
            is $tls->{client_cert_error}, undef, 'no error';
        }
    }
};

done_testing;

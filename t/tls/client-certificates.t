# Certificates of clients: required, optional, and what is wrong with them (contract 06, L08)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::NeedsTLS;
use Test::PAGI::App;
use Test::PAGI::Certificates;
use Test::PAGI::Client::TLS;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Server;
use Time::HiRes qw(time);

my $made     = Test::PAGI::Certificates->new;
my $pair     = $made->self_signed('localhost');
my $ca       = $made->authority('Test CA');
my $other_ca = $made->authority('Other CA');
my $expires  = time;
my %mine     = (
    good                   => $made->issue($ca, 'Test Client'),
    rsa                    => $made->issue($ca, 'Test Client', key      => 'rsa:2048'),
    ed25519                => $made->issue($ca, 'Test Client', key      => 'ed25519'),
    'of version 1'         => $made->issue($ca, 'Test Client', version1 => 1),
    untrusted              => $made->issue($other_ca, 'Test Client'),
    'untrusted, version 1' => $made->issue($other_ca, 'Test Client', version1 => 1),
    'self-signed'          => $made->self_signed('Test Client'),
    expired                => $made->issue($ca, 'Test Client', days => 0),
    'expired, version 1'   => $made->issue($ca, 'Test Client', days => 0, version1 => 1),
);
wait_until { time > $expires + 3 } 'the certificates to expire';

my @VERSIONS = qw(TLSv1_2 TLSv1_3);
my @tls;
my $app = http_app { push @tls, $_[0]{extensions}{tls}; reply($_[2], 'ok') };

# The response of a client with this certificate; undef where the handshake failed.
sub answer {
    my ($t, $name, $version) = @_;
    my $mine    = defined $name ? $mine{$name} : {};
    my %options = map { ("SSL_$_" => $mine->{$_}) } grep { /_file/ } keys %$mine;
    my $client  = eval {
        Test::PAGI::Client::TLS->connect_tcp(
            port => $t->port,
            tls  => { %options, SSL_version => $version }
        );
    } or return undef;
    my $response = $client->get('/');
    $client->close;
    return $response;
}

sub with_mode (&$) {
    my ($block, $mode) = @_;
    with_server { $block->($_[0]) } app => $app,
        ssl => { %$pair, verify_client => $mode, ca_file => $ca->{cert_file} };
}

with_mode {
    my ($t) = @_;
    for my $version (@VERSIONS) {
        for my $name ('good', 'rsa', 'ed25519', 'of version 1') {
            @tls = ();
            my $response = answer($t, $name, $version);
            is $response && $response->status, 200, "required, $version: $name is served";
            is $tls[0]{client_cert_error}, undef, 'without an error';
            like $tls[0]{client_cert_name}, qr/Test Client/, 'with its name';
        }
        @tls = ();
        is answer($t, undef, $version), undef, "required, $version: none is turned away";
        for my $name (grep { /trusted|self|expired/ } sort keys %mine) {
            is answer($t, $name, $version), undef, "required, $version: $name is turned away";
        }
        is scalar @tls, 0, 'and the application is not called';
    }
}
1;

with_mode {
    my ($t) = @_;
    my %error = (
        good                   => undef,
        'of version 1'         => undef,
        untrusted              => 'unable to get local issuer certificate',
        'untrusted, version 1' => 'unable to get local issuer certificate',
        expired                => 'certificate has expired',
        'expired, version 1'   => 'certificate has expired',
    );
    for my $version (@VERSIONS) {
        for my $name (sort keys %error) {
            @tls = ();
            my $response = answer($t, $name, $version);
            is $response && $response->status, 200, "optional, $version: $name is served";
            is $tls[0]{client_cert_error}, $error{$name}, 'with the error';
            is scalar @{ $tls[0]{client_cert_chain} }, 1, 'and the chain';
        }
        @tls = ();
        answer($t, 'self-signed', $version);
        ok $tls[0]{client_cert_error}, "optional, $version: self-signed has an error";
        answer($t, undef, $version);
        is $tls[1],
            hash { field client_cert_chain => []; field client_cert_error => undef; etc },
            "optional, $version: none is served, too";
    }
}
'optional';

subtest 'optional without a ca_file asks, and trusts nobody' => sub {
    with_server {
        my ($t) = @_;
        @tls = ();
        is answer($t, 'good', 'TLSv1_3')->status, 200, 'served';
        is $tls[0]{client_cert_error}, 'unable to get local issuer certificate', 'the error';
    }
    app => $app, ssl => { %$pair, verify_client => 'optional' };
};

done_testing;

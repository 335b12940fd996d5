# Several certificates, chosen by the name that the client asks for
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::NeedsTLS;
use IO::Socket::SSL::Utils qw(CERT_asHash);
use Test::PAGI::App;
use Test::PAGI::Certificates;
use Test::PAGI::Client::TLS;
use Test::PAGI::Server;

my $made  = Test::PAGI::Certificates->new;
my $first = $made->self_signed('first');
my @more  = (
    $made->self_signed('one', names     => ['one.example', '*.two.example']),
    $made->self_signed('rsa', names     => ['both.example'], key => 'rsa:2048'),
    $made->self_signed('ec', names      => ['both.example']),
    $made->self_signed('edwards', names => ['ed.example'], key => 'ed25519'),
);
my @tls;
my $app = http_app { push @tls, $_[0]{extensions}{tls}; reply($_[2], 'ok') };

with_server {
    my ($t) = @_;
    my $name_for = sub {
        my ($host, %options) = @_;
        my $client = Test::PAGI::Client::TLS->connect_tcp(
            port => $t->port,
            tls  => { SSL_hostname => $host, %options }
        );
        @tls = ();
        $client->get('/');
        my $cert = $client->socket->peer_certificate;
        is $tls[0]{server_cert}, Net::SSLeay::PEM_get_string_X509($cert), "$host: server_cert";
        return CERT_asHash($cert)->{subject}{commonName};
    };
    is $name_for->('one.example'), 'one', 'by name';
    is $name_for->('ONE.example'), 'one', 'in any case';
    is $name_for->('a.two.example'), 'one', 'by wildcard';
    is $name_for->('a.b.two.example'), 'first', 'which is for one label';
    is $name_for->('two.example'), 'first', 'and for no less';
    is $name_for->('unknown.example'), 'first', 'the first for a name that is not known';
    is $name_for->(''), 'first', 'and for a client that asks for none';
    is $name_for->('both.example', SSL_sigalgs => undef), 'rsa', 'the first of a name';
    is $name_for->('ed.example'), 'edwards', 'Ed25519';
}
app => $app, ssl => { %$first, certificates => \@more };

with_server {
    my ($t) = @_;
    my $client = Test::PAGI::Client::TLS->connect_tcp(
        port => $t->port,
        tls  => { SSL_hostname => 'one.example' }
    );
    is CERT_asHash($client->socket->peer_certificate)->{subject}{commonName}, 'one',
        'certificates alone, without a cert_file beside';
}
app => $app, ssl => { certificates => \@more };

done_testing;

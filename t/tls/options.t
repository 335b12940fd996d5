# The ssl option: its checks, when they come, and what the server object shows (contract 06)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp qw(tempdir);
use IO::Async::Loop;
use PAGI::Server;
use Test2::V0;
use Test::PAGI::NeedsTLS;
use Test::PAGI::App;
use Test::PAGI::Certificates;
use Test::PAGI::Loop qw(settle test_loop);
use Test::PAGI::Server;

my $made  = Test::PAGI::Certificates->new;
my $pair  = $made->self_signed('localhost');
my $other = $made->self_signed('other');
my $dir   = tempdir(CLEANUP => 1);
my $calls = 0;

sub server_with {
    my (%options) = @_;
    return PAGI::Server->new(
        app => sub { $calls++; return hello()->(@_) }, host => '127.0.0.1', port => 0, quiet => 1,
        access_log => undef, %options
    );
}

sub file {
    my ($name, $text) = @_;
    open my $fh, '>', "$dir/$name" or die "$dir/$name: $!";
    print {$fh} $text;
    close $fh;
    return "$dir/$name";
}

sub slurp {
    my ($file) = @_;
    open my $fh, '<', $file or die "$file: $!";
    local $/;
    return <$fh>;
}

is(PAGI::Server->has_tls, 1, 'has_tls');

subtest 'files are looked for at construction, in order' => sub {
    my $no   = "$dir/no.pem";
    my %ssl  = (cert_file => $no, key_file => $no, ca_file => $no);
    my $dies = sub {
        my (%ssl) = @_;
        return dies { server_with(ssl => \%ssl) }
    };
    is $dies->(%ssl), "SSL certificate file not found: $no\n", 'certificate';
    is $dies->(%ssl, %$pair, key_file => $no), "SSL key file not found: $no\n", 'key';
    is $dies->(%ssl, %$pair), "SSL CA file not found: $no\n", 'CA';
    is $dies->(%$pair, certificates => [{ %$other, key_file => $no }]),
        "SSL key file not found: $no\n", 'a further pair';
    is dies { server_with(ssl => \%ssl, listen => [], log_level => 'loud') },
        "SSL certificate file not found: $no\n", 'before all else';
    like $dies->(%$pair, min_version => 'TLSv1_1'),
        qr/\AInvalid ssl min_version 'TLSv1_1': must be TLSv1_2 or TLSv1_3\n\z/, 'min_version';
    like $dies->(%$pair, certificates => [{}]), qr/requires both 'cert_file' and 'key_file'/,
        'half a pair';
    ok server_with(ssl => { %$pair, some_day => 1 }), 'keys that are not known are ignored';
    return if !$>;    # root can read everything
    my $secret = file('secret.pem', 'x');
    chmod 0, $secret;
    is $dies->(cert_file => $secret), "SSL certificate file not readable: $secret\n", 'unreadable';
};

subtest 'what is in the files is looked at by listen, before the application starts' => sub {
    my $junk   = file('junk.pem', "junk\n");
    my $broken = file('broken.pem', slurp($pair->{cert_file}) =~ s/\n[A-Za-z0-9]{4}/\n!!!!/r);
    my $locked = file(
        'locked.pem',
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n" . "-----END ENCRYPTED PRIVATE KEY-----\n"
    );
    my @cases = (
        [qr/SSL certificate file \Q$junk\E contains no PEM certificate/, cert_file => $junk],
        [qr/SSL certificate file \Q$broken\E is malformed/, cert_file              => $broken],
        [qr/SSL key file \Q$junk\E contains no PEM private key/, key_file          => $junk],
        [qr/SSL key file \Q$locked\E is encrypted/, key_file                       => $locked],
        [
            qr/does not belong to certificate file \Q$pair->{cert_file}\E/,
            key_file => $other->{key_file}
        ],
        [qr/needs a cert_file and a key_file/, key_file     => undef],
        [qr/SSL CA file \Q$junk\E contains no PEM/, ca_file => $junk, verify_client => 1],
        [qr/verify_client needs a ca_file/, verify_client   => 1],
        [
            qr/Invalid ssl cipher_list 'RC4-SHA': it selects no cipher suite/,
            cipher_list => 'RC4-SHA'
        ],
    );
    for my $case (@cases) {
        my ($text, %ssl) = @$case;
        my $server = server_with(ssl => { %$pair, %ssl });
        test_loop()->add($server);
        $calls = 0;
        my $listening = $server->listen;
        ok $listening->is_failed, "listen fails: $text";
        like $listening->failure, $text, 'with the reason';
        like $listening->failure, qr/\n\z/, 'and a newline';
        is $calls, 0, 'the application was not started';
        ok !$server->is_running, 'and the server does not run';
        test_loop()->remove($server);
    }
    my $server = server_with(ssl => { %$pair, ca_file => $junk });
    ok $server, 'a ca_file is of no interest without verify_client';
};

subtest 'what the server object shows' => sub {
    my $server = server_with(ssl => $pair, extensions => { mine => {} });
    ok !$server->{tls_enabled}, 'tls_enabled not yet';
    is $server->listeners->[0]{ssl}, $pair, 'the listener has ssl';
    test_loop()->add($server);
    settle($server->listen);
    is $server->{tls_enabled}, 1, 'tls_enabled';
    is $server->{extensions}, { mine => {}, tls => {} }, 'extensions';
    ok $server->{_ssl_ctx}, '_ssl_ctx';
    like(
        PAGI::Server::Banner->line($server), qr{listening on https://127\.0\.0\.1:\d+/ .*tls: on},
        'banner'
    );
    settle($server->shutdown);
    test_loop()->remove($server);

    my $plain = server_with();
    is $plain->_build_ssl_config, undef, 'no config without ssl';
    ok !$plain->{tls_enabled}, 'nor tls_enabled';
    test_loop()->add($plain);
    settle($plain->listen);
    like(PAGI::Server::Banner->line($plain), qr{on http://.*tls: available}, 'banner');
    settle($plain->shutdown);
    test_loop()->remove($plain);
};

subtest '_build_ssl_config' => sub {
    my $config = server_with(ssl => $pair)->_build_ssl_config;
    is $config, hash {
        field SSL_server      => 1;
        field SSL_cert_file   => $pair->{cert_file};
        field SSL_key_file    => $pair->{key_file};
        field SSL_version     => 'TLSv1_2';
        field SSL_cipher_list => match qr/\AECDHE\+AESGCM:DHE\+AESGCM:ECDHE\+CHACHA20:!aNULL/;
        field SSL_verify_mode => 0;
        field SSL_reuse_ctx   => 1;
        end;
    }, 'defaults';
    my %ssl = (
        %$pair,
        verify_client => 1, ca_file => $other->{cert_file}, min_version => 'TLSv1_3',
        cipher_list   => 'ECDHE',
    );
    is server_with(ssl => \%ssl)->_build_ssl_config, hash {
        field SSL_verify_mode => 3;
        field SSL_ca_file     => $other->{cert_file};
        field SSL_version     => 'TLSv1_3';
        field SSL_cipher_list => 'ECDHE';
        etc;
    }, 'given';
};

subtest disable_tls => sub {
    my @warnings;
    local $SIG{__WARN__} = sub { push @warnings, @_ };
    my $server = server_with(
        disable_tls => 1,
        ssl         => { cert_file => '/no/cert.pem', key_file => '/no/key.pem' }
    );
    is \@warnings, ["PAGI::Server: TLS disabled via disable_tls option, ssl config ignored\n"],
        'a warning, and no look at the files';
    is $server->_build_ssl_config, undef, 'no config';
    test_loop()->add($server);
    settle($server->listen);
    like(PAGI::Server::Banner->line($server), qr{on http://.*tls: disabled}, 'banner');
    ok !$server->{tls_enabled}, 'not enabled';
    settle($server->shutdown);
    test_loop()->remove($server);
};

done_testing;

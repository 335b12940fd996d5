# Clients that others wrote: curl, openssl s_client, Python
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp qw(tempdir);
use Test2::V0;
use Test::PAGI::NeedsTLS;
use Test::PAGI::App;
use Test::PAGI::Certificates;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Process;
use Test::PAGI::Server;

my $made = Test::PAGI::Certificates->new;
my $ca   = $made->authority('Test CA');
my $pair = $made->issue($ca, 'localhost');
my $mine = $made->issue($ca, 'Test Client');
my $dir  = tempdir(CLEANUP => 1);
my $big  = join '', map { chr(32 + $_ % 90) } 1 .. 300_000;

my $app = http_app {
    my ($scope, $receive, $send) = @_;
    my $tls = $scope->{extensions}{tls};
    return reply($send, $big) if $scope->{path} eq '/big';
    return read_body($receive)->then(sub { reply($send, length $_[0]) })
        if $scope->{path} eq '/length';
    return reply($send, "$tls->{tls_version} " . ($tls->{client_cert_name} // '-'));
};

sub has {
    my ($command) = @_;
    return grep { -x "$_/$command" } split /:/, $ENV{PATH};
}

# The process after its end.
sub ran {
    my (@command) = @_;
    my $process = Test::PAGI::Process->start(command => ['timeout', '20', @command]);
    $process->wait_exit;
    return $process;
}

sub with_tls (&;%) {
    my ($block, %ssl) = @_;
    with_server { $block->($_[0], $_[0]->port) } app => $app, host => 'localhost',
        ssl                                          => { %$pair, %ssl };
}

subtest curl => sub {
    skip_all 'no curl' if !has('curl');
    my @curl = ('curl', '-sS', '--cacert', $ca->{cert_file});
    with_tls {
        my ($t, $port) = @_;
        my $url = "https://localhost:$port";
        is ran(@curl, $url)->stdout, '772 -', 'TLS 1.3, the certificate checked';
        is ran(@curl, '--tls-max', '1.2', $url)->stdout, '771 -', 'TLS 1.2';
        ok ran(@curl, '--tls-max', '1.1', $url)->{status}, 'TLS 1.1 is refused';
        is ran(@curl, "$url/big")->stdout, $big, 'a large response';
        my $file = "$dir/upload";
        open my $fh, '>', $file or die "$file: $!";
        print {$fh} $big x 10;
        close $fh;
        is ran(@curl, '--data-binary', "\@$file", "$url/length")->stdout, 10 * length $big,
            'a large request';
        is ran(@curl, '--http2', '-w', '%{http_version}', '-o', '/dev/null', $url)->stdout, '1.1',
            'that would like HTTP/2 is served HTTP/1.1';
        is ran(@curl, $url, "$url/big", $url)->stdout, "772 -${big}772 -", 'one connection';
        ok ran('curl', '-sS', "http://localhost:$port")->{status}, 'plain HTTP gets no answer';
    };
};

subtest 'openssl s_client' => sub {
    my $s_client = sub {
        my ($port, @options) = @_;
        return ran(
            'sh', '-c', 'printf "GET / HTTP/1.0\r\n\r\n" | "$@"', 'sh',
            qw(openssl s_client -ign_eof -servername localhost -connect), "localhost:$port",
            '-CAfile' => $ca->{cert_file}, @options
        )->stdout;
    };
    with_tls {
        my ($t, $port) = @_;
        like $s_client->($port), qr/New, TLSv1\.3.*Verify return code: 0.*\r\n772 -/s, 'TLS 1.3';
        like $s_client->($port, '-tls1_2'), qr/New, TLSv1\.2.*\r\n771 -/s, 'TLS 1.2';
        like $s_client->($port, '-tls1_2'), qr/Secure Renegotiation IS supported/, 'RFC 5746';
        unlike $s_client->($port, '-tls1_1'), qr/HTTP/, 'TLS 1.1';
        like $s_client->($port, '-alpn', 'h2,http/1.1'), qr/No ALPN negotiated.*772/s, 'no ALPN';
        like $s_client->($port, '-groups', 'P-384'), qr/772 -/, 'another group';
        for my $version (qw(-tls1_2 -tls1_3)) {
            $s_client->($port, $version, '-sess_out', "$dir/session");
            like $s_client->($port, $version, '-sess_in', "$dir/session"), qr/^Reused, TLS.*77/ms,
                "$version: a session is taken up again";
        }
        like $s_client->($port, '-tls1_2', '-no_ticket'), qr/771 -/, 'without tickets';
        unlike $s_client->($port, '-sess_in', "$dir/session"), qr/Max Early Data: [1-9]/,
            'no early data';
        my $renegotiation = ran(
            'sh', '-c', '(sleep 0.3; echo R; sleep 0.5) | openssl s_client -tls1_2 -connect "$1"',
            'sh', "localhost:$port"
        );
        like $renegotiation->stderr, qr/RENEGOTIATING.*(?:no renegotiation|error)/s,
            'no renegotiation';
    };
    with_tls {
        my ($t, $port) = @_;
        my @mine = (-cert => $mine->{cert_file}, -key => $mine->{key_file});
        like $s_client->($port, @mine), qr/CN = Test CA.*772 CN=Test Client/s, 'a certificate';
        unlike $s_client->($port), qr/HTTP/, 'without one';
        for my $version (qw(-tls1_2 -tls1_3)) {
            $s_client->($port, $version, @mine, '-sess_out', "$dir/session");
            like $s_client->($port, $version, @mine, '-sess_in', "$dir/session"),
                qr/^Reused, TLS.*CN=Test Client/ms, "$version: a session keeps the certificate";
        }
    }
    verify_client => 1, ca_file => $ca->{cert_file};
};

subtest Python => sub {
    skip_all 'no python3' if !has('python3');
    my $code = <<'END';
import http.client, ssl, sys
port, ca, cert, key = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
if cert:
    context.load_cert_chain(cert, key)
connection = http.client.HTTPSConnection('localhost', int(port), context=context)
for path in '/', '/big', '/':
    connection.request('GET', path)
    body = connection.getresponse().read()
    print(connection.sock.version(), len(body))
END
    with_tls {
        my ($t, $port) = @_;
        my $python = ran('python3', '-c', $code, $port, $ca->{cert_file}, '', '');
        is $python->stdout, "TLSv1.3 5\nTLSv1.3 300000\nTLSv1.3 5\n", 'three requests'
            or diag $python->stderr;
    };
    with_tls {
        my ($t, $port) = @_;
        my @files = ($ca->{cert_file}, $mine->{cert_file}, $mine->{key_file});
        like ran('python3', '-c', $code, $port, @files)->stdout, qr/\ATLSv1\.3 18\n/,
            'with a certificate';
        ok ran('python3', '-c', $code, $port, $ca->{cert_file}, '', '')->{status}, 'without';
    }
    verify_client => 1, ca_file => $ca->{cert_file};
};

done_testing;

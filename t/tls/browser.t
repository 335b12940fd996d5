# Chromium over TLS: a page, and what it fetches. PAGI_TEST_CHROMIUM names the program; without one
# the test is skipped.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp;
use Test2::V0;
use Test::PAGI::NeedsTLS;
use Test::PAGI::App;
use Test::PAGI::Certificates;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Process;
use Test::PAGI::Server;

my ($chromium) = grep { -x } $ENV{PAGI_TEST_CHROMIUM} // (), '/usr/bin/chromium';
skip_all 'no Chromium here' unless $chromium;

my $made = Test::PAGI::Certificates->new;
my $ca   = $made->authority('Test CA');
my $pair = $made->issue($ca, 'localhost');

# What Chromium asks for instead of the authority itself: the hash of the server's key.
my $pin = `openssl x509 -in $pair->{cert_file} -noout -pubkey | openssl pkey -pubin -outform der \\
    | openssl dgst -sha256 -binary | openssl base64`;
chomp $pin;

my @seen;
my $page = <<'END';
<script>
Promise.all([1, 2, 3].map(n => fetch('/part' + n).then(r => r.text())))
    .then(parts => fetch('/report', { method: 'POST', body: parts.join('') }));
</script>
END
my $report;
my $app = http_app {
    my ($scope, $receive, $send) = @_;
    push @seen, $scope;
    return read_body($receive)->then(sub { ($report) = @_; reply($send, 'thanks') })
        if $scope->{path} eq '/report';
    return reply($send, "part $1 ") if $scope->{path} =~ /part(\d)/;
    return reply($send, $page, headers => [['content-type', 'text/html']]);
};

with_server {
    my ($t)     = @_;
    my $profile = File::Temp->newdir;
    my @flags   = qw(
        --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
        --disable-background-networking --disable-component-update --disable-dev-shm-usage
        --no-default-browser-check
    );
    push @flags, "--user-data-dir=$profile", "--ignore-certificate-errors-spki-list=$pin";
    my $browser = Test::PAGI::Process->start(
        command => [$chromium, @flags, 'https://localhost:' . $t->port . '/']);
    my $told = eval {
        wait_until { defined $report } 'the page to report', 60;
    };
    $browser->signal('TERM');
    eval { $browser->wait_exit(10) };
    ok $told, 'the page reports' or diag $browser->stderr;
    is $report, 'part 1 part 2 part 3 ', 'what it fetched';
    is [grep { $_->{scheme} ne 'https' } @seen], [], 'all over https';
    is $seen[0]{extensions}{tls}{tls_version}, 0x0304, 'TLS 1.3';
}
app => $app, host => 'localhost', ssl => $pair;

done_testing;

# A page in Chromium that opens, sends, receives, is closed with a code, and connects again.
# PAGI_TEST_CHROMIUM names the program; without one the test is skipped.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Encode qw(encode_utf8);
use File::Temp;
use Future::AsyncAwait;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Process;
use Test::PAGI::Server;
use Test::PAGI::Sockets qw(sockets_app);
use Test::PAGI::Tree    qw(slurp);

my ($chromium) = grep { -x } $ENV{PAGI_TEST_CHROMIUM} // (), '/usr/bin/chromium';
skip_all 'no Chromium here' unless $chromium;

# As root and without a network
my @FLAGS = qw(
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
    --disable-background-networking --disable-component-update --disable-dev-shm-usage
    --no-default-browser-check
);

my $report;
my $page = http_app {
    my ($scope, $receive, $send) = @_;
    return answer($receive, $send) if $scope->{path} eq '/report';
    return reply(
        $send, encode_utf8(slurp('t/lib/clients/page.html')),
        headers => [['content-type', 'text/html']]
    );
};

async sub answer {
    my ($receive, $send) = @_;
    ($report) = await read_body($receive);
    await reply($send, 'thanks');
}

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t)     = @_;
        my $profile = File::Temp->newdir;
        my $browser = Test::PAGI::Process->start(command =>
                [$chromium, @FLAGS, "--user-data-dir=$profile", 'http://127.0.0.1:' . $t->port]);
        my $told = eval {
            wait_until { defined $report } 'the page to report', 60;
        };
        $browser->signal('TERM');
        eval { $browser->wait_exit(10) };
        ok $told, 'the page reports' or diag $browser->stderr;

        for my $line (split /\n/, $report // '') {
            my ($ok, $what) = $line =~ /\A(not )?ok (.*)/;
            ok !$ok, $what;
        }
    }
    on => $on, app => sockets_app($page), max_ws_frame_size => 1_000_000;
}
protocol => 'h1', carrier => 'tcp', accepts => 1;

done_testing;

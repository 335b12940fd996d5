# A page in Chromium that opens, sends, receives, is closed with a code, and connects again.
# Without one the test is skipped.
# HTTP/1 alone: over TLS a browser speaks HTTP/2, see t/h2.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Encode qw(encode_utf8);
use Future::AsyncAwait;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Browser;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Server;
use Test::PAGI::Sockets qw(sockets_app);
use Test::PAGI::Tree    qw(slurp);

Test::PAGI::Browser->need;

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
        my $browser = Test::PAGI::Browser->open('http://127.0.0.1:' . $t->port . '/');
        my $told    = eval {
            wait_until { defined $report } 'the page to report', 60;
        };
        ok $told, 'the page reports' or diag $browser->output;
        $browser->close;

        for my $line (split /\n/, $report // '') {
            my ($ok, $what) = $line =~ /\A(not )?ok (.*)/;
            ok !$ok, $what;
        }
    }
    on => $on, app => sockets_app($page), max_ws_frame_size => 1_000_000;
}
protocol => 'h1', carrier => 'tcp', accepts => 1;

done_testing;

# Out of descriptors: accepting pauses and goes on (contract 02 section 11)
# One carrier is enough: accepting knows no protocol.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

# The limit belongs to the process: start over with a low one.
BEGIN {
    if (!$ENV{PAGI_TEST_FEW_DESCRIPTORS}) {
        local $ENV{PAGI_TEST_FEW_DESCRIPTORS} = 1;
        my $inc = join ':', @INC;
        local $ENV{PERL5LIB} = $inc;
        exec 'sh', '-c', 'ulimit -n 64; exec "$0" "$@"', $^X, $0 or die "sh: $!";
    }
}

use Errno qw(ECONNABORTED EMFILE);
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(holds wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Server;

my $WARNING = "Accept error (FD exhaustion): Too many open files - pausing accept for 100ms\n";

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;
        my $kept = $t->client;
        is $kept->get('/')->body, 'hello', 'served before';
        $t->take_warnings;    # the banner

        for my $round (1, 2) {
            my @held;
            while (open my $fh, '<', '/dev/null') { push @held, $fh }
            ok $!{EMFILE}, "round $round: no descriptor is left";
            pop @held;        # for the client
            my $client = $t->client;
            $client->write($client->request_bytes(GET => '/'));
            is [$t->wait_warning(qr/exhaustion/)], [$WARNING], 'warned';
            holds { !$t->warnings && $client->buffer eq '' } 'once, and it waits', 0.5;
            is $kept->get('/')->body, 'hello', 'others are served';
            @held = ();
            is $client->read_response->body, 'hello', 'served as soon as there is one';
            is [$t->wait_warning(qr/resumed/)], ["Accept resumed after FD exhaustion pause\n"],
                'told';
            $client->close;
            wait_until { $t->server->connection_count == 1 } 'its descriptors to be free';
        }
    }
    on => $on, app => hello(), quiet => 0, log_level => 'debug';
}
protocol => 'h1', carrier => 'tcp', accepts => 1;

# Programs that accept by themselves tell of it the same way (contract 01 section 2.7).
with_server {
    my ($t) = @_;
    my $server = $t->server;
    $t->take_warnings;    # the banner
    $server->_on_accept_error(undef, EMFILE) for 1 .. 3;
    is [$t->wait_warning(qr/exhaustion/)], [$WARNING], 'warned once';
    my @clients = map { $t->client } 1 .. 3;
    $_->write($_->request_bytes(GET => '/')) for @clients;
    is [map { $_->read_response->body } @clients], [('hello') x 3], 'served after the pause';
    $_->close for @clients;
    is [$t->wait_warning(qr/resumed/)], ["Accept resumed after FD exhaustion pause\n"], 'told';
    $server->_on_accept_error(undef, ECONNABORTED);
    like [$t->wait_warning(qr/Accept error/)], [qr/\AAccept error: .* abort/], 'any other error';
    is $t->get('/')->body, 'hello', 'does not pause';
}
app => hello(), quiet => 0, log_level => 'debug';

done_testing;
